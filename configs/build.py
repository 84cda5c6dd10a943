"""From a composed configuration to checked dataclasses, and from those to an environment and an algorithm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from configs.fields import check_fields, check_keys
from configs.messages import first_line
from configs.overrides import parse
from configs.schema import KEYS, ExperimentConfig
from l2t.errors import ConfigurationError, L2TError, RunDirectoryError

if TYPE_CHECKING:
    from l2t.rl.algorithm import Algorithm, FrozenPolicy
    from l2t.rl.types import Environment


def experiment_config(config: DictConfig) -> ExperimentConfig:
    """Check a composed configuration and turn it into dataclasses. Imports neither JAX nor MuJoCo.

    Raises:
        ConfigurationError: a key or value is wrong; the message lists what is possible.
        L2TError: whatever a configuration dataclass raises.
    """
    check_keys("", map(str, config), KEYS)
    own = config.copy()  # checking turns 1e3 into 1000 where a whole number is meant
    OmegaConf.set_readonly(own, False)
    try:
        missing = sorted(OmegaConf.missing_keys(own))
        if missing:
            raise ConfigurationError(f"A value is missing: give {missing[0]}=... on the command line.")
        values = {name: _value(name, own[name]) for name in map(str, own)}
    except OmegaConfBaseException as error:
        raise ConfigurationError(
            f"{error.full_key or 'The configuration'} cannot be read: {first_line(error)}."
        ) from error
    for name in ("algorithm", "env", "physics"):
        if name not in values:
            raise ConfigurationError(f"The configuration has no {name}: give {name}=... on the command line.")
    return ExperimentConfig(**values)


def build(config: ExperimentConfig) -> tuple[Environment, Algorithm]:
    """Construct the environment and the algorithm that trains in it. Imports JAX."""
    from l2t.rl.algorithm import BuildContext

    environment = config.env.build(config.physics)
    context = BuildContext(
        environment=environment,
        num_envs=config.num_envs,
        total_steps=config.total_steps,
        network=config.network,
        load_policy=partial(load_policy, physics=config.physics),
    )
    return environment, config.algorithm.build(context)


class Run(NamedTuple):
    """A training run read back from its directory."""

    config: ExperimentConfig
    environment: Environment
    algorithm: Algorithm
    state: Any


def read_config(run_dir: str | Path, overrides: Sequence[str] = (), engine: str | None = None) -> ExperimentConfig:
    """The configuration of a run.

    Args:
        run_dir: a run directory.
        overrides: `key=value` changes, in Hydra's grammar.
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
        raise RunDirectoryError(f"{path} cannot be read: {first_line(error)}.") from error
    if not isinstance(config, DictConfig) or not config:
        raise RunDirectoryError(f"{path} is not the configuration of a training run.")
    if engine and OmegaConf.select(config, "physics._target_") == "envs.physics.config.PhysicsConfig":
        config.physics.engine = engine
    # Where it was written, and after what, may hold ${now:...} and the like, which only a starting run resolves.
    config.run_dir = config.resume = None
    for text in overrides:
        _change(config, text)
    return experiment_config(config)


def load_run(run_dir: str | Path, seed_index: int = 0, config: ExperimentConfig | None = None) -> Run:
    """Rebuild a run and restore what it has learnt from its newest checkpoint.

    The simulations that were under way are left out (`state.environments` is None): policies do not need them, and
    another physics engine could not read them.

    Args:
        run_dir: a run directory.
        seed_index: which of a batch of seeds (`num_seeds` > 1) to take.
        config: the run's configuration with another environment or engine; by default as it was trained.

    Raises:
        RunDirectoryError: it is not a run directory.
        CheckpointError: there is no readable checkpoint in it.
    """
    import jax

    from l2t.run.checkpoint import Checkpoints

    config = config or read_config(run_dir)
    if not 0 <= seed_index < config.num_seeds:
        raise ConfigurationError(f"seed_index={seed_index} does not exist; the run has {config.num_seeds} seed(s).")
    environment, algorithm = build(config)
    key = jax.random.key(0)
    like = jax.eval_shape(algorithm.init, key)
    if config.num_seeds > 1:
        like = jax.eval_shape(jax.vmap(algorithm.init), jax.random.split(key, config.num_seeds))
    left_out = ""
    if is_dataclass(like) and not isinstance(like, type) and hasattr(like, "environments"):
        like, left_out = replace(like, environments=None), ".environments"
    state, _ = Checkpoints(Path(run_dir) / "checkpoints").restore(like, config.identity, left_out)
    if config.num_seeds > 1:
        state = jax.tree.map(lambda leaf: leaf[seed_index], state)
    return Run(config, environment, algorithm, state)


def load_policy(run_dir: str | Path, role: str, seed_index: int = 0, physics: Any = None) -> FrozenPolicy:
    """The deterministic policy of a role of a finished run, frozen.

    Args:
        run_dir: the run directory.
        role: such as `teacher`.
        seed_index: which of a batch of seeds.
        physics: configuration of the engine to rebuild the task on; by default the run's own.
    """
    import json

    from l2t.config import check_choice
    from l2t.rl.algorithm import FrozenPolicy

    config = read_config(run_dir, engine="auto" if physics else None)
    run = load_run(run_dir, seed_index, replace(config, physics=physics) if physics else config)
    check_choice("role", role, run.algorithm.roles)
    result = Path(run_dir) / "result.json"
    env_steps = json.loads(result.read_text())["env_steps"] if result.is_file() else 0

    def apply(parameters: Any, observation: Any, key: Any) -> Any:
        return run.algorithm.policy(parameters, role)(observation, key)

    return FrozenPolicy(apply, run.state, run.environment.spec.name, env_steps)


def _value(name: str, node: Any) -> Any:
    if isinstance(node, DictConfig):
        check_fields(name, node)
        return _instantiate(name, node)
    return OmegaConf.to_container(node) if isinstance(node, ListConfig) else node


def _change(config: DictConfig, text: str) -> None:
    """Apply an override to a stored configuration: Hydra would, but only to one that it has just composed."""
    override = parse(text)
    if override.is_delete() or override.is_sweep_override() or override.package:
        raise ConfigurationError(f"{text} cannot be applied to a run: give one value, as key=value.")
    try:
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True, force_add=True)
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise ConfigurationError(f"{text} cannot be set: {first_line(error)}") from error


def _instantiate(name: str, node: DictConfig) -> Any:
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = _root_cause(error)
        if isinstance(cause, L2TError):
            raise _at(error, name, cause) from None
        raise ConfigurationError(f"{name} cannot be built: {first_line(cause)}") from error
    except OmegaConfBaseException as error:
        raise ConfigurationError(f"{name} cannot be read: {first_line(error)}") from error


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
