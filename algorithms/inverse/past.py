"""What a run remembers of itself while it learns a reward: the rewards that it had."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int

from l2t.rl.models import ModelState


@struct.dataclass
class PastRewards:
    """K rewards from all over a run, evenly spaced over the iterations that it was begun with.

    Once kept they are never chosen anew: a run that ends early leaves its newest reward in the places that had not
    come, and one with K > 1 is not resumed with other `total_steps` (`configs.resuming.check_spacing`).

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
        """After one more of a run's `iterations`, whose number stays the same all along."""
        members = self.rewards.normaliser.count.shape[0]
        coming = jnp.arange(members) >= self.iteration * members // iterations

        def written(kept: Array, new: Array) -> Array:
            return jnp.where(coming.reshape(-1, *[1] * jnp.ndim(new)), new, kept)

        return PastRewards(jax.tree.map(written, self.rewards, newest), self.iteration + 1)
