"""What is told of a step beside observation and reward: how well the robot does, why it fell, and what it was given."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from envs.cassie.dynamics import Dynamics
from envs.cassie.memory import CassieMemory
from envs.cassie.quantities import Quantities
from envs.cassie.rotations import turned, wrapped
from envs.mujoco.task import Metrics, Transition
from envs.physics.base import displacement

AT_LIMIT = 0.98
"""Share of an episode's own torque limit from which a motor counts as at it."""


def information(
    transition: Transition, now: Quantities, endings: Mapping[str, Bool[Array, ""]], duration: float
) -> Metrics:
    """How well the command is followed, how the robot walks, and what decides about both.

    `speed_along` is the pelvis's velocity in the world along the commanded direction, d · Δ(x, y)/Δt in m/s with
    d = R(heading) v*/|v*|, and `speed_asked` is |v*|: turning about on the spot covers no ground. `saturation` is
    the share of motors at the limit that the episode drew for them. `ended_<criterion>` is 1 where a criterion is met
    that ends the episode, several may be at once, and `drawn_<name>` what the episode's randomisation drew.

    Args:
        transition: the step.
        now: measured after it.
        endings: which criteria of an end are met after it.
        duration: of a step, in s.
    """
    memory: CassieMemory = transition.memory
    command = memory.command
    stands = jnp.linalg.norm(now.forces, axis=-1) > 1.0
    speeds = jnp.linalg.norm(now.sole_velocities[:, :2], axis=-1)
    heading = command.heading + duration * command.velocity[2]
    asked = jnp.linalg.norm(command.velocity[:2])
    towards = turned(command.velocity.at[2].set(0.0), heading)[:2] / jnp.maximum(asked, 1e-6)
    moved = displacement(transition.before, transition.after, "qpos")[:2] / duration
    heights = jnp.where(stands, 0.0, now.sole_heights)
    return {
        "x_position": now.position[0],
        "y_position": now.position[1],
        "x_velocity": now.velocity[0],
        "y_velocity": now.velocity[1],
        "command_forward": command.velocity[0],
        "command_lateral": command.velocity[1],
        "command_turn": command.velocity[2],
        "velocity_error": jnp.linalg.norm(now.velocity[:2] - command.velocity[:2]),
        "heading_error": jnp.abs(wrapped(now.yaw - heading)),
        "speed_along": jnp.dot(towards, moved),
        "speed_asked": asked,
        "difficulty": memory.terrain.difficulty,
        "push": jnp.linalg.norm(memory.push.acting),
        "left_clearance": heights[0],
        "right_clearance": heights[1],
        "slip": jnp.sum(stands * speeds) / jnp.maximum(jnp.sum(stands), 1.0),
        "left_contact": stands[0].astype(jnp.float32),
        "right_contact": stands[1].astype(jnp.float32),
        "double_support": jnp.all(stands).astype(jnp.float32),
        "flight": jnp.all(~stands).astype(jnp.float32),
        # The engine clips at the strength that was drawn, not at the nominal limit.
        "saturation": jnp.mean(jnp.abs(now.torques) > AT_LIMIT * memory.dynamics.strength),
        **{f"ended_{name}": met.astype(jnp.float32) for name, met in endings.items()},
        "ended_physics": transition.after.unstable.astype(jnp.float32),
        **{f"drawn_{name}": value for name, value in _drawn(memory.dynamics).items()},
    }


def _drawn(dynamics: Dynamics) -> dict[str, Float[Array, ""]]:
    """One number for each thing that is drawn, but for three of the centre of mass."""
    return {
        "friction": dynamics.friction,
        "mass": dynamics.mass,
        "payload": dynamics.payload,
        "centre_x": dynamics.centre[0],
        "centre_y": dynamics.centre[1],
        "centre_z": dynamics.centre[2],
        "damping": dynamics.damping,
        "stiffness": dynamics.stiffness,
        "gains": dynamics.gains,
        "strength": dynamics.strength,
        "encoder_bias": jnp.abs(dynamics.encoder_bias).max(),
        "action_delay": dynamics.action_delay.astype(jnp.float32),
        "sensor_delay": dynamics.sensor_delay.astype(jnp.float32),
    }
