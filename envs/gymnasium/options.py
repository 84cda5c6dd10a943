"""The keyword arguments that the single and the vector face share, and what is made of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import gymnasium
import numpy as np

from envs.config import MUJOCO_TASKS, MujocoConfig
from envs.gymnasium.cassie import TIME_LIMIT, CassieOptions, given_names, nested
from envs.gymnasium.forking import check_fork
from envs.gymnasium.information import TENDONS
from envs.mujoco.environment import MujocoEnvironment
from envs.physics.base import Reads
from envs.physics.config import PhysicsConfig
from envs.push import NOBODY
from envs.rendering import rendering_available
from l2t.config import check_choice, check_count
from l2t.errors import ConfigurationError, MissingDependencyError

RENDER_MODES = ("rgb_array",)

_FIXED = ("xml", "substeps", "reads", "episode_length")
"""Fields of a task that no keyword sets; the last has another name in Gymnasium."""


@dataclass(frozen=True)
class TaskOptions:
    """Which task, what is seen of it and what is changed in it.

    Attributes:
        task: name of the task, such as `half_cheetah`.
        observation_group: `teacher` (exact) or `student` (noisy).
        student_noise, student_noise_kind, student_stack, student_previous_action: see `MujocoConfig`; None for its
            defaults. Only the `student` group shows them.
        randomise, model, slope: how the model is changed; see `MujocoConfig`.
        push: who pushes, such as `{"force": (5, 20)}`; see `PushConfig`. None for nobody.
        physics: engine; see `PhysicsConfig`.
        parameters: fields of the task, such as `ctrl_cost_weight`.
        episode_length: time limit in steps; None for the task's own.
    """

    task: str
    observation_group: str = "teacher"
    student_noise: float | None = None
    student_noise_kind: str | None = None
    student_stack: int | None = None
    student_previous_action: bool | None = None
    randomise: Mapping[str, Any] | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    slope: float = 0.0
    push: Mapping[str, Any] | None = None
    physics: str | PhysicsConfig = "native"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    episode_length: int | None = None

    @classmethod
    def read(cls, task: str, keywords: Mapping[str, Any], others: tuple[str, ...]) -> TaskOptions:
        """Tell the attributes above from the fields of the task.

        Args:
            task: name of the task.
            keywords: what the caller gave.
            others: keyword arguments that the face itself takes, for the list of what is possible.

        Raises:
            ConfigurationError: a name is unknown, or belongs elsewhere.
        """
        check_choice("task", task, MUJOCO_TASKS)
        own = {each.name for each in fields(cls)} - {"task", "parameters", "episode_length"}
        task_class = getattr(importlib.import_module(f"envs.mujoco.{task}"), MUJOCO_TASKS[task])
        changeable = {each.name for each in fields(task_class)} - set(_FIXED)
        if "episode_length" in keywords:
            raise ConfigurationError(TIME_LIMIT)
        for name in keywords:
            check_choice(f"{task}: keyword argument", name, own | changeable | set(others))
        parameters = {name: value for name, value in keywords.items() if name not in own}
        return cls(task, parameters=parameters, **{name: keywords[name] for name in own & keywords.keys()})

    def build(self) -> MujocoEnvironment:
        """The environment, reading what Gymnasium's step and reset information needs.

        Raises:
            ConfigurationError: a value is out of range, or would have no effect.
            MissingDependencyError: the physics engine is not there.
        """
        if self.randomise is not None and not isinstance(self.randomise, Mapping):
            raise ConfigurationError(
                f"randomise={self.randomise!r} must map fields to factors, such as {{'body_mass': [0.8, 1.2]}}."
            )
        physics = self.physics if isinstance(self.physics, PhysicsConfig) else PhysicsConfig(self.physics)
        physics.check_given()
        if physics.engine != "native":  # the others compute when they are made
            check_fork()
        limit = {} if self.episode_length is None else {"episode_length": self.episode_length}
        config = MujocoConfig(
            self.task,
            parameters={**self.parameters, **limit},
            randomise=self.randomise or {},
            model=self.model,
            slope=self.slope,
            push=NOBODY if self.push is None else nested(self.task, "push", NOBODY, self.push),
            **self._student(),
        )
        config.check_given(given_names({"push": self.push}))
        environment = config.build(physics)
        if environment.model.ntendon == 0:
            return environment
        reads = Reads((*environment.task.reads.fields, *TENDONS.values()), environment.task.reads.precise)
        return replace(environment, engine=physics.factory()(environment.model, reads))

    def _student(self) -> dict[str, Any]:
        names = [each.name for each in fields(self) if each.name.startswith("student_")]
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if given and self.observation_group == "teacher":
            raise ConfigurationError(
                f"{', '.join(given)}: the teacher group does not show this; add observation_group='student'."
            )
        return given


CASSIE = "cassie_"
"""In front of the terrain, in the names of Cassie's tasks."""


def read_options(task: str, keywords: Mapping[str, Any], others: tuple[str, ...]) -> TaskOptions | CassieOptions:
    """The options of a task; see `TaskOptions.read` and `CassieOptions.read`."""
    if task.startswith(CASSIE):
        return CassieOptions.read(task.removeprefix(CASSIE), keywords, others)
    return TaskOptions.read(task, keywords, others)


def check_rendering(mode: str | None, width: int, height: int) -> None:
    """Raise unless pictures of this kind can be drawn here."""
    check_count("width", width)
    check_count("height", height)
    if mode is None:
        return
    check_choice("render_mode", mode, RENDER_MODES)
    reason = rendering_available()
    if reason is not None:
        raise MissingDependencyError(f"render_mode={mode!r} needs OpenGL without a display: {reason}")


def spaces(environment: MujocoEnvironment, group: str) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """Observation and action space, float32."""
    spec = environment.spec
    check_choice("observation_group", group, spec.observation_sizes)
    low, high = (np.array(bound, np.float32) for bound in (spec.action_low, spec.action_high))
    size = spec.observation_sizes[group]
    return gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32), gymnasium.spaces.Box(low, high, dtype=np.float32)


def frames_per_second(environment: MujocoEnvironment) -> int:
    """Environment steps per simulated second."""
    return round(1.0 / environment.spec.timestep)
