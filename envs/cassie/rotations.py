"""Rotations of vectors by quaternions wxyz, and by angles about z."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def yaw_of(quaternion: Float[Array, "4"]) -> Float[Array, ""]:
    """The angle about z of a rotation: where its x axis looks, seen from above."""
    w, x, y, z = quaternion
    return jnp.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def rotated(quaternion: Float[Array, "4"], vector: Float[Array, "3"]) -> Float[Array, "3"]:
    """R v."""
    w, axis = quaternion[0], quaternion[1:]
    crossed = 2.0 * jnp.cross(axis, vector)
    return vector + w * crossed + jnp.cross(axis, crossed)


def rotated_back(quaternion: Float[Array, "4"], vector: Float[Array, "3"]) -> Float[Array, "3"]:
    """R' v."""
    return rotated(quaternion * jnp.array([1.0, -1.0, -1.0, -1.0]), vector)


def turned(vector: Float[Array, "*n 3"], angle: Float[Array, ""]) -> Float[Array, "*n 3"]:
    """A vector turned about z."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    return jnp.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=-1)


def wrapped(angle: Float[Array, ""]) -> Float[Array, ""]:
    """The same angle in [-π, π)."""
    return jnp.mod(angle + jnp.pi, 2 * jnp.pi) - jnp.pi
