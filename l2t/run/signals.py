"""Stopping between two iterations when the process is asked to."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any


class StopSignals:
    """While entered, the first SIGINT or SIGTERM only sets `signum`; a second SIGINT raises `KeyboardInterrupt`.

    Python runs handlers in the main thread between two of its own instructions, so that a running program of JAX
    finishes first and the training state is whole.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        # The handler may interrupt anything, an import or a half-drawn progress bar: only a bare write is safe here.
        name = signal.Signals(signum).name
        text = f"\n{name}: saving a checkpoint after this iteration (Ctrl-C again stops at once).\n"
        with suppress(OSError):
            os.write(2, text.encode())
