"""An experiment is a YAML of many keys: where one of them does not fit another choice, nobody has typed it."""

from __future__ import annotations

from collections.abc import Sequence

from configs.overrides import parse, shorthand
from configs.source import group_options
from l2t.errors import ConfigurationError


def blame_experiment(error: ConfigurationError, overrides: Sequence[str]) -> ConfigurationError:
    """The error, or what to say in its place where a key that does not exist comes from `experiment=`.

    Args:
        error: names the key first, such as `env.episode_length is not known; ...`.
        overrides: of a job, as they were typed.
    """
    key = str(error).partition(" ")[0]
    if not any(f"{key} {told}" in str(error) for told in ("is not known", "cannot be set")):
        return error
    place = key.replace("/", ".")
    given = {
        parsed.key_or_group.replace("/", "."): text
        for text in overrides
        for parsed in [parse(shorthand(text, overrides))]
        if not parsed.is_delete() and not parsed.package
    }
    groups = {name for name in given if group_options(name.replace(".", "/"), overrides)}
    if "experiment" not in groups or any(f"{name}.".startswith(f"{place}.") for name in given.keys() - groups):
        return error
    around = [name for name in groups if place.startswith(f"{name}.")]
    if not around:
        return error
    choice = given[max(around, key=len)]
    return ConfigurationError(
        f"{given['experiment']} sets {key}, which {choice} does not have: leave one of the two out."
    )
