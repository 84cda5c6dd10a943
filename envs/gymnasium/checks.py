"""What may be given to `reset`, checked. Imports no JAX: the finite processes need none."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import gymnasium

from l2t.config import check_choice
from l2t.errors import ConfigurationError


def check_seed(seed: Any) -> int:
    """The seed as a Python integer; refused as Gymnasium refuses it, except that NumPy's integers count."""
    try:
        number = operator.index(seed)
    except TypeError:
        raise gymnasium.error.Error(f"Seed must be a python integer, actual type: {type(seed)}") from None
    if number < 0:
        raise gymnasium.error.Error(f"Seed must be greater or equal to zero, actual value: {number}")
    return number


def check_options(options: Mapping[str, Any] | None, known: tuple[str, ...]) -> Mapping[str, Any]:
    """The reset options; {} for None. Raise where one is unknown."""
    if options is not None and not isinstance(options, Mapping):
        raise ConfigurationError(f"reset options are {options!r}; they must be a dictionary.")
    for name in options or {}:
        check_choice("reset option", name, known)
    return options or {}
