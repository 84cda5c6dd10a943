"""Hydra configuration groups and their schemas: where algorithms and environments meet, and what a notebook calls.

from configs import collect, compose, learned_reward, load_policy, roll_out, train
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from configs.library import compose, load_policy, train
    from configs.recording import collect, roll_out
    from configs.rewards import learned_reward

__all__ = ["collect", "compose", "learned_reward", "load_policy", "roll_out", "train"]

_HOMES = {
    "collect": "recording",
    "compose": "library",
    "learned_reward": "rewards",
    "load_policy": "library",
    "roll_out": "recording",
    "train": "library",
}


def __getattr__(name: str) -> Any:
    # Reading a configuration must not wait for the library's imports.
    if name in _HOMES:
        return getattr(importlib.import_module(f"configs.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'configs' has no attribute {name!r}")
