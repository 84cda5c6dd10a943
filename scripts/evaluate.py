"""Evaluate a trained run on fresh episodes, with its newest checkpoint, or another, and mean actions.

python scripts/evaluate.py runs/a --episodes 100
python scripts/evaluate.py runs/a --role student --set env.student_noise=0.2
python scripts/evaluate.py runs/a --step best
python scripts/evaluate.py runs/trained-on-a-gpu --set physics.engine=native
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.changed_runs import changed_config, load_changed
from scripts.command_line import add_changes, add_step, exit_code, path_argument, progress

if TYPE_CHECKING:
    from jaxtyping import PyTree

    from configs.loading import Run

NAMES = ("return_mean", "return_std", "average_reward", "episode_length_mean")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _command(options))


def evaluate_run(
    run_dir: Path,
    *,
    episodes: int = 100,
    seed: int = 0,
    role: str | None = None,
    overrides: Sequence[str] = (),
    step: int | str | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Play `episodes` episodes with every role of a run, or with one.

    Args:
        run_dir: the run directory.
        episodes: how many, for each role and training seed.
        seed: of start states and observation noise; every role meets the same ones.
        role: who acts; by default every role in turn.
        overrides: `key=value` changes to the environment or its physics, such as `env.student_noise=0.2`.
        step: whose checkpoint plays: a number of steps, or `best`; by default the newest.
        notice: takes a line of progress at a time.

    Returns:
        What was evaluated, and `seeds`: for each training seed `{role: {return_mean, return_std, ...}}`.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to load.
        ConfigurationError: a role, key or value is not possible.
    """
    from l2t.config import check_choice, check_count
    from l2t.report.runs import read_run

    check_count("--episodes", episodes)
    check_count("--seed", seed, 0)
    record = read_run(run_dir)
    config = changed_config(run_dir, overrides)

    import jax

    from configs.loading import load_seeds
    from l2t.run.guard import device_errors
    from l2t.runtime import configure

    configure()
    runs = load_changed(run_dir, overrides, config, partial(load_seeds, step=step))
    run = runs[0]
    if role is not None:
        check_choice("--role", role, run.algorithm.roles)
    roles = (role,) if role else run.algorithm.roles
    play = jax.jit(_evaluator(run, roles, episodes))

    def evaluation(index: int, state: PyTree) -> dict[str, dict[str, float]]:
        of = f" of seed {index} (0 to {len(runs) - 1})" if len(runs) > 1 else ""
        notice(f"Playing {episodes:,} episodes each: {', '.join(roles)}{of}")
        with device_errors():
            return _plain(play(state, jax.random.key(seed)))

    return {
        "run": str(run_dir),
        "algorithm": record.algorithm,
        "env": record.env,
        "overrides": list(overrides),
        "seed": seed,
        "episodes": episodes,
        "step": step,
        "seeds": [evaluation(index, each.state) for index, each in enumerate(runs)],
    }


def _evaluator(run: Run, roles: Sequence[str], episodes: int) -> Callable[..., dict]:
    from l2t.rl.evaluation import evaluate

    def play(state: PyTree, key: Any) -> dict[str, Any]:
        policies = {role: run.algorithm.policy(state.learnt, role) for role in roles}
        return {role: evaluate(run.environment, policy, key, episodes) for role, policy in policies.items()}

    return play


def _plain(evaluation: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {role: {name: value.item() for name, value in numbers.items()} for role, numbers in evaluation.items()}


def _command(options: argparse.Namespace) -> None:
    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with progress(say) as notice:
        result = evaluate_run(**_arguments(options), notice=notice)
    _show(result, as_json=options.json)


def _show(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(result))
        return
    from rich.console import Console
    from rich.table import Table

    from l2t.report.pages import number

    changed = f", {' '.join(result['overrides'])}" if result["overrides"] else ""
    if result["step"] is not None:
        changed += f", step {result['step']}"
    title = f"{result['algorithm']} on {result['env']}{changed}: {result['episodes']} episodes"
    table = Table(title=title, title_justify="left")
    several = len(result["seeds"]) > 1
    for header in (["seed"] if several else []) + ["role"]:
        table.add_column(header)
    for header in ("return", "std", "reward per step", "episode length"):
        table.add_column(header, justify="right", no_wrap=True)
    for index, evaluation in enumerate(result["seeds"]):
        for role, numbers in evaluation.items():
            cells = [number(numbers[name]) for name in NAMES]
            table.add_row(*([str(index)] if several else []), role, *cells)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for line in _closing_lines(result["seeds"]):
        console.print(line, markup=False, highlight=False)


def _closing_lines(seeds: Sequence[dict[str, dict[str, float]]]) -> list[str]:
    from l2t.report.comparison import ends
    from l2t.report.pages import number
    from l2t.report.statistics import FEWEST, bootstrap_interval

    lines = []
    for role in seeds[0] if len(seeds) > 1 else ():
        interval = bootstrap_interval([evaluation[role]["return_mean"] for evaluation in seeds])
        told = ends(interval, len(seeds))
        kind = "95 %: " if len(seeds) >= FEWEST else ""  # a range says so itself
        lines.append(f"{role}: interquartile mean over seeds {number(interval.estimate)} ({kind}{told})")
    if {"student", "teacher"} <= set(seeds[0]):
        ratios = [
            e["student"]["return_mean"] / e["teacher"]["return_mean"] for e in seeds if e["teacher"]["return_mean"] > 0
        ]
        if ratios:
            lines.append(f"student / teacher: {sum(ratios) / len(ratios):.1%}")
    return lines


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    names = ("run_dir", "episodes", "seed", "role", "overrides", "step")
    return {name: getattr(options, name) for name in names}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("run_dir", type=path_argument, help="the run directory that training printed")
    parser.add_argument("--episodes", type=int, default=100, help="episodes for each role (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of start states and noise (default: %(default)s)")
    parser.add_argument("--role", help="who acts, such as student (default: every role in turn)")
    add_step(parser)
    add_changes(parser, "env.student_noise=0.2")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
