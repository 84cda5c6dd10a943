"""Hopper: hop forward on one leg without falling."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, mean_velocity, uniform_start, within
from envs.physics.base import PhysicsState, Reads

LABELS = {"rootx": "torso x", "rootz": "torso", "rooty": "torso pitch"}


@dataclass(frozen=True)
class Hopper:
    """r = w_f dx/dt + w_h 1[healthy] - w_c |a|^2, until the torso drops, tilts or a coordinate runs away."""

    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 1e-3
    healthy_reward: float = 1.0
    terminate_when_unhealthy: bool = True
    healthy_state_range: tuple[float, float] = (-100.0, 100.0)
    healthy_z_range: tuple[float, float] = (0.7, float("inf"))
    healthy_angle_range: tuple[float, float] = (-0.2, 0.2)
    reset_noise_scale: float = 5e-3
    xml: str = "hopper.xml"
    substeps: int = 4
    episode_length: int = 1000
    reads: Reads = Reads(("qpos", "qvel"), precise=("qpos",))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Rest pose, qpos and qvel + U(-s, s)."""
        return uniform_start(key, model, self.reset_noise_scale)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Qpos without the root's x, qvel clipped to +-10."""
        return jnp.concatenate([physics["qpos"][1:], jnp.clip(physics["qvel"], -10.0, 10.0)])

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        return (*positions(model, LABELS)[1:], *velocities(model, LABELS))

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Forward velocity, control cost and the bonus for being healthy."""
        return {
            "reward_forward": self.forward_reward_weight * self._x_velocity(transition, model),
            "reward_ctrl": -self.ctrl_cost_weight * jnp.sum(transition.action**2),
            "reward_survive": self.healthy_reward * self._healthy(transition.after),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Unhealthy, if that ends episodes."""
        return ~self._healthy(physics) & self.terminate_when_unhealthy

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Position and velocity along x, height over the start."""
        qpos = transition.after["qpos"]
        return {
            "x_position": qpos[0],
            "x_velocity": self._x_velocity(transition, model),
            "z_distance_from_origin": qpos[1] - model.qpos0[1],
        }

    def _healthy(self, physics: PhysicsState) -> Bool[Array, ""]:
        qpos = physics["qpos"]
        state = jnp.concatenate([qpos[2:], physics["qvel"]])
        bounded = jnp.all(within(state, self.healthy_state_range))
        return bounded & within(qpos[1], self.healthy_z_range) & within(qpos[2], self.healthy_angle_range)

    def _x_velocity(self, transition: Transition, model: mujoco.MjModel) -> Float[Array, ""]:
        return mean_velocity(transition, "qpos", model, self.substeps)[0]
