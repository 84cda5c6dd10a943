"""The reward rate of off-policy learning without a discount, from replayed transitions of older policies.

    Q(s,a) <- r - ρ + v',   v' = min_j Q'_j(s',a') - α log π(a'|s'),   a' ~ π(.|s').

Every update adds r - ρ + v' - Q on average, so Q stands still only if ρ answers to Q itself. Two rules do:

    f <- f + κ (mean v' - f),        relative value iteration: at rest the mean of v' is ρ, which fixes Q's constant;
    ρ <- ρ + β mean(δ),              δ = r - ρ + v' - Q: at rest the mean of δ is 0, and Q's constant is anything.

The mean reward of the batch, or an exponential average of it, is no rule: it is the rate of whatever policies filled
the replay, without their entropy, and Q grows without end at the difference between it and the soft gain. What both
rules find is the *soft* gain, with the entropy in it.

Source: Hisaki and Ono, "RVI-SAC" (arXiv 2408.01972), for f(Q); Wan, Naik and Sutton, "Learning and planning in
average-reward MDPs" (arXiv 2006.16318), for the rule of δ.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def soft_value(
    q: Float[Array, "critic *batch"], log_probability: Float[Array, "*batch"], temperature: Float[Array, ""] | float
) -> Float[Array, "*batch"]:
    """v = min_j Q_j(s,a) - α log π(a|s), an estimate of the soft value of s from one action a ~ π(.|s).

    Args:
        q: Q_j[s, a] of each critic, in units of reward.
        log_probability: log π(a|s).
        temperature: α >= 0, in units of reward.
    """
    return q.min(0) - temperature * log_probability


def relative_value_rate(
    rate: Float[Array, ""], value: Float[Array, "*batch"], step_size: float = 0.005
) -> Float[Array, ""]:
    """f + κ (mean v' - f).

    Args:
        rate: f.
        value: v' of the batch, from the *target* critics and at successors, as `soft_value` gives it.
        step_size: κ in (0, 1]; about the rate at which target critics follow.
    """
    return rate + step_size * (jnp.mean(value) - rate)


def td_rate(rate: Float[Array, ""], td_error: Float[Array, "*batch"], step_size: float = 0.005) -> Float[Array, ""]:
    """ρ + β mean(δ), with δ = r - ρ + v' - Q from the same ρ.

    Args:
        rate: ρ.
        td_error: δ of the batch, which the critic is moved by too.
        step_size: β > 0. Q and ρ answer to the same errors: the smaller β beside the critic's step, the further Q's
            mean travels until ρ is right, and there it stays.
    """
    return rate + step_size * jnp.mean(td_error)
