"""Checks shared by every configuration dataclass. Imports nothing heavy: a wrong value must answer at once."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2t.errors import ConfigurationError


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise unless `value` is one of `choices`; the message lists them and guesses what was meant."""
    choices = sorted(choices)
    if value not in choices:
        close = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigurationError(f"{name}={value!r} is not known; choose one of: {', '.join(choices)}.{hint}")


def check_range(
    name: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    open_low: bool = False,
    open_high: bool = False,
    allow_infinite: bool = False,
) -> None:
    """Raise unless `value` is a number in [low, high]; an end can be open, and infinities have to be asked for."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name}={value!r} must be a number.")
    below = low is not None and (value <= low if open_low else value < low)
    above = high is not None and (value >= high if open_high else value > high)
    infinite = abs(value) > sys.float_info.max
    if below or above or value != value or (infinite and not allow_infinite):
        left = "-inf" if low is None else f"{low:g}"
        right = "inf" if high is None else f"{high:g}"
        open_low |= low is None and not allow_infinite
        open_high |= high is None and not allow_infinite
        interval = f"{'(' if open_low else '['}{left}, {right}{')' if open_high else ']'}"
        raise ConfigurationError(f"{name}={value!r} is out of range; it must lie in {interval}.")


def check_count(name: str, value: Any, low: int = 1) -> None:
    """Raise unless `value` is an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{name}={value!r} must be a whole number.")
    if value < low:
        raise ConfigurationError(f"{name}={value!r} is too small; it must be at least {low}.")


def check_flag(name: str, value: Any) -> None:
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r} must be true or false.")


def check_names(name: str, value: Any, example: str) -> None:
    """Raise unless `value` is a list of texts; one text alone would be read letter by letter."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{name}={value!r} must be a list of names, such as [{example!r}].")


def check_list(name: str, value: Any, example: str) -> None:
    """Raise unless `value` is a list; a text would be read letter by letter."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(f"{name}={value!r} must be a list, such as {example}.")


def check_path(name: str, value: Any) -> Path:
    """The path of a file or folder; raise unless `value` is text or a path."""
    if not isinstance(value, str | os.PathLike):
        inside = getattr(value, "path", None)  # of a run, in the place of its directory
        hint = f"; its path is {str(inside)!r}" if isinstance(inside, str | os.PathLike) else ""
        raise ConfigurationError(f"{name}={_short(value)} must be a path, as text or as a pathlib.Path{hint}.")
    return Path(os.fspath(value))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_interval(
    name: str, value: Any, low: float | None = None, *, proper: bool = False, allow_infinite: bool = False
) -> None:
    """Raise unless `value` is two numbers [a, b] with low <= a <= b; a < b where it must be a `proper` interval."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ConfigurationError(f"{name}={value!r} must be two numbers, [low, high].")
    check_range(f"{name}[0]", value[0], low, allow_infinite=allow_infinite)
    check_range(f"{name}[1]", value[1], value[0], open_low=proper, allow_infinite=allow_infinite)


def hold_interval(path: str, config: Any, low: float | None = None) -> None:
    """`check_interval` of the field that `path` ends with, which then holds a tuple of floats, whatever was given."""
    name = path.rpartition(".")[2]
    interval = getattr(config, name)
    check_interval(path, interval, low)
    object.__setattr__(config, name, tuple(float(end) for end in interval))


def check_idle(path: str, config: Any, names: Iterable[str], reason: str) -> None:
    """Raise where one of the fields, which have no effect now, is not at its default."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            raise ConfigurationError(f"{path}.{name}={getattr(config, name)!r} would change nothing: {reason}.")


FIXED: Mapping[str, Any] = {"fixed": True}
"""Metadata of a field that cannot change when a run is resumed: shapes, batches, the clock of the schedules."""

MEANING: Mapping[str, Any] = {"meaning": True}
"""Metadata of a field that decides what a policy's numbers mean: with another value its networks do other things."""

PATH: Mapping[str, Any] = {"path": True}
"""Metadata of a field that holds a path: it is made absolute where the user typed it."""


def read_from(what: str) -> Mapping[str, Any]:
    """Metadata of a field with the path of something that a run reads: it must be there when the command is typed.

    Args:
        what: is read, such as "the run directory of a trained teacher"; told where nothing is there.
    """
    return {**PATH, "read": what}


class Default(str):
    """A value that is its field's default: it is also that of a checkpoint from before the field was there."""

    __slots__ = ()


def identity(config: Any, prefix: str) -> dict[str, str]:
    """The fixed fields of a configuration and of those inside it, by dotted name; defaults marked as such."""
    found: dict[str, str] = {}
    for field in dataclasses.fields(config) if dataclasses.is_dataclass(config) else ():
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found |= identity(value, f"{prefix}{field.name}.")
        elif field.metadata.get("fixed"):
            found[f"{prefix}{field.name}"] = Default(value) if value == field.default else str(value)
    return found


@dataclass(frozen=True)
class NetworkConfig:
    """Multi-layer perceptrons for actors and critics.

    Attributes:
        hidden: width of each hidden layer.
        activation: `tanh`, `relu`, `elu` or `swish`.
        initial_log_std: start of the Gaussian's state-independent log standard deviation.
    """

    hidden: tuple[int, ...] = dataclasses.field(default=(64, 64), metadata=FIXED)
    activation: str = dataclasses.field(default="tanh", metadata=FIXED)
    initial_log_std: float = dataclasses.field(default=-0.5, metadata=FIXED)

    def __post_init__(self) -> None:
        check_list("network.hidden", self.hidden, "[64, 64]")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden:
            raise ConfigurationError("network.hidden is empty; give at least one layer, such as [64, 64].")
        for width in self.hidden:
            check_count("network.hidden", width)
        check_choice("network.activation", self.activation, ("tanh", "relu", "elu", "swish"))
        check_range("network.initial_log_std", self.initial_log_std, -5.0, 2.0)


@dataclass(frozen=True)
class DisturbanceConfig:
    """What actions are off by while experience is collected.

    Attributes:
        scale: standard deviation in policy units; 0 for nothing.
        steps: after which its autocorrelation has fallen to 1/e.
    """

    scale: float = 0.0
    steps: float = 10.0

    def __post_init__(self) -> None:
        check_range("algorithm.disturbance.scale", self.scale, 0.0, 1.0)
        check_range("algorithm.disturbance.steps", self.steps, 0.0, open_low=True)
        if self.scale == 0.0:
            check_idle("algorithm.disturbance", self, ("steps",), "algorithm.disturbance.scale=0")

    @property
    def persistence(self) -> float:
        """Autocorrelation from a step to the next."""
        return math.exp(-1.0 / self.steps)
