"""`start_from=<run directory>`: a run that begins with the networks of another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from configs.build import read_config
from configs.loading import Run, env_steps, load_run
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import Algorithm, RunState
from l2t.rl.loop import Loop


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


def warm_start(algorithm: Algorithm, run_dir: str, physics: Any, roles: Sequence[str] = ()) -> WarmStart:
    """Read the run that another one starts from.

    Args:
        algorithm: of the run that begins.
        run_dir: of the other one; its newest checkpoint counts, and of a batch of seeds the first.
        physics: engine to rebuild the other task on.
        roles: that take something over; none named: all that can.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to read.
        ConfigurationError: their networks do not fit.
    """
    loaded = load_run(run_dir, config=replace(read_config(run_dir, engine="auto"), physics=physics))
    if not isinstance(algorithm, Loop) or not isinstance(loaded.algorithm, Loop):
        raise ConfigurationError("start_from is for algorithms that run in l2t.rl.loop.Loop; leave it out.")
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    _, heirs = algorithm.heir(state.learnt, loaded.algorithm, loaded.state.learnt, roles)
    steps = env_steps(Path(run_dir))
    return WarmStart(
        replace(algorithm, prior_steps={**algorithm.prior_steps, "pretraining": steps}),
        partial(_inherit, algorithm, loaded, roles),
        f"Starting with the networks of {' and '.join(heirs)} from {run_dir} ({steps:,} steps).",
    )


def _inherit(algorithm: Loop, other: Run, roles: Sequence[str], state: RunState) -> RunState:
    assert isinstance(other.algorithm, Loop)
    learnt, _ = algorithm.heir(state.learnt, other.algorithm, other.state.learnt, roles)
    return replace(state, learnt=learnt)
