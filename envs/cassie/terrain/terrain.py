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
    # One draw for all: each call of a generator takes a third of a second to compile.
    number_key, seed_key = jax.random.split(key)
    drawn = jax.random.uniform(number_key, (13,))
    difficulty = jnp.asarray(difficulty, jnp.float32)
    kind = _kind(drawn[0], config)

    def only(name: str, value: Array) -> Array:
        return jnp.where(kind == KINDS.index(name), value, 0.0)

    def graded(ends: tuple[float, float]) -> Array:
        return ends[0] + difficulty * (ends[1] - ends[0])

    def between(ends: tuple[float, float], share: Array) -> Array:
        return ends[0] + (ends[1] - ends[0]) * share

    bearing = 2 * jnp.pi * drawn[1]
    amplitude = graded(config.motion)
    fewest, most = config.steps
    return Terrain(
        kind=kind,
        difficulty=difficulty,
        slope=only("slope", jnp.tan(graded(config.slope))),
        direction=jnp.stack([jnp.cos(bearing), jnp.sin(bearing)]),
        rise=only("stairs", jnp.where(drawn[2] < 0.5, -1.0, 1.0) * graded(config.rise)),
        run=between(config.run, drawn[3]),
        landing=between(config.landing, drawn[4]),
        steps=jnp.minimum(jnp.floor(between((fewest, most + 1), drawn[5])), most),
        roughness=only("uneven", graded(config.roughness)),
        wavelength=between(config.wavelength, drawn[6]),
        seed=jax.random.bits(seed_key, (), jnp.uint32),
        amplitude=jnp.full(3, only("moving", amplitude)),
        frequency=2 * jnp.pi * _frequencies(drawn[7:10], config, amplitude),
        phase=2 * jnp.pi * drawn[10:13],
    )


def one_hot(terrain: Terrain) -> Float[Array, " kinds"]:
    """Which kind it is, as a teacher sees it."""
    return jax.nn.one_hot(terrain.kind, len(KINDS))


def _kind(share: Float[Array, ""], config: TerrainConfig) -> Int[Array, ""]:
    if config.kind != "mixed":
        return jnp.asarray(KINDS.index(config.kind), jnp.int32)
    weights = jnp.asarray([config.weights.get(kind, 0.0) for kind in KINDS])
    limits = jnp.cumsum(weights) / jnp.sum(weights)
    return jnp.searchsorted(limits[:-1], share, side="right", method="compare_all").astype(jnp.int32)


def _frequencies(shares: Float[Array, "3"], config: TerrainConfig, amplitude: Float[Array, ""]) -> Float[Array, "3"]:
    """In Hz. The amplitude is the difficulty, so it is the frequency that yields where the acceleration is limited:

    |a| <= A (2π)² |f²| <= limit, which A (2πf)² <= limit / √3 on each axis ensures.
    """
    low, high = config.frequency
    fastest = jnp.sqrt(config.acceleration / (3.0**0.5 * jnp.maximum(amplitude, 1e-9))) / (2 * jnp.pi)
    limit = jnp.minimum(high, fastest)
    low = jnp.minimum(low, limit)
    return low + (limit - low) * shares
