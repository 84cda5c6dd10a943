"""Record demonstrations: whole episodes of trained runs, with their newest checkpoints, as a Minari data set.

python scripts/collect.py run=runs/a episodes=10 name=hopper-expert
python scripts/collect.py run=runs/a,runs/b actions=sampled seed=1000 out=data/mixed
python scripts/collect.py run=runs/trained-on-a-gpu --set physics.engine=native
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.command_line import add_changes, exit_code, path_argument, progress

NAMES = ("run", "episodes", "name", "out", "role", "actions", "seed", "seed_index")
"""What can be given as `name=value`, as in training, or as `--name value`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _command(_parser().parse_args(_options(words))))


def _command(options: argparse.Namespace) -> None:
    from configs.recording import collect
    from l2t.errors import ConfigurationError
    from l2t.run.signals import exit_on_signals

    if not options.run:
        raise ConfigurationError("No run to record: give run=<run directory>, which training printed.")

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    given = {key: value for key, value in vars(options).items() if key != "run"}
    with exit_on_signals(), progress(say) as notice:
        place, demonstrations = collect(options.run, **given, notice=notice)
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
    add_changes(parser, "env.student_noise=0.2 or physics.engine=native")
    return parser


if __name__ == "__main__":
    sys.exit(main())
