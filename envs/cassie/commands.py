"""What the robot is asked to do: a velocity and a turn rate, drawn anew every few seconds and approached gradually."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key

from envs.cassie.gait import PERIOD, until_rest
from envs.cassie.settings import CommandConfig


@struct.dataclass
class Command:
    """What is asked for now.

    Attributes:
        velocity: forward and lateral in m/s, turn rate in rad/s.
        aim: what the velocity is on its way to.
        heading: where the robot should look by now: the integral of the turn rate, in rad.
        left: seconds until the next aim.
        stepping_left: seconds for which the robot shall go on stepping. They run down once the velocity is 0: half a
            cycle of the gait to a whole one, until both feet stand.
    """

    velocity: Float[Array, "3"]
    aim: Float[Array, "3"]
    heading: Float[Array, ""]
    left: Float[Array, ""]
    stepping_left: Float[Array, ""]

    @property
    def stepping(self) -> Float[Array, ""]:
        """1 where the robot shall walk, 0 where it shall stand."""
        return (self.stepping_left > 0.0).astype(jnp.float32)


def draw(key: Key[Array, ""], config: CommandConfig) -> Command:
    """A command to begin with."""
    aim, left = _next(key, config)
    return Command(
        velocity=aim,
        aim=aim,
        heading=jnp.zeros(()),
        left=left,
        stepping_left=jnp.where(_moves(aim), PERIOD, 0.0),
    )


def follow(
    key: Key[Array, ""], command: Command, config: CommandConfig, duration: float, phase: Float[Array, ""]
) -> Command:
    """The command `duration` seconds later, when the gait's clock is at `phase`: nearer to its aim, or to the next."""
    change = config.acceleration * duration
    velocity = command.velocity + jnp.clip(command.aim - command.velocity, -change, change)
    over = command.left - duration <= 0.0
    aim, left = _next(key, config)
    return Command(
        velocity=velocity,
        aim=jnp.where(over, aim, command.aim),
        heading=command.heading + duration * command.velocity[2],
        left=jnp.where(over, left, command.left - duration),
        # A step more, which shows that the leg has set down.
        stepping_left=jnp.where(
            _moves(velocity), until_rest(phase) + duration, jnp.maximum(command.stepping_left - duration, 0.0)
        ),
    )


def _next(key: Key[Array, ""], config: CommandConfig) -> tuple[Float[Array, "3"], Float[Array, ""]]:
    """A velocity, and how long to keep it."""
    drawn = jax.random.uniform(key, (5,))
    low, high = jnp.array([config.forward, config.lateral, config.turn]).T
    shortest, longest = config.duration
    return (
        jnp.where(drawn[3] < config.stand, 0.0, low + (high - low) * drawn[:3]),
        shortest + (longest - shortest) * drawn[4],
    )


def _moves(velocity: Float[Array, "3"]) -> Float[Array, ""]:
    return jnp.abs(velocity).max(axis=-1) > 0.0
