"""The critic that learns from one Markovian stream: VRTD or EVRTD, which go on from policy to policy.

Whether its epochs settled is told by two metrics of every iteration, `misfit` and `growth`, which
`policy_evaluation.stability` judges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from algorithms.mirror_descent.tabular import TabularCritic
from algorithms.policy_evaluation.problem import Problem
from algorithms.policy_evaluation.vrtd import VRTD


def vrtd_critic(estimator: VRTD, problem: Callable[[Float[Array, "state action"]], Problem]) -> TabularCritic:
    """Q^π with one-hot features, in which Q is θ. Its state is the stream's, and the last policy's θ to start from.

    Args:
        estimator: VRTD with the transitions of one call.
        problem: π -> the transitions of π; EVRTD's also of π alone. All streams share the form of their state.
    """
    drawn = float(estimator.samples[-1])

    def critic(
        policy: Float[Array, "state action"], key: Key[Array, ""], state: tuple[Float[Array, " pair"], PyTree]
    ) -> tuple[Float[Array, "state action"], dict[str, Array], Any]:
        theta, stream = state
        curve, stream = estimator.run_from(problem(policy), key, theta, stream)
        theta = curve.theta[-1]
        assert curve.misfit is not None
        assert curve.growth is not None
        # The worst of the iteration's epochs. A maximum hands NaN on, which is what an overflow leaves.
        metrics = {
            "reward_rate": curve.reward_rate[-1],
            "samples": jnp.asarray(drawn),
            "misfit": curve.misfit.max(),
            "growth": curve.growth.max(),
        }
        return theta.reshape(policy.shape), metrics, (theta, stream)

    return critic
