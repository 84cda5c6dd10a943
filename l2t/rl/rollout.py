"""Collecting a batch of experience."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from l2t.rl.algorithm import Metrics
from l2t.rl.types import Observation, Trajectory
from l2t.rl.vector import VectorEnvironment, VectorState


class Decision(NamedTuple):
    """An action in policy units and its log-density under the behaviour."""

    action: Float[Array, "env action"]
    log_prob: Float[Array, " env"]


Behaviour = Callable[[Observation, Key[Array, ""]], Decision]


def collect(
    vector: VectorEnvironment, behaviour: Behaviour, state: VectorState, key: Key[Array, ""], num_steps: int
) -> tuple[VectorState, Trajectory, Metrics]:
    """Let `behaviour` act for `num_steps` steps in every environment.

    Returns:
        The environments after the last step, the trajectory, and metrics: mean reward terms under `reward/` and
        statistics of each environment's last whole episode under `train/`, NaN as long as there is none;
        `train/unstable` is the share of the transitions whose physics failed.
    """

    def step(state: VectorState, key: Key[Array, ""]) -> tuple[VectorState, tuple[Trajectory, Metrics, Array]]:
        observation = state.environment.observation
        action, log_prob = behaviour(observation, key)
        state, outcome = vector.step(state, action)
        transition = Trajectory(
            observation=observation,
            successor=outcome.successor,
            action=action,
            log_prob=log_prob,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            final_observation={},
        )
        terms = {name: value.mean() for name, value in outcome.metrics.items() if name.startswith("reward_")}
        return state, (transition, terms, outcome.unstable.mean())

    state, (trajectory, terms, unstable) = jax.lax.scan(step, state, jax.random.split(key, num_steps))
    trajectory = replace(trajectory, final_observation=state.environment.observation)
    statistics = state.statistics
    weight = statistics.finished.astype(jnp.float32)
    episodes = weight.sum()
    metrics = {f"reward/{name.removeprefix('reward_')}": value.mean() for name, value in terms.items()} | {
        "train/episode_return": (statistics.last_return * weight).sum() / episodes,
        "train/episode_length": (statistics.last_length * weight).sum() / episodes,
        "train/mean_reward": trajectory.reward.mean(),
        "train/terminations": trajectory.terminated.sum(),
        "train/unstable": unstable.mean(),
    }
    return state, trajectory, metrics
