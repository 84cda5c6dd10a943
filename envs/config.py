"""Environment configurations, checked before anything heavy is imported."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envs.physics.config import PhysicsConfig
from l2t.config import check_choice, check_count, check_range
from l2t.errors import ConfigurationError

if TYPE_CHECKING:
    from envs.gymnasium.adapter import GymnasiumEnvironment
    from envs.mujoco.environment import MujocoEnvironment

MUJOCO_TASKS = {
    "ant": "Ant",
    "half_cheetah": "HalfCheetah",
    "hopper": "Hopper",
    "humanoid": "Humanoid",
    "humanoid_standup": "HumanoidStandup",
    "inverted_double_pendulum": "InvertedDoublePendulum",
    "inverted_pendulum": "InvertedPendulum",
    "pusher": "Pusher",
    "reacher": "Reacher",
    "swimmer": "Swimmer",
    "walker2d": "Walker2d",
}
"""Task modules of `envs.mujoco` and the class in each; also the stem of the Gymnasium id, `l2t/<Class>-v5`."""


@dataclass(frozen=True)
class MujocoConfig:
    """A Gymnasium MuJoCo task.

    Attributes:
        task: which one.
        student_noise, student_noise_kind: noise on the `student` observation group; see `ObservationNoise`.
        student_stack: how many of the last observations the student sees.
        reset_cost: charge for a termination in the average-reward setting.
        parameters: fields of the task's dataclass to change, such as `ctrl_cost_weight`.
        randomise: model fields to scale at each reset by a factor from [low, high], such as `{body_mass: [0.8, 1.2]}`.
    """

    task: str
    student_noise: float = 0.4
    student_noise_kind: str = "uniform"
    student_stack: int = 1
    reset_cost: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    randomise: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("env.task", self.task, MUJOCO_TASKS)
        check_range("env.student_noise", self.student_noise, 0.0)
        check_choice("env.student_noise_kind", self.student_noise_kind, ("uniform", "gaussian"))
        check_count("env.student_stack", self.student_stack)
        check_range("env.reset_cost", self.reset_cost, 0.0)
        for name, interval in self.randomise.items():
            if not isinstance(interval, Sequence) or isinstance(interval, str) or len(interval) != 2:
                raise ConfigurationError(f"env.randomise.{name} must be [low, high], two factors.")
            check_range(f"env.randomise.{name}[1]", interval[1], 0.0)
            check_range(f"env.randomise.{name}[0]", interval[0], 0.0, interval[1])

    @property
    def name(self) -> str:
        """The task's name in run directories and tables."""
        return self.task

    def build(self, physics: PhysicsConfig) -> MujocoEnvironment:
        """Compile the model and put the task on a physics engine."""
        from envs.mujoco.environment import make_environment
        from envs.observation_noise import History, ObservationNoise

        task_class = getattr(importlib.import_module(f"envs.mujoco.{self.task}"), MUJOCO_TASKS[self.task])
        known = {
            f.name: f.default for f in dataclasses.fields(task_class) if f.name not in ("xml", "substeps", "reads")
        }
        for name, value in self.parameters.items():
            check_choice("env.parameters", name, known)
            if isinstance(known[name], float | int) and not isinstance(known[name], bool):
                check_range(f"env.parameters.{name}", value)
        return make_environment(
            self.task,
            task_class(**self.parameters),
            physics.factory(),
            noise=ObservationNoise(self.student_noise, self.student_noise_kind),
            history=History(self.student_stack),
            randomise={name: tuple(interval) for name, interval in self.randomise.items()},
            reset_cost=self.reset_cost,
        )


@dataclass(frozen=True)
class GymnasiumConfig:
    """Any Gymnasium environment with a continuous, bounded action space; not resumable bitwise.

    Attributes:
        id: as in `gymnasium.make`, such as `Pendulum-v1`; `module:id` imports the module first.
        student_noise, student_noise_kind: noise on the `student` observation group; see `ObservationNoise`.
        student_stack: how many of the last observations the student sees.
        reset_cost: charge for a termination in the average-reward setting.
        episode_length: time limit in steps; None for the one that the id is registered with.
        parameters: keyword arguments of `gymnasium.make`.
    """

    id: str
    student_noise: float = 0.4
    student_noise_kind: str = "uniform"
    student_stack: int = 1
    reset_cost: float = 0.0
    episode_length: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ConfigurationError("env.id is empty; give the id of a Gymnasium environment, such as Pendulum-v1.")
        check_range("env.student_noise", self.student_noise, 0.0)
        check_choice("env.student_noise_kind", self.student_noise_kind, ("uniform", "gaussian"))
        check_count("env.student_stack", self.student_stack)
        check_range("env.reset_cost", self.reset_cost, 0.0)
        if self.episode_length is not None:
            check_count("env.episode_length", self.episode_length)

    @property
    def name(self) -> str:
        """The id without characters that a directory's name cannot hold."""
        return self.id.replace("/", "-").replace(":", "-")

    def build(self, physics: PhysicsConfig) -> GymnasiumEnvironment:
        """Wrap the environment, which brings its own physics."""
        del physics
        from envs.gymnasium.adapter import GymnasiumEnvironment
        from envs.observation_noise import History, ObservationNoise

        return GymnasiumEnvironment(
            self.id,
            ObservationNoise(self.student_noise, self.student_noise_kind),
            History(self.student_stack),
            self.reset_cost,
            self.episode_length,
            self.parameters,
        )
