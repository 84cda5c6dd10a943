"""Collecting a batch of experience."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from l2t.rl.measured import Measured
from l2t.rl.policy import Memory, Policy
from l2t.rl.types import Metrics, Trajectory
from l2t.rl.vector import VectorEnvironment, VectorState


def collect(
    vector: VectorEnvironment, policy: Policy, state: VectorState, key: Key[Array, ""], num_steps: int
) -> tuple[VectorState, Trajectory, Metrics]:
    """Let samples of `policy` act for `num_steps` steps in every environment, from its initial memory on.

    Returns:
        The environments after the last step, the trajectory, and metrics: mean reward terms under `reward/`, means of
        what else the task measures under `env/`, and statistics of each environment's last whole episode under
        `train/`, unknown before there is one; `train/unstable` is the share of the transitions whose physics failed.
    """

    def step(
        carry: tuple[VectorState, Memory], key: Key[Array, ""]
    ) -> tuple[tuple[VectorState, Memory], tuple[Trajectory, Metrics, Array]]:
        state, memory = carry
        observation, first = state.observation, state.first
        memory, distribution = policy.step(memory, observation, first)
        action = distribution.sample(key)
        state, outcome = vector.step(state, action)
        transition = Trajectory(
            observation=observation,
            first=first,
            successor=outcome.successor,
            action=action,
            log_prob=distribution.log_prob(action),
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            final_observation={},
            executed=None if state.disturbance is None else outcome.executed,
        )
        measured = {name: _mean(value, ~outcome.unstable) for name, value in outcome.metrics.items()}
        return (state, memory), (transition, measured, outcome.unstable.mean())

    start = state, policy.initial(vector.num_envs)
    (state, _), (trajectory, measured, unstable) = jax.lax.scan(step, start, jax.random.split(key, num_steps))
    trajectory = replace(trajectory, final_observation=state.observation)
    statistics = state.statistics
    weight = statistics.finished.astype(jnp.float32)
    episodes = weight.sum()
    metrics = {_named(name): value.mean() for name, value in measured.items()} | {
        "train/episode_return": Measured((statistics.last_return * weight).sum() / episodes, episodes > 0.0),
        "train/episode_length": Measured((statistics.last_length * weight).sum() / episodes, episodes > 0.0),
        "train/mean_reward": trajectory.reward.mean(),
        "train/terminations": trajectory.terminated.sum(),
        "train/unstable": unstable.mean(),
    }
    return state, trajectory, metrics


def _mean(value: Float[Array, " env"], sound: Bool[Array, " env"]) -> Float[Array, ""]:
    """Over the environments whose physics did not fail: of the others nothing is known."""
    return jnp.where(sound, value, 0.0).sum() / jnp.maximum(sound.sum(), 1)


def _named(measure: str) -> str:
    term = measure.removeprefix("reward_")
    return f"env/{measure}" if term == measure else f"reward/{term}"
