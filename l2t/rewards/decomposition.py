"""What is still unlearned: the gap between the expert's mean reward and the policy's, as an exact sum over terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from l2t.errors import L2TError
from l2t.report.statistics import Interval
from l2t.rewards.samples import Estimates, as_column, as_table, estimates, resampled_sums
from l2t.rewards.surrogate import Surrogate

TOTAL, RESIDUAL = "total", "residual"


@dataclass(frozen=True)
class Gap:
    """E_E r - E_π r = Σ_i (E_E f_i - E_π f_i) + residual.

    Attributes:
        total: the left-hand side.
        terms: the summands by name. One that is positive pays the expert more.
        residual: what the terms leave over; where it is large beside the total, the terms do not explain the gap.
    """

    total: Interval
    terms: Estimates
    residual: Interval


def decompose_gap(
    expert_terms: Any,
    expert_reward: Any,
    policy_terms: Any,
    policy_reward: Any,
    names: Sequence[str],
    *,
    expert_episode: Any = None,
    policy_episode: Any = None,
    seed: int = 0,
) -> Gap:
    """The gap in given terms, with bootstrap intervals over the episodes of either side.

    Args:
        expert_terms, policy_terms: f_i at the samples, `[sample, term]`: a surrogate's, or a reward's own.
        expert_reward, policy_reward: r at the same samples.
        names: of the terms.
        expert_episode, policy_episode: the episode that each sample is from.
        seed: of the resampling.

    Raises:
        L2TError: tables do not fit, or a term is called `total` or `residual`.
    """
    if {TOTAL, RESIDUAL} & set(names):
        raise L2TError(f"A term is called {TOTAL!r} or {RESIDUAL!r}, which the result needs; give it another name.")
    expert = _side("The expert's", expert_terms, expert_reward, names)
    policy = _side("The policy's", policy_terms, policy_reward, names)
    # Columns: the terms, their residual, the reward. The difference of means is linear, so each resample sums exactly.
    gap = expert.mean(0) - policy.mean(0)
    theirs, ours = (
        sums[:, :-1] / sums[:, -1:]
        for sums in (
            resampled_sums(expert, expert_episode, seed=seed),
            resampled_sums(policy, policy_episode, seed=seed + 1),
        )
    )
    everything = estimates([*names, RESIDUAL, TOTAL], gap, theirs - ours)
    count = len(names)
    terms = Estimates(tuple(names), everything.estimate[:count], everything.low[:count], everything.high[:count])
    return Gap(everything[TOTAL], terms, everything[RESIDUAL])


def decompose_surrogate_gap(
    surrogate: Surrogate, expert: Any, expert_reward: Any, policy: Any, policy_reward: Any, **options: Any
) -> Gap:
    """The gap in the curves of an additive surrogate, `expert` and `policy` being its inputs; see `decompose_gap`."""
    return decompose_gap(
        surrogate.terms(expert), expert_reward, surrogate.terms(policy), policy_reward, surrogate.names, **options
    )


def _side(whose: str, terms: Any, reward: Any, names: Sequence[str]) -> ndarray:
    f = as_table(f"{whose} terms", terms, names)
    r = as_column(f"{whose} reward", reward, len(f))
    return np.column_stack([f, r - f.sum(1), r])
