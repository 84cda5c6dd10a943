"""Ant: run forward on four legs without flipping over."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import external_forces, motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, mean_velocity, normal_noise, uniform_start
from envs.physics.base import PhysicsState, Reads

TORSO = 1


LABELS = {
    "back_leg": "back left leg",
    "right_back_leg": "back right leg",
    "hip_1": "front left hip",
    "ankle_1": "front left ankle",
    "aux_1": "front left hip link",
    "hip_2": "front right hip",
    "ankle_2": "front right ankle",
    "aux_2": "front right hip link",
    "hip_3": "back left hip",
    "ankle_3": "back left ankle",
    "aux_3": "back left hip link",
    "hip_4": "back right hip",
    "ankle_4": "back right ankle",
    "aux_4": "back right hip link",
}
"""Legs are called as the model file calls them, whichever way the task runs."""


@dataclass(frozen=True)
class Ant:
    """r = w_f dx/dt + w_h 1[healthy] - w_c |a|^2 - w_e |clip(F)|^2: x of the torso, F the external forces on bodies."""

    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 0.5
    contact_cost_weight: float = 5e-4
    healthy_reward: float = 1.0
    terminate_when_unhealthy: bool = True
    healthy_z_range: tuple[float, float] = (0.2, 1.0)
    contact_force_range: tuple[float, float] = (-1.0, 1.0)
    reset_noise_scale: float = 0.1
    xml: str = "ant.xml"
    substeps: int = 5
    episode_length: int = 1000
    reads: Reads = Reads(("qpos", "qvel", "xpos", "cfrc_ext"), precise=("xpos",))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Rest pose, qpos + U(-s, s), qvel + N(0, s^2)."""
        return uniform_start(key, model, self.reset_noise_scale, normal_noise)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Qpos without the root's x and y, qvel, clipped external forces on every body but the world."""
        return jnp.concatenate([physics["qpos"][2:], physics["qvel"], self._contact_forces(physics)[1:].reshape(-1)])

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        return (*positions(model, LABELS)[2:], *velocities(model, LABELS), *external_forces(model, LABELS))

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Forward velocity, control cost, contact cost and the bonus for being healthy."""
        return {
            "reward_forward": self.forward_reward_weight * self._velocity(transition, model)[0],
            "reward_ctrl": -self.ctrl_cost_weight * jnp.sum(transition.action**2),
            "reward_contact": -self.contact_cost_weight * jnp.sum(self._contact_forces(transition.after) ** 2),
            "reward_survive": self.healthy_reward * self._healthy(transition.after),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Unhealthy, if that ends episodes."""
        return ~self._healthy(physics) & self.terminate_when_unhealthy

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Position and velocity in the plane."""
        qpos = transition.after["qpos"]
        velocity = self._velocity(transition, model)
        return {
            "x_position": qpos[0],
            "y_position": qpos[1],
            "distance_from_origin": jnp.linalg.norm(qpos[:2]),
            "x_velocity": velocity[0],
            "y_velocity": velocity[1],
        }

    def _contact_forces(self, physics: PhysicsState) -> Float[Array, "body 6"]:
        return jnp.clip(physics["cfrc_ext"], *self.contact_force_range)

    def _healthy(self, physics: PhysicsState) -> Bool[Array, ""]:
        low, high = self.healthy_z_range
        qpos, qvel = physics["qpos"], physics["qvel"]
        finite = jnp.all(jnp.isfinite(qpos)) & jnp.all(jnp.isfinite(qvel))
        return finite & (low <= qpos[2]) & (qpos[2] <= high)

    def _velocity(self, transition: Transition, model: mujoco.MjModel) -> Float[Array, "3"]:
        return mean_velocity(transition, "xpos", model, self.substeps)[TORSO]
