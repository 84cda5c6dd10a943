"""The keyword arguments of `l2t/CassieFlat-v0` and its like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from envs.cassie.config import CassieConfig
from envs.cassie.terrain.config import TerrainConfig
from envs.gymnasium.forking import check_fork
from envs.mujoco.environment import MujocoEnvironment
from envs.physics.config import PhysicsConfig
from l2t.config import check_choice
from l2t.errors import ConfigurationError

TIME_LIMIT = (
    "episode_length is the command line's name of the time limit; in Gymnasium it is max_episode_steps, an argument of "
    "make and make_vec."
)
_LEARNED = "the environments of Gymnasium pay the task's own reward; ask configs.learned_reward(...) for another one."
ELSEWHERE = {
    "terrain": "the id says which ground it is, such as l2t/CassieSlope-v0 or l2t/CassieMixed-v0.",
    "episode_length": TIME_LIMIT,
    "reset_cost": "what a fall costs is a matter of the learner, and no reward of the task: leave it out.",
    "reward": _LEARNED,
    "reward_weight": _LEARNED,
    "task_reward_weight": _LEARNED,
}
"""Fields of `CassieConfig` that mean nothing here or have another name, and what is told of them."""

_GROUPS = ("rewards", "command")
"""Nested configurations of which the command line has some by name."""

_MEANINGLESS = {"training_only"}
"""Fields of nested configurations that mean nothing here: Gymnasium does not tell training from judging."""


@dataclass(frozen=True)
class CassieOptions:
    """What is seen of Cassie, and the task's configuration.

    Attributes:
        config: of the task.
        observation_group: `teacher` (exact) or `student` (late and noisy).
        physics: engine; see `PhysicsConfig`.
        episode_length: time limit in steps; None for the task's own.
    """

    config: CassieConfig = field(default_factory=CassieConfig)
    observation_group: str = "teacher"
    physics: str | PhysicsConfig = "native"
    episode_length: int | None = None

    @classmethod
    def read(cls, terrain: str, keywords: Mapping[str, Any], others: tuple[str, ...]) -> CassieOptions:
        """Tell the attributes above from fields of `CassieConfig`; nested ones are given as mappings.

        Args:
            terrain: kind of ground.
            keywords: what the caller gave, such as `prior="none"` or `command={"forward": (1.0, 1.0)}`.
            others: keyword arguments that the face itself takes, for the list of what is possible.

        Raises:
            ConfigurationError: a name is unknown, or a value is out of range or has no effect.
        """
        own = {"observation_group", "physics"}
        settable = {each.name: each for each in fields(CassieConfig) if each.name not in ELSEWHERE}
        for name in keywords:
            if name in ELSEWHERE:
                told = ELSEWHERE[name]
                raise ConfigurationError(
                    told if told.startswith(name) else f"cassie: {name} is no keyword here: {told}"
                )
            check_choice("cassie: keyword argument", name, own | set(settable) | set(others))
        config = CassieConfig(terrain=TerrainConfig(terrain))
        given = {
            name: nested("cassie", name, getattr(config, name), value)
            for name, value in keywords.items()
            if name in settable
        }
        config = replace(config, **given)
        config.check_given(given_names(keywords))
        return cls(config, **{name: keywords[name] for name in own & keywords.keys()})

    def build(self) -> MujocoEnvironment:
        """The environment.

        Raises:
            MissingDependencyError: the physics engine is not there.
        """
        physics = self.physics if isinstance(self.physics, PhysicsConfig) else PhysicsConfig(self.physics)
        physics.check_given()
        if physics.engine != "native":  # the others compute when they are made
            check_fork()
        limit = {} if self.episode_length is None else {"episode_length": self.episode_length}
        return replace(self.config, **limit).build(physics)


def given_names(keywords: Mapping[str, Any]) -> list[str]:
    """Dotted names of what was given: of keywords, and of the keys or fields in those that hold a configuration."""
    names = list(keywords)
    for name, value in keywords.items():
        if dataclasses.is_dataclass(value):
            names += [f"{name}.{each.name}" for each in fields(value)]
        elif isinstance(value, Mapping):
            names += [f"{name}.{key}" for key in value]
    return names


def nested(task: str, name: str, default: Any, value: Any) -> Any:
    """A nested configuration from a mapping of some of its fields; anything else as it is.

    Raises:
        ConfigurationError: no mapping, or one with an unknown field.
    """
    if not dataclasses.is_dataclass(default) or dataclasses.is_dataclass(value):
        return value
    if not isinstance(value, Mapping):
        first = fields(default)[0].name
        named = (
            f" What {value} stands for is in configs/env/{name}." if isinstance(value, str) and name in _GROUPS else ""
        )
        example = f"{{{first!r}: {getattr(default, first)!r}}}"
        raise ConfigurationError(f"{task}: {name}={value!r} must map fields to values, such as {example}.{named}")
    for key in value:
        check_choice(f"{task}: {name}", key, {each.name for each in fields(default)} - _MEANINGLESS)
    return type(default)(**{each.name: value.get(each.name, getattr(default, each.name)) for each in fields(default)})
