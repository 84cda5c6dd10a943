"""From a composed or a stored configuration to checked dataclasses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from configs.fields import check_fields, check_keys
from configs.messages import first_line, unknown
from configs.overrides import parse, plain_infinities
from configs.schema import KEYS, ExperimentConfig
from configs.source import group_choice, group_options
from l2t.config import check_path
from l2t.errors import ConfigurationError, L2TError, RunDirectoryError

_MOVED = {
    f"algorithms.config.{name}": f"algorithms.teaching.config.{name}"
    for name in ("StudentConfig", "LearnToTeachConfig", "DistillationConfig")
} | {
    "envs.cassie.settings.RewardConfig": "envs.cassie.settings.RewardTermsConfig",
    "algorithms.inverse.tabular_config.IPMDConfig": "algorithms.inverse.tabular_config.TabularIPMDConfig",
    "algorithms.inverse.tabular_config.IQLearnConfig": "algorithms.inverse.tabular_config.TabularIQLearnConfig",
}
"""Classes that are elsewhere now, or called otherwise, than in runs from before."""
_UNTIL_THEN: dict[str, dict[str, Any]] = {"algorithms.teaching.config.StudentConfig": {"clip_labels": False}}
"""What runs did from before an option, where that is not its default: a resume says that it changes it."""


def experiment_config(config: DictConfig) -> ExperimentConfig:
    """Check a composed configuration and turn it into dataclasses. Imports neither JAX nor MuJoCo.

    Raises:
        ConfigurationError: a key or value is wrong; the message lists what is possible.
        L2TError: whatever a configuration dataclass raises.
    """
    check_keys("", map(str, config), KEYS)
    # Of its own: checking turns 1e3 into 1000 where a whole number is meant.
    own = DictConfig(_moved(OmegaConf.to_container(config, resolve=False)))
    try:
        missing = sorted(OmegaConf.missing_keys(own))
        if missing:
            raise ConfigurationError(f"A value is missing: give {missing[0]}=... on the command line.")
        values = {name: _value(name, own[name]) for name in map(str, own)}
    except OmegaConfBaseException as error:
        raise _unreadable(str(error.full_key or "The configuration"), error) from error
    for name in ("algorithm", "env", "physics"):
        if name not in values:
            raise ConfigurationError(f"The configuration has no {name}: give {name}=... on the command line.")
    return ExperimentConfig(**values)


def read_config(run_dir: str | Path, overrides: Sequence[str] = (), engine: str | None = None) -> ExperimentConfig:
    """The configuration of a run.

    Args:
        run_dir: a run directory.
        overrides: `key=value` changes, in Hydra's grammar; also choices of groups, such as `env.terrain=slope`.
        engine: another physics engine than the run's, where the run's may not be installed.

    Raises:
        RunDirectoryError: it is not a run directory.
        ConfigurationError: an override cannot be read, or its value is not possible.
    """
    path = check_path("run", run_dir) / ".hydra" / "config.yaml"
    if not path.is_file():
        raise RunDirectoryError(f"{run_dir} is not a run directory: it has no .hydra/config.yaml.")
    try:
        config = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError) as error:
        raise RunDirectoryError(f"{path} cannot be read: {first_line(error)}.") from error
    if not isinstance(config, DictConfig) or not config:
        raise RunDirectoryError(f"{path} is not the configuration of a training run.")
    if engine and OmegaConf.select(config, "physics._target_") == "envs.physics.config.PhysicsConfig":
        config.physics.engine = engine
    # Where it was written, and after what, may hold ${now:...} and the like, which only a starting run resolves.
    config.run_dir = config.resume = None
    config = DictConfig(_as_it_was(_moved(OmegaConf.to_container(config, resolve=False))))
    for text in overrides:
        _change(config, text)
    return experiment_config(config)


def _moved(node: Any) -> Any:
    """With every class where it is now."""
    if isinstance(node, dict):
        return {key: _moved(value) for key, value in node.items()}
    return _MOVED.get(node, node) if isinstance(node, str) else node


def _as_it_was(node: Any) -> Any:
    """With the options that a run from before them does not name."""
    if not isinstance(node, dict):
        return node
    target = node.get("_target_")
    before = _UNTIL_THEN.get(target, {}) if isinstance(target, str) else {}
    return before | {key: _as_it_was(value) for key, value in node.items()}


def _value(name: str, node: Any) -> Any:
    if isinstance(node, DictConfig):
        check_fields(name, node)
        return _instantiate(name, node)
    return OmegaConf.to_container(node) if isinstance(node, ListConfig) else node


def _change(config: DictConfig, text: str) -> None:
    """Apply an override to a stored configuration: Hydra would, but only to one that it has just composed."""
    override = parse(plain_infinities(text))
    if override.is_delete() or override.is_sweep_override() or override.package:
        raise ConfigurationError(f"{text} cannot be applied to a run: give one value, as key=value.")
    key, value = override.key_or_group.replace("/", "."), override.value()
    chosen = _choice(key, value)
    try:
        # A choice of a group takes the place of another one: what belongs to that would be left beside it.
        OmegaConf.update(config, key, value if chosen is None else chosen, merge=chosen is None, force_add=True)
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise ConfigurationError(f"{text} cannot be set: {first_line(error)}") from error


def _choice(key: str, value: Any) -> Any:
    """What `env.terrain=slope` stands for, a configuration of the group `env/terrain`; None where it names none."""
    group = key.replace(".", "/")
    options = group_options(group) if isinstance(value, str) else []
    if not options:
        return None
    if value not in options:
        raise unknown(f"{key}={value}", value, options, key)
    return group_choice(group, value)


def _instantiate(name: str, node: DictConfig) -> Any:
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = _root_cause(error)
        if isinstance(cause, L2TError):
            raise _at(error, name, cause) from None
        raise ConfigurationError(f"{name} cannot be built: {first_line(cause)}") from error
    except OmegaConfBaseException as error:
        raise _unreadable(name, error) from error


def _unreadable(key: str, error: OmegaConfBaseException) -> ConfigurationError:
    missing = re.match(r"Interpolation key '(.+)' not found", str(error))
    if missing and error.full_key:
        return ConfigurationError(
            f"{error.full_key} cannot be read: it is made of {missing[1]}, which is not there; give "
            f"{error.full_key}=... on the command line."
        )
    return ConfigurationError(f"{key} cannot be read: {first_line(error)}.")


def _at(error: InstantiationException, name: str, cause: L2TError) -> L2TError:
    """The cause with the full key: a dataclass does not know that it stands inside another one."""
    found = re.search(r"full_key: (\S+)", str(error))
    path = found[1] if found else name
    last = path.rpartition(".")[2]
    told = next((part for part in (f"{name}.{last}", name, last) if str(cause).startswith(f"{part}.")), None)
    if told is None or str(cause).startswith(f"{path}."):
        return cause
    return type(cause)(re.sub(rf"(?<![\w./]){re.escape(told)}\.(?=\w)", f"{path}.", str(cause)))


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
