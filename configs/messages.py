"""Hydra's errors in one line each, with the choices."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from l2t.errors import ConfigurationError

Compose = Callable[[Sequence[str]], DictConfig]


def explain(error: HydraException, overrides: Sequence[str], compose: Compose | None = None) -> ConfigurationError:
    """What went wrong and what is possible.

    Args:
        error: raised by Hydra while it read `overrides`.
        overrides: the command line.
        compose: composes the configuration; it is asked for the keys that exist where one does not.
    """
    text = str(error).strip()
    if isinstance(error, OverrideParseException):
        return ConfigurationError(
            f"{error.override!r} cannot be read; write key=value, and quote a value with special characters as "
            f"\"key='value'\"."
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return _unknown(f"{group}={choice}" if group else choice, choice, error.options or (), group)
    sweep = re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.*?)'", text)
    if sweep:
        return ConfigurationError(f"{sweep[1]} holds several values: add -m to run each of them, or pick one.")
    missing = re.search(r"Could not override '(?:.*?@)?([^'@]+)'", text)
    if missing and compose:
        return _unknown_key(missing[1], overrides, compose)
    return ConfigurationError(" ".join(line.strip() for line in text.splitlines() if "HYDRA_FULL_ERROR" not in line))


def _unknown_key(key: str, overrides: Sequence[str], compose: Compose) -> ConfigurationError:
    """List the keys beside one that does not exist."""
    groups = [text for text in overrides if _name(text) != key and _is_group(text)]
    try:
        node = compose(groups)
    except HydraException:
        node = compose([])
    parts = re.split(r"[./]", key)
    path: list[str] = []
    while parts and OmegaConf.is_dict(node) and parts[0] in node:
        path.append(parts.pop(0))
        node = node[path[-1]]
    prefix = ".".join(path) + "." if path else ""
    if not OmegaConf.is_dict(node):
        return ConfigurationError(f"{key} does not exist: {prefix[:-1]} is a single value.")
    choices = [prefix + str(name) for name in node if name != "_target_"]
    return _unknown(f"{prefix}{parts[0] if parts else ''}", key, choices, "")


def _unknown(shown: str, value: str, choices: Sequence[str], group: str) -> ConfigurationError:
    close = difflib.get_close_matches(value, choices, n=1)
    hint = ""
    if close:
        hint = f" Did you mean {group + '=' if group else ''}{close[0]}?"
    listed = ", ".join(sorted(choices)) or "nothing here"
    return ConfigurationError(f"{shown} is not known; choose one of: {listed}.{hint}")


def _name(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _is_group(override: str) -> bool:
    name = _name(override)
    return "/" in name or name in ("algorithm", "env", "physics", "network", "tracking", "experiment")
