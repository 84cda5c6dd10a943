"""The files of a run. Scripts and notebooks read them, so their names and contents are a contract."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from l2t.errors import RunDirectoryError
from l2t.run.files import Cure, write_atomically, writing


class RunDirectory:
    """An open run directory.

    Attributes:
        path: the directory.
        metrics, result, checkpoints, best, nan, traceback: the paths of its parts.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.metrics = self.path / "metrics.jsonl"
        self.result = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.nan = self.path / "nan"
        self.traceback = self.path / "traceback.txt"

    def append_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add one line per row and flush it, so that a kill loses at most a torn last line."""
        lines = [json.dumps({key: _plain(value) for key, value in row.items()}) + "\n" for row in rows]
        with writing(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every complete row; a process that dies while it writes leaves a torn line."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text(encoding="utf-8", errors="replace").splitlines()
        return [row for line in lines if (row := _row(line)) is not None]

    def rewind_metrics(self, step: int) -> None:
        """Drop the rows after `step`: a resumed run writes them again."""
        rows = [row for row in self.read_metrics() if row["step"] <= step]
        if self.metrics.is_file():
            write_atomically(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def write_result(self, result: Mapping[str, Any], cure: Cure | None = None) -> None:
        """Replace `result.json` in one move: a reader sees the old one or the new one."""
        write_atomically(self.result, json.dumps(_plain(result), indent=2) + "\n", cure)

    def read_result(self) -> dict[str, Any]:
        """The last `result.json`, empty when there is none.

        Raises:
            RunDirectoryError: it is not JSON.
        """
        if not self.result.is_file():
            return {}
        try:
            result = json.loads(self.result.read_text(encoding="utf-8"))
            return result if isinstance(result, dict) else {}
        except (OSError, ValueError) as error:
            raise RunDirectoryError(
                f"{self.result} cannot be read: it is not valid JSON ({error}). resume={self.path} writes it anew from "
                "the newest checkpoint; delete it to read the metrics alone."
            ) from error

    def known_result(self) -> dict[str, Any]:
        """The last `result.json`, empty also when it is damaged: a resume has the checkpoint, and writes it anew."""
        try:
            return self.read_result()
        except RunDirectoryError:
            return {}


def read_overrides(path: Path) -> list[str]:
    """What the command line changed in the configuration of the run at `path`, as it was typed.

    Raises:
        RunDirectoryError: the list is missing or cannot be read.
    """
    file = Path(path) / ".hydra" / "overrides.yaml"
    try:
        listed = yaml.safe_load(file.read_text(encoding="utf-8")) or []
        return [str(override) for override in listed]
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise RunDirectoryError(f"{file} cannot be read ({reason}), so the run cannot be resumed.") from error


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int | float) else None


def _plain(value: Any) -> Any:
    """Strict JSON: a number that is not finite becomes null, an array scalar a number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
