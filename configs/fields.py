"""Keys and types of a composed configuration against the dataclasses that it names."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union

from omegaconf import DictConfig, ListConfig, OmegaConf

from configs.messages import unknown
from configs.source import find_target
from l2t.errors import ConfigurationError

_HYDRA_KEYS = ("_target_", "_recursive_", "_convert_")


def check_keys(prefix: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise at the first key that is not known; the message lists those that are."""
    choices = [prefix + name for name in known]
    for key in given:
        if prefix + key not in choices:
            raise unknown(prefix + key, prefix + key, choices)


def check_fields(path: str, node: DictConfig) -> None:
    """Compare a node, and those below it, with the dataclass that its `_target_` names.

    A whole number that was written as people write it, such as 1e3, becomes an integer where one is meant.

    Raises:
        ConfigurationError: the target cannot be imported, a key is not one of its fields, or a value has another type.
    """
    for key in node:
        if isinstance(child := node[key], DictConfig):
            check_fields(f"{path}.{key}", child)
    cls = _dataclass(path, node)
    if cls is None:
        return
    keys = [str(key) for key in node if key not in _HYDRA_KEYS]
    check_keys(f"{path}.", keys, [field.name for field in dataclasses.fields(cls) if field.init])
    hints = _hints(cls)
    for key in keys:
        hint = hints.get(key, Any)
        _make_whole(node, key, hint)
        expected = _misfit(node[key], hint)
        if expected:
            raise ConfigurationError(f"{path}.{key}={node[key]!r} must be {expected}.")


def check_deleted(key: str, composed: DictConfig) -> None:
    """Raise when the deletion of `key` would not leave it out, but leave it to its default.

    Raises:
        ConfigurationError: the dataclass around it has such a field.
    """
    parent, _, name = key.rpartition(".")
    around = OmegaConf.select(composed, parent) if parent else None
    cls = _dataclass(parent, around) if isinstance(around, DictConfig) else None
    if not parent or (cls is not None and name in {field.name for field in dataclasses.fields(cls)}):
        raise ConfigurationError(f"~{key} cannot be left out: give {key}=..., or nothing for its default.")


def path_fields(node: DictConfig, cls: type | None = None, prefix: str = "") -> dict[str, str]:
    """The paths in a configuration by key: fields with `metadata={"path": True}` that hold one.

    Args:
        node: the configuration.
        cls: the dataclass that it is to become; by default the one that its `_target_` names.
        prefix: of its keys.
    """
    return {key: value for key, value, _ in _paths(node, cls, prefix)}


def check_read(node: DictConfig, cls: type, made: Path | None = None) -> None:
    """Raise where nothing is at a path that a run is to read (`l2t.config.read_from`).

    Args:
        node, cls: as in `path_fields`.
        made: a directory in which an earlier job of a sweep may yet make it.

    Raises:
        ConfigurationError: nothing is there.
    """
    for key, value, metadata in _paths(node, cls):
        path = Path(value).expanduser().absolute()
        later = made is not None and path.is_relative_to(made.expanduser().absolute())
        if "read" in metadata and not later and not path.exists():
            raise ConfigurationError(f"{key}={value} does not exist: name {metadata['read']}.")


def _paths(node: DictConfig, cls: type | None = None, prefix: str = "") -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Paths by key, with the metadata of their fields."""
    cls = cls or _dataclass(prefix.rstrip("."), node)
    fields = dataclasses.fields(cls) if cls is not None else ()
    named = {field.name: field.metadata for field in fields if field.metadata.get("path")}
    for key, value in _known(node):
        if isinstance(value, DictConfig):
            yield from _paths(value, prefix=f"{prefix}{key}.")
        elif key in named and isinstance(value, str) and value:
            yield f"{prefix}{key}", value, named[key]


def _known(node: DictConfig) -> Iterator[tuple[str, Any]]:
    return ((str(key), node[key]) for key in node if not OmegaConf.is_missing(node, key))


def _dataclass(path: str, node: DictConfig) -> type | None:
    """The dataclass that a node is to become, if it names one."""
    target = node.get("_target_")
    found = find_target(f"{path}._target_", target) if isinstance(target, str) else None
    return found if isinstance(found, type) and dataclasses.is_dataclass(found) else None


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:  # annotations that only type checkers import
        return {}


def _misfit(value: Any, hint: Any) -> str:
    """What a value should have been; empty when it fits, or when its annotation says nothing that can be checked."""
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (Union, UnionType):
        misfits = [_misfit(value, option) for option in arguments]
        return next(filter(None, misfits)) if all(misfits) else ""
    if dataclasses.is_dataclass(origin) or getattr(origin, "_is_protocol", False):
        return _misfit_part(value, origin)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    mapping = (isinstance(value, DictConfig), "a mapping, such as {a: 1}")
    kind = arguments[0] if arguments else Any
    sequence = (isinstance(value, ListConfig), f"a list, such as {_LISTS.get(kind, '[a, b]')}")
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
    if fits and isinstance(value, ListConfig) and arguments:
        items = arguments[:1] * len(value) if origin is list or Ellipsis in arguments else arguments
        wrong = filter(None, map(_misfit_item, value, items))
        return next((f"a list of which each item is {item}" for item in wrong), "")
    return "" if fits else name


_LISTS = {int: "[64, 64]", float: "[0.5, 1.0]", bool: "[true, false]"}
"""Examples of lists by the kind of their items."""


def _misfit_item(value: Any, hint: Any) -> str:
    """A number in a list of texts, such as a year among tags, is as good as its text."""
    return _misfit(str(value) if hint is str and isinstance(value, int | float) else value, hint)


def _misfit_part(value: Any, cls: Any) -> str:
    """For a value that stands for a dataclass, or for what a protocol describes."""
    name = cls.__name__
    if dataclasses.is_dataclass(cls):
        names = ", ".join(field.name for field in dataclasses.fields(cls) if field.init)
        made = _dataclass("", value) if isinstance(value, DictConfig) and "_target_" in value else None
        fits = isinstance(made, type) and issubclass(made, cls)  # type: ignore[arg-type]
        return "" if fits else f"of the kind {name}, with the keys {names}"
    fits = isinstance(value, DictConfig) and "_target_" in value
    return "" if fits else f"of the kind {name}: a mapping whose _target_ names one"


def _wants_whole(hint: Any) -> bool:
    kinds = typing.get_args(hint) or (hint,)
    return int in kinds and float not in kinds


def _make_whole(node: DictConfig | ListConfig, key: Any, hint: Any) -> None:
    """1e3 is how people write a thousand."""
    value = node[key]
    if isinstance(value, ListConfig) and _wants_whole(hint):
        for index in range(len(value)):
            _make_whole(value, index, int)
    elif isinstance(value, float) and value.is_integer() and _wants_whole(hint):
        node[key] = int(value)
