"""Reacher: bring the tip of a two-link arm to a target; never terminates."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, initial_state, uniform_noise
from envs.physics.base import PhysicsState, Reads

LABELS = {"joint0": "first arm", "joint1": "second arm"}


@dataclass(frozen=True)
class Reacher:
    """r = -w_d |fingertip - target| - w_c |a|^2."""

    reward_dist_weight: float = 1.0
    reward_control_weight: float = 1.0
    xml: str = "reacher.xml"
    substeps: int = 2
    episode_length: int = 50
    reads: Reads = Reads(("qpos", "qvel", "xpos"))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Arm angles U(-0.1, 0.1), their velocities U(-0.005, 0.005), the target at rest and uniform in a disc.

        Gymnasium draws the target from a square until it falls into the disc of radius 0.2. The same distribution in
        polar coordinates: radius 0.2 sqrt(u) with u ~ U[0, 1), angle ~ U[0, 2 pi).
        """
        qpos, qvel = initial_state(model)
        position_key, radius_key, angle_key, velocity_key = jax.random.split(key, 4)
        radius = 0.2 * jnp.sqrt(jax.random.uniform(radius_key))
        angle = 2.0 * jnp.pi * jax.random.uniform(angle_key)
        target = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        qpos = (qpos + uniform_noise(position_key, model.nq, 0.1)).at[-2:].set(target)
        return qpos, (qvel + uniform_noise(velocity_key, model.nv, 0.005)).at[-2:].set(0.0)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Cosines and sines of the angles, target position, joint velocities, fingertip minus target in the plane."""
        qpos = physics["qpos"]
        offset = self._offset(physics, model)
        return jnp.concatenate([jnp.cos(qpos[:2]), jnp.sin(qpos[:2]), qpos[2:], physics["qvel"][:2], offset[:2]])

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        arms = ("first arm angle", "second arm angle")
        return (
            *(f"cos of {arm}" for arm in arms),
            *(f"sin of {arm}" for arm in arms),
            *positions(model, LABELS)[2:],
            *velocities(model, LABELS)[:2],
            "fingertip minus target x [m]",
            "fingertip minus target y [m]",
        )

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Distance to the target and control cost."""
        distance = jnp.linalg.norm(self._offset(transition.after, model))
        return {
            "reward_dist": -self.reward_dist_weight * distance,
            "reward_ctrl": -self.reward_control_weight * jnp.sum(transition.action**2),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Never."""
        return jnp.asarray(False)

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Nothing beside the reward."""
        return {}

    def _offset(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, "3"]:
        return physics["xpos"][model.body("fingertip").id] - physics["xpos"][model.body("target").id]
