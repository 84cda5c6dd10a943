"""A reset cost that finds itself: it rises until few steps are resets.

    max_π ρ(π)  subject to  (share of steps that terminate) <= ε,

whose multiplier is the cost c: c <- max(0, c + Adam(share - ε)). The share is an exponential average over the steps
that were just collected, hence of the policy of now.

Source: the constraint and its multiplier are those of RVI-SAC, Hisaki and Ono, arXiv 2408.01972. There the share comes
from a critic of its own, since nothing but old steps is used; steps that are fresh need none.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, PyTree

AVERAGING = 0.1
"""Step of the exponential average of the share of resets."""


@struct.dataclass
class ResetCost:
    """The cost, the share of resets and Adam's moments."""

    cost: Float[Array, ""]
    rate: Float[Array, ""]
    optimiser: PyTree

    @classmethod
    def create(cls, cost: float) -> ResetCost:
        """From the task's own cost on."""
        start = jnp.asarray(cost, jnp.float32)
        return cls(start, jnp.zeros(()), optax.adam(1.0).init(start))

    def update(self, terminated: Bool[Array, "time env"], allowed: float, step: float) -> ResetCost:
        """After a batch of fresh steps.

        Args:
            terminated: where it reset.
            allowed: ε.
            step: Adam's, in reward units.
        """
        rate = self.rate + AVERAGING * (terminated.mean() - self.rate)
        change, optimiser = optax.adam(step).update(allowed - rate, self.optimiser)
        return ResetCost(jnp.maximum(self.cost + jnp.asarray(change), 0.0), rate, optimiser)
