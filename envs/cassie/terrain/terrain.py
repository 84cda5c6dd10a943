"""One terrain: the parameters of every kind in one pytree, and how an episode draws them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key, UInt32

from envs.cassie.terrain.config import KINDS, TerrainConfig


@struct.dataclass
class Terrain:
    """The ground of one episode. What a kind does not have is zero, so that all kinds are one program.

    Attributes:
        kind: index into `KINDS`.
        difficulty: in [0, 1].
        slope: tangent of the inclination.
        direction: unit vector of steepest ascent.
        rise: height of a stair in metres; negative where the first flight leads down.
        run, landing: of the stairs, in metres.
        steps: of a flight.
        roughness: amplitude of uneven ground in metres.
        wavelength: its lattice spacing in metres.
        seed: of its heights.
        amplitude: of the ground's motion along x, y and z, in metres.
        frequency: of that motion, in rad/s.
        phase: of that motion, in rad.
    """

    kind: Int[Array, ""]
    difficulty: Float[Array, ""]
    slope: Float[Array, ""]
    direction: Float[Array, "2"]
    rise: Float[Array, ""]
    run: Float[Array, ""]
    landing: Float[Array, ""]
    steps: Float[Array, ""]
    roughness: Float[Array, ""]
    wavelength: Float[Array, ""]
    seed: UInt32[Array, ""]
    amplitude: Float[Array, "3"]
    frequency: Float[Array, "3"]
    phase: Float[Array, "3"]


def draw(key: Key[Array, ""], config: TerrainConfig, difficulty: Float[Array, ""]) -> Terrain:
    """The terrain of an episode.

    Args:
        key: everything but the difficulty follows from it, so that the same key gives harder versions of one terrain.
        config: the kinds and their ranges.
        difficulty: d in [0, 1].
    """
    keys = iter(jax.random.split(key, 11))
    difficulty = jnp.asarray(difficulty, jnp.float32)
    kind = _kind(next(keys), config)

    def only(name: str, value: Array) -> Array:
        return jnp.where(kind == KINDS.index(name), value, 0.0)

    def graded(ends: tuple[float, float]) -> Array:
        return ends[0] + difficulty * (ends[1] - ends[0])

    def uniform(ends: tuple[float, float], shape: tuple[int, ...] = ()) -> Array:
        return jax.random.uniform(next(keys), shape, jnp.float32, *ends)

    bearing = uniform((0.0, 2 * jnp.pi))
    upward = jax.random.rademacher(next(keys), (), jnp.float32)
    amplitude = graded(config.motion)
    return Terrain(
        kind=kind,
        difficulty=difficulty,
        slope=only("slope", jnp.tan(graded(config.slope))),
        direction=jnp.stack([jnp.cos(bearing), jnp.sin(bearing)]),
        rise=only("stairs", upward * graded(config.rise)),
        run=uniform(config.run),
        landing=uniform(config.landing),
        steps=jax.random.randint(next(keys), (), config.steps[0], config.steps[1] + 1).astype(jnp.float32),
        roughness=only("uneven", graded(config.roughness)),
        wavelength=uniform(config.wavelength),
        seed=jax.random.bits(next(keys), (), jnp.uint32),
        amplitude=jnp.full(3, only("moving", amplitude)),
        frequency=2 * jnp.pi * _frequencies(next(keys), config, amplitude),
        phase=uniform((0.0, 2 * jnp.pi), (3,)),
    )


def one_hot(terrain: Terrain) -> Float[Array, " kinds"]:
    """Which kind it is, as a teacher sees it."""
    return jax.nn.one_hot(terrain.kind, len(KINDS))


def _kind(key: Key[Array, ""], config: TerrainConfig) -> Int[Array, ""]:
    if config.kind != "mixed":
        return jnp.asarray(KINDS.index(config.kind), jnp.int32)
    weights = jnp.asarray([config.weights.get(kind, 0.0) for kind in KINDS])
    return jax.random.choice(key, len(KINDS), p=weights / jnp.sum(weights)).astype(jnp.int32)


def _frequencies(key: Key[Array, ""], config: TerrainConfig, amplitude: Float[Array, ""]) -> Float[Array, "3"]:
    """In Hz. The amplitude is the difficulty, so it is the frequency that yields where the acceleration is limited:

    |a| <= A (2π)² |f²| <= limit, which A (2πf)² <= limit / √3 on each axis ensures.
    """
    low, high = config.frequency
    fastest = jnp.sqrt(config.acceleration / (3.0**0.5 * jnp.maximum(amplitude, 1e-9))) / (2 * jnp.pi)
    limit = jnp.minimum(high, fastest)
    return jax.random.uniform(key, (3,), jnp.float32, jnp.minimum(low, limit), limit)
