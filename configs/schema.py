"""The configuration of a training run as a checked dataclass. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

from algorithms.config import ActorCriticConfig, SPMDVRTDConfig
from algorithms.inverse.config import DAggerConfig, DemonstrationsConfig
from algorithms.replay.config import ReplayConfig
from algorithms.teaching.config import DistillationConfig, LearnToTeachConfig
from l2t.config import FIXED, NetworkConfig, check_count, identity, read_from
from l2t.errors import ConfigurationError
from l2t.run.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from l2t.report.study import StudyConfig
    from l2t.rl.types import Environment


class AlgorithmConfig(Protocol):
    """A checked frozen dataclass; a YAML of the group `algorithm` names it as `_target_`.

    `algorithms.build` builds the project's own; a stranger's has a method `build(context) -> Algorithm`.
    """

    @property
    def name(self) -> str:
        """The algorithm's name in run directories and tables."""
        ...


class EnvironmentConfig(Protocol):
    """A checked frozen dataclass; a YAML of the group `env` names it as `_target_`.

    One that cannot use every engine may have a method `check_physics(physics)`, and one whose fields may have no effect
    `check_given(names)`, names of those that were typed; both raise a `ConfigurationError`.
    """

    @property
    def name(self) -> str:
        """The task's name in run directories and tables."""
        ...

    def build(self, physics: Any) -> Environment:
        """Construct the environment on a physics engine."""
        ...


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything a training run depends on.

    Attributes:
        algorithm, env, physics, network, tracking: one dataclass per configuration group.
        seed: seed of every random number in training.
        num_seeds: independent runs batched into one program.
        num_envs: parallel environments of each run.
        total_steps: environment steps of each run.
        eval_every, eval_episodes: environment steps between evaluations, and episodes in each.
        checkpoint_every, keep_checkpoints: environment steps between checkpoints, and how many of the newest stay.
        keep_best: keep what was learnt as it was at the best evaluation, too, of the student where there is one.
        run_dir: where to write; `None` makes a dated directory under `runs/`.
        resume: run directory that is continued.
        start_from: run directory whose networks this run begins with, where roles and shapes agree.
        start_roles: the roles that take them over, such as `[teacher]`; none named: all that both runs have.
        report, video: write `report.html`, render a video, at the end.
        study: computed instead of a training run; of the other keys only `seed` and `run_dir` matter then.
    """

    algorithm: AlgorithmConfig
    env: EnvironmentConfig
    physics: Any
    network: NetworkConfig = field(default_factory=NetworkConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    seed: int = field(default=0, metadata=FIXED)
    num_seeds: int = field(default=1, metadata=FIXED)
    num_envs: int = field(default=64, metadata=FIXED)
    total_steps: int = 2_000_000
    eval_every: int = 100_000
    eval_episodes: int = 10
    checkpoint_every: int = 250_000
    keep_checkpoints: int = 3
    keep_best: bool = False
    run_dir: str | None = None
    resume: str | None = None
    start_from: str = field(default="", metadata=read_from("a run directory"))
    start_roles: Sequence[str] = ()
    report: bool = True
    video: bool = True
    study: StudyConfig | None = None

    def __post_init__(self) -> None:
        for name, low in _COUNTS.items():
            value = getattr(self, name)
            if isinstance(value, float) and value.is_integer():  # 2e6 is how people write two million
                object.__setattr__(self, name, value := int(value))
            check_count(name, value, low)
        if self.total_steps > MOST_STEPS:
            raise ConfigurationError(f"total_steps={self.total_steps} is too large; steps are counted up to 10**12.")
        if self.seed >= 2**32:
            raise ConfigurationError(f"seed={self.seed} is too large; it must be below 2**32.")
        for name in ("report", "video", "keep_best"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{name}={getattr(self, name)!r} must be true or false.")
        for name in ("run_dir", "resume"):
            object.__setattr__(self, name, check_directory(name, getattr(self, name)))
        object.__setattr__(self, "start_roles", _start_roles(self.start_roles, self.start_from))
        _check_study(self.study)
        for name in ("algorithm", "env"):
            built = getattr(self, name)
            builds = callable(getattr(built, "build", None)) or isinstance(built, _BUILT_HERE)
            if not builds or not isinstance(getattr(built, "name", None), str):
                raise ConfigurationError(
                    f"The _target_ of {name!r} gave a {type(built).__name__}; it needs a `name` and a `build` method."
                )
        if self.physics is None or isinstance(self.physics, bool | int | float | str | list | dict):
            raise ConfigurationError(
                f"physics={self.physics!r} must be an engine's configuration, such as PhysicsConfig."
            )
        check_physics = getattr(self.env, "check_physics", None)
        if check_physics is not None:
            check_physics(self.physics)
        for name, kind in (("network", NetworkConfig), ("tracking", TrackingConfig)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigurationError(
                    f"{name} must be a {kind.__name__}, not a {type(getattr(self, name)).__name__}."
                )

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint must share with the run that reads it; coefficients and budgets may differ."""
        return {
            "algorithm": self.algorithm.name,
            "env": self.env.name,
            **identity(self, ""),
        }


_BUILT_HERE = (
    ActorCriticConfig,
    SPMDVRTDConfig,
    ReplayConfig,
    LearnToTeachConfig,
    DistillationConfig,
    DemonstrationsConfig,
    DAggerConfig,
)
"""What `algorithms.build` builds."""

_COUNTS = {
    "seed": 0,
    "num_seeds": 1,
    "num_envs": 1,
    "total_steps": 1,
    "eval_every": 1,
    "eval_episodes": 1,
    "checkpoint_every": 1,
    "keep_checkpoints": 1,
}

MOST_STEPS = 10**12

KEYS = tuple(f.name for f in fields(ExperimentConfig))
"""Top-level keys of `train.yaml`."""


def check_directory(name: str, value: Any) -> str | None:
    """The path of a directory as text, or None.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(value, int | PurePath) and not isinstance(value, bool):
        value = str(value)  # run_dir=2024 is a number to YAML
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigurationError(f"{name}={value!r} must be the path of a directory.")
    return value


def _start_roles(roles: Any, start_from: str) -> tuple[str, ...]:
    if isinstance(roles, str) or not isinstance(roles, Sequence) or not all(isinstance(role, str) for role in roles):
        raise ConfigurationError(f"start_roles={roles!r} must be a list of roles, such as [teacher].")
    if roles and not start_from:
        raise ConfigurationError("start_roles says who begins with the networks of another run: give start_from=<run>.")
    return tuple(roles)


def _check_study(study: Any) -> None:
    if study is None:
        return
    if not callable(getattr(study, "run", None)):
        raise ConfigurationError(
            f"The _target_ of 'study' gave a {type(study).__name__}; it needs a `name` and a `run` method."
        )
    if not re.fullmatch(r"[\w.-]+", str(getattr(study, "name", ""))):
        raise ConfigurationError(
            f"study.name={getattr(study, 'name', None)!r} names a directory: use letters, digits, -, _ and dots."
        )
