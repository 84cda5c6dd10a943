"""Keys and types of a composed configuration against the dataclasses that it names."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Union

from omegaconf import DictConfig, ListConfig

from configs.messages import unknown
from l2t.errors import ConfigurationError


def check_keys(prefix: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise at the first key that is not known; the message lists those that are."""
    choices = [prefix + name for name in known]
    for key in given:
        if prefix + key not in choices:
            raise unknown(prefix + key, prefix + key, choices)


def check_fields(path: str, node: DictConfig) -> None:
    """Compare a node, and those below it, with the dataclass that its `_target_` names.

    Raises:
        ConfigurationError: the target cannot be imported, a key is not one of its fields, or a value has another type.
    """
    for key in node:
        if isinstance(child := node[key], DictConfig):
            check_fields(f"{path}.{key}", child)
    target = node.get("_target_")
    if not isinstance(target, str):
        return
    module, _, attribute = target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{path}._target_={target} cannot be imported: {error}. Is the package that defines it installed?"
        ) from error
    if not dataclasses.is_dataclass(cls):
        return
    keys = [str(key) for key in node if not str(key).startswith("_")]
    check_keys(f"{path}.", keys, [field.name for field in dataclasses.fields(cls) if field.init])
    hints = _hints(cls)
    for key in keys:
        expected = _misfit(node[key], hints.get(key, Any))
        if expected:
            raise ConfigurationError(f"{path}.{key}={node[key]!r} must be {expected}.")


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:  # annotations that only type checkers import
        return {}


def _misfit(value: Any, hint: Any) -> str:
    """What a value should have been; empty when it fits, or when its annotation is not a plain one."""
    origin = typing.get_origin(hint) or hint
    if origin in (Union, UnionType):
        misfits = [_misfit(value, option) for option in typing.get_args(hint)]
        return next(filter(None, misfits)) if all(misfits) else ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    mapping = (isinstance(value, DictConfig), "a mapping, such as {a: 1}")
    sequence = (isinstance(value, ListConfig), "a list, such as [a, b]")
    known = {
        NoneType: (value is None, "null"),
        bool: (isinstance(value, bool), "true or false"),
        int: (number and isinstance(value, int), "a whole number"),
        float: (number, "a number"),
        str: (isinstance(value, str), "text"),
        tuple: sequence,
        list: sequence,
        dict: mapping,
        Mapping: mapping,
    }
    fits, name = known.get(origin, (True, ""))
    return "" if fits else name
