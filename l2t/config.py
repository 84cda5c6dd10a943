"""Checks shared by every configuration dataclass. Imports nothing heavy: a wrong value must answer at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
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
) -> None:
    """Raise unless `value` is a number in [low, high] (an end can be open)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name}={value!r} must be a number.")
    below = low is not None and (value <= low if open_low else value < low)
    above = high is not None and (value >= high if open_high else value > high)
    if below or above or value != value:
        left = "-inf" if low is None else f"{low:g}"
        right = "inf" if high is None else f"{high:g}"
        interval = (
            f"{'(' if open_low or low is None else '['}{left}, {right}{')' if open_high or high is None else ']'}"
        )
        raise ConfigurationError(f"{name}={value!r} is out of range; it must lie in {interval}.")


def check_count(name: str, value: Any, low: int = 1) -> None:
    """Raise unless `value` is an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{name}={value!r} must be a whole number.")
    if value < low:
        raise ConfigurationError(f"{name}={value!r} is too small; it must be at least {low}.")
