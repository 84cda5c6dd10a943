"""A configuration as a file would hold it, so that readers find a run that was started from Python too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def plain(config: Any) -> Any:
    """Dataclasses as mappings with their `_target_`, down to what YAML knows; the inverse of instantiating them."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        target = f"{type(config).__module__}.{type(config).__qualname__}"
        values = {f.name: plain(getattr(config, f.name)) for f in dataclasses.fields(config) if f.init}
        return {"_target_": target, **values}
    if isinstance(config, Mapping):
        return {str(key): plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [plain(value) for value in config]
    return config
