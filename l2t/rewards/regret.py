"""Regret of optimising another reward under other dynamics: trained over seeds, or exactly on tabular processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import logsumexp, xlogy

from l2t.config import check_choice, check_range
from l2t.errors import L2TError, ModelError, ReducibleChainError
from l2t.rewards.samples import RESAMPLES, estimates


@dataclass(frozen=True)
class RegretMatrix:
    """Regret[i, j] = J_j(π trained on the reference reward) - J_j(π trained on reward i), both under dynamics j.

    Attributes:
        rewards, dynamics: names of rows and columns.
        regret: in units of the true return J.
        low, high: ends of 95 % intervals over seeds; NaN with one seed, and where the matrix is exact.
        returns: J, `[reward, dynamics, seed]`.
    """

    rewards: tuple[str, ...]
    dynamics: tuple[str, ...]
    regret: Float[ndarray, "reward dynamics"]
    low: Float[ndarray, "reward dynamics"]
    high: Float[ndarray, "reward dynamics"]
    returns: Float[ndarray, "reward dynamics seed"]


def regret_matrix(
    train: Callable[[Any, Any, int], float],
    rewards: Mapping[str, Any],
    dynamics: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    reference: str,
) -> RegretMatrix:
    """Train every reward under every dynamics with every seed.

    Args:
        train: `train(reward, dynamics, seed)` gives the true return of a policy that was trained on `reward`.
        rewards, dynamics: what is handed to `train`, by name.
        seeds: also handed to it; the same for every cell.
        reference: the reward whose policies regret is measured from, usually the true one. Trained like the others, so
            regret may come out negative.

    Raises:
        L2TError: a return is not finite; see also `regret_from_returns`.
    """
    returns = [
        [[float(train(reward, world, seed)) for seed in seeds] for world in dynamics.values()]
        for reward in rewards.values()
    ]
    return regret_from_returns(np.array(returns), tuple(rewards), tuple(dynamics), reference=reference)


def regret_from_returns(
    returns: Any, rewards: Sequence[str], dynamics: Sequence[str], *, reference: str, seed: int = 0
) -> RegretMatrix:
    """The matrix of returns that are there already, `[reward, dynamics, seed]`.

    Percentile bootstrap over seeds: those of a cell are drawn independently of the reference's.

    Raises:
        ConfigurationError: `reference` is none of the rewards.
        L2TError: shapes do not fit, or a return is not finite.
    """
    check_choice("reference", reference, rewards)
    table = np.asarray(returns, np.float64)
    if table.ndim != 3 or table.shape[:2] != (len(rewards), len(dynamics)) or table.shape[2] == 0:
        raise L2TError(
            f"returns has shape {table.shape}; give [{len(rewards)} rewards, {len(dynamics)} dynamics, seeds]."
        )
    if not np.isfinite(table).all():
        raise L2TError("A return is not finite; leave that seed out of every cell.")
    at, count = list(rewards).index(reference), table.shape[2]
    picks = np.random.default_rng(seed).integers(count, size=(RESAMPLES, *table.shape))
    means = np.take_along_axis(table[None], picks, axis=-1).mean(-1)
    regret = table[at].mean(-1) - table.mean(-1)
    # The reference against itself is zero by definition, resampled or not.
    spread = estimates([""] * regret.size, regret.ravel(), (means[:, at, None] - means).reshape(RESAMPLES, -1))
    low, high = spread.low.reshape(regret.shape), spread.high.reshape(regret.shape)
    if count == 1:
        low, high = np.full_like(regret, np.nan), np.full_like(regret, np.nan)
    return RegretMatrix(tuple(rewards), tuple(dynamics), regret, low, high, table)


def tabular_regret_matrix(
    transitions: Mapping[str, Float[ndarray, "state action state"]],
    rewards: Mapping[str, Float[ndarray, "state action"]],
    true_reward: Float[ndarray, "state action"],
    *,
    entropy: float = 0.0,
) -> RegretMatrix:
    """Exact regret, ρ_j(π*_{true, j}) - ρ_j(π*_{i, j}), by relative value iteration and linear solves.

    With `entropy` μ > 0 both policies are the soft optima and ρ includes μ times the policy's entropy, in which the
    true reward's policy is the best one; so no regret is negative either way. With μ = 0 a policy is uniform over
    actions that are equally good, as under a constant reward.

    Raises:
        ModelError: shapes do not fit or value iteration did not converge.
        ReducibleChainError: a policy's reward rate depends on where it starts.
    """
    check_range("entropy", entropy, 0.0)
    gains = np.zeros((len(rewards), len(transitions)))
    best = np.zeros(len(transitions))
    for j, transition in enumerate(transitions.values()):
        best[j] = reward_rate(transition, true_reward, optimal_policy(transition, true_reward, entropy), entropy)
        for i, reward in enumerate(rewards.values()):
            gains[i, j] = reward_rate(transition, true_reward, optimal_policy(transition, reward, entropy), entropy)
    unknown = np.full_like(gains, np.nan)
    return RegretMatrix(tuple(rewards), tuple(transitions), best - gains, unknown, unknown, gains[:, :, None])


def optimal_policy(
    transition: Float[ndarray, "state action state"],
    reward: Float[ndarray, "state action"],
    entropy: float = 0.0,
    *,
    tolerance: float = 1e-12,
    max_iterations: int = 200_000,
) -> Float[ndarray, "state action"]:
    """The average-reward optimum: V <- V + ½ (T V - V), less a constant, T V = max_a [r + P V] or its soft form.

    Raises:
        ModelError: it did not converge, or shapes do not fit.
    """
    p, r = np.asarray(transition, np.float64), np.asarray(reward, np.float64)
    if p.ndim != 3 or p.shape != (*r.shape, len(r)):
        raise ModelError(
            f"transition {p.shape} and reward {r.shape} must be [state, action, state] and [state, action]."
        )
    scale = max(float(np.ptp(r)), entropy, 1e-300)
    value = np.zeros(len(p))
    for _ in range(max_iterations):
        q = r + p @ value
        best = entropy * np.asarray(logsumexp(q / entropy, axis=1)) if entropy > 0.0 else q.max(1)
        if np.ptp(best - value) <= tolerance * scale:
            break
        value = value + 0.5 * (best - value)
        value -= value[0]
    else:
        raise ModelError("Value iteration did not converge: states may not reach each other, or mix too slowly.")
    if entropy > 0.0:
        return np.exp((q - best[:, None]) / entropy)
    ties = q >= best[:, None] - 1e-9 * scale
    return ties / ties.sum(1, keepdims=True)


def reward_rate(
    transition: Float[ndarray, "state action state"],
    reward: Float[ndarray, "state action"],
    policy: Float[ndarray, "state action"],
    entropy: float = 0.0,
) -> float:
    """ρ = Σ_s ν(s) [Σ_a π r - μ Σ_a π log π], with ν P^π = ν by a linear solve.

    Raises:
        ReducibleChainError: the chain has several recurrent classes.
    """
    chain = np.einsum("sa,sat->st", policy, transition)
    size = len(chain)
    if np.linalg.matrix_rank(np.eye(size) - chain, tol=1e-9) < size - 1:
        raise ReducibleChainError(
            "A policy's chain has several recurrent classes: its reward rate depends on the start. "
            "Use entropy > 0, or give every action some probability of slipping."
        )
    ν = np.linalg.solve((np.eye(size) - chain + 1.0).T, np.ones(size))
    return float(ν @ ((policy * reward).sum(1) - entropy * xlogy(policy, policy).sum(1)))
