"""What the entry points share: how they fail, and output that nobody reads any more."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from l2t.errors import L2TError


def path_argument(text: str) -> Path:
    """A path as the shell would have it: `--out=~/x` reaches us with its `~`."""
    return Path(text).expanduser()


def add_changes(parser: argparse.ArgumentParser, example: str) -> None:
    """`--set KEY=VALUE ...`, as often as one likes: `overrides` of the environment, such as `example`."""
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help=f"change the environment, such as {example}",
    )


def add_step(parser: argparse.ArgumentParser) -> None:
    """`--step 200_000` or `--step best`: which checkpoint plays."""
    parser.add_argument(
        "--step", type=_step, metavar="STEP", help="the checkpoint of that step, or best (default: the newest)"
    )


def _step(text: str) -> int | str:
    """As it is written anywhere here: 200000, 200_000, 200,000; or a word, which whoever reads checkpoints judges."""
    digits = text.replace(",", "").replace("_", "")
    return int(digits) if digits.isdecimal() else text


def exit_code(command: Callable[[], None]) -> int:
    """Run `command`; 0, or 1 after printing an `L2TError` without its traceback, or 130 when it was interrupted."""
    outlive_readers()
    try:
        with warnings_in_a_line():
            command()
    except L2TError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """A warning to users is one line, `warning: ...`, once: no path, no line of code, no repetition."""
    told: set[str] = set()
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, UserWarning):
            usual(message, category, *place, **more)
        elif str(message) not in told:
            told.add(str(message))
            print(f"warning: {message}", file=sys.stderr)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


@contextmanager
def progress(say: Callable[[str], None], every: float = 30.0) -> Iterator[Callable[[str], None]]:
    """Yield `say`, and meanwhile say every so many seconds that the work goes on."""
    began, done = time.monotonic(), threading.Event()

    def beat() -> None:
        while not done.wait(every):
            say(f"still at work after {time.monotonic() - began:,.0f} s")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield say
    finally:
        done.set()
        thread.join()


def outlive_readers() -> None:
    """Let output vanish once its reader has gone: `head` that has seen enough, a terminal that was closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A notebook or a test has put something of its own there.
        if stream is not None and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _outliving(stream))


def _outliving(stream: TextIO) -> TextIO:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.isatty() or stream is sys.__stderr__,
    )


class _Descriptor(io.FileIO):
    """A file descriptor whose output goes nowhere from the first moment at which nobody is left to take it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # also for what C libraries write
            os.close(nowhere)
            return len(memoryview(data).cast("B"))
