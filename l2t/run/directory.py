"""The files of a run. Scripts and notebooks read them, so their names and contents are a contract."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2t.errors import RunDirectoryError

STATUSES = ("running", "finished", "interrupted", "failed")


class RunDirectory:
    """An open run directory.

    Attributes:
        path: the directory.
        metrics, result, checkpoints, nan: the paths of its parts.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.metrics = self.path / "metrics.jsonl"
        self.result = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"
        self.nan = self.path / "nan"

    def append_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add one line per row and flush it, so that a kill loses at most a torn last line."""
        lines = [json.dumps({key: _plain(value) for key, value in row.items()}) + "\n" for row in rows]
        with writing(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every complete row."""
        if not self.metrics.is_file():
            return []
        rows = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # a torn last line
                rows.append(json.loads(line))
        return rows

    def rewind_metrics(self, step: int) -> None:
        """Drop the rows after `step`: a resumed run writes them again."""
        rows = [row for row in self.read_metrics() if row["step"] <= step]
        if self.metrics.is_file():
            write_atomically(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Replace `result.json` in one move: a reader sees the old one or the new one."""
        write_atomically(self.result, json.dumps(_plain(result), indent=2) + "\n")

    def read_result(self) -> dict[str, Any]:
        """The last `result.json`, empty when there is none.

        Raises:
            RunDirectoryError: it is not JSON.
        """
        if not self.result.is_file():
            return {}
        try:
            return json.loads(self.result.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{self.result} cannot be read ({error}); it was not written by l2t.") from error


def check_new(path: Path) -> None:
    """Raise unless a new run can start at `path`. Creates nothing."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise RunDirectoryError(f"{path} is a file, not a directory; choose another place with run_dir=.")
    if path.is_dir() and any(path.iterdir()):
        run = RunDirectory(path)
        if run.result.is_file():
            status = run.read_result().get("status", "unknown")
            raise RunDirectoryError(
                f"{path} already holds a run (status {status}). Continue it with resume={path}, "
                "or choose another place with run_dir=."
            )
        raise RunDirectoryError(f"{path} is not empty and holds no run of l2t; choose another place with run_dir=.")
    check_writable(path)


def check_writable(path: Path) -> None:
    """Raise unless a directory can be made at `path`, or written where it exists. Creates nothing."""
    existing = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise RunDirectoryError(f"{existing} is a file, so {path} cannot be made; choose another place with run_dir=.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunDirectoryError(f"{existing} cannot be written; choose another place with run_dir=.")


def check_resumable(path: Path) -> None:
    """Raise unless `path` is a run directory that can be continued."""
    path = Path(path)
    if not path.is_dir():
        raise RunDirectoryError(f"resume={path} does not exist; name a run directory such as runs/<date>/<time>-...")
    if not (path / ".hydra" / "overrides.yaml").is_file() or not RunDirectory(path).result.is_file():
        raise RunDirectoryError(f"resume={path} is not a run directory: it lacks .hydra/overrides.yaml or result.json.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunDirectoryError(f"resume={path} cannot be written; copy the run to a place where it can.")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a message with a cure."""
    try:
        yield
    except OSError as error:
        raise RunDirectoryError(describe(error, path)) from error


def describe(error: OSError, path: Path) -> str:
    """Why `path` could not be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space left to write {path}. Free some, then continue the run with resume=<its directory>."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path} cannot be written ({error.strerror}); choose another place with run_dir=."
    return f"{path} cannot be written: {error.strerror or error}. Choose another place with run_dir=."


def write_atomically(path: Path, text: str) -> Path:
    """Write the whole file or nothing: a reader, or a crash half-way, never meets half of it.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


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
