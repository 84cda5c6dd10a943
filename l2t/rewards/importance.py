"""Permutation importance: how much of the reward is lost when a column is shuffled among the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import rankdata

from l2t.config import check_count
from l2t.errors import L2TError
from l2t.rewards.samples import (
    Estimates,
    Groups,
    Reward,
    as_column,
    as_table,
    check_groups,
    correlated_groups,
    episode_of,
    estimates,
    group_names,
    resampled_sums,
    values_of,
)
from l2t.rewards.support import Support, fit_support


@dataclass(frozen=True)
class Importance:
    """What shuffling costs, per group of columns.

    Attributes:
        groups: the columns that were shuffled together.
        r_squared: drop of R² = 1 - Σ (target - r)² / Σ (target - mean)².
        rank: drop of the rank correlation between target and r.
        outside: share of the shuffled samples that lie where no sample was; there the reward is a guess.
    """

    groups: Groups
    r_squared: Estimates
    rank: Estimates
    outside: Float[ndarray, " group"]


def permutation_importance(
    reward: Reward,
    samples: Any,
    names: tuple[str, ...],
    *,
    target: Any = None,
    groups: Groups | None = None,
    support: Support | None = None,
    episode: Any = None,
    repeats: int = 5,
    seed: int = 0,
) -> Importance:
    """Shuffle each group of columns among the samples, and compare r with the target.

    For an additive r of independent columns and target r itself, the drop of R² is 2 Var f_i / Var r: shuffling
    replaces f_i by an independent copy. A column whose duplicate stays in place seems to matter little, so duplicates
    are shuffled together.

    Args:
        reward: r.
        samples: x, `[sample, n]`.
        names: of the columns.
        target: what r is to explain, such as the true reward; r(x) by default.
        groups: columns that are shuffled together; by default those that correlate.
        support: where the reward was trained; by default where the samples are.
        episode: the episode that each sample is from; intervals are over episodes.
        repeats: shuffles per group, averaged.
        seed: of the shuffles.

    Raises:
        L2TError: tables do not fit, or the target is the same everywhere.
    """
    check_count("repeats", repeats)
    x = as_table("The sample", samples, names, rows=20)
    episode_of(episode, len(x))
    value = values_of(reward, x)
    target = value if target is None else as_column("The target", target, len(x))
    if np.ptp(target) == 0.0:
        raise L2TError("The target is the same on all samples: no column can matter.")
    groups = check_groups(groups or correlated_groups(x), len(names))
    support = support or fit_support(x, seed=seed)
    rng = np.random.default_rng(seed)

    # Columns of moments, [intact, group 1, group 2, ...]; every interval is of the same resampled episodes.
    errors, ranked, outside = [(target - value) ** 2], [_rank_moments(target, value)], []
    for group in groups:
        error, moments, left = np.zeros(len(x)), np.zeros((len(x), 2)), 0.0
        for _ in range(repeats):
            shuffled = x.copy()
            shuffled[:, group] = x[rng.permutation(len(x))][:, group]
            guess = values_of(reward, shuffled)
            error += (target - guess) ** 2 / repeats
            moments += _rank_moments(target, guess) / repeats
            left += float((~support.contains(shuffled)).mean()) / repeats
        errors.append(error)
        ranked.append(moments)
        outside.append(left)
    table = np.column_stack([target - target.mean(), (target - target.mean()) ** 2, *errors, *ranked])
    sums = np.append(table.sum(0), len(table))
    labels, count = group_names(names, groups), len(groups) + 1
    replicates = resampled_sums(table, episode, seed=seed)
    loss, agreement = _loss(sums, count), _agreement(sums, count)
    losses, agreements = _loss(replicates, count), _agreement(replicates, count)
    return Importance(
        groups,
        estimates(labels, loss[1:] - loss[0], losses[:, 1:] - losses[:, :1]),
        estimates(labels, agreement[0] - agreement[1:], agreements[:, :1] - agreements[:, 1:]),
        np.array(outside),
    )


def _rank_moments(a: ndarray, b: ndarray) -> Float[ndarray, "sample 2"]:
    """Products whose sums give the rank correlation; ranks are those among all samples, also in a resample."""
    first, second = _scaled_rank(a), _scaled_rank(b)
    return np.column_stack([first * second, 0.5 * (first**2 + second**2)])


def _scaled_rank(a: ndarray) -> ndarray:
    rank = rankdata(a) - 0.5 * (len(a) + 1)
    deviation = rank.std()
    return rank / deviation if deviation > 0.0 else rank


def _loss(sums: ndarray, count: int) -> ndarray:
    """Σ (target - r)² / Σ (target - mean)² = 1 - R²."""
    total = sums[..., 1] - sums[..., 0] ** 2 / sums[..., -1]
    return sums[..., 2 : 2 + count] / np.maximum(total, 1e-300)[..., None]


def _agreement(sums: ndarray, count: int) -> ndarray:
    moments = sums[..., 2 + count : 2 + 3 * count]
    return moments[..., 0::2] / np.maximum(moments[..., 1::2], 1e-300)
