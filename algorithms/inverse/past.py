"""What a run remembers of itself while it learns a reward: rewards that it had, and steps that its policies took."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key

from l2t.rl.models import ModelState
from l2t.rl.types import Transitions


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


@struct.dataclass
class PastSteps:
    """Steps from all over a run, as many of each iteration.

    Attributes:
        steps: leaves `[capacity, ...]`.
        count: how many there are yet.
    """

    steps: Transitions
    count: Int[Array, ""]

    @classmethod
    def create(cls, like: Transitions, capacity: int) -> PastSteps:
        """Room for steps that show what `like` shows."""
        steps = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape[1:]), x.dtype), like)
        return cls(steps, jnp.zeros((), jnp.int32))

    def followed_by(self, steps: Transitions, key: Key[Array, ""], iterations: int) -> PastSteps:
        """With one iteration's share of its steps, drawn from `[time, env]`."""
        capacity, available = self.steps.reward.shape[0], steps.reward.size
        share = min(capacity // iterations, available)
        index = jax.random.permutation(key, available)[:share]
        shown = replace(
            steps,
            observation={group: steps.observation[group] for group in self.steps.observation},
            following={group: steps.following[group] for group in self.steps.following},
        )

        def written(kept: Array, new: Array) -> Array:
            rows = new.reshape(-1, *new.shape[2:])[index].astype(kept.dtype)
            return jax.lax.dynamic_update_slice_in_dim(kept, rows, self.count, 0)

        kept = jax.tree.map(written, self.steps, shown)
        return PastSteps(kept, jnp.minimum(self.count + share, capacity))

    def draw(self, key: Key[Array, ""], rows: int) -> Transitions:
        """Rows of them, each as likely as any."""
        index = jax.random.randint(key, (rows,), 0, self.count)
        return jax.tree.map(lambda x: x[index], self.steps)
