"""Environment configurations, checked before anything heavy is imported."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import ItemsView, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from envs.physics.config import PhysicsConfig
from envs.push import NOBODY, PushConfig
from l2t.config import check_choice, check_count, check_flag, check_interval, check_range, read_from
from l2t.errors import ConfigurationError

if TYPE_CHECKING:
    from envs.gymnasium.adapter import GymnasiumEnvironment
    from envs.mujoco.environment import MujocoEnvironment
    from envs.observation import StudentView

REWARD = read_from("a learned reward, or the run that left it")
"""Metadata of a field that names the reward to train on."""

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
        task: which one; or a class of your own as `module.Class`, imported when the environment is built, that has the
            methods of `MemorylessTask`, a subclass of a task here perhaps, or those of `Task`.
        student_noise, student_noise_kind: noise on the `student` observation group; see `ObservationNoise`.
        student_stack: how many of the last observations the student sees.
        reset_cost: charge for a termination in the average-reward setting.
        parameters: fields of the task's dataclass to change, such as `ctrl_cost_weight`.
        randomise: model fields to scale at each reset by a factor from [low, high], such as `{body_mass: [0.8, 1.2]}`.
        student_previous_action: whether the student also sees its previous action; see `StudentView`.
        reward: directory of a learned reward, or of the run that left it, to train on; empty for the task's own alone.
            What is logged and evaluated stays the task's own.
        reward_weight, task_reward_weight: what the learned and the task's own count for where there is a learned one.
        model: model fields to scale for good by a factor, such as `{geom_friction: 0.5}`.
        slope: of the floor in degrees, uphill along +x, by tilting gravity.
        push: of the robot's first body, which no observation tells of; nobody pushes by default.
    """

    task: str
    student_noise: float = 0.4
    student_noise_kind: str = "uniform"
    student_stack: int = 4
    reset_cost: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    randomise: Mapping[str, Any] = field(default_factory=dict)
    student_previous_action: bool = False
    reward: str = field(default="", metadata=REWARD)
    reward_weight: float = 1.0
    task_reward_weight: float = 0.0
    model: Mapping[str, Any] = field(default_factory=dict)
    slope: float = 0.0
    push: PushConfig = field(default_factory=lambda: NOBODY)

    def __post_init__(self) -> None:
        if not _is_class_path(self.task):
            check_choice("env.task", self.task, MUJOCO_TASKS)
        _check_view(self)
        for name, value in _items("env.parameters", self.parameters):
            check_parameter(f"env.parameters.{name}", value)
        for name, interval in _items("env.randomise", self.randomise):
            check_interval(f"env.randomise.{name}", interval, 0.0)
        for name, factor in _items("env.model", self.model):
            check_range(f"env.model.{name}", factor, 0.0)
        check_range("env.slope", self.slope, -90.0, 90.0)

    def check_given(self, names: Iterable[str]) -> None:
        """Raise where a field that somebody set has no effect; `names` are those of nested ones too, `push.pause`."""
        self.push.check_given(within("push", names))

    @property
    def name(self) -> str:
        """The task's name in run directories and tables."""
        return self.task.rpartition(".")[2]

    def build(self, physics: PhysicsConfig) -> MujocoEnvironment:
        """Compile the model and put the task on a physics engine.

        Raises:
            ConfigurationError: the task cannot be imported, has no such field, or cannot be pushed.
        """
        from envs.mujoco.changes import changed_model
        from envs.mujoco.environment import make_environment
        from envs.mujoco.memoryless import Memoryless, Pushed

        task_class = _task_class(self.task)
        known = {f.name for f in dataclasses.fields(task_class)} - {"xml", "substeps", "reads"}
        for name in self.parameters:
            check_choice("env.parameters", name, known)
        parameters = {name: tuple(v) if isinstance(v, Sequence) else v for name, v in self.parameters.items()}
        task = task_class(**parameters)
        if not hasattr(task, "control"):
            task = Pushed(task, self.push) if self.push.force[1] else Memoryless(task)
        elif self.push.force[1]:
            raise ConfigurationError(
                f"{self.name} has a memory and surroundings of its own, which env.push cannot reach: leave it out, or "
                "push in its method surroundings."
            )
        return make_environment(
            self.name,
            task,
            physics.factory(),
            view=_view(self),
            change=partial(changed_model, factors=self.model, slope=self.slope),
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
        student_previous_action: whether the student also sees its previous action; see `StudentView`.
        reward: directory of a learned reward, or of the run that left it, to train on; empty for the task's own alone.
            What is logged and evaluated stays the task's own.
        reward_weight, task_reward_weight: what the learned and the task's own count for where there is a learned one.
    """

    id: str
    student_noise: float = 0.4
    student_noise_kind: str = "uniform"
    student_stack: int = 1
    reset_cost: float = 0.0
    episode_length: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    student_previous_action: bool = False
    reward: str = field(default="", metadata=REWARD)
    reward_weight: float = 1.0
    task_reward_weight: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ConfigurationError("env.id is empty; give the id of a Gymnasium environment, such as Pendulum-v1.")
        _check_view(self)
        _items("env.parameters", self.parameters)
        if self.episode_length is not None:
            check_parameter("env.episode_length", self.episode_length)

    def check_physics(self, physics: Any) -> None:
        """Raise where an engine is asked for: this environment would run without it.

        Raises:
            ConfigurationError: the engine is neither `auto` nor `native`.
        """
        engine = getattr(physics, "engine", "auto")
        if engine not in ("auto", "native"):
            raise ConfigurationError(
                f"physics.engine={engine} does nothing here: env.id={self.id!r} brings its own physics. Leave physics= "
                "out, or take a task of this project, such as env=half_cheetah."
            )

    @property
    def name(self) -> str:
        """The id, as a directory's name can hold it."""
        return plain_id(self.id)

    def build(self, physics: PhysicsConfig) -> GymnasiumEnvironment:
        """Wrap the environment, which brings its own physics.

        Raises:
            ConfigurationError: an engine is asked for; or see `GymnasiumEnvironment`.
        """
        self.check_physics(physics)
        from envs.gymnasium.adapter import GymnasiumEnvironment

        return GymnasiumEnvironment(self.id, _view(self), self.reset_cost, self.episode_length, self.parameters)


def _is_class_path(task: Any) -> bool:
    return isinstance(task, str) and "." in task and all(part.isidentifier() for part in task.split("."))


def _task_class(task: str) -> Any:
    """The task's dataclass, of this project or of somebody else's module."""
    module, _, name = task.rpartition(".")
    if not module:
        return getattr(importlib.import_module(f"envs.mujoco.{task}"), MUJOCO_TASKS[task])
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"env.task={task} cannot be imported: {error}. Run where Python finds it, as with PYTHONPATH=. in front."
        ) from error
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        raise ConfigurationError(
            f"env.task={task}: {module} has no dataclass {name}. A task is a frozen dataclass with the methods of "
            "envs.mujoco.task.MemorylessTask; decorate a subclass with @dataclass(frozen=True), too."
        )
    return found


def plain_id(environment: str) -> str:
    """An id of Gymnasium's without the characters that a directory's name cannot hold."""
    return environment.replace("/", "-").replace(":", "-")


def within(part: str, names: Iterable[str]) -> tuple[str, ...]:
    """Of dotted names those of fields of a nested configuration, without its own name."""
    return tuple(name.removeprefix(f"{part}.") for name in names if name.startswith(f"{part}."))


def check_parameter(name: str, value: Any) -> None:
    """Raise unless `value` is of the kind that the last part of `name` asks for.

    The fields of the tasks say what they are: `..._range` is an interval, whose ends may be infinite, `terminate_...` a
    flag, `episode_length` a number of steps, `..._scale` not negative, and anything else a number.
    """
    field_name = name.rpartition(".")[2]
    if field_name.endswith("_range"):
        check_interval(name, value, proper=True, allow_infinite=True)
    elif field_name.startswith("terminate_"):
        check_flag(name, value)
    elif field_name == "episode_length":
        check_count(name, value)
        check_range(name, value, 1, 2**31 - 1)  # the clock has 32 bits
    else:
        check_range(name, value, 0.0 if field_name.endswith("_scale") else None)


def _check_view(config: MujocoConfig | GymnasiumConfig) -> None:
    check_range("env.student_noise", config.student_noise, 0.0)
    check_choice("env.student_noise_kind", config.student_noise_kind, ("uniform", "gaussian"))
    check_count("env.student_stack", config.student_stack)
    check_flag("env.student_previous_action", config.student_previous_action)
    check_range("env.reset_cost", config.reset_cost, 0.0)
    check_reward(config)


def check_reward(config: Any) -> None:
    """Raise unless the three fields that put a learned reward in place of the task's fit together."""
    if not isinstance(config.reward, str):
        raise ConfigurationError(f"env.reward={config.reward!r} must be the path of a learned reward.")
    check_range("env.reward_weight", config.reward_weight)
    check_range("env.task_reward_weight", config.task_reward_weight)
    defaults = {f.name: f.default for f in dataclasses.fields(config)}
    for name in ("reward_weight", "task_reward_weight"):
        if not config.reward and getattr(config, name) != defaults[name]:
            raise ConfigurationError(f"env.{name} weighs a learned reward, and there is none: give env.reward=<run>.")
    if config.reward and config.reward_weight == config.task_reward_weight == 0.0:
        raise ConfigurationError("env.reward_weight and env.task_reward_weight are both 0: nothing would be paid.")


def _view(config: MujocoConfig | GymnasiumConfig) -> StudentView:
    from envs.observation import History, ObservationNoise, StudentView

    return StudentView(
        ObservationNoise(config.student_noise, config.student_noise_kind),
        History(config.student_stack),
        config.student_previous_action,
    )


def _items(name: str, value: Any) -> ItemsView[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name}={value!r} must be a mapping, such as {{a: 1}}.")
    return value.items()
