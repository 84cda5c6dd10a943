"""A task without a memory of its own, whose robot is pushed now and then.

A student that copies a teacher comes by its own mistakes to states where the teacher never goes, and there it knows
nothing. A push takes the teacher to such states, and costs the student no step.

Source of the idea: Laskey et al., "DART: noise injection for robust imitation learning", arXiv 1703.09327; there noise
is added to the supervisor's actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Key

from envs.mujoco import pushes
from envs.mujoco.task import Memoryless, Start, Surroundings, Transition
from envs.physics.base import PhysicsState
from envs.push import PushConfig

ROBOT = 1
"""The body that the others hang from: 0 is the world."""


@dataclass(frozen=True)
class Pushed(Memoryless):
    """The task, and a `Push` to remember. Nobody sees it: neither teacher nor student knows what is to come."""

    push: PushConfig

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> Start:
        """The task's, and a pause until the first push."""
        return super().start(key, model)._replace(memory=pushes.draw(jax.random.fold_in(key, 1), self.push))

    def advance(self, key: Key[Array, ""], transition: Transition, model: mujoco.MjModel) -> pushes.Push:
        """The push a step later."""
        return pushes.follow(key, transition.memory, self.push, model.opt.timestep * self.substeps)

    def undisturbed(self) -> Memoryless:
        """The task alone, where it is pushed in training only."""
        return Memoryless(self.task) if self.push.training_only else self

    def surroundings(self, physics: PhysicsState, memory: pushes.Push, model: mujoco.MjModel) -> Surroundings:
        """The push that acts."""
        return Surroundings({}, jnp.zeros((model.nbody, 6)).at[ROBOT, :3].set(memory.acting))
