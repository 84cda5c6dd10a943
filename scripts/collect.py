"""Record demonstrations: whole episodes of trained runs, with their newest checkpoints, as a Minari data set.

python scripts/collect.py run=runs/a episodes=10 name=hopper-expert
python scripts/collect.py run=runs/a,runs/b actions=sampled seed=1000 out=data/mixed
python scripts/collect.py run=runs/trained-on-a-gpu --set physics.engine=native
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.changed_runs import changed_config, load_changed
from scripts.command_line import exit_code, path_argument, progress

if TYPE_CHECKING:
    from configs.loading import Run
    from configs.schema import ExperimentConfig
    from l2t.demonstrations.record import Demonstrations, Episode, Facts

NAMES = ("run", "episodes", "name", "out", "role", "actions", "seed", "seed_index")
"""What can be given as `name=value`, as in training, or as `--name value`."""

UNSEEN = ("student_", "reset_cost")
"""Settings of an environment that change nothing in what is recorded: the state is exact, the reward the task's own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _command(_parser().parse_args(_options(words))))


def collect_runs(
    run_dirs: Sequence[Path],
    *,
    episodes: int = 10,
    name: str | None = None,
    out: Path | None = None,
    role: str = "teacher",
    actions: str = "mean",
    seed: int = 0,
    seed_index: int = 0,
    overrides: Sequence[str] = (),
    notice: Callable[[str], None] = lambda line: None,
) -> tuple[Path, Demonstrations]:
    """Record whole episodes of a role, from several runs in turn, and write them. The runs are only read.

    Args:
        run_dirs: run directories of one task; episode i is played by run i modulo their number.
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
    from l2t.config import check_choice, check_count, check_range
    from l2t.errors import ConfigurationError
    from l2t.report.runs import read_run

    check_count("episodes", episodes)
    check_count("seed", seed, 0)
    check_range("seed", seed, 0, 2**32 - episodes)
    check_choice("actions", actions, ("mean", "sampled"))
    if episodes < len(run_dirs):
        raise ConfigurationError(
            f"episodes={episodes} are fewer than the {len(run_dirs)} runs; give at least one each."
        )
    for run_dir in run_dirs:
        read_run(run_dir)
    configs = [changed_config(run_dir, overrides) for run_dir in run_dirs]
    _check_same_task(run_dirs, configs)
    place = out or Path("demonstrations") / (name or configs[0].env.name)

    from configs.loading import load_run
    from l2t.demonstrations.collecting import play
    from l2t.demonstrations.files import check_place, read_demonstrations, write_demonstrations
    from l2t.runtime import configure

    check_place(place)
    configure()

    def read(path: Path, config: ExperimentConfig) -> Run:
        return load_run(path, seed_index, config)

    runs = [load_changed(path, overrides, config, read) for path, config in zip(run_dirs, configs, strict=True)]
    for run in runs:
        check_choice("role", role, run.algorithm.roles)
    seeds = range(seed, seed + episodes)
    recorded: dict[int, Episode] = {}
    for number, (path, run) in enumerate(zip(run_dirs, runs, strict=True)):
        own = seeds[number :: len(runs)]
        notice(f"Recording {len(own):,} episodes of {path.name}: {role}, {actions} actions")
        policy = run.algorithm.policy(run.state.learnt, role)
        recorded |= zip(own, play(run.environment, policy, own, actions), strict=True)
    facts = _facts(run_dirs, runs, role, actions, seeds, seed_index)
    write_demonstrations(place, [recorded[own] for own in seeds], facts)
    return place, read_demonstrations(place, runs[0].environment.spec)


def _check_same_task(run_dirs: Sequence[Path], configs: Sequence[ExperimentConfig]) -> None:
    from l2t.errors import ConfigurationError

    first = _dynamics(configs[0])
    for run_dir, config in zip(run_dirs[1:], configs[1:], strict=True):
        other = _dynamics(config)
        for key in sorted(first.keys() | other.keys()):
            if first.get(key) != other.get(key):
                raise ConfigurationError(
                    f"{run_dir} and {run_dirs[0]} cannot be mixed: env.{key} is {other.get(key)!r} and "
                    f"{first.get(key)!r}. Collect them apart, or let --set give both the same."
                )


def _dynamics(config: ExperimentConfig) -> dict[str, Any]:
    """The settings of the environment that decide what is recorded."""
    from configs.record import plain

    return {key: value for key, value in plain(config.env).items() if not key.startswith(UNSEEN)}


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


def _command(options: argparse.Namespace) -> None:
    from l2t.errors import ConfigurationError
    from l2t.run.signals import exit_on_signals

    if not options.run:
        raise ConfigurationError("No run to record: give run=<run directory>, which training printed.")

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    given = {key: value for key, value in vars(options).items() if key != "run"}
    with exit_on_signals(), progress(say) as notice:
        place, demonstrations = collect_runs(options.run, **given, notice=notice)
    from l2t.demonstrations.summary import summary

    print(f"{place}\n{summary(demonstrations)}")


def _options(words: Sequence[str]) -> list[str]:
    """`name=value` as argparse wants it; a key of the environment has a dot, and belongs to `--set`."""
    from l2t.config import check_choice

    given = []
    for word in words:
        name, separator, _ = word.partition("=")
        own = bool(separator) and name.isidentifier()
        if own:
            check_choice("option", name, NAMES)
        given.append(f"--{word}" if own else word)
    return given


def _runs(text: str) -> list[Path]:
    return [path_argument(part) for part in text.split(",") if part]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Every option but --set can be written as in training, without the dashes: episodes=10.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--run",
        type=_runs,
        action="extend",
        default=[],
        help="a run directory; several, with commas, are mixed equally",
    )
    parser.add_argument("--episodes", type=int, default=10, help="how many in all (default: %(default)s)")
    parser.add_argument("--name", help="of the data set (default: the task's name)")
    parser.add_argument("--out", type=path_argument, help="the folder to make (default: demonstrations/<name>)")
    parser.add_argument("--role", default="teacher", help="who acts, such as student (default: %(default)s)")
    parser.add_argument("--actions", default="mean", help="mean or sampled (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first episode (default: %(default)s)")
    parser.add_argument(
        "--seed_index", type=int, default=0, help="which of a batch of training seeds (default: %(default)s)"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change the environment or its engine, such as physics.engine=native",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
