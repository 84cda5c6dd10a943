"""One terrain: the parameters of every kind in one pytree, and how an episode draws them."""

from __future__ import annotations

from typing import Any

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


def draw(
    key: Key[Array, ""], config: TerrainConfig, difficulty: Float[Array, ""], kind: Int[Array, ""] | None = None
) -> Terrain:
    """The terrain of an episode.

    Args:
        key: everything but the difficulty follows from it, so that the same key gives harder versions of one terrain.
        config: the kinds and their ranges.
        difficulty: d in [0, 1].
        kind: index into `KINDS`; None draws it.
    """
    kind_key, seed_key, key = jax.random.split(key, 3)
    kind = _kind(kind_key, config) if kind is None else kind
    difficulty = jnp.asarray(difficulty, jnp.float32)
    bearing, upward, run, landing, wavelength, steps, *axes = jax.random.uniform(key, (12,), jnp.float32)
    frequency, phase = jnp.stack(axes[:3]), jnp.stack(axes[3:])

    def only(name: str, value: Array) -> Array:
        return jnp.where(kind == KINDS.index(name), value, 0.0)

    angle = 2 * jnp.pi * bearing
    fewest, most = config.steps
    amplitude = _between(config.motion, difficulty)
    return Terrain(
        kind=kind,
        difficulty=difficulty,
        slope=only("slope", jnp.tan(_between(config.slope, difficulty))),
        direction=jnp.stack([jnp.cos(angle), jnp.sin(angle)]),
        rise=only("stairs", jnp.where(upward < 0.5, 1.0, -1.0) * _between(config.rise, difficulty)),
        run=_between(config.run, run),
        landing=_between(config.landing, landing),
        steps=jnp.minimum(jnp.floor(_between((fewest, most + 1), steps)), most),
        roughness=only("uneven", _between(config.roughness, difficulty)),
        wavelength=_between(config.wavelength, wavelength),
        seed=jax.random.bits(seed_key, (), jnp.uint32),
        amplitude=jnp.full(3, only("moving", amplitude)),
        frequency=2 * jnp.pi * _between(_frequencies(config, amplitude), frequency),
        phase=2 * jnp.pi * phase,
    )


def one_hot(terrain: Terrain) -> Float[Array, " kinds"]:
    """Which kind it is, as a teacher sees it."""
    return jax.nn.one_hot(terrain.kind, len(KINDS))


def _kind(key: Key[Array, ""], config: TerrainConfig) -> Int[Array, ""]:
    if config.kind != "mixed":
        return jnp.asarray(KINDS.index(config.kind), jnp.int32)
    weights = jnp.asarray([config.weights.get(kind, 0.0) for kind in KINDS])
    return jax.random.choice(key, len(KINDS), p=weights / jnp.sum(weights)).astype(jnp.int32)


def _frequencies(config: TerrainConfig, amplitude: Float[Array, ""]) -> tuple[Array, Array]:
    """Ends of the range in Hz. The amplitude is the difficulty, so that it is the frequency which makes way:

    |a| <= A (2π)² |f²| <= limit, which A (2πf)² <= limit / √3 on each axis ensures.
    """
    low, high = config.frequency
    fastest = jnp.sqrt(config.acceleration / (3.0**0.5 * jnp.maximum(amplitude, 1e-9))) / (2 * jnp.pi)
    return jnp.minimum(low, fastest), jnp.minimum(high, fastest)


def _between(ends: tuple[Any, Any], share: Array) -> Array:
    return ends[0] + share * (ends[1] - ends[0])
