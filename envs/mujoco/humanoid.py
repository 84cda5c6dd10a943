"""Humanoid: walk forward upright."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import (
    body_velocities,
    external_forces,
    inertias,
    motor_torques,
    motors,
    positions,
    velocities,
)
from envs.mujoco.task import Metrics, Transition, mean_velocity, uniform_start, within
from envs.physics.base import PhysicsState, Reads

BODY_FIELDS = ("qpos", "qvel", "cinert", "cvel", "qfrc_actuator", "cfrc_ext")
LABELS = {"lwaist": "lower waist"}


@dataclass(frozen=True)
class Humanoid:
    """r = w_f dx/dt + w_h 1[healthy] - w_c |a|^2 - clip(w_e |F|^2): x of the centre of mass, F the external forces."""

    forward_reward_weight: float = 1.25
    ctrl_cost_weight: float = 0.1
    contact_cost_weight: float = 5e-7
    contact_cost_range: tuple[float, float] = (-float("inf"), 10.0)
    healthy_reward: float = 5.0
    terminate_when_unhealthy: bool = True
    healthy_z_range: tuple[float, float] = (1.0, 2.0)
    reset_noise_scale: float = 1e-2
    xml: str = "humanoid.xml"
    substeps: int = 5
    episode_length: int = 1000
    # The first entry of subtree_com is the centre of mass of everything, with the masses that the engine simulates.
    reads: Reads = Reads((*BODY_FIELDS, "subtree_com"), precise=("subtree_com",))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Rest pose, qpos and qvel + U(-s, s)."""
        return uniform_start(key, model, self.reset_noise_scale)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """See `observe_body`."""
        return observe_body(physics)

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """See `name_body`."""
        return name_body(model)

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Forward velocity, control cost, contact cost and the bonus for being healthy."""
        return {
            "reward_forward": self.forward_reward_weight * self._velocity(transition, model)[0],
            "reward_ctrl": -self.ctrl_cost_weight * jnp.sum(transition.action**2),
            "reward_contact": -contact_cost(transition.after, self.contact_cost_weight, self.contact_cost_range),
            "reward_survive": self.healthy_reward * self._healthy(transition.after),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Unhealthy, if that ends episodes."""
        return ~self._healthy(physics) & self.terminate_when_unhealthy

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Position of the torso and velocity of the centre of mass in the plane."""
        qpos = transition.after["qpos"]
        velocity = self._velocity(transition, model)
        return {
            "x_position": qpos[0],
            "y_position": qpos[1],
            "distance_from_origin": jnp.linalg.norm(qpos[:2]),
            "x_velocity": velocity[0],
            "y_velocity": velocity[1],
        }

    def _healthy(self, physics: PhysicsState) -> Bool[Array, ""]:
        return within(physics["qpos"][2], self.healthy_z_range)

    def _velocity(self, transition: Transition, model: mujoco.MjModel) -> Float[Array, "3"]:
        return mean_velocity(transition, "subtree_com", model, self.substeps)[0]


def observe_body(physics: PhysicsState) -> Float[Array, " observation"]:
    """Qpos without the root's x and y, qvel, inertias and velocities of bodies, actuator forces, external forces.

    Inertias and velocities are MuJoCo's, about the centre of mass. The world body is left out, as are the root's six
    coordinates of the actuator forces, where nothing acts.
    """
    return jnp.concatenate(
        [
            physics["qpos"][2:],
            physics["qvel"],
            physics["cinert"][1:].reshape(-1),
            physics["cvel"][1:].reshape(-1),
            physics["qfrc_actuator"][6:],
            physics["cfrc_ext"][1:].reshape(-1),
        ]
    )


def name_body(model: mujoco.MjModel) -> tuple[str, ...]:
    """One name per coordinate of `observe_body`."""
    return (
        *positions(model, LABELS)[2:],
        *velocities(model, LABELS),
        *inertias(model, LABELS),
        *body_velocities(model, LABELS),
        *motor_torques(model, LABELS),
        *external_forces(model, LABELS),
    )


def contact_cost(physics: PhysicsState, weight: float, interval: tuple[float, float]) -> Float[Array, ""]:
    """clip(w |F|^2), F the external forces on all bodies."""
    return jnp.clip(weight * jnp.sum(physics["cfrc_ext"] ** 2), *interval)
