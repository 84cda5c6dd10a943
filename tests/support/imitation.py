"""Learners from demonstrations on a task where the expert's action is x + ½y, and what they are trained with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms.build import build
from algorithms.config import SPMDConfig
from algorithms.inverse.config import (
    RewardConfig,
)
from algorithms.replay.config import SPMDReplayConfig
from l2t.config import NetworkConfig
from l2t.rl.algorithm import BuildContext, FrozenPolicy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.policy import Memoryless
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following

NETWORK = NetworkConfig((16,), "tanh")
SPMD = SPMDConfig(
    num_steps=16, epochs=4, minibatches=4, learning_rate=3e-3, learning_rate_schedule="constant", target_kl=0.05
)
REPLAY = SPMDReplayConfig(
    num_steps=8, updates_per_step=0.5, batch_size=32, buffer_size=4096, warm_up=512, learning_rate=3e-3, network=NETWORK
)
REWARD = RewardConfig(
    network=NETWORK,
    learning_rate=3e-3,
    updates=8,
    batch_size=64,
    gradient_penalty=0.0,
)
SIGNALS = np.array([[0.5, 0.5], [-0.5, 0.5], [0.8, -0.8], [0.0, 0.0], [-0.7, -0.4]], np.float32)


def best_action(observation: np.ndarray) -> np.ndarray:
    return observation[:, 0] + 0.5 * observation[:, 1]


def build_context(act: Any = best_action, episodes: int = 20, num_envs: int = 16, reward: float = 0.0) -> BuildContext:
    probe = signal_following()
    found = demonstrate(probe, act, episodes, reward=reward)
    return BuildContext(probe, num_envs, 10_000, NETWORK, load_demonstrations=lambda path: found)


def asked() -> BuildContext:
    """With an expert that can be asked: it plays half of the best action, nearly without noise."""

    def expert(observation: Any) -> DiagonalGaussian:
        s = observation["teacher"]
        return DiagonalGaussian(0.5 * (s[:, :1] + 0.5 * s[:, 1:]), jnp.full(1, -5.0))

    frozen = FrozenPolicy(lambda parameters: Memoryless(expert), lambda: jnp.zeros(1), "probe", 77)
    return replace(build_context(), load_policy=lambda run, role: frozen)


def train_inverse(config: Any, context: BuildContext, iterations: int) -> tuple[Any, Any, list[dict[str, float]]]:
    algorithm = build(config, context)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    iterate, rows = jax.jit(algorithm.iterate, donate_argnums=0), []
    for _ in range(iterations):
        state, metrics = iterate(state)
        rows.append({name: float(value) for name, value in metrics.items()})
    return algorithm, state, rows


def actions_of(algorithm: Any, state: Any, role: str = "teacher", observation: np.ndarray = SIGNALS) -> np.ndarray:
    policy, first = algorithm.policy(state.learnt, role), jnp.ones(len(observation), bool)
    _, distribution = policy.step(policy.initial(len(observation)), {role: jnp.asarray(observation)}, first)
    return 2.0 * np.clip(np.asarray(distribution.mode())[:, 0], -1.0, 1.0)
