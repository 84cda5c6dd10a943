"""Pusher: push a cylinder to a goal with a seven-joint arm; never terminates."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import AXES, motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, initial_state, uniform_noise
from envs.physics.base import PhysicsState, Reads

CLEARANCE = 0.17
CANDIDATES = 32


LABELS = {
    "r_shoulder_pan_joint": "shoulder pan",
    "r_shoulder_lift_joint": "shoulder lift",
    "r_upper_arm_roll_joint": "upper arm roll",
    "r_elbow_flex_joint": "elbow flex",
    "r_forearm_roll_joint": "forearm roll",
    "r_wrist_flex_joint": "wrist flex",
    "r_wrist_roll_joint": "wrist roll",
}


@dataclass(frozen=True)
class Pusher:
    """r = -w_n |object - tip| - w_d |object - goal| - w_c |a|^2."""

    reward_near_weight: float = 0.5
    reward_dist_weight: float = 1.0
    reward_control_weight: float = 0.1
    xml: str = "pusher_v5.xml"
    substeps: int = 5
    episode_length: int = 100
    reads: Reads = Reads(("qpos", "qvel", "xpos"))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """The arm at rest but for velocities U(-0.005, 0.005), the goal at the origin, the object away from it.

        Gymnasium draws the object from x ~ U(-0.3, 0), y ~ U(-0.2, 0.2) until it is farther than 0.17 m from the goal.
        Here the first such of 32 draws is taken: the same distribution but for an event of probability 3e-14 (none of
        them is accepted, each having a chance of 0.62).
        """
        qpos, qvel = initial_state(model)
        object_key, velocity_key = jax.random.split(key)
        low, high = jnp.array([-0.3, -0.2]), jnp.array([0.0, 0.2])
        candidates = jax.random.uniform(object_key, (CANDIDATES, 2), jnp.float32, low, high)
        accepted = jnp.linalg.norm(candidates, axis=1) > CLEARANCE
        qpos = qpos.at[-4:-2].set(candidates[jnp.argmax(accepted)]).at[-2:].set(0.0)
        return qpos, (qvel + uniform_noise(velocity_key, model.nv, 0.005)).at[-4:].set(0.0)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Arm angles and velocities, positions of tip, object and goal."""
        tip, cylinder, goal = self._points(physics, model)
        return jnp.concatenate([physics["qpos"][:7], physics["qvel"][:7], tip, cylinder, goal])

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        points = (f"{what} {axis} position [m]" for what in ("fingertip", "object", "goal") for axis in AXES)
        return (*positions(model, LABELS)[:7], *velocities(model, LABELS)[:7], *points)

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Distances of the object from the tip and from the goal, control cost."""
        tip, cylinder, goal = self._points(transition.after, model)
        return {
            "reward_near": -self.reward_near_weight * jnp.linalg.norm(cylinder - tip),
            "reward_dist": -self.reward_dist_weight * jnp.linalg.norm(cylinder - goal),
            "reward_ctrl": -self.reward_control_weight * jnp.sum(transition.action**2),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Never."""
        return jnp.asarray(False)

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Nothing beside the reward."""
        return {}

    def _points(self, physics: PhysicsState, model: mujoco.MjModel) -> list[Float[Array, "3"]]:
        return [physics["xpos"][model.body(name).id] for name in ("tips_arm", "object", "goal")]
