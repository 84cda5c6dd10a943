"""Watch a policy of a trained run in MuJoCo's interactive viewer: `python scripts/watch.py runs/a --role student`.

Needs a display.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.command_line import add_changes, add_step, exit_code, path_argument


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: watch(options.run_dir, options.role, options.seed, options.overrides, options.step))


def watch(
    run_dir: Path, role: str | None, seed: int = 0, overrides: Sequence[str] = (), step: int | str | None = None
) -> None:
    """Play a role of a run in real time until the window is closed.

    Args:
        run_dir: the run directory.
        role: who acts; None for the student where there is one.
        seed: of start states and noise.
        overrides: `key=value` changes to the environment.
        step: whose checkpoint plays: a number of steps, or `best`; by default the newest.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to load.
        ConfigurationError: the role is unknown.
        MissingDependencyError: there is no display.
    """
    from l2t.config import check_choice
    from l2t.errors import MissingDependencyError
    from l2t.report.runs import read_run

    read_run(run_dir)
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise MissingDependencyError(
            f"The viewer needs a display, and there is none. A film needs none: python scripts/render.py {run_dir}"
        )

    from configs.build import read_config
    from configs.loading import load_run
    from l2t.rl.algorithm import default_role
    from l2t.runtime import configure

    configure()
    run = load_run(run_dir, config=read_config(run_dir, overrides, engine="native"), step=step)
    role = role or default_role(run.algorithm.roles)
    check_choice("--role", role, run.algorithm.roles)
    _show(run.environment, run.algorithm.policy(run.state.learnt, role), seed)


def _show(environment: Any, policy: Any, seed: int) -> None:
    import jax
    import mujoco.viewer
    import numpy as np

    from l2t.rl.playing import go_on
    from l2t.rl.vector import VectorEnvironment

    vector = VectorEnvironment(environment, 1)
    init = jax.jit(lambda key: vector.init(key, staggered=False))
    step = jax.jit(lambda state, memory: go_on(vector, policy, state, memory)[:2])
    state, memory = init(jax.random.key(seed)), policy.initial(1)
    jax.block_until_ready(step(state, memory))  # compiled before the window opens
    extras = jax.device_get(jax.tree.map(lambda leaf: leaf[0], state.environment.extras))
    model = environment.scene(extras)
    data = mujoco.MjData(model)
    with mujoco.viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False) as viewer:
        due = time.perf_counter()
        while viewer.is_running():
            data.qpos[:] = np.asarray(state.environment.physics["qpos"][0])
            mujoco.mj_forward(model, data)
            viewer.sync()
            state, memory = step(state, memory)
            due = max(due + environment.spec.timestep, time.perf_counter() - 0.1)
            time.sleep(max(0.0, due - time.perf_counter()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("run_dir", type=path_argument, help="a run directory")
    parser.add_argument("--role", help="who acts, such as teacher (default: the student, where there is one)")
    parser.add_argument("--seed", type=int, default=0, help="of start states and noise (default: %(default)s)")
    add_step(parser)
    add_changes(parser, "env.student_noise=0.2")
    return parser


if __name__ == "__main__":
    sys.exit(main())
