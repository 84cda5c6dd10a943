"""Swimmer: three links swim forward in a viscous fluid; never terminates."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, mean_velocity, uniform_start
from envs.physics.base import PhysicsState, Reads

LABELS = {
    "slider1": "front tip x",
    "slider2": "front tip y",
    "free_body_rot": "first link",
    "motor1_rot": "first rotor",
    "motor2_rot": "second rotor",
}


@dataclass(frozen=True)
class Swimmer:
    """r = w_f dx/dt - w_c |a|^2."""

    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 1e-4
    reset_noise_scale: float = 0.1
    xml: str = "swimmer.xml"
    substeps: int = 4
    episode_length: int = 1000
    reads: Reads = Reads(("qpos", "qvel"), precise=("qpos",))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Straight, qpos and qvel + U(-s, s)."""
        return uniform_start(key, model, self.reset_noise_scale)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Qpos without the root's x and y, qvel."""
        return jnp.concatenate([physics["qpos"][2:], physics["qvel"]])

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        return (*positions(model, LABELS)[2:], *velocities(model, LABELS))

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Forward velocity and control cost."""
        return {
            "reward_forward": self.forward_reward_weight * self._velocity(transition, model)[0],
            "reward_ctrl": -self.ctrl_cost_weight * jnp.sum(transition.action**2),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Never."""
        return jnp.asarray(False)

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Position and velocity in the plane."""
        position = transition.after["qpos"][:2]
        velocity = self._velocity(transition, model)
        return {
            "x_position": position[0],
            "y_position": position[1],
            "distance_from_origin": jnp.linalg.norm(position),
            "x_velocity": velocity[0],
            "y_velocity": velocity[1],
        }

    def _velocity(self, transition: Transition, model: mujoco.MjModel) -> Float[Array, " nq"]:
        return mean_velocity(transition, "qpos", model, self.substeps)
