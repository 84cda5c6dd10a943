"""Film a policy: of a trained run, or one that does nothing or acts at random.

python scripts/render.py runs/a --role student --seconds 20
python scripts/render.py zoo/cassie_terrains --set env.terrain=stairs env.difficulty=0.3
python scripts/render.py --env hopper --policy random --out hopper.gif
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command_line import add_changes, add_step, exit_code, path_argument

if TYPE_CHECKING:
    import numpy as np

    from l2t.rl.policy import Policy
    from l2t.rl.types import Environment

LONGEST_NAME = 100
"""Characters of a film's name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.run_dir is None) == (options.env is None):
        parser.error("give either a run directory, or --env with --policy")
    if options.run_dir is not None and options.policy is not None:
        parser.error(f"--policy {options.policy} is for --env; in a run a role acts: leave it out, or give --role")
    if options.env is not None and options.step is not None:
        parser.error(f"--step {options.step} is for a run directory")
    if options.env is not None and options.role is not None:
        parser.error(f"--role {options.role} is for a run directory; without a run give --policy zero or random")
    return exit_code(lambda: _command(options))


def render_run(
    run_dir: Path,
    role: str | None,
    seconds: float = 20.0,
    out: Path | None = None,
    *,
    seed: int = 0,
    overrides: Sequence[str] = (),
    step: int | str | None = None,
) -> Path | None:
    """Film a role of a run, acting from its newest checkpoint or from another one.

    Args:
        run_dir: the run directory.
        role: who acts; None for the student where there is one.
        seconds: of simulated time, which is also how long the film runs.
        out: an `.mp4` or `.gif`; by default `videos/<role>.mp4` in the run directory, where reports look for it, or
            with changes `videos/<role>_<changes>.mp4`.
        seed: of start states and noise.
        overrides: `key=value` changes to the environment.
        step: whose checkpoint plays: a number of steps, or `best`; by default the newest.

    Returns:
        The file, or None without an OpenGL back-end; a line on standard error then says so.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to load.
        ConfigurationError: the role is unknown, or the environment cannot be drawn.
    """
    _check(out, seconds)
    from l2t.config import check_choice
    from l2t.report.runs import read_run

    read_run(run_dir)
    if not _can_render():
        return None

    from configs.build import read_config
    from configs.loading import load_run
    from l2t.rl.algorithm import default_role
    from l2t.runtime import configure

    configure()
    # One robot is filmed: C MuJoCo is faster than an engine for thousands, and is there without a GPU too.
    run = load_run(run_dir, config=read_config(run_dir, overrides, engine="native"), step=step)
    role = role or default_role(run.algorithm.roles)
    check_choice("--role", role, run.algorithm.roles)
    changes = [*overrides, *(() if step is None else (f"step={step}",))]
    out = out or run_dir / "videos" / f"{_film_name(role, changes)}.mp4"
    caption = role
    noise = getattr(run.config.env, "student_noise", None)
    if role == "student" and noise is not None:
        caption = f"{role}, noise {noise:g}"
    caption = ", ".join([caption, *(change.removeprefix("env.") for change in changes)])
    policy = run.algorithm.policy(run.state.learnt, role)
    return _film(run.environment, modes(policy), caption, seconds, out, seed)


def render_environment(
    env: str, policy: str, seconds: float, out: Path, *, seed: int = 0, overrides: Sequence[str] = ()
) -> Path | None:
    """Film an environment of `configs/env`, changed or not, under a policy that is `zero` or `random`.

    None without OpenGL.
    """
    _check(out, seconds)
    from configs.build import experiment_config
    from configs.command_line import compose_config

    config = experiment_config(compose_config([f"env={env}", *overrides]))
    if not _can_render():
        return None

    import jax
    import jax.numpy as jnp

    from l2t.runtime import configure

    configure()
    environment = config.env.build(config.physics)
    size = environment.spec.action_size
    actions: dict[str, Callable[[Any], Any]] = {
        "zero": lambda key: jnp.zeros((1, size)),
        "random": lambda key: jax.random.uniform(key, (1, size), minval=-1.0, maxval=1.0),
    }
    actor = Actor((), lambda memory, observation, first, key: (memory, actions[policy](key)))
    return _film(environment, actor, f"{env}, {policy}", seconds, out, seed)


@dataclass(frozen=True)
class Actor:
    """Who acts: `act(memory, observation, first, key) -> (memory, action)`, for one robot, from `memory` on."""

    memory: Any
    act: Callable[[Any, Any, Any, Any], tuple[Any, Any]]


def modes(policy: Policy) -> Actor:
    """The actor that plays the modes of a policy."""

    def act(memory: Any, observation: Any, first: Any, key: Any) -> tuple[Any, Any]:
        memory, distribution = policy.step(memory, observation, first)
        return memory, distribution.mode()

    return Actor(policy.initial(1), act)


@dataclass(frozen=True)
class Take:
    """What is filmed, one row for each environment step: joint positions, velocities and the return so far.

    `episodes` are the rows in which episodes begin, and the environment's extras there.
    """

    qpos: np.ndarray
    qvel: np.ndarray | None
    returns: np.ndarray
    episodes: tuple[tuple[int, Any], ...] = ()


def play(environment: Environment, actor: Actor, steps: int, seed: int = 0) -> Take:
    """Act for `steps` steps, over as many episodes as they take.

    Raises:
        ConfigurationError: the environment has no joint positions, as one without physics.
    """
    import jax
    import numpy as np

    from l2t.errors import ConfigurationError
    from l2t.rl.vector import VectorEnvironment

    vector = VectorEnvironment(environment, 1)
    start_key, policy_key = jax.random.split(jax.random.key(seed))
    start = vector.init(start_key, staggered=False)
    fields = getattr(start.environment.physics, "fields", {})
    if "qpos" not in fields:
        raise ConfigurationError(
            f"{environment.spec.name} cannot be filmed: its states have no joint positions (qpos)."
        )

    def step(carry: tuple[Any, Any], key: Any) -> tuple[Any, tuple[Any, ...]]:
        state, memory = carry
        fields, running = state.environment.physics.fields, state.statistics.running_return
        shown = (fields["qpos"][0], fields["qvel"][0] if "qvel" in fields else None, running[0], state.first[0])
        extras = jax.tree.map(lambda leaf: leaf[0], state.environment.extras)
        memory, action = actor.act(memory, state.observation, state.first, key)
        state, _ = vector.step(state, action)
        return (state, memory), (*shown, extras)

    keys = jax.random.split(policy_key, steps)
    qpos, qvel, returns, first, extras = jax.device_get(
        jax.jit(lambda start: jax.lax.scan(step, start, keys)[1])((start, actor.memory))
    )
    episodes = tuple((int(row), jax.tree.map(itemgetter(row), extras)) for row in np.flatnonzero(first))
    return Take(np.asarray(qpos), None if qvel is None else np.asarray(qvel), np.asarray(returns), episodes)


def frame_stride(timestep: float, fastest: float) -> int:
    """Show every how many-th step so that no more than `fastest` frames fill a second."""
    return max(1, math.ceil(1.0 / (timestep * fastest) - 1e-6))


def _film(environment: Environment, actor: Actor, caption: str, seconds: float, out: Path, seed: int) -> Path:
    from envs.rendering import Renderer
    from l2t.report.film import FASTEST, open_film, write_on

    timestep = environment.spec.timestep
    stride = frame_stride(timestep, FASTEST[out.suffix])
    take = play(environment, actor, max(2, round(seconds / timestep)), seed)
    scene, renderer, model = _scene(environment), None, None
    ends = [*(row for row, _ in take.episodes[1:]), len(take.qpos)]
    try:
        with open_film(out, 1.0 / (timestep * stride)) as add:
            for (begin, extras), end in zip(take.episodes, ends, strict=True):
                shown = scene(extras)
                if renderer is None or shown is not model:
                    if renderer is not None:
                        renderer.close()
                    renderer, model = Renderer(shown), shown
                for row in range(begin + -begin % stride, end, stride):
                    picture = renderer.frame(take.qpos[row], None if take.qvel is None else take.qvel[row])
                    add(write_on(picture, f"{caption}   {row * timestep:.1f} s   return {take.returns[row]:,.0f}"))
    finally:
        if renderer is not None:
            renderer.close()
    return out


def _scene(environment: Environment) -> Callable[[Any], Any]:
    """What gives the model to draw an episode with."""
    from l2t.errors import ConfigurationError

    scene, model = getattr(environment, "scene", None), getattr(environment, "model", None)
    if scene is None and model is None:
        raise ConfigurationError(f"{environment.spec.name} cannot be filmed: it has no MuJoCo model to draw.")
    return scene or (lambda extras: model)


def _check(out: Path | None, seconds: float) -> None:
    from l2t.config import check_range
    from l2t.report.film import check_film

    check_range("--seconds", seconds, 0.0, 3600.0, open_low=True)
    if out is not None:
        check_film(out)


def _film_name(role: str, changes: Sequence[str]) -> str:
    """The file of a film, whose name is its caption in a report."""
    plain = re.sub(r"[^\w.=+-]+", "-", "_".join(change.removeprefix("env.") for change in changes)).strip("-")
    name = f"{role}_{plain}" if plain else role
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(" ".join(changes).encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}_{digest}"


def _can_render() -> bool:
    from envs.rendering import rendering_available

    problem = rendering_available()
    if problem is not None:
        print(f"No video: {problem}", file=sys.stderr)
    return problem is None


def _command(options: argparse.Namespace) -> None:
    chosen = {"seed": options.seed, "overrides": options.overrides}
    if options.run_dir is not None:
        _announce(render_run(options.run_dir, options.role, options.seconds, options.out, **chosen, step=options.step))
        return
    policy = options.policy or "zero"
    out = options.out or Path(f"{options.env}-{policy}.mp4")
    _announce(render_environment(options.env, policy, options.seconds, out, **chosen))


def _announce(path: Path | None) -> None:
    if path is not None:
        print(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("run_dir", nargs="?", type=path_argument, help="a run directory")
    parser.add_argument(
        "--role", help="who acts in the run, such as student (default: the student, where there is one)"
    )
    parser.add_argument("--env", help="film an environment of configs/env without a run")
    parser.add_argument("--policy", choices=("zero", "random"), help="who acts without a run (default: zero)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of simulated time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of start states and noise (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=path_argument,
        help="an .mp4 or .gif (default: videos/<role>.mp4 in the run directory, with what --set changes in its name, "
        "or <env>-<policy>.mp4)",
    )
    add_step(parser)
    add_changes(parser, "env.terrain=stairs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
