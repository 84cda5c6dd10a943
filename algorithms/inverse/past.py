"""What a run remembers of itself while it learns a reward: the rewards that it had."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int

from l2t.rl.models import ModelState


@struct.dataclass
class PastRewards:
    """K rewards from all over a run.

    Attributes:
        rewards: along a leading axis, the j-th as it was when the j-th K-th of the run ended; where that has not come
            yet, the newest.
        iteration: of the run, from 0.
    """

    rewards: ModelState
    iteration: Int[Array, ""]

    @classmethod
    def create(cls, newest: ModelState, members: int) -> PastRewards:
        """Before the first step."""
        rewards = jax.tree.map(lambda x: jnp.broadcast_to(x, (members, *jnp.shape(x))), newest)
        return cls(rewards, jnp.zeros((), jnp.int32))

    def followed_by(self, newest: ModelState, iterations: int) -> PastRewards:
        """After one more of a run's iterations."""
        members = self.rewards.normaliser.count.shape[0]
        coming = jnp.arange(members) >= self.iteration * members // iterations

        def written(kept: Array, new: Array) -> Array:
            return jnp.where(coming.reshape(-1, *[1] * jnp.ndim(new)), new, kept)

        return PastRewards(jax.tree.map(written, self.rewards, newest), self.iteration + 1)
