"""Compare runs: curves with confidence bands over seeds, and a table with intervals.

The page of each run directory that is named, `report.html`, is written anew, too.

python scripts/report.py runs/2025-01-01                      every run below a folder
python scripts/report.py runs/a runs/b --group-by algorithm   pool everything but the algorithm
python scripts/report.py runs/a --group-by env.student_stack  label by that option alone
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.command_line import exit_code, path_argument


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: report(options))


def report(options: argparse.Namespace) -> None:
    """Read the runs, write the files and print the table."""
    from rich.console import Console
    from rich.table import Table

    from l2t.config import check_choice
    from l2t.report.comparison import compare, score_rows, write_comparison
    from l2t.report.run_page import write_report
    from l2t.report.runs import flatten, is_run, read_runs

    named = list(filter(is_run, options.runs))
    for path in named:
        print(write_report(path))
    runs = read_runs(options.runs)
    if named and len(runs) == 1 and not runs[0].roles:
        return  # not evaluated yet, as its page says
    keys = {"differences": None, "algorithm": ()}.get(options.group_by[0], options.group_by)
    known = {key for run in runs for key in flatten(run.config)}
    for key in keys or ():
        check_choice("--group-by", key, known)
    comparison = compare(runs, metric=options.metric, options=keys)
    written = write_comparison(comparison, options.out)
    table = Table(title=f"Final evaluation: {options.metric}", title_justify="left")
    for header in ("environment", "label", "role"):
        table.add_column(header, overflow="fold")
    for header in ("seeds", "steps", "IQM", "95 %"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in score_rows(comparison):
        table.add_row(*row[:7])  # the means are in the files: a terminal is narrow
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for note in comparison.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
    for path in written.values():
        print(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("runs", nargs="+", type=path_argument, help="run directories, or folders that contain some")
    parser.add_argument(
        "--out", type=path_argument, default=Path("comparison"), help="where to write (default: %(default)s)"
    )
    parser.add_argument(
        "--group-by",
        nargs="+",
        default=["differences"],
        metavar="KEY",
        help="what tells groups apart beside the environment: 'differences' (the algorithm and every configuration key "
        "that differs; the default), 'algorithm', or configuration keys such as env.student_stack",
    )
    parser.add_argument(
        "--metric",
        default="return_mean",
        choices=("return_mean", "average_reward", "episode_length_mean"),
        help="which evaluation metric to compare (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
