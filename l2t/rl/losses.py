"""Terms of learners' losses: pure functions of one minibatch."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def standardise(x: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """Mean 0, standard deviation 1."""
    return (x - x.mean()) / (x.std() + 1e-8)


def clipped_surrogate(
    ratio: Float[Array, " batch"], advantage: Float[Array, " batch"], clip: float
) -> Float[Array, " batch"]:
    """min(ratio A, clip(ratio, 1 - c, 1 + c) A)."""
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def squared_error(error: Float[Array, " batch"], bound: float | None = None) -> Float[Array, " batch"]:
    """½ e², or Huber's loss, which goes on as a straight line beyond `bound`."""
    return 0.5 * error**2 if bound is None else optax.losses.huber_loss(error, delta=bound)
