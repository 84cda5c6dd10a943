"""The operator of temporal differences with linear features, and VRTD's inner step on it: pure functions of a batch."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from algorithms.features import Features
from l2t.rl.transitions import PairTransitions


def mean_operator(
    features: Features, theta: Float[Array, " d"], batch: PairTransitions, reward_rate: Float[Array, ""]
) -> Float[Array, " d"]:
    """ĝ = mean of g(θ, ξ) = ψ(x) [ (ψ(x) - ψ(x'))ᵀ θ - r + ρ̂ ] over a batch."""
    value = features.value(theta, batch.pair)
    error = value - features.value(theta, batch.next_pair) - batch.reward + reward_rate
    return features.weighted_sum(error, batch.pair) / batch.reward.shape[0]


def reduced_step(
    features: Features,
    offset: Float[Array, " d"],
    pair: PyTree,
    next_pair: PyTree,
    operator: Float[Array, " d"],
    step_size: Float[Array, ""],
) -> Float[Array, " d"]:
    """θ_{t+1} = θ_t - η [ mean of g(θ_t, ξ) - g(θ̃, ξ) + ĝ ], in terms of the offset θ_t - θ̃ alone.

    The reward and ρ̂ cancel in the difference.

    Args:
        features: ψ.
        offset: θ_t - θ̃.
        pair, next_pair: x and x' of the transitions of this step; one, or a minibatch that is averaged.
        operator: ĝ.
        step_size: η.

    Returns:
        θ_{t+1} - θ̃.
    """
    difference = features.value(offset, pair) - features.value(offset, next_pair)
    change = features.weighted_sum(difference, pair) / jnp.asarray(difference.shape[0], difference.dtype)
    return offset - step_size * (change + operator)
