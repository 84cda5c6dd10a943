"""The shape of the ground: its height, gradient and normals at a point, and heights around the robot.

Every kind of terrain is a set of parameters of one function, those of the other kinds being zero:

    h(x, y) = tan(a) b(s) + H n(x) + A w(x, y) v(x, y),    s = direction · (x, y)

- b is the identity but for a level bench of half width `PATCH` across the start, so nowhere steeper than the slope;
- n counts the stairs up to x, rising by one over `RISER` metres;
- v is value noise in [-1, 1] on a square lattice, faded in by w around the start.

All of it has a continuous gradient and is exact to about 1e-5 m in float32 tens of metres from the origin. What feet
touch has true edges instead of smooth risers; see `envs.cassie.terrain.contact`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from envs.cassie.terrain.config import PATCH, RISER
from envs.cassie.terrain.terrain import Terrain

BLEND = 0.5
"""Metres over which the level patch becomes the terrain."""


def height(terrain: Terrain, xy: Float[Array, "2"]) -> Float[Array, ""]:
    """h(x, y) in metres; 0 at the start."""
    return undulation(terrain, xy) + terrain.rise * _stairs(terrain, xy[0])


def undulation(terrain: Terrain, xy: Float[Array, "2"]) -> Float[Array, ""]:
    """The height without the stairs."""
    climb = terrain.slope * _bench(jnp.dot(terrain.direction, xy))
    return climb + terrain.roughness * _fade(xy) * _noise(terrain, xy)


def gradient(terrain: Terrain, xy: Float[Array, "2"]) -> Float[Array, "2"]:
    """(∂h/∂x, ∂h/∂y)."""
    return jax.grad(height, argnums=1)(terrain, xy)


def support_normal(terrain: Terrain, xy: Float[Array, "2"]) -> Float[Array, "3"]:
    """Unit normal of what a sole can stand on: that of the treads also where a riser is."""
    upward = jnp.append(-jax.grad(undulation, argnums=1)(terrain, xy), 1.0)
    return upward / jnp.linalg.norm(upward)


class Step(NamedTuple):
    """The edge of a stair.

    Attributes:
        edge: its x in metres, in the middle of the riser.
        ascent: 1 where the stair is higher beyond the edge, -1 where it is higher before it.
        lower, upper: heights of the treads on both sides, in metres.
    """

    edge: Float[Array, ""]
    ascent: Float[Array, ""]
    lower: Float[Array, ""]
    upper: Float[Array, ""]


def nearest_step(terrain: Terrain, x: Float[Array, ""]) -> Step:
    """The edge that is nearest to x; without stairs, one between two treads of height 0."""
    into, riser, outward = _flight(terrain, x)
    near, far = terrain.rise * riser, terrain.rise * (riser + 1.0)
    return Step(
        edge=x - outward * (into - riser * terrain.run - 0.5 * RISER),
        ascent=jnp.where(terrain.rise < 0.0, -outward, outward),
        lower=jnp.minimum(near, far),
        upper=jnp.maximum(near, far),
    )


def scan(
    terrain: Terrain, origin: Float[Array, "2"], heading: Float[Array, ""], points: Float[Array, "points 2"]
) -> Float[Array, " points"]:
    """Heights at points that are given in the robot's level frame.

    Args:
        terrain: the ground.
        origin: of that frame, in the world.
        heading: angle of its x axis in radians.
        points: such as those of `scan_points`.
    """
    ahead = jnp.stack([jnp.cos(heading), jnp.sin(heading)])
    left = jnp.stack([-ahead[1], ahead[0]])
    return jax.vmap(lambda point: height(terrain, origin + point[0] * ahead + point[1] * left))(points)


def scan_points(behind: float = 0.4, ahead: float = 0.6, aside: float = 0.3, spacing: float = 0.1) -> np.ndarray:
    """A grid around the robot, row by row from behind to ahead, each from right to left: `[points, 2]`, in metres."""
    x = np.linspace(-behind, ahead, round((behind + ahead) / spacing) + 1)
    y = np.linspace(-aside, aside, round(2 * aside / spacing) + 1)
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)


def _bench(s: Float[Array, ""]) -> Float[Array, ""]:
    """0 within the patch, outside of it s less a constant; the gradient grows from 0 to 1 along `BLEND`."""
    beyond = jnp.maximum(jnp.abs(s) - PATCH, 0.0)
    bend = jnp.minimum(beyond, BLEND)
    return jnp.sign(s) * (bend**2 / (2.0 * BLEND) + beyond - bend)


def _stairs(terrain: Terrain, x: Float[Array, ""]) -> Float[Array, ""]:
    """How many stairs lie between the start and x."""
    into, riser, _ = _flight(terrain, x)
    return riser + _smoothstep((into - riser * terrain.run) / RISER)


def _flight(terrain: Terrain, x: Float[Array, ""]) -> tuple[Array, Array, Array]:
    """Metres from the foot of the flight to x, which of its risers is nearest, and whether it lies along x or -x.

    The start is in the middle of a landing. From there, in both directions alike: a flight, a landing, the same flight
    back, a landing, and so on for ever. Folded at the start and in the middle of every landing, that is one flight.
    """
    half_period = terrain.landing + (terrain.steps - 1.0) * terrain.run + RISER
    along = jnp.mod(jnp.abs(x), 2.0 * half_period) - half_period
    into = half_period - jnp.abs(along) - 0.5 * terrain.landing
    riser = jnp.clip(jnp.round((into - 0.5 * RISER) / terrain.run), 0.0, terrain.steps - 1.0)
    outward = jnp.where((x < 0.0) ^ (along > 0.0), -1.0, 1.0)
    return into, riser, outward


def _fade(xy: Float[Array, "2"]) -> Float[Array, ""]:
    """0 within the patch, 1 beyond the blend; of the squared distance, whose gradient at the start is no 0/0."""
    return _smoothstep((jnp.sum(xy**2) - PATCH**2) / ((PATCH + BLEND) ** 2 - PATCH**2))


def _noise(terrain: Terrain, xy: Float[Array, "2"]) -> Float[Array, ""]:
    """Value noise in [-1, 1]: independent uniform heights on a lattice, between them a smooth interpolation."""
    position = xy / terrain.wavelength
    corner = jnp.floor(position)
    weight = _smoothstep(position - corner)
    column, row = corner.astype(jnp.int32).astype(jnp.uint32)
    near = _between(_lattice(terrain.seed, column, row), _lattice(terrain.seed, column + 1, row), weight[0])
    far = _between(_lattice(terrain.seed, column, row + 1), _lattice(terrain.seed, column + 1, row + 1), weight[0])
    return _between(near, far, weight[1])


def _lattice(seed: UInt32[Array, ""], column: UInt32[Array, ""], row: UInt32[Array, ""]) -> Float[Array, ""]:
    """A number in [-1, 1) for each lattice point: a hash of its integers, mixed as in MurmurHash3's last steps."""
    word = _mix(_mix(seed + column * jnp.uint32(0x9E3779B1)) + row * jnp.uint32(0x85EBCA77))
    # The upper 24 bits are what float32 holds exactly.
    return (word >> 8).astype(jnp.float32) * 2.0**-23 - 1.0


def _mix(word: UInt32[Array, ""]) -> UInt32[Array, ""]:
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def _between(start: Array, end: Array, weight: Array) -> Array:
    return start + weight * (end - start)


def _smoothstep(t: Array) -> Array:
    """3t² - 2t³ from 0 to 1, constant outside."""
    t = jnp.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
