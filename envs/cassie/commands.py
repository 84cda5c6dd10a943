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
        return (jnp.abs(self.velocity).max(axis=-1) > 0.0).astype(jnp.float32)


def draw(key: Key[Array, ""], config: CommandConfig, heading: Float[Array, ""] | float = 0.0) -> Command:
    """A command from here on."""
    drawn = jax.random.uniform(key, (5,))
    low, high = jnp.array([config.forward, config.lateral, config.turn]).T
    shortest, longest = config.duration
    return Command(
        velocity=jnp.where(drawn[3] < config.stand, 0.0, low + (high - low) * drawn[:3]),
        heading=jnp.asarray(heading, jnp.float32),
        left=shortest + (longest - shortest) * drawn[4],
    )


def follow(key: Key[Array, ""], command: Command, config: CommandConfig, duration: float) -> Command:
    """The command `duration` seconds later: the same, or the next one."""
    heading = command.heading + duration * command.velocity[2]
    left = command.left - duration
    fresh = draw(key, config, heading)
    same = Command(command.velocity, heading, left)
    return jax.tree.map(lambda new, old: jnp.where(left <= 0.0, new, old), fresh, same)
