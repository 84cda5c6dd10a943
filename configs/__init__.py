"""Hydra configuration groups and their schemas: where algorithms and environments meet, and what a notebook calls.

from configs import compose, load_policy, train
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from configs.library import compose, load_policy, train

__all__ = ["compose", "load_policy", "train"]


def __getattr__(name: str) -> Any:
    # Reading a configuration must not wait for the library's imports.
    if name in __all__:
        from configs import library

        return getattr(library, name)
    raise AttributeError(f"module 'configs' has no attribute {name!r}")
