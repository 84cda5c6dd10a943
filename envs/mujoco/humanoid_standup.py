"""HumanoidStandup: get up from the floor; never terminates."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.humanoid import BODY_FIELDS, LABELS, contact_cost, name_body, observe_body
from envs.mujoco.names import motors
from envs.mujoco.task import Metrics, Transition, uniform_start
from envs.physics.base import PhysicsState, Reads


@dataclass(frozen=True)
class HumanoidStandup:
    """r = w_u z/h + 1 - w_c |a|^2 - clip(w_i |F|^2): z height of the torso, h physics time step, F external forces."""

    uph_cost_weight: float = 1.0
    ctrl_cost_weight: float = 0.1
    impact_cost_weight: float = 5e-7
    impact_cost_range: tuple[float, float] = (-float("inf"), 10.0)
    survive_reward: float = 1.0
    reset_noise_scale: float = 1e-2
    xml: str = "humanoidstandup.xml"
    substeps: int = 5
    episode_length: int = 1000
    reads: Reads = Reads(BODY_FIELDS)

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Lying, qpos and qvel + U(-s, s)."""
        return uniform_start(key, model, self.reset_noise_scale)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """As Humanoid; see `observe_body`."""
        return observe_body(physics)

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """See `name_body`."""
        return name_body(model)

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Height, control cost, impact cost and the constant that Gymnasium adds without naming it."""
        height = transition.after["qpos"][2]
        return {
            "reward_linup": self.uph_cost_weight * height / model.opt.timestep,
            "reward_quadctrl": -self.ctrl_cost_weight * jnp.sum(transition.action**2),
            "reward_impact": -contact_cost(transition.after, self.impact_cost_weight, self.impact_cost_range),
            "reward_survive": jnp.asarray(self.survive_reward),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Never."""
        return jnp.asarray(False)

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Position in the plane, height over the start."""
        qpos = transition.after["qpos"]
        return {
            "x_position": qpos[0],
            "y_position": qpos[1],
            "z_distance_from_origin": qpos[2] - model.qpos0[2],
        }
