"""What a foot's sphere touches: planes that are placed anew for every step of the environment.

A plane stands still while the physics takes its substeps, and a fast foot moves several centimetres meanwhile. On
ground that bends over more than that one plane suffices: the tangent where the sphere will be in the middle of the
step. On stairs it does not: a plane of the tread lets the foot pass through the riser and then throws it up by the
height of the stair, a plane of the riser lets it sink into the tread. Hence two planes for each sphere, which near an
edge are the stairs exactly:

- the ground: without stairs the tangent, with stairs the lower of the two treads at the nearest edge;
- the step: the higher tread as the set {beyond the edge, below its level}, of which the plane is the face that is
  closest to the sphere, or the edge's tangent. Without stairs it lies far below.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.cassie.terrain.config import AWAY
from envs.cassie.terrain.surface import nearest_step, support_normal, undulation
from envs.cassie.terrain.terrain import Terrain


class Plane(NamedTuple):
    """The pose of a MuJoCo plane, whose normal is its z axis: a point of it in metres, and a quaternion wxyz."""

    position: Float[Array, "*planes 3"]
    orientation: Float[Array, "*planes 4"]


def contact_planes(
    terrain: Terrain,
    centre: Float[Array, "3"],
    velocity: Float[Array, "3"],
    duration: float | Float[Array, ""],
    radius: float,
) -> Plane:
    """The two planes that a foot's sphere may touch during the next step: ground and step, stacked.

    Args:
        terrain: the ground.
        centre: of the sphere now, in the ground's frame, in metres.
        velocity: of the centre in m/s. It predicts where the sphere will be in the middle of the step; where both are
            read off sensors, which are a substep old, it comes to 2.5 ms earlier, 7.5 of 20 ms into Cassie's step.
        duration: of the step in seconds.
        radius: of the sphere in metres.
    """
    middle = centre + 0.5 * duration * velocity
    ground = _ground(terrain, middle, radius)
    step = _step(terrain, centre, middle)
    return Plane(*(jnp.stack(pair) for pair in zip(ground, step, strict=True)))


def upright(normal: Float[Array, "3"]) -> Float[Array, "4"]:
    """The shortest rotation from z to a unit normal that does not point straight down."""
    quaternion = jnp.stack([1.0 + normal[2], -normal[1], normal[0], jnp.zeros_like(normal[2])])
    return quaternion / jnp.linalg.norm(quaternion)


def _ground(terrain: Terrain, centre: Float[Array, "3"], radius: float) -> Plane:
    # A sphere on a slope touches it not under its centre but uphill of that.
    touched = centre[:2] - radius * support_normal(terrain, centre[:2])[:2]
    level = undulation(terrain, touched) + nearest_step(terrain, centre[0]).lower
    return Plane(jnp.append(touched, level), upright(support_normal(terrain, touched)))


def _step(terrain: Terrain, centre: Float[Array, "3"], middle: Float[Array, "3"]) -> Plane:
    """The plane between the sphere and the higher tread at the nearest edge.

    Where the sphere's middle position would be inside the stair, its present one says from which side it comes.
    """
    step = nearest_step(terrain, middle[0])

    def beyond(point: Array) -> Array:
        return step.ascent * (point[0] - step.edge)

    outside = (beyond(middle) < 0.0) | (middle[2] > step.upper)
    point = jnp.where(outside, middle, centre)
    # From the closest point of the stair to the centre: along the way into the stair, and up.
    away = jnp.stack([jnp.minimum(beyond(point), 0.0), jnp.maximum(point[2] - step.upper, 0.0)])
    distance = jnp.linalg.norm(away)
    # A centre inside the stair is pushed out on the shorter way.
    face = jnp.where(beyond(point) < step.upper - point[2], jnp.array([-1.0, 0.0]), jnp.array([0.0, 1.0]))
    direction = jnp.where(distance > 0.0, away / jnp.maximum(distance, 1e-12), face)
    # The edge lies in both faces and in all of its own tangents.
    plane = Plane(
        jnp.stack([step.edge, point[1], step.upper]),
        upright(jnp.stack([step.ascent * direction[0], jnp.zeros(()), direction[1]])),
    )
    nowhere = Plane(jnp.array([0.0, 0.0, AWAY]), jnp.array([1.0, 0.0, 0.0, 0.0]))
    return Plane(*(jnp.where(terrain.rise == 0.0, far, near) for far, near in zip(nowhere, plane, strict=True)))
