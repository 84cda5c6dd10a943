"""JAX does not survive a fork: its threads stay behind, and the child's first computation waits for them for ever."""

from __future__ import annotations

import os
import sys

from l2t.errors import ConfigurationError

_broken = False
"""Whether this process was forked from one that had used JAX."""


def watch_forks() -> None:
    """Note at each fork from now on whether JAX had been used. Imports no JAX."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note)


def check_fork() -> None:
    """Raise where JAX would hang.

    Raises:
        ConfigurationError: this process was forked from one that had used JAX.
    """
    if _broken:
        raise ConfigurationError(
            "This process was forked from one that had used JAX, which would hang here. Start it afresh: "
            "gymnasium.make_vec(..., vectorization_mode='async', vector_kwargs={'context': 'spawn'}), or take "
            "make_vec without a vectorization_mode, which needs no processes."
        )


def _note() -> None:
    global _broken
    # JAX has no public name for this, and importing it here to ask would be an answer in itself.
    bridge = sys.modules.get("jax._src.xla_bridge")
    _broken = _broken or (bridge is not None and bridge.backends_are_initialized())
