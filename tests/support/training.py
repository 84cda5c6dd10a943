"""Short trainings on probe environments."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms.build import build
from l2t.config import NetworkConfig
from l2t.rl.algorithm import BuildContext
from tests.support.probes import Probe

FAST = {
    "num_steps": 16,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "constant",
}
SLOW_STEPS = {"target_kl": 0.015, "trace_decay": 0.95, **FAST}
"""SPMD with small steps: the student needs a teacher that keeps exploring while it learns."""


def train(config: Any, probe: Probe, iterations: int, num_envs: int = 16, **context: Any) -> tuple[Any, Any, Any]:
    """Algorithm, state and the last metrics after so many iterations."""
    algorithm = build(config, BuildContext(probe, num_envs, 10_000, NetworkConfig((16,)), **context))
    state = jax.jit(algorithm.init)(jax.random.key(0))
    iterate = jax.jit(algorithm.iterate)
    metrics = {}
    for _ in range(iterations):
        state, metrics = iterate(state)
    return algorithm, state, metrics


def actions(algorithm: Any, state: Any, role: str, observation: Any) -> np.ndarray:
    """Deterministic actions in the probe's units, [-2, 2]."""
    policy, first = algorithm.policy(state.learnt, role), jnp.ones(len(observation), bool)
    _, distribution = policy.step(policy.initial(len(observation)), {role: jnp.asarray(observation)}, first)
    return 2.0 * np.asarray(distribution.mode())[:, 0]
