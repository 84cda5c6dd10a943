"""What reward, observation and termination speak of: physical quantities of one instant, in the ground's frame."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Float

from envs.cassie.figures import FOOT_ENDS, SIDES
from envs.cassie.rotations import rotated, rotated_back, turned, yaw_of
from envs.cassie.sensors import columns, foot_force
from envs.cassie.terrain.surface import height, support_normal
from envs.cassie.terrain.terrain import Terrain
from envs.physics.base import PhysicsState


class Quantities(NamedTuple):
    """Lengths in m, angles in rad, forces in N; feet left first.

    Pelvis and feet are not of quite the same instant, on any engine: a physics step computes what sensors say,
    accelerations and torques, and then moves. After a step all that is told of soles, heels, forces, torques and
    accelerations is as old as a substep, 2.5 ms, while the pelvis is where it is now: at 3 m/s a foot seems 7.5 mm
    behind. At the start of an episode both are of now.

    Attributes:
        position: of the pelvis.
        up: the world's z axis in the pelvis' axes: (0, 0, 1) when upright.
        yaw: where the pelvis looks.
        quaternion: of the pelvis.
        velocity: of the pelvis along where it looks, to its left, and up.
        spin: angular velocity in the pelvis' axes.
        acceleration: of the pelvis, world axes, gravity taken off.
        torques: of the motors over their nominal limits.
        clearance: height of the pelvis over the ground under it.
        soles: middle of each sole.
        sole_velocities: of the same.
        sole_normals, ground_normals: of the sole and of the ground under it, both up when the robot stands.
        sole_heights: of the soles over the ground under them.
        heel_heights: of the heel springs over the ground under their feet: on the way down stairs they hang over the
            tread before.
        forces: of the ground on each foot, world axes.
    """

    position: Float[Array, "3"]
    up: Float[Array, "3"]
    yaw: Float[Array, ""]
    quaternion: Float[Array, "4"]
    velocity: Float[Array, "3"]
    spin: Float[Array, "3"]
    acceleration: Float[Array, "3"]
    torques: Float[Array, "10"]
    clearance: Float[Array, ""]
    soles: Float[Array, "2 3"]
    sole_velocities: Float[Array, "2 3"]
    sole_normals: Float[Array, "2 3"]
    ground_normals: Float[Array, "2 3"]
    sole_heights: Float[Array, "2"]
    heel_heights: Float[Array, "2"]
    forces: Float[Array, "2 3"]


def measure(physics: PhysicsState, terrain: Terrain, model: mujoco.MjModel) -> Quantities:
    """Read a simulation."""
    qpos, qvel, data = physics["qpos"], physics["qvel"], physics["sensordata"]
    places = columns(model)

    def feet(what: str) -> Array:
        return jnp.stack([data[places[f"{side}-{what}"]] for side in SIDES])

    quaternion = qpos[3:7]
    yaw = yaw_of(quaternion)
    soles = feet("sole-position")
    heels = feet("heel-spring-position")
    contacts = jnp.stack(
        [sum(foot_force(data[places[f"{side}-{end}-contact"]]) for end in FOOT_ENDS) for side in SIDES]
    )
    return Quantities(
        position=qpos[:3],
        up=rotated_back(quaternion, jnp.array([0.0, 0.0, 1.0])),
        yaw=yaw,
        quaternion=quaternion,
        velocity=turned(qvel[:3], -yaw),
        spin=qvel[3:6],
        acceleration=physics["qacc"][:3],
        torques=physics["actuator_force"] / jnp.asarray(model.actuator_forcerange[:, 1], jnp.float32),
        clearance=qpos[2] - height(terrain, qpos[:2]),
        soles=soles,
        sole_velocities=feet("sole-velocity"),
        sole_normals=jnp.stack([rotated(q, jnp.array([0.0, 0.0, 1.0])) for q in feet("sole-orientation")]),
        ground_normals=jnp.stack([support_normal(terrain, sole[:2]) for sole in soles]),
        sole_heights=jnp.stack([sole[2] - height(terrain, sole[:2]) for sole in soles]),
        heel_heights=jnp.stack([heel[2] - height(terrain, sole[:2]) for heel, sole in zip(heels, soles, strict=True)]),
        forces=contacts,
    )
