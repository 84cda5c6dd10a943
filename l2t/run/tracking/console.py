"""Progress on the terminal: a live bar, or plain lines where nobody watches one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from l2t.run.tracking.base import Row, mean_over_seeds

_PLAIN_SECONDS = 10.0
"""Between two plain lines; evaluations always get one."""


class ConsoleTracker:
    """A Rich progress bar with time left, speed and the last returns; plain periodic lines off a terminal.

    Args:
        total_steps: environment steps of the run.
        start: environment steps already taken.
        console: where to write; the standard output by default.
    """

    def __init__(self, total_steps: int, start: int = 0, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._total = total_steps
        self._evaluation = ""
        self._last_line = -float("inf")
        self._progress: Progress | None = None
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.fields[steps]}"),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=self._console,
                expand=True,
            )
            self._task = self._progress.add_task("train", total=total_steps, steps="compiling", numbers="")
            self._progress.start()
            self._progress.update(self._task, completed=start)

    def log(self, rows: Sequence[Row]) -> None:
        """Move the bar, or print a line when one is due."""
        metrics, step = mean_over_seeds(rows), int(rows[0]["step"])
        evaluated = _evaluation(metrics)
        self._evaluation = evaluated or self._evaluation
        if self._progress is not None:
            numbers = "  ".join(filter(None, (_rate(metrics), _training(metrics), self._evaluation)))
            steps = f"{_short(step)}/{_short(self._total)}"
            self._progress.update(self._task, completed=step, steps=steps, numbers=numbers)
        elif evaluated or time.monotonic() - self._last_line > _PLAIN_SECONDS:
            self._last_line = time.monotonic()
            parts = (f"step {step:,} of {self._total:,}", _left(metrics, self._total - step, len(rows)), _rate(metrics))
            self._console.print(", ".join(filter(None, (*parts, _training(metrics), evaluated))), soft_wrap=True)

    def notice(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, soft_wrap=True)

    def finish(self, status: str) -> None:
        """Leave the bar as it stands."""
        if self._progress is not None:
            self._progress.stop()


def _evaluation(metrics: dict[str, float]) -> str:
    found = {name.split("/")[1]: value for name, value in metrics.items() if name.endswith("/return_mean")}
    return "eval " + " ".join(f"{role} {value:,.1f}" for role, value in found.items()) if found else ""


def _training(metrics: dict[str, float]) -> str:
    value = metrics.get("train/episode_return")
    return "" if value is None else f"train {value:,.1f}"


def _rate(metrics: dict[str, float]) -> str:
    return f"{metrics['perf/steps_per_second']:,.0f} steps/s" if "perf/steps_per_second" in metrics else ""


def _left(metrics: dict[str, float], steps: int, seeds: int) -> str:
    rate = metrics.get("perf/steps_per_second", 0.0) / seeds
    if steps <= 0 or rate <= 0.0:
        return ""
    minutes, seconds = divmod(int(steps / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left"


def _short(steps: int) -> str:
    for unit, name in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if steps >= unit:
            return f"{steps / unit:.3g}{name}"
    return str(steps)
