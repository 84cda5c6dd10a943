"""Stopping between two iterations when the process is asked to."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""What asks a process to end besides Ctrl-C: a batch system, a terminal that closes, SLURM before its time limit."""


class StopSignals:
    """While entered, the first SIGINT, SIGTERM, SIGHUP or SIGUSR1 only sets `signum`.

    A second SIGINT raises `KeyboardInterrupt`. Python runs handlers in the main thread between two of its own
    instructions, so that a running program of JAX finishes first and the training state is whole.

    Args:
        first: what is done before the process ends, for the notice.
    """

    def __init__(self, first: str = "saving a checkpoint after this iteration") -> None:
        self.signum: int | None = None
        self._first = first
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self._previous = _install(self._handle, (signal.SIGINT, *ENDING))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restore(self._previous)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        # The handler may interrupt anything, an import or a half-drawn progress bar: only a bare write is safe here.
        text = f"\n{signal.Signals(signum).name}: {self._first} (Ctrl-C again stops at once).\n"
        with suppress(OSError):
            os.write(2, text.encode())


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let a signal that ends the process raise `SystemExit(128 + signum)`, so that what is open gets closed."""
    asked: list[int] = []

    def leave(signum: int, frame: FrameType | None) -> NoReturn:
        asked.append(signum)
        sys.exit(128 + signum)

    previous = _install(leave, ENDING)
    try:
        yield
    except Exception:
        if asked:  # a program of JAX that was calling back has made another error of it
            sys.exit(128 + asked[0])
        raise
    finally:
        _restore(previous)


def _install(handler: Callable[[int, FrameType | None], None], signums: tuple[int, ...]) -> dict[int, Any]:
    """Install the handler in the main thread; an ignored SIGHUP stays ignored, which is what `nohup` asks for."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    taken = [n for n in signums if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    return {signum: signal.signal(signum, handler) for signum in taken}


def _restore(previous: dict[int, Any]) -> None:
    for signum, handler in previous.items():
        signal.signal(signum, signal.SIG_DFL if handler is None else handler)
