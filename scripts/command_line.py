"""What the entry points share: an expected failure is one line on standard error and exit code 1."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from l2t.errors import L2TError


def path_argument(text: str) -> Path:
    """A path as the shell would have it: `--out=~/x` reaches us with its `~`."""
    return Path(text).expanduser()


def exit_code(command: Callable[[], None]) -> int:
    """Run `command`; 0, or 1 after printing an `L2TError` without its traceback, or 130 when it was interrupted."""
    try:
        command()
    except L2TError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        sys.stderr.close()
        return 0
    return 0
