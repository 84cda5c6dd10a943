"""What a tracker is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

Row = Mapping[str, Any]
"""`step`, `wall_seconds`, `seed` when several are trained together, then namespaced metrics."""


class Tracker(Protocol):
    """Receives the rows of a run while it trains."""

    def log(self, rows: Sequence[Row]) -> None:
        """Record a log point: one row per seed."""
        ...

    def notice(self, text: str) -> None:
        """Tell the user something, if this tracker has a way to."""
        ...

    def finish(self, status: str) -> None:
        """Close; called once, however the run ends."""
        ...


class Trackers:
    """Several trackers as one."""

    def __init__(self, *trackers: Tracker) -> None:
        self._trackers = trackers

    def log(self, rows: Sequence[Row]) -> None:
        """Record a log point with each."""
        for tracker in self._trackers:
            tracker.log(rows)

    def notice(self, text: str) -> None:
        """Show a line with each."""
        for tracker in self._trackers:
            tracker.notice(text)

    def finish(self, status: str) -> None:
        """Close each; one that fails to must not keep the others open."""
        for tracker in self._trackers:
            with suppress(Exception):
                tracker.finish(status)


def mean_over_seeds(rows: Sequence[Row]) -> dict[str, float]:
    """The metrics that every row has, averaged; bookkeeping columns are left out."""
    names = [name for name in rows[0] if "/" in name and all(isinstance(row.get(name), int | float) for row in rows)]
    return {name: sum(float(row[name]) for row in rows) / len(rows) for name in names}
