"""Hydra's errors in one line each, with the choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from configs.guesses import absent, of_group, relatives, sibling
from configs.source import group_options
from l2t.errors import ConfigurationError

Compose = Callable[[Sequence[str]], DictConfig]

_SEVERAL = ("experiment",)
"""Groups of which several can be chosen, laid over each other in turn."""


def check_group_value(override: Override, overrides: Sequence[str]) -> None:
    """Raise when a group is given something that cannot be the name of a configuration; Hydra would not say which."""
    group, options = override.key_or_group, group_options(override.key_or_group, overrides)
    if not options or override.is_delete() or override.is_sweep_override():
        return
    value = override.value()
    for choice in value if isinstance(value, list) and group in _SEVERAL else [value]:
        if not isinstance(choice, str) or not choice or (choice not in options and "${" not in choice):
            key = f"{group}@{override.package}" if override.package else group
            shown = choice if isinstance(choice, str) else override.get_value_element_as_str()
            raise unknown(f"{key}={shown}", str(choice), options, group, more=of_group(group, value, shown))


def explain(error: Exception, overrides: Sequence[str], compose: Compose | None = None) -> ConfigurationError:
    """What went wrong and what is possible.

    Args:
        error: raised by Hydra while it read `overrides`.
        overrides: the command line.
        compose: composes the configuration; it is asked for the keys that exist where one does not.
    """
    text = str(error).strip()
    if isinstance(error, OverrideParseException):
        return ConfigurationError(
            f"{error.override!r} cannot be read; write key=value, and quote a value that holds special characters: "
            "\"key='value'\"."
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if not group and not error.options:
            return ConfigurationError(
                f"There is no configuration {choice}: leave out --config-name={choice}, or name the directory that "
                "holds it with --config-dir=."
            )
        return unknown(
            f"{group}={choice}" if group else choice, choice, error.options or group_options(group, overrides), group
        )
    sweep = re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.*?)'", text)
    if sweep:
        return ConfigurationError(f"{sweep[1]} holds several values: add -m to run each of them, or pick one.")
    twice = re.search(r"Multiple values for (\S+?)\. To override", text)
    added = [given for given in overrides if twice and given.startswith(f"+{twice[1]}=")]
    if added:
        return ConfigurationError(f"{added[0]} cannot be added, for its place is there already: write {added[0][1:]}.")
    missing = re.search(r"Could not override '([^'@]+)'", text)
    if missing and compose and not missing[1].startswith("hydra."):
        return _unknown_key(missing[1], overrides, compose)
    merging = re.search(r"Error merging override (.*)", text)
    if merging:
        return ConfigurationError(
            f"{merging[1]} does not fit what stands there: {first_line(error.__cause__ or error)}."
        )
    lines = [line.strip() for line in text.splitlines() if "HYDRA_FULL_ERROR" not in line]
    return ConfigurationError(" ".join(lines) or first_line(error.__cause__ or error))


def check_listed(overrides: Sequence[str]) -> None:
    """Raise unless this is a list of texts; one text would be read letter by letter."""
    if isinstance(overrides, str):
        raise ConfigurationError(f"Give a list of overrides, such as [{overrides!r}], and not one text.")
    if not isinstance(overrides, Sequence) or not all(isinstance(override, str) for override in overrides):
        raise ConfigurationError(f"Give a list of overrides, such as ['env=hopper'], and not {overrides!r}.")


def first_line(error: BaseException) -> str:
    """What went wrong, without what libraries add below it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _unknown_key(key: str, overrides: Sequence[str], compose: Compose) -> ConfigurationError:
    """List the keys beside one that does not exist."""
    names = [text.partition("=")[0].lstrip("+~") for text in overrides]
    try:
        root = compose(
            [
                text
                for text, name in zip(overrides, names, strict=True)
                if (group_options(name, overrides) or name == "hydra.searchpath") and name != key
            ]
        )
    except HydraException:
        root = compose([])
    parts = re.split(r"[./]", key)
    node, path = root, list[str]()
    while parts and isinstance(node, DictConfig) and parts[0] in node:
        path.append(parts.pop(0))
        node = node[path[-1]]
    inside = ".".join(path)
    if not parts and isinstance(node, DictConfig):
        return ConfigurationError(
            f"{key} cannot be set as a whole to this: it takes {', '.join(_names(node))}; give "
            f"{inside}.<one of them>=..."
        )
    if not isinstance(node, DictConfig):
        what = "no experiment is chosen: give experiment=..." if inside == "study" else f"{inside} is a single value"
        return ConfigurationError(f"{key} cannot be set: {what}.")
    prefix = inside + "." if inside else ""
    choices = [prefix + name for name in _names(node)] + ([] if inside else ["experiment", "preset"])
    return unknown(prefix + parts[0], prefix + parts[0], choices, elsewhere=list(_leaves(root, "")))


def _names(node: DictConfig) -> list[str]:
    return [str(name) for name in node if name != "_target_"]


def unknown(
    shown: str, value: str, choices: Sequence[str], group: str = "", elsewhere: Sequence[str] = (), more: str = ""
) -> ConfigurationError:
    """List the choices, and guess which one was meant: a sibling, or else a key of the same name somewhere else.

    Args:
        shown: what is not known, as it was typed.
        value: the name in it.
        choices: what it could be.
        group: whose configurations the choices are.
        elsewhere: keys that stand somewhere else.
        more: what to say where nothing can be guessed.
    """
    guesses = [f"{group}={choice}" if group else choice for choice in sibling(value, choices)]
    guesses = guesses or relatives(value, elsewhere)
    hint = f" Did you mean {' or '.join(guesses)}?" if guesses else absent(value, elsewhere) if elsewhere else more
    return ConfigurationError(f"{shown} is not known; choose one of: {', '.join(sorted(choices)) or 'nothing'}.{hint}")


def _leaves(node: DictConfig, prefix: str) -> Iterator[str]:
    for name in node:
        key = f"{prefix}{name}"
        if OmegaConf.is_missing(node, name) or not isinstance(value := node[name], DictConfig):
            yield key
        else:
            yield from _leaves(value, f"{key}.")
