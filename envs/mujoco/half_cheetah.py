"""HalfCheetah: run forward; never terminates."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, mean_velocity, normal_noise, uniform_start
from envs.physics.base import PhysicsState, Reads

LABELS = {
    "rootx": "torso x",
    "rootz": "torso",
    "rooty": "torso pitch",
    "bthigh": "back thigh",
    "bshin": "back shin",
    "bfoot": "back foot",
    "fthigh": "front thigh",
    "fshin": "front shin",
    "ffoot": "front foot",
}


@dataclass(frozen=True)
class HalfCheetah:
    """r = w_f dx/dt - w_c |a|^2."""

    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 0.1
    reset_noise_scale: float = 0.1
    xml: str = "half_cheetah.xml"
    substeps: int = 5
    episode_length: int = 1000
    reads: Reads = Reads(("qpos", "qvel"), precise=("qpos",))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Rest pose, qpos + U(-s, s), qvel + N(0, s^2)."""
        return uniform_start(key, model, self.reset_noise_scale, normal_noise)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Qpos without the root's x, qvel."""
        return jnp.concatenate([physics["qpos"][1:], physics["qvel"]])

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        return (*positions(model, LABELS)[1:], *velocities(model, LABELS))

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Forward velocity and control cost."""
        return {
            "reward_forward": self.forward_reward_weight * self._x_velocity(transition, model),
            "reward_ctrl": -self.ctrl_cost_weight * jnp.sum(transition.action**2),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Never."""
        return jnp.asarray(False)

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Position and velocity along x."""
        return {"x_position": transition.after["qpos"][0], "x_velocity": self._x_velocity(transition, model)}

    def _x_velocity(self, transition: Transition, model: mujoco.MjModel) -> Float[Array, ""]:
        return mean_velocity(transition, "qpos", model, self.substeps)[0]
