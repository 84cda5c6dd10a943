"""The installed commands: `l2t-train`, `l2t-evaluate`, `l2t-render`, `l2t-watch`, `l2t-collect`, and others.

The rooms have names that are anybody's. A user's own `configs` or `envs` on the path (`PYTHONPATH=.`, a folder next to
a script) would come first, so the commands take their rooms from where this file lies before they import anything else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ROOMS = ("l2t", "algorithms", "envs", "configs", "scripts")


def train() -> int | None:
    """See `scripts.train`."""
    return _command("train")


def evaluate() -> int | None:
    """See `scripts.evaluate`."""
    return _command("evaluate")


def render() -> int | None:
    """See `scripts.render`."""
    return _command("render")


def watch() -> int | None:
    """See `scripts.watch`."""
    return _command("watch")


def collect() -> int | None:
    """See `scripts.collect`."""
    return _command("collect")


def report() -> int | None:
    """See `scripts.report`."""
    return _command("report")


def benchmark() -> int | None:
    """See `scripts.benchmark`."""
    return _command("benchmark")


def _command(name: str) -> int | None:
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        for room in ROOMS:
            import_module(room)
    finally:
        sys.path.pop(0)  # everything else is looked for as the user wants it
    return import_module(f"scripts.{name}").main()
