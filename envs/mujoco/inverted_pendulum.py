"""InvertedPendulum: balance a pole on a cart."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, uniform_start
from envs.physics.base import PhysicsState, Reads

LABELS = {"slider": "cart", "hinge": "pole"}


@dataclass(frozen=True)
class InvertedPendulum:
    """r = 1 while the pole stands: |angle| <= 0.2 rad."""

    healthy_reward: float = 1.0
    healthy_angle: float = 0.2
    reset_noise_scale: float = 0.01
    xml: str = "inverted_pendulum.xml"
    substeps: int = 2
    episode_length: int = 1000
    reads: Reads = Reads(("qpos", "qvel"))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Upright, qpos and qvel + U(-s, s)."""
        return uniform_start(key, model, self.reset_noise_scale)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Cart position, pole angle and their velocities."""
        return jnp.concatenate([physics["qpos"], physics["qvel"]])

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        return (*positions(model, LABELS), *velocities(model, LABELS))

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """One for each step that the pole survives."""
        return {"reward_survive": self.healthy_reward * ~self.terminated(transition.after, model)}

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """The pole fell, or a number is not finite."""
        observation = self.observe(physics, model)
        return ~jnp.all(jnp.isfinite(observation)) | (jnp.abs(observation[1]) > self.healthy_angle)

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Nothing beside the reward."""
        return {}
