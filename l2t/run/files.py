"""Writing files: whole or not at all, and with a cure in the message where it fails."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from l2t.errors import RunDirectoryError


@dataclass(frozen=True)
class Cure:
    """What to do where a file cannot be written.

    Attributes:
        again: once there is space.
        elsewhere: where the place cannot be written at all.
    """

    again: str = "continue the run with resume=<its directory>"
    elsewhere: str = "choose another place with run_dir="


@contextlib.contextmanager
def writing(path: Path, cure: Cure | None = None) -> Iterator[None]:
    """Turn an `OSError` into a message with a cure; by default that of a run that trains."""
    try:
        yield
    except OSError as error:
        raise RunDirectoryError(describe(error, path, cure)) from error


def describe(error: OSError, path: Path, cure: Cure | None = None) -> str:
    """Why `path` could not be written, and what to do."""
    cure = cure or Cure()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space left to write {path}. Free some, then {cure.again}."
    return f"{path} cannot be written ({error.strerror or error}); {cure.elsewhere}."


def write_atomically(path: Path, text: str, cure: Cure | None = None) -> Path:
    """Write the whole file or nothing: a reader, or a crash half-way, never meets half of it.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path, cure):
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path
