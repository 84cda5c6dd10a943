"""Who may write to a directory: one process, as long as it lives.

`check_new` and `check_resumable` look and touch nothing; `claimed` takes the place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from l2t.errors import RunDirectoryError
from l2t.run.directory import RunDirectory
from l2t.run.files import Cure, writing

LOCK = ".lock"
"""A file in a directory that is being written. It says by whom, and is locked as long as that process lives."""

_DESCRIPTION = {LOCK, ".hydra", "multirun.yaml"}
"""What says how a run is to be made; a directory that holds nothing else holds no run yet."""

_PATIENCE = 20
"""How often, every 0.05 s, a claim looks again for what another process is about to do."""


@contextlib.contextmanager
def claimed(path: Path, *, resume: bool = False, numbered: bool = False) -> Iterator[Path]:
    """Hold a run directory so that nobody else writes to it; yields its path.

    A new directory is made, must hold no run, and is removed again when nothing came of it. The operating system
    releases the lock (flock) with the process, however that ends, so a killed run can be resumed at once. Between
    machines it holds where the shared file system passes locks on, as NFS does between Linux machines; where there
    are no locks at all, the emptiness of a new directory is the only protection.

    Args:
        path: the directory.
        resume: continue the run that is there.
        numbered: where the place is taken, use `<path>-2`, `<path>-3`, ...

    Raises:
        RunDirectoryError: somebody else writes there, a run is there already, or it cannot be written.
    """
    path = Path(path)
    if resume:
        check_resumable(path)
    with writing(path):
        place, lock = _claim_numbered(path) if numbered else (path, _claim(path, resume))
    try:
        yield place
    finally:
        with contextlib.suppress(OSError):
            if not resume and not _holds_a_run(place):
                shutil.rmtree(place / ".hydra", ignore_errors=True)
                (place / "multirun.yaml").unlink(missing_ok=True)
            # Before it is unlocked, so that whoever has it open already can tell that it is gone.
            (place / LOCK).unlink(missing_ok=True)
            if not resume:
                place.rmdir()  # fails where something is in it
        os.close(lock)


def check_new(path: Path) -> None:
    """Raise unless a new run can start at `path`. Creates nothing."""
    path = Path(path)
    with writing(path):  # of a name that is too long, say, nobody can even tell whether it is there
        path.exists()
    if pattern := sorted(set("*?[") & set(str(path.absolute()))):
        raise RunDirectoryError(
            f"{path.absolute()} holds a {pattern[0]}, which the library that writes checkpoints takes for a pattern; "
            "choose another place with run_dir=."
        )
    if path.exists() and not path.is_dir():
        raise RunDirectoryError(f"{path} is a file, not a directory; choose another place with run_dir=.")
    _check_unheld(path)
    _check_empty(path)
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
    with writing(path, Cure(elsewhere="name a run directory")):
        path.exists()
    if not path.is_dir():
        raise RunDirectoryError(f"resume={path} does not exist; name a run directory such as runs/<date>/<time>-...")
    run = RunDirectory(path)
    begun = run.result.is_file() or run.checkpoints.is_dir()  # from a checkpoint the result is written anew
    if not begun or not (path / ".hydra" / "overrides.yaml").is_file():
        raise RunDirectoryError(f"resume={path} is not a run directory: it lacks .hydra/overrides.yaml or result.json.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunDirectoryError(f"resume={path} cannot be written; copy the run to a place where it can.")
    _check_unheld(path)


def _claim(path: Path, resume: bool = False) -> int:
    """The open and locked lock file of a directory that is free; see `claimed`."""
    while True:
        if not resume:
            check_new(path)
        path.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # its last owner has just removed the directory
            continue
        try:
            _wait_for_lookers(path, lock)
            if not _names(path / LOCK, lock):  # its last owner has just removed the file
                os.close(lock)
                continue
            if not resume and _holds_a_run(path):  # made since the first look
                (path / LOCK).unlink()
                os.close(lock)
                continue
            os.ftruncate(lock, 0)
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}".encode())
        except BaseException:
            os.close(lock)
            raise
        return lock


def _claim_numbered(path: Path) -> tuple[Path, int]:
    """The first of `path`, `path-2`, ... that is free, with its lock."""
    for number in itertools.count(1):
        place = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with contextlib.suppress(_TakenError):
            return place, _claim(place)
    raise AssertionError


def _locked(file: int, *, to_look: bool = False) -> bool:
    """Lock an open file for this process, and say whether that worked; those who only look share it."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if to_look else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    return True


def _wait_for_lookers(path: Path, lock: int) -> None:
    """Lock `lock` for writing. Whoever only looks has it for a moment; a writer keeps it, and then this raises."""
    for _ in range(_PATIENCE):
        if _locked(lock):
            return
        if not _locked(lock, to_look=True):
            break
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(0.05)
    raise _taken(path)


def _names(path: Path, file: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file))
    return False


def _check_unheld(path: Path) -> None:
    with contextlib.suppress(OSError), (path / LOCK).open() as lock:
        if not _locked(lock.fileno(), to_look=True):
            raise _taken(path)


def _check_empty(path: Path) -> None:
    if not path.is_dir() or not _holds_a_run(path):
        return
    result = RunDirectory(path).known_result()
    if not result and not RunDirectory(path).checkpoints.is_dir():
        raise _TakenError(f"{path} is not empty and holds no run of l2t; choose another place with run_dir=.")
    what = "a run" if "study" not in result else "a study"
    more = f"Continue it with resume={path}, or choose" if "study" not in result else "Choose"
    raise _TakenError(
        f"{path} already holds {what} (status {result.get('status', 'unknown')}). {more} another place with run_dir=."
    )


def _holds_a_run(path: Path) -> bool:
    return any(child.name not in _DESCRIPTION for child in path.iterdir())


def _taken(path: Path) -> RunDirectoryError:
    with contextlib.suppress(OSError):
        for _ in range(_PATIENCE):  # between a writer's lock and its name lies a moment
            if holder := (path / LOCK).read_text(encoding="utf-8"):
                return _TakenError(f"{path} is being written by {holder}: stop that first, or choose another place.")
            time.sleep(0.05)
    return _TakenError(f"{path} is being written by another process: stop that first, or choose another place.")


class _TakenError(RunDirectoryError):
    """Somebody else has the directory."""
