"""Targets of the critics, from windows of stored steps."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Backup(NamedTuple):
    """An n-step backup, up to the value at its end.

    Attributes:
        paid: what was earned on the way.
        weight: of the value at the end; zero where there is none.
        anew: of the mean value of the batch: how often the process begins anew on the way.
        last: index of the step after which the value is taken.
    """

    paid: Float[Array, " batch"]
    weight: Float[Array, " batch"]
    anew: Float[Array, " batch"]
    last: Int[Array, " batch"]


def average_backup(
    reward: Float[Array, "batch n"],
    bonus: Float[Array, "batch n"],
    cut: Bool[Array, "batch n"],
    gain: Float[Array, ""],
    horizon: float = math.inf,
) -> Backup:
    """Σ_k ζ^k [r_k - f] + Σ_{k>0} ζ^k α H(π(·|s_k)), then ζ^n V, with ζ = 1 - 1/H: each step owes the gain.

    With a finite H the process is taken to begin anew after each step with probability 1/H, at a state like those that
    are replayed, worth the mean of V over them: that has the weight 1 - ζ^n, which is left.

    A termination is a transition like any other, to the next episode's first state. A time limit cuts the backup off.

    Args:
        reward: r, the cost of a reset taken off.
        bonus: α H(π(·|s_k)); that of the first step, whose action is given, is not counted.
        cut: where a step met the time limit, and was no termination.
        gain: f.
        horizon: H.
    """
    counted = _counted(cut)
    bonus = bonus.at[:, 0].set(0.0)
    goes_on = 1.0 - 1.0 / horizon
    powers = goes_on ** jnp.arange(reward.shape[1])
    paid = (counted * powers * (reward - gain + bonus)).sum(axis=1)
    last = _last(counted)
    weight = goes_on ** (last + 1.0)
    return Backup(paid, weight, 1.0 - weight, last)


def discounted_backup(
    reward: Float[Array, "batch n"],
    bonus: Float[Array, "batch n"],
    terminated: Bool[Array, "batch n"],
    truncated: Bool[Array, "batch n"],
    discount: float,
) -> Backup:
    """Σ_k γ^k r_k + Σ_{k>0} γ^k α H(π(·|s_k)), then γ^n V: nothing comes after a termination."""
    counted = _counted(terminated | truncated)
    bonus = bonus.at[:, 0].set(0.0)
    powers = discount ** jnp.arange(reward.shape[1])
    paid = (counted * powers * (reward + bonus)).sum(axis=1)
    last = _last(counted)
    ended = jnp.take_along_axis(terminated, last[:, None], axis=1)[:, 0]
    weight = jnp.where(ended, 0.0, discount ** (last + 1.0))
    return Backup(paid, weight, jnp.zeros_like(weight), last)


def _counted(cut: Bool[Array, "batch n"]) -> Float[Array, "batch n"]:
    """1 for the steps of the window that no cut separates from its first."""
    before = jnp.cumprod(1.0 - cut[:, :-1], axis=1)
    return jnp.concatenate([jnp.ones((cut.shape[0], 1)), before], axis=1)


def _last(counted: Float[Array, "batch n"]) -> Int[Array, " batch"]:
    return counted.sum(axis=1).astype(jnp.int32) - 1
