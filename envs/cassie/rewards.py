"""The reward: terms between 0 and 1, each a function of what happened, weighted by `RewardTermsConfig`.

All terms are positive, so surviving pays and there is no bonus for being alive. Swing and stance follow Siekmann et
al., "Sim-to-real learning of all common bipedal gaits via periodic reward composition", arXiv 2011.01387.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.cassie.commands import Command
from envs.cassie.quantities import Quantities
from envs.cassie.settings import RewardTermsConfig

DEAD_ZONE = 0.05
"""m/s by which a velocity may miss its command for free."""


class Moment(NamedTuple):
    """What the terms depend on.

    Attributes:
        now: quantities after the step.
        command: that was in force.
        swinging: φ of both legs.
        change: of the action since the last step, per motor.
    """

    now: Quantities
    command: Command
    swinging: Float[Array, "2"]
    change: Float[Array, "10"]


def forward(moment: Moment) -> Float[Array, ""]:
    """exp(-2 dz(|v_x - v_x*|)), dz(e) = max(e - 0.05 m/s, 0)."""
    return _tracking(moment.now.velocity[0], moment.command.velocity[0])


def lateral(moment: Moment) -> Float[Array, ""]:
    """exp(-2 dz(|v_y - v_y*|))."""
    return _tracking(moment.now.velocity[1], moment.command.velocity[1])


def turn(moment: Moment) -> Float[Array, ""]:
    """exp(-3 |ω_z - ω_z*|)."""
    return jnp.exp(-3.0 * jnp.abs(moment.now.spin[2] - moment.command.velocity[2]))


def orientation(moment: Moment) -> Float[Array, ""]:
    """exp(-30 (d(pelvis, heading) + ½ Σ d(sole, ground))), d = sin²(half the angle between the two)."""
    now = moment.now
    half = 0.5 * moment.command.heading
    along = now.quaternion[0] * jnp.cos(half) + now.quaternion[3] * jnp.sin(half)
    soles = 0.5 * (1.0 - jnp.sum(now.sole_normals * now.ground_normals, axis=-1))
    return jnp.exp(-30.0 * (1.0 - along**2 + 0.5 * soles.sum()))


def swing(moment: Moment) -> Float[Array, ""]:
    """½ Σ exp(-0.01 φ |F|), F in N: a foot that swings carries nothing."""
    return jnp.exp(-0.01 * moment.swinging * jnp.linalg.norm(moment.now.forces, axis=-1)).mean()


def stance(moment: Moment) -> Float[Array, ""]:
    """½ Σ exp(-(1 - φ) |v|), v in m/s over the ground: a foot that stands does not slide."""
    return jnp.exp(-(1.0 - moment.swinging) * jnp.linalg.norm(moment.now.sole_velocities, axis=-1)).mean()


def acceleration(moment: Moment) -> Float[Array, ""]:
    """exp(-0.01 Σ |a|) of the pelvis, in m/s²."""
    return jnp.exp(-0.01 * jnp.abs(moment.now.acceleration).sum())


def smoothness(moment: Moment) -> Float[Array, ""]:
    """exp(-8 mean |Δa|)."""
    return jnp.exp(-8.0 * jnp.abs(moment.change).mean())


def torque(moment: Moment) -> Float[Array, ""]:
    """exp(-Σ |τ| / τ_max), over the ten motors."""
    return jnp.exp(-jnp.abs(moment.now.torques).sum())


TERMS = {
    term.__name__: term
    for term in (forward, lateral, turn, orientation, swing, stance, acceleration, smoothness, torque)
}
"""By the name of their weight."""


def reward_terms(moment: Moment, weights: RewardTermsConfig) -> dict[str, Float[Array, ""]]:
    """Every weighted term, as `reward_<name>`."""
    return {f"reward_{name}": weight * TERMS[name](moment) for name, weight in asdict(weights).items()}


def _tracking(velocity: Float[Array, ""], wanted: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.exp(-2.0 * jnp.maximum(jnp.abs(velocity - wanted) - DEAD_ZONE, 0.0))
