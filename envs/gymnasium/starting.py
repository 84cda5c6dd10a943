"""How an episode of a task starts and goes on: keys, start states and actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from envs.mujoco.environment import MujocoEnvironment
from l2t.errors import ConfigurationError
from l2t.rl.types import EnvironmentState


def seed_key(seed: int) -> Key[Array, ""]:
    """A key from the seed's low 32 bits."""
    return jax.random.key(np.uint32(seed % 2**32))


def seed_keys(seeds: Sequence[int]) -> Key[Array, " seed"]:
    """The `seed_key` of each."""
    return jax.vmap(jax.random.key)(np.array([seed % 2**32 for seed in seeds], np.uint32))


def start_state(
    environment: MujocoEnvironment, options: Mapping[str, Any], lead: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """(qpos, qvel) from reset options, broadcast to `[*lead, nq]` and `[*lead, nv]`; None if they name no state."""
    if not {"qpos", "qvel"} & options.keys():
        return None
    sizes = {"qpos": environment.model.nq, "qvel": environment.model.nv}
    given = {}
    for name, size in sizes.items():
        if name not in options:
            raise ConfigurationError(
                f"reset options must give qpos and qvel; {name} must have length {size}, it is missing."
            )
        value = _numbers(f"reset option {name}", options[name])
        if value.shape not in {(size,), (*lead, size)}:
            raise ConfigurationError(
                f"reset options must give qpos and qvel; {name} must have length {size}, it has shape {value.shape}."
            )
        if not np.isfinite(value).all():
            raise ConfigurationError(f"reset option {name} holds a number that is not finite.")
        given[name] = np.broadcast_to(value, (*lead, size))
    return given["qpos"], given["qvel"]


def reset_to(environment: MujocoEnvironment, key: Key[Array, ""], qpos: Array, qvel: Array) -> EnvironmentState:
    """Start at (qpos, qvel) with model fields randomised as at any reset."""
    override_key, key = jax.random.split(key)
    return environment.reset_to(key, jnp.asarray(qpos), jnp.asarray(qvel), environment.draw_overrides(override_key))


def check_action(action: Any, space: gymnasium.Space[Any], ignored: Any = False) -> np.ndarray:
    """The action, or the actions, as float32 of the space's shape; 0 where `ignored`, whatever was there."""
    action = _numbers("The action", action)
    if action.shape != space.shape:
        raise ConfigurationError(f"The action has shape {action.shape}; it must be {space.shape}.")
    if np.any(ignored):
        action = np.where(np.expand_dims(ignored, -1), np.float32(0.0), action)
    if not np.isfinite(action).all():
        raise ConfigurationError("The action holds a number that is not finite.")
    return action


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            return np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} must hold numbers: {error}.") from error
