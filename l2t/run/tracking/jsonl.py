"""`metrics.jsonl`, the source of truth."""

from __future__ import annotations

from collections.abc import Sequence

from l2t.run.directory import RunDirectory
from l2t.run.tracking.base import Row


class JsonlTracker:
    """Appends each row to the run directory's `metrics.jsonl`."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def log(self, rows: Sequence[Row]) -> None:
        """Append and flush."""
        self._directory.append_metrics(rows)

    def notice(self, text: str) -> None:
        """Nothing: the file holds numbers only."""

    def finish(self, status: str) -> None:
        """Nothing: every line is already on disk."""
