"""What Gymnasium's v5 environments tell beside the observation, after a reset and after a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from envs.mujoco.environment import MujocoEnvironment
from envs.mujoco.task import Metrics, Transition
from l2t.rl.types import EnvironmentState

PLACES = ("x_position", "y_position", "z_distance_from_origin", "distance_from_origin")
"""Entries of a task's `information` that a state has by itself; all others are about a step."""

TENDONS = {"tendon_length": "ten_length", "tendon_velocity": "ten_velocity"}
"""Entries of models with tendons, and the `MjData` fields behind them."""


def reset_information(environment: MujocoEnvironment, state: EnvironmentState) -> Metrics:
    """Where the robot is: what v5 tells at a reset. One instance."""
    nothing = Transition(state.physics, state.physics, jnp.zeros(environment.model.nu), state.extras["memory"])
    told = environment.task.information(nothing, environment.model)
    return {name: told[name] for name in PLACES if name in told} | _tendons(state)


def step_information(state: EnvironmentState) -> Metrics:
    """Reward terms and the task's other metrics: what v5 tells after a step. One instance or many."""
    return state.metrics | _tendons(state)


def of_one(values: Mapping[str, Any]) -> dict[str, Any]:
    """A single environment's form: Python numbers and float64 arrays."""
    return {
        name: float(value) if np.ndim(value) == 0 else np.array(value, np.float64) for name, value in values.items()
    }


def of_many(*parts: tuple[Mapping[str, Any], np.ndarray]) -> dict[str, Any]:
    """A vector environment's form: an array and, under `_<name>`, which instances it speaks of.

    Args:
        parts: entries, each `[env, ...]`, and the instances to take them from.
    """
    information: dict[str, Any] = {}
    for values, mask in parts:
        if mask.any():
            for name, value in values.items():
                array = information.setdefault(name, np.zeros(np.shape(value)))
                array[mask] = np.asarray(value)[mask]
                known = information.setdefault(f"_{name}", np.zeros(mask.shape, bool))
                known |= mask
    return information


def _tendons(state: EnvironmentState) -> Metrics:
    fields = state.physics.fields
    return {name: fields[field] for name, field in TENDONS.items() if field in fields}
