"""InvertedDoublePendulum: balance two poles, one on top of the other, on a cart."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import motors, positions, velocities
from envs.mujoco.task import Metrics, Transition, normal_noise, uniform_start
from envs.physics.base import PhysicsState, Reads

LABELS = {"slider": "cart", "hinge": "lower pole", "hinge2": "upper pole"}


@dataclass(frozen=True)
class InvertedDoublePendulum:
    """r = w_h 1[alive] - (0.01 x^2 + (y - 2)^2) - (1e-3 v_1^2 + 5e-3 v_2^2): tip (x, y), pole velocities v."""

    healthy_reward: float = 10.0
    healthy_height: float = 1.0
    reset_noise_scale: float = 0.1
    xml: str = "inverted_double_pendulum.xml"
    substeps: int = 5
    episode_length: int = 1000
    reads: Reads = Reads(("qpos", "qvel", "site_xpos", "qfrc_constraint"))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Upright, qpos + U(-s, s), qvel + N(0, s^2)."""
        return uniform_start(key, model, self.reset_noise_scale, normal_noise)

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """Cart position, sines and cosines of the angles; velocities and the cart's constraint force within +-10."""
        qpos = physics["qpos"]
        return jnp.concatenate(
            [
                qpos[:1],
                jnp.sin(qpos[1:]),
                jnp.cos(qpos[1:]),
                jnp.clip(physics["qvel"], -10.0, 10.0),
                jnp.clip(physics["qfrc_constraint"][:1], -10.0, 10.0),
            ]
        )

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        poles = ("lower pole angle", "upper pole angle")
        return (
            positions(model, LABELS)[0],
            *(f"sin of {pole}" for pole in poles),
            *(f"cos of {pole}" for pole in poles),
            *velocities(model, LABELS),
            "cart constraint force [N]",
        )

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """After the joints."""
        return motors(model, LABELS)

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Bonus for being alive, penalties for the tip's distance from upright and for fast poles."""
        after = transition.after
        x, _, y = after["site_xpos"][0]
        first, second = after["qvel"][1:3]
        return {
            "reward_survive": self.healthy_reward * ~self.terminated(after, model),
            "reward_distance": -(0.01 * x**2 + (y - 2.0) ** 2),
            "reward_velocity": -(1e-3 * first**2 + 5e-3 * second**2),
        }

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """The tip is at or below one metre."""
        return physics["site_xpos"][0, 2] <= self.healthy_height

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """The two penalties under Gymnasium's names."""
        terms = self.reward_terms(transition, model)
        return {"distance_penalty": terms["reward_distance"], "velocity_penalty": terms["reward_velocity"]}
