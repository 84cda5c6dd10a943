"""Playing trained policies from Python and from `l2t-collect`: to look at what they do, or to keep it for learners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.changed_runs import changed_config, load_changed

if TYPE_CHECKING:
    from configs.loading import Run
    from configs.schema import ExperimentConfig
    from l2t.demonstrations.record import Demonstrations, Episode, Facts
    from l2t.demonstrations.roll_out import RollOut

_UNSEEN = ("reset_cost", "reward", "reward_weight", "task_reward_weight")


def unseen(setting: str) -> bool:
    """Whether a setting of an environment changes nothing in what is recorded: exact states, the task's own reward."""
    return setting.startswith("student_") or setting in _UNSEEN


def roll_out(
    run: str | Path,
    episodes: int = 10,
    *,
    role: str | None = None,
    actions: str = "mean",
    seed: int = 0,
    seed_index: int = 0,
    overrides: Sequence[str] = (),
) -> RollOut:
    """Play whole episodes with the newest checkpoint of a run, which is only read.

    Args:
        run: the run directory.
        episodes: how many; played side by side.
        role: who acts, such as `teacher`; by default the student where there is one.
        actions: `mean` or `sampled`.
        seed: of the first episode; those after it count on.
        seed_index: which of a batch of training seeds (`num_seeds` > 1).
        overrides: `key=value` changes to the environment or its physics, such as `env.slope=5`.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to load.
        ConfigurationError: an argument is not possible.
    """
    from l2t.config import check_choice, check_path

    path = check_path("run", run)
    _check_numbers(episodes, seed)
    check_choice("actions", actions, ("mean", "sampled"))
    config = changed_config(path, overrides)

    from l2t.demonstrations.collecting import play
    from l2t.demonstrations.roll_out import from_episodes
    from l2t.rl.algorithm import default_role
    from l2t.runtime import configure

    configure()
    loaded = load_changed(path, overrides, config, _of_seed(seed_index))
    roles = loaded.algorithm.roles
    role = role or default_role(roles)
    check_choice("role", role, roles)
    policy = loaded.algorithm.policy(loaded.state.learnt, role)
    return from_episodes(
        play(loaded.environment, policy, range(seed, seed + episodes), actions), loaded.environment.spec
    )


def collect(
    runs: str | Path | Sequence[str | Path],
    *,
    episodes: int = 10,
    name: str | None = None,
    out: str | Path | None = None,
    role: str = "teacher",
    actions: str = "mean",
    seed: int = 0,
    seed_index: int = 0,
    overrides: Sequence[str] = (),
    notice: Callable[[str], None] = lambda line: None,
) -> tuple[Path, Demonstrations]:
    """Record whole episodes of a role, from several runs in turn, and write them. The runs are only read.

    Args:
        runs: a run directory, or several of one task; episode i is played by run i modulo their number.
        episodes: how many in all.
        name: of the data set; by default the task's name.
        out: the folder to make; by default `demonstrations/<name>`.
        role: who acts.
        actions: `mean` or `sampled`.
        seed: of the first episode; those after it count on.
        seed_index: which of a batch of training seeds (`num_seeds` > 1).
        overrides: `key=value` changes to the environment or its physics.
        notice: takes a line of progress at a time.

    Returns:
        The folder, and what a reader finds in it.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to load.
        ConfigurationError: an argument is not possible, or the runs are of different tasks.
        DemonstrationError: the data set cannot be written.
    """
    from l2t.config import check_choice, check_path
    from l2t.errors import ConfigurationError
    from l2t.report.runs import read_run

    listed = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    run_dirs = [check_path("run", run) for run in listed]
    _check_numbers(episodes, seed)
    check_choice("actions", actions, ("mean", "sampled"))
    if not run_dirs:
        raise ConfigurationError("There is no run to record; give the directory of one.")
    if episodes < len(run_dirs):
        raise ConfigurationError(
            f"episodes={episodes} are fewer than the {len(run_dirs)} runs; give at least one each."
        )
    for run_dir in run_dirs:
        read_run(run_dir)
    configs = [changed_config(run_dir, overrides) for run_dir in run_dirs]
    _check_same_task(run_dirs, configs)
    if name is not None and not isinstance(name, str):
        raise ConfigurationError(f"name={name!r} must be text: the name of the data set.")
    if name is not None and (Path(name).name != name or name == ".."):
        raise ConfigurationError(f"name={name} is no plain name; give the place of the data set as out={name}.")
    place = check_path("out", out or Path("demonstrations") / (name or configs[0].env.name))

    from l2t.demonstrations.collecting import play
    from l2t.demonstrations.files import check_place, read_demonstrations, write_demonstrations
    from l2t.runtime import configure

    check_place(place)
    configure()
    loaded = [
        load_changed(path, overrides, config, _of_seed(seed_index))
        for path, config in zip(run_dirs, configs, strict=True)
    ]
    for run in loaded:
        check_choice("role", role, run.algorithm.roles)
    seeds = range(seed, seed + episodes)
    recorded: dict[int, Episode] = {}
    for number, (path, run) in enumerate(zip(run_dirs, loaded, strict=True)):
        own = seeds[number :: len(loaded)]
        notice(f"Recording {len(own):,} episodes of {path.name}: {role}, {actions} actions")
        policy = run.algorithm.policy(run.state.learnt, role)
        recorded |= zip(own, play(run.environment, policy, own, actions), strict=True)
    facts = _facts(run_dirs, loaded, role, actions, seeds, seed_index)
    write_demonstrations(place, [recorded[own] for own in seeds], facts)
    return place, read_demonstrations(place, loaded[0].environment.spec)


def _check_same_task(run_dirs: Sequence[Path], configs: Sequence[ExperimentConfig]) -> None:
    from l2t.errors import ConfigurationError

    first, task = _dynamics(configs[0]), _chosen(configs[0])
    for run_dir, config in zip(run_dirs[1:], configs[1:], strict=True):
        # Of two tasks most settings differ, and none of them tells which the tasks are.
        if _chosen(config) != task:
            raise ConfigurationError(
                f"{run_dir} and {run_dirs[0]} cannot be mixed: one is of {_chosen(config)}, the other of {task}. "
                "Collect them apart."
            )
        other = _dynamics(config)
        for key in sorted(first.keys() | other.keys()):
            if first.get(key) != other.get(key):
                raise ConfigurationError(
                    f"{run_dir} and {run_dirs[0]} cannot be mixed: env.{key} is {other.get(key, 'not set')} and "
                    f"{first.get(key, 'not set')}. Collect them apart, or let --set give both the same."
                )


def _chosen(config: ExperimentConfig) -> str:
    """The task, as somebody chooses it."""
    from envs.config import GymnasiumConfig

    env = config.env
    return f"env=gymnasium env.id={env.id}" if isinstance(env, GymnasiumConfig) else f"env={env.name}"


def _dynamics(config: ExperimentConfig) -> dict[str, Any]:
    """The settings of the environment that decide what is recorded, single values by their whole key."""
    from configs.record import leaves, plain

    return {key: value for key, value in leaves(plain(config.env)).items() if not unseen(key)}


def _facts(
    run_dirs: Sequence[Path], runs: Sequence[Run], role: str, actions: str, seeds: Sequence[int], seed_index: int
) -> Facts:
    from datetime import UTC, datetime
    from importlib.metadata import version

    from configs.record import plain
    from l2t.demonstrations.record import Facts

    spec = runs[0].environment.spec
    engines = sorted({getattr(getattr(run.environment, "engine", None), "name", "its own physics") for run in runs})
    return Facts(
        task=spec.name,
        actions=actions,
        policies=tuple(
            f"{path.resolve().name} {role}" + (f" of seed {seed_index}" if run.config.num_seeds > 1 else "")
            for path, run in zip(run_dirs, runs, strict=True)
        ),
        policy=tuple(number % len(runs) for number in range(len(seeds))),
        seeds=tuple(seeds),
        engine=", ".join(engines),
        timestep=spec.timestep,
        action_low=tuple(spec.action_low),
        action_high=tuple(spec.action_high),
        parameters=plain(runs[0].config.env),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        written_by=version("l2t"),
    )


def _of_seed(seed_index: int) -> Callable[[Path, ExperimentConfig], Run]:
    from configs.loading import load_run

    return lambda path, config: load_run(path, seed_index, config)


def _check_numbers(episodes: int, seed: int) -> None:
    from l2t.config import check_count, check_range

    check_count("episodes", episodes)
    check_count("seed", seed, 0)
    check_range("seed", seed, 0, 2**32 - episodes)
