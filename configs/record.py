"""A configuration as a YAML would hold it: for the defaults in front of a file, and for runs started from Python."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig

NO_VALUE = object()
"""What stands for a value that no YAML can hold."""


def plain(value: Any) -> Any:
    """Dataclasses as mappings with their `_target_`, down to what YAML knows; the inverse of instantiating them.

    What YAML does not know is left out of the mapping that it stands in; alone it is `NO_VALUE`.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        value = {"_target_": f"{kind.__module__}.{kind.__qualname__}"} | {
            f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init
        }
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        items = {str(key): plain(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not NO_VALUE}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return NO_VALUE


def described(config: Any) -> DictConfig:
    """An experiment's configuration as Hydra writes it down: the root has no `_target_`."""
    values = plain(config)
    del values["_target_"]
    return DictConfig(values)


def changed(before: Any, now: Any, since: Iterable[Mapping[str, Any]] = ()) -> dict[str, tuple[Any, Any]]:
    """Options of two configurations that differ, `{key: (before, now)}`; what names or watches a run is none.

    Args:
        before, now: the configurations.
        since: what has changed after `before` was written down, oldest first: `key` and its value `now`.
    """
    from l2t.report.runs import flatten, is_option

    old, new = (
        {key: _json(value) for key, value in flatten(plain(each)).items() if value != {}} for each in (before, now)
    )
    old |= {change["key"]: change["now"] for change in since}
    return {key: (old.get(key), new.get(key)) for key in old | new if is_option(key) and old.get(key) != new.get(key)}


def _json(value: Any) -> Any:
    """What a result can hold: there a number that is not finite would be no number."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def leaves(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Single values by their whole key, without what builds them."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{key}.")
        elif key != "_target_":
            found[f"{prefix}{key}"] = value
    return found
