"""What only a configuration as a whole can be asked, before a run begins: whether its parts make sense together.

A run that is read back is not asked: what it did, it did.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.config import ActorCriticConfig, SPMDVRTDConfig
from algorithms.replay.config import ReplayConfig
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from configs.parts import ours, parts_of
from configs.schema import ExperimentConfig
from envs.cassie.config import CassieConfig
from envs.physics.config import PhysicsConfig
from l2t.config import NetworkConfig, check_idle
from l2t.errors import ConfigurationError


def check_together(config: ExperimentConfig, typed: Sequence[str] = ()) -> None:
    """Raise where a run would do nothing of what it is asked for.

    Args:
        config: of the run; one that is resumed is not asked either, nor is a study.
        typed: the overrides that it was composed from: an experiment may set more than a choice beside it has use for.

    Raises:
        ConfigurationError: it would end before a learner's warm-up does, or what was asked for would change nothing.
    """
    if config.study is not None or config.resume is not None:
        return
    parts = dict(parts_of("algorithm", config.algorithm))
    for path, part in parts.items():
        if isinstance(part, ReplayConfig):
            _check_warm_up(path, part, config)
        if isinstance(part, StudentConfig) and part.memory == "none":
            check_idle(path, part, ("memory_size", "memory_chunk"), f"{path}.memory=none")
        if isinstance(part, StudentConfig) and part.memory != "none":
            _check_mirror(path, part, config)
        if isinstance(part, LearnToTeachConfig):
            _check_share(path, part, config.num_envs)
    _check_network(config, parts, typed)
    _check_world(config, typed)


def _check_mirror(path: str, part: StudentConfig, config: ExperimentConfig) -> None:
    """What is seen can be turned when the mirror comes or goes; what a network has made of it cannot."""
    if isinstance(config.env, CassieConfig) and config.env.mirrored:
        raise ConfigurationError(
            f"{path}.memory={part.memory} would remember one side and act on the other: with env.mirrored=true left "
            f"and right change places in each half cycle. Give {path}.memory=none and a longer env.student_stack, or "
            "env.mirrored=false, which a teacher of another run must have, too."
        )


def _check_world(config: ExperimentConfig, typed: Sequence[str]) -> None:
    """Of the environment only what was typed: an experiment may push, and a choice beside it ask for no pushes."""
    found = (re.match(r"\+{0,2}env\.([\w.]+)=", text) for text in typed)
    check_given = getattr(config.env, "check_given", None)  # a stranger's environment may have none
    if check_given is not None:
        check_given([match[1] for match in found if match])
    if isinstance(config.physics, PhysicsConfig):
        config.physics.check_given()


def _check_share(path: str, part: LearnToTeachConfig, num_envs: int) -> None:
    if part.student_share > 0.0 and round(part.student_share * num_envs) == 0:
        raise ConfigurationError(
            f"{path}.student_share={part.student_share:g} would change nothing: of num_envs={num_envs} it is less than "
            f"one environment; {1.0 / num_envs:.3g} is one."
        )
    if round(part.student_share * num_envs) == num_envs:
        raise ConfigurationError(
            f"{path}.student_share={part.student_share:g} leaves the teacher none of num_envs={num_envs} environments "
            f"to learn in; give at most {1.0 - 1.0 / num_envs:.3g}."
        )


def _check_network(config: ExperimentConfig, parts: Mapping[str, Any], typed: Sequence[str]) -> None:
    """The group `network` is for learners that have no networks of their own."""
    known = all(map(ours, parts.values()))
    if not known or any(isinstance(part, ActorCriticConfig | SPMDVRTDConfig) for part in parts.values()):
        return
    asked = [text for text in typed if re.match(r"\+{0,2}network[.=]", text)]
    if asked and config.network != NetworkConfig():
        own = [path for path, part in parts.items() if isinstance(part, NetworkConfig)]
        raise ConfigurationError(
            f"{asked[0]} would change nothing: {config.algorithm.name} has networks of its own, {' and '.join(own)}."
        )


def _check_warm_up(path: str, part: ReplayConfig, config: ExperimentConfig) -> None:
    batch = part.num_steps * config.num_envs
    warm, whole = math.ceil(part.warm_up / batch), math.ceil(config.total_steps / batch)
    if warm == 0 or whole > warm:
        return
    rounded = f", in whole batches of {batch:,}" if config.total_steps > part.warm_up else ""
    raise ConfigurationError(
        f"total_steps={config.total_steps:,} is no more than {path}.warm_up={part.warm_up:,}{rounded}: nothing would "
        f"be learnt; give more total_steps, or a smaller {path}.warm_up."
    )
