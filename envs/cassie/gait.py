"""The clock of the gait, and a stepping motion that a policy corrects.

A leg at phase p in [0, 1) swings for p < 1/2 and stands after that; the right leg is half a cycle behind the left one.
Without the stepping prior a policy finds standing still first and stays there.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

PERIOD = 0.7
"""Seconds of a whole cycle, two steps."""

SHARPNESS = 8.0
"""How suddenly a leg's duty changes from standing to swinging."""

LIFT, SWEEP = 0.33, 0.7
"""Of the prior: by how many metres the leg gets shorter, and which share of the commanded step it makes. The motors
give way under the robot's weight: of the lift some 5 cm are left under the foot."""


def advance(phase: Float[Array, ""], duration: float | Float[Array, ""]) -> Float[Array, ""]:
    """The clock `duration` seconds later."""
    return jnp.mod(phase + duration / PERIOD, 1.0)


def until_rest(phase: Float[Array, ""]) -> Float[Array, ""]:
    """Seconds to the second next time that a leg sets down: half a cycle to a whole one.

    There both feet stand, and the stepping motion comes and goes without a jump.
    """
    return 0.5 * PERIOD * (2.0 - jnp.mod(2.0 * phase, 1.0))


def legs(phase: Float[Array, ""]) -> Float[Array, "2"]:
    """The phases of the left and of the right leg."""
    return jnp.mod(phase + jnp.array([0.0, 0.5]), 1.0)


def swinging(phase: Float[Array, ""], stepping: Float[Array, ""]) -> Float[Array, "2"]:
    """φ of each leg: near 1 while it swings, near 0 while it stands, and 0 for both where the robot shall not step."""
    return stepping * jax.nn.sigmoid(SHARPNESS * jnp.sin(2 * jnp.pi * legs(phase)))


def prior(phase: Float[Array, ""], velocity: Float[Array, "3"], stepping: Float[Array, ""]) -> Float[Array, "10"]:
    """What the stepping motion adds to the motors' targets, rad; motors in the order of the controls.

    With s the share of swing or stance that is over, and v the commanded forward velocity,

        lift   z = L sin²(πs) in swing, 0 in stance,
        sweep  x = S v T/2 (-½ cos(πs) in swing, ½ - s in stance),
        hip pitch += 1.35 x + 1.4 z,   knee -= 3.25 z,   foot -= the change of the hip.
    """
    p = legs(phase)
    swing = p < 0.5
    s = jnp.where(swing, 2.0 * p, 2.0 * p - 1.0)
    z = LIFT * jnp.where(swing, jnp.sin(jnp.pi * s) ** 2, 0.0)
    x = SWEEP * velocity[0] * 0.5 * PERIOD * jnp.where(swing, -0.5 * jnp.cos(jnp.pi * s), 0.5 - s)
    hip = 1.35 * x + 1.4 * z
    still = jnp.zeros(2)
    return stepping * jnp.stack([still, still, hip, -3.25 * z, -hip], axis=1).reshape(-1)
