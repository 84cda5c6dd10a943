"""From a composed or a stored configuration to checked dataclasses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from configs.fields import check_fields, check_keys
from configs.schema import KEYS, ExperimentConfig
from l2t.errors import ConfigurationError, L2TError, RunDirectoryError


def experiment_config(config: DictConfig) -> ExperimentConfig:
    """Check a composed configuration and turn it into dataclasses. Imports neither JAX nor MuJoCo.

    Raises:
        ConfigurationError: a key or value is wrong; the message lists what is possible.
        L2TError: whatever a configuration dataclass raises.
    """
    check_keys("", [str(key) for key in config], KEYS)
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigurationError(f"A value is missing: give {missing[0]}=... on the command line.")
    values = {}
    for name in config:
        node = config[name]
        if isinstance(node, DictConfig):
            check_fields(str(name), node)
            values[name] = _instantiate(str(name), node)
        else:
            values[name] = node
    for name in ("algorithm", "env", "physics"):
        if name not in values:
            raise ConfigurationError(f"The configuration has no {name}: give {name}=... on the command line.")
    return ExperimentConfig(**values)


def read_config(run_dir: str | Path, overrides: Sequence[str] = (), engine: str | None = None) -> ExperimentConfig:
    """The configuration of a run.

    Args:
        run_dir: a run directory.
        overrides: `key=value` changes.
        engine: another physics engine than the run's, where the run's may not be installed.

    Raises:
        RunDirectoryError: it is not a run directory.
        ConfigurationError: an override cannot be read, or its value is not possible.
    """
    path = Path(run_dir) / ".hydra" / "config.yaml"
    if not path.is_file():
        raise RunDirectoryError(f"{run_dir} is not a run directory: it has no .hydra/config.yaml.")
    try:
        config = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError) as error:
        raise RunDirectoryError(f"{path} cannot be read: {_first_line(error)}.") from error
    if not isinstance(config, DictConfig):
        raise RunDirectoryError(f"{path} is not the configuration of a training run.")
    if engine and OmegaConf.select(config, "physics._target_") == "envs.physics.config.PhysicsConfig":
        config.physics.engine = engine
    try:
        changed = OmegaConf.merge(config, OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigurationError(f"{' '.join(overrides)} cannot be read: {_first_line(error)}") from error
    assert isinstance(changed, DictConfig)
    return experiment_config(changed)


def _instantiate(name: str, node: DictConfig) -> Any:
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = _root_cause(error)
        if isinstance(cause, L2TError):
            raise _at(error, name, cause) from None
        raise ConfigurationError(f"{name} cannot be built: {_first_line(cause)}") from error
    except OmegaConfBaseException as error:
        raise ConfigurationError(f"{name} cannot be read: {_first_line(error)}") from error


def _at(error: InstantiationException, name: str, cause: L2TError) -> L2TError:
    """The cause with the full key: a dataclass does not know that it stands inside another one."""
    found = re.search(r"full_key: (\S+)", str(error))
    path = found[1] if found else name
    told = next((part for part in (name, path.rpartition(".")[2]) if str(cause).startswith(f"{part}.")), None)
    if told is None or str(cause).startswith(f"{path}."):
        return cause
    return type(cause)(str(cause).replace(f"{told}.", f"{path}.", 1))


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
