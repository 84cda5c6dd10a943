"""Ground that moves: the robot is simulated in the ground's frame, where gravity is g - a(t)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.cassie.terrain.terrain import Terrain


class Motion(NamedTuple):
    """Where the ground is, in the world: displacement in m, velocity in m/s, acceleration in m/s²."""

    displacement: Float[Array, "3"]
    velocity: Float[Array, "3"]
    acceleration: Float[Array, "3"]


def ground_motion(terrain: Terrain, time: Float[Array, ""]) -> Motion:
    """A sin(ωt + φ) on each axis and its two derivatives; zero unless the terrain moves.

    The ground translates without turning, so its frame differs from the world's by the fictitious force -m a(t) alone:
    a simulation in that frame is the one in the world with gravity g - a(t), positions less the displacement and
    velocities less the velocity. Where gravity is held for a step of the environment, take a(t) in its middle: a(t) of
    the beginning lets a pendulum's angle err a hundred times as much.
    """
    angle = terrain.frequency * time + terrain.phase
    sine, cosine = terrain.amplitude * jnp.sin(angle), terrain.amplitude * jnp.cos(angle)
    return Motion(sine, terrain.frequency * cosine, -(terrain.frequency**2) * sine)
