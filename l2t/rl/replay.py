"""Replay: a ring of the newest steps, and minibatches drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key

from l2t.rl.types import EnvironmentSpec, Observation, Trajectory, Transitions, blank


@struct.dataclass
class Ring:
    """Rows of one step of every environment, the oldest overwritten first.

    Attributes:
        steps: leaves `[row, env, ...]`; observations raw, as the environments gave them.
        cursor: the row that is written next.
        filled: rows that hold something.
    """

    steps: Transitions
    cursor: Int[Array, ""]
    filled: Int[Array, ""]


@dataclass(frozen=True)
class Replay:
    """An `Experience` that keeps what was collected, and adds minibatches of it to every batch.

    Drawn are windows of consecutive steps of one environment, `[update, row, window]`, uniformly from all windows that
    the ring holds whole. Between two steps of a window an episode may have ended: its flags say so.

    Attributes:
        capacity: steps to keep at least, over all environments; rounded up to whole batches.
        updates, batch_size: minibatches in each iteration, and windows in each of them.
        groups: observation groups to keep.
        window: steps of a window.
        following: whether to keep what came after each step; imitation has no use for it.
    """

    capacity: int
    updates: int
    batch_size: int
    groups: tuple[str, ...]
    window: int = 1
    following: bool = True

    def init(self, example: Callable[[], Trajectory]) -> Ring:
        """An empty ring."""
        steps = jax.eval_shape(lambda batch: self._kept(batch), example())
        time, envs = steps.reward.shape
        rows = -(-self.capacity // (time * envs)) * time
        return Ring(
            jax.tree.map(lambda x: jnp.zeros((rows, *x.shape[1:]), x.dtype), steps),
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.int32),
        )

    def bytes(self, spec: EnvironmentSpec, num_steps: int, num_envs: int) -> int:
        """What the ring takes in a task that is collected in batches of `[num_steps, num_envs]`."""
        batch = partial(blank, spec, num_steps, num_envs)
        ring = jax.eval_shape(lambda: self.init(partial(jax.eval_shape, batch)))
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(ring))

    def exchange(self, store: Ring, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[Ring, Trajectory]:
        """Keep the batch; hand it on with minibatches of everything kept."""
        store = self.add(store, trajectory)
        return store, replace(trajectory, replayed=self.draw(store, key))

    def add(self, ring: Ring, trajectory: Trajectory) -> Ring:
        """The ring with a batch in place of the oldest rows."""
        time, rows = trajectory.reward.shape[0], ring.steps.reward.shape[0]
        # Rows are a multiple of the batch's length, so that a batch never wraps.
        write = jax.lax.dynamic_update_slice_in_dim
        steps = jax.tree.map(lambda kept, new: write(kept, new, ring.cursor, 0), ring.steps, self._kept(trajectory))
        return Ring(steps, (ring.cursor + time) % rows, jnp.minimum(ring.filled + time, rows))

    def draw(self, ring: Ring, key: Key[Array, ""]) -> Transitions:
        """Windows of what is kept, `[update, row, window]`."""
        rows, envs = ring.steps.reward.shape
        row_key, env_key = jax.random.split(key)
        shape = (self.updates, self.batch_size)
        start = jax.random.randint(row_key, shape, 0, ring.filled - self.window + 1)
        env = jax.random.randint(env_key, shape, 0, envs)
        oldest = ring.cursor - ring.filled
        row = (oldest + start[..., None] + jnp.arange(self.window)) % rows
        return jax.tree.map(lambda x: x[row, env[..., None]], ring.steps)

    def _kept(self, trajectory: Trajectory) -> Transitions:
        steps = trajectory.transitions()
        following = self._seen(steps.following) if self.following else {}
        return replace(steps, observation=self._seen(steps.observation), following=following)

    def _seen(self, observation: Observation) -> Observation:
        return {group: observation[group] for group in self.groups}
