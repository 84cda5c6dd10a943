"""`start_from=<run directory>`: a run that begins with the networks of another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from configs.build import read_config
from configs.elsewhere import check_meaning
from configs.loading import Run, env_steps, load_run
from configs.schema import AlgorithmConfig, ExperimentConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import Algorithm, RunState
from l2t.rl.loop import Loop
from l2t.rl.warm_start import NothingInCommon


class WarmStart(NamedTuple):
    """What a run takes over.

    Attributes:
        algorithm: with the steps that were spent before.
        inherit: from the fresh state of a seed to one with the other run's networks.
        told: what happens, in a line.
    """

    algorithm: Algorithm
    inherit: Callable[[RunState], RunState]
    told: str


def warm_start(algorithm: Algorithm, config: ExperimentConfig) -> WarmStart:
    """Read the run that another one starts from.

    Args:
        algorithm: of the run that begins.
        config: of the run that begins. Of `start_from` the newest checkpoint counts, and of a batch of seeds the first;
            `start_roles` take something over, and where none is named all that can.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to read.
        ConfigurationError: the other run was trained on another task, their networks do not fit, or would do something
            else here.
    """
    run_dir, roles = config.start_from, config.start_roles
    theirs = replace(read_config(run_dir, engine="auto"), physics=config.physics)
    check_meaning(f"start_from={run_dir}", theirs.env, config.env)
    _check_same_task(run_dir, theirs.env.name, config.env.name)  # before anything is loaded
    loaded = load_run(run_dir, config=theirs)
    if not isinstance(algorithm, Loop) or not isinstance(loaded.algorithm, Loop):
        raise ConfigurationError("start_from is for algorithms that run in l2t.rl.loop.Loop; leave it out.")
    _check_same_task(run_dir, loaded.environment.spec.name, algorithm.environment.spec.name)
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    try:
        _, heirs = algorithm.heir(state.learnt, loaded.algorithm, loaded.state.learnt, roles)
    except NothingInCommon as error:
        raise ConfigurationError(
            f"start_from={run_dir}: that run of {_called(loaded.config.algorithm, loaded.algorithm)} has no network in "
            f"common with this one of {_called(config.algorithm, algorithm)}; start from one of the same algorithm and "
            "observation group, or leave start_from out."
        ) from error
    steps = env_steps(Path(run_dir))
    before = steps + (0 if _same_teacher(theirs, config) else algorithm.prior_steps.get("pretraining", 0))
    return WarmStart(
        replace(algorithm, prior_steps={**algorithm.prior_steps, "pretraining": before}),
        partial(_inherit, algorithm, loaded, roles),
        f"Starting with the networks of {' and '.join(heirs)} from {run_dir} ({steps:,} steps).",
    )


def _check_same_task(run_dir: Any, before: str, now: str) -> None:
    if before != now:
        raise ConfigurationError(
            f"start_from={run_dir}: that run was trained on {before}, this one is {now}; name a run on {now}, or leave "
            "start_from out."
        )


def _same_teacher(theirs: ExperimentConfig, ours: ExperimentConfig) -> bool:
    """Whether both runs have the policy of a third one, whose steps are then counted in what the first has cost."""
    teacher = getattr(ours.algorithm, "teacher_run", None)
    return teacher is not None and teacher == getattr(theirs.algorithm, "teacher_run", None)


def _called(config: AlgorithmConfig, algorithm: Algorithm) -> str:
    """An algorithm by the names that chose it, and its roles: `l2t with teacher=sac (teacher, student)`."""
    inner = ((part, getattr(getattr(config, part, None), "name", None)) for part in ("teacher", "optimizer"))
    parts = [f"{part}={name}" for part, name in inner if name]
    return f"{config.name}{' with ' if parts else ''}{', '.join(parts)} ({', '.join(algorithm.roles)})"


def _inherit(algorithm: Loop, other: Run, roles: Sequence[str], state: RunState) -> RunState:
    assert isinstance(other.algorithm, Loop)
    learnt, _ = algorithm.heir(state.learnt, other.algorithm, other.state.learnt, roles)
    return replace(state, learnt=learnt)
