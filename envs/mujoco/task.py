"""What defines a MuJoCo task: a model file, the fields it reads, functions for start, observation, reward and end."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.physics.base import PhysicsState, Reads, displacement

Metrics = dict[str, Float[Array, ""]]


class Transition(NamedTuple):
    """What a reward may depend on."""

    before: PhysicsState
    after: PhysicsState
    action: Float[Array, " nu"]


class Task(Protocol):
    """A task is a frozen dataclass whose fields are the weights and ranges that a researcher may change."""

    @property
    def xml(self) -> str:
        """File name among Gymnasium's model assets."""
        ...

    @property
    def substeps(self) -> int:
        """Physics steps per environment step."""
        ...

    @property
    def episode_length(self) -> int:
        """Time limit in environment steps."""
        ...

    @property
    def reads(self) -> Reads:
        """The `MjData` fields that the functions below use."""
        ...

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Draw (qpos, qvel) from the start distribution."""
        ...

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Gymnasium's observation vector."""
        ...

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Reward terms by name, each `reward_...`; the reward is their sum."""
        ...

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Whether the state ends the episode (a time limit never does)."""
        ...

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Quantities to log beside the reward terms, such as `x_velocity`."""
        ...


def load_model(xml: str) -> mujoco.MjModel:
    """Compile one of the model files that the installed Gymnasium ships."""
    import gymnasium

    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / xml
    handler = mujoco.get_mju_user_warning()
    # HalfCheetah's file uses a deprecated attribute, which is not the user's business.
    mujoco.set_mju_user_warning(
        lambda message: None if "deprecated" in message else warnings.warn(message, stacklevel=2)
    )
    try:
        return mujoco.MjModel.from_xml_path(str(path))
    finally:
        mujoco.set_mju_user_warning(handler)


def initial_state(model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
    """(qpos, qvel) of the model at rest."""
    return jnp.asarray(model.qpos0, jnp.float32), jnp.zeros(model.nv, jnp.float32)


def uniform_noise(key: Key[Array, ""], size: int, scale: float) -> Float[Array, " size"]:
    """U(-scale, scale) per coordinate."""
    return jax.random.uniform(key, (size,), jnp.float32, -scale, scale)


def uniform_start(
    key: Key[Array, ""], model: mujoco.MjModel, scale: float, velocity: Callable[..., Any] = uniform_noise
) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
    """The rest state with qpos + U(-scale, scale) and qvel + `velocity(key, nv, scale)`."""
    qpos, qvel = initial_state(model)
    position_key, velocity_key = jax.random.split(key)
    return qpos + uniform_noise(position_key, model.nq, scale), qvel + velocity(velocity_key, model.nv, scale)


def normal_noise(key: Key[Array, ""], size: int, scale: float) -> Float[Array, " size"]:
    """N(0, scale^2) per coordinate."""
    return scale * jax.random.normal(key, (size,), jnp.float32)


def mean_velocity(transition: Transition, field: str, model: mujoco.MjModel, substeps: int) -> Array:
    """Displacement of `field` over the environment step divided by its duration, (x' - x) / (n dt)."""
    return displacement(transition.before, transition.after, field) / (model.opt.timestep * substeps)


def within(value: Array, interval: tuple[float, float]) -> Bool[Array, "..."]:
    """low < value < high, elementwise; false where `value` is not a number."""
    low, high = interval
    return (low < value) & (value < high)
