"""What the robot is asked to do: a velocity and a turn rate, drawn anew every few seconds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key

from envs.cassie.settings import CommandConfig


@struct.dataclass
class Command:
    """Attributes:
    velocity: forward and lateral in m/s, turn rate in rad/s.
    heading: where the robot should look by now: the integral of the turn rate, in rad.
    left: seconds until the next command.
    """

    velocity: Float[Array, "3"]
    heading: Float[Array, ""]
    left: Float[Array, ""]

    @property
    def stepping(self) -> Float[Array, ""]:
        """1 where the robot shall walk, 0 where it shall stand."""
        return (jnp.abs(self.velocity).max() > 0.0).astype(jnp.float32)


def draw(key: Key[Array, ""], config: CommandConfig, heading: Float[Array, ""] | float = 0.0) -> Command:
    """A command from here on."""
    velocity_key, stand_key, time_key = jax.random.split(key, 3)
    low, high = jnp.array([config.forward, config.lateral, config.turn]).T
    velocity = jax.random.uniform(velocity_key, (3,), jnp.float32, low, high)
    stand = jax.random.bernoulli(stand_key, config.stand)
    return Command(
        velocity=jnp.where(stand, 0.0, velocity),
        heading=jnp.asarray(heading, jnp.float32),
        left=jax.random.uniform(time_key, (), jnp.float32, *config.duration),
    )


def follow(key: Key[Array, ""], command: Command, config: CommandConfig, duration: float) -> Command:
    """The command `duration` seconds later: the same, or the next one."""
    heading = command.heading + duration * command.velocity[2]
    left = command.left - duration
    fresh = draw(key, config, heading)
    same = Command(command.velocity, heading, left)
    return jax.tree.map(lambda new, old: jnp.where(left <= 0.0, new, old), fresh, same)
