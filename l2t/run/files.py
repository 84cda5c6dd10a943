"""Writing files: whole or not at all, and with a cure in the message where it fails."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from l2t.errors import RunDirectoryError


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
