"""What differs from episode to episode: ground, masses, joints, motors and sensors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
from flax import struct
from jaxtyping import Array, Bool, Float, Key

from envs.cassie.figures import PELVIS
from envs.cassie.settings import RandomisationConfig
from envs.physics.base import ModelOverrides
from l2t.rl.keys import aside

ENCODERS = 14
"""Ten motors, then shin and tarsus of both legs."""


@struct.dataclass
class Dynamics:
    """One episode's; see `RandomisationConfig` for the meaning and the units."""

    friction: Float[Array, ""]
    mass: Float[Array, ""]
    payload: Float[Array, ""]
    centre: Float[Array, "3"]
    damping: Float[Array, ""]
    stiffness: Float[Array, ""]
    gains: Float[Array, ""]
    strength: Float[Array, ""]
    encoder_bias: Float[Array, "14"]
    action_delay: Bool[Array, ""]
    sensor_delay: Bool[Array, ""]


NOMINAL = {"payload": 0.0}
"""Of what is not a factor on the model's own value, whose nominal is 1."""


def draw(key: Key[Array, ""], config: RandomisationConfig) -> Dynamics:
    """The dynamics of an episode."""
    # One draw for all: each call of a generator takes a third of a second to compile.
    numbers = iter(jnp.split(jax.random.uniform(key, (12 + ENCODERS,)), list(range(1, 13))))
    amount = config.amount

    def uniform(name: str) -> Array:
        nominal = NOMINAL.get(name, 1.0)
        low, high = (nominal + amount * (end - nominal) for end in getattr(config, name))
        return low + (high - low) * next(numbers)[0]

    def happens(name: str) -> Array:
        return next(numbers)[0] < amount * getattr(config, name)

    return Dynamics(
        friction=uniform("friction"),
        mass=uniform("mass"),
        payload=uniform("payload"),
        damping=uniform("damping"),
        stiffness=uniform("stiffness"),
        gains=uniform("gains"),
        strength=uniform("strength"),
        action_delay=happens("action_delay"),
        sensor_delay=happens("sensor_delay"),
        centre=amount * config.centre * (2.0 * jnp.concatenate([next(numbers) for _ in range(3)]) - 1.0),
        encoder_bias=amount * config.encoder_bias * (2.0 * next(numbers) - 1.0),
    )


def redraw(key: Key[Array, ""], config: RandomisationConfig, last: Dynamics, fell: Bool[Array, ""]) -> Dynamics:
    """The dynamics of the episode after one with `last`: the same again by `config.repeat` where that one `fell`."""
    fresh = draw(key, config)
    if not config.repeat:
        return fresh
    again = fell & (jax.random.uniform(aside(key)) < config.repeat)
    return jax.tree.map(lambda old, new: jnp.where(again, old, new), last, fresh)


def overrides(dynamics: Dynamics, model: mujoco.MjModel) -> ModelOverrides:
    """The fields of the model that make it so. A payload sits where the pelvis's own mass is spread."""
    pelvis = model.body(PELVIS.name).id
    mass, inertia, centre, gain, bias = (
        jnp.asarray(field, jnp.float32)
        for field in (
            model.body_mass,
            model.body_inertia,
            model.body_ipos,
            model.actuator_gainprm,
            model.actuator_biasprm,
        )
    )
    loaded = dynamics.mass + jnp.zeros(model.nbody).at[pelvis].set(dynamics.payload / model.body_mass[pelvis])
    return {
        "pair_friction": jnp.asarray(model.pair_friction, jnp.float32).at[:, :2].multiply(dynamics.friction),
        "body_mass": loaded * mass,
        "body_inertia": loaded[:, None] * inertia,
        "body_ipos": centre.at[pelvis].add(dynamics.centre),
        "dof_damping": dynamics.damping * jnp.asarray(model.dof_damping, jnp.float32),
        "jnt_stiffness": dynamics.stiffness * jnp.asarray(model.jnt_stiffness, jnp.float32),
        "actuator_gainprm": dynamics.gains * gain,
        "actuator_biasprm": dynamics.gains * bias,
        "actuator_forcerange": dynamics.strength * jnp.asarray(model.actuator_forcerange, jnp.float32),
    }
