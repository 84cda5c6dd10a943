"""Tasks without a memory as tasks with one: none, or that of who pushes the robot.

A student that copies a teacher comes by its own mistakes to states where the teacher never goes, and there it knows
nothing. A push takes the teacher to such states, and costs the student no step.

Source of that idea: Laskey et al., "DART: noise injection for robust imitation learning", arXiv 1703.09327; there noise
is added to the supervisor's actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco import pushes
from envs.mujoco.names import NamesColumns
from envs.mujoco.task import Ended, Memory, MemorylessTask, Metrics, Start, Surroundings, Transition
from envs.physics.base import PhysicsState, Reads
from envs.push import PushConfig
from l2t.errors import ConfigurationError
from l2t.rl.keys import aside
from l2t.rl.types import Observation

ROBOT = 1
"""The body that the others hang from: 0 is the world."""


@dataclass(frozen=True)
class Memoryless:
    """A `MemorylessTask` as a `Task`."""

    task: MemorylessTask

    @property
    def xml(self) -> str:
        """The task's."""
        return self.task.xml

    @property
    def substeps(self) -> int:
        """The task's."""
        return self.task.substeps

    @property
    def episode_length(self) -> int:
        """The task's."""
        return self.task.episode_length

    @property
    def reads(self) -> Reads:
        """The task's."""
        return self.task.reads

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> Start:
        """The task's, and nothing to remember."""
        return Start(*self.task.start(key, model))

    def restart(self, key: Key[Array, ""], ended: Ended, model: mujoco.MjModel) -> Start:
        """As any start."""
        return self.start(key, model)

    def surroundings(self, physics: PhysicsState, memory: Memory, model: mujoco.MjModel) -> Surroundings:
        """The model's."""
        return Surroundings({})

    def bounds(self, model: mujoco.MjModel) -> tuple[Float[Array, " action"], Float[Array, " action"]]:
        """Those of the motors.

        Raises:
            ConfigurationError: some have none, as MJCF has it by default: what is -1 to 1 of an unlimited motor?
        """
        low, high = model.actuator_ctrlrange.T
        if still := [_motor(model, index) for index in np.flatnonzero(low >= high).tolist()]:
            raise ConfigurationError(
                f"{', '.join(still)} could not be moved: without a ctrlrange, actions from -1 to 1 stand for nothing. "
                'Give each actuator one in the MJCF, such as ctrlrange="-1 1".'
            )
        return low, high

    def control(
        self, action: Float[Array, " action"], physics: PhysicsState, memory: Memory, model: mujoco.MjModel
    ) -> Float[Array, " nu"]:
        """The action."""
        return action

    def advance(self, key: Key[Array, ""], transition: Transition, model: mujoco.MjModel) -> Memory:
        """Nothing to remember."""
        return ()

    def observe(self, physics: PhysicsState, memory: Memory, model: mujoco.MjModel) -> Observation:
        """The task's observation, for everyone."""
        return {"teacher": self.task.observe(physics, model)}

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """The task's."""
        return self.task.reward_terms(transition, model)

    def terminated(self, physics: PhysicsState, memory: Memory, model: mujoco.MjModel) -> Bool[Array, ""]:
        """The task's."""
        return self.task.terminated(physics, model)

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """The task's."""
        return self.task.information(transition, model)

    def observation_names(self, model: mujoco.MjModel) -> Mapping[str, tuple[str, ...]]:
        """The task's, where it has names."""
        return {"teacher": self.task.observation_names(model)} if isinstance(self.task, NamesColumns) else {}

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """The task's, where it has names."""
        return self.task.action_names(model) if isinstance(self.task, NamesColumns) else ()


def _motor(model: mujoco.MjModel, index: int) -> str:
    """An actuator by its name, or by that of the joint that it drives."""
    if name := model.actuator(index).name:
        return f"the actuator {name}"
    joint = model.actuator_trntype[index] == mujoco.mjtTrn.mjTRN_JOINT
    of = f"of {model.joint(model.actuator_trnid[index, 0]).name}" if joint else f"number {index}"
    return f"the actuator {of}"


@dataclass(frozen=True)
class Pushed(Memoryless):
    """The task, and a `Push` to remember. Nobody sees it: neither teacher nor student knows what is to come."""

    push: PushConfig

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> Start:
        """The task's, and a pause until the first push."""
        return super().start(key, model)._replace(memory=pushes.draw(aside(key), self.push))

    def advance(self, key: Key[Array, ""], transition: Transition, model: mujoco.MjModel) -> pushes.Push:
        """The push a step later."""
        return pushes.follow(key, transition.memory, self.push, model.opt.timestep * self.substeps)

    def undisturbed(self) -> Memoryless:
        """The task alone, where it is pushed in training only."""
        return Memoryless(self.task) if self.push.training_only else self

    def surroundings(self, physics: PhysicsState, memory: pushes.Push, model: mujoco.MjModel) -> Surroundings:
        """The push that acts."""
        return Surroundings({}, jnp.zeros((model.nbody, 6)).at[ROBOT, :3].set(memory.acting))
