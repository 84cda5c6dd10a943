"""A configuration and all that stand in its fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

_ROOMS = ("algorithms.", "envs.", "l2t.")


def parts_of(path: str, config: Any) -> Iterator[tuple[str, Any]]:
    """A dataclass and all that stand in its fields, by key."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        yield path, config
        for field in dataclasses.fields(config):
            yield from parts_of(f"{path}.{field.name}", getattr(config, field.name))


def ours(config: Any) -> bool:
    """Whether a configuration is of this project: of a stranger's nobody here knows what it looks at."""
    return type(config).__module__.startswith(_ROOMS)
