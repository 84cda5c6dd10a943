"""Log-linear mirror descent against the tabular one, and against a recursion written out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from algorithms.mirror_descent.divergences import kl_step
from algorithms.mirror_descent.log_linear import log_linear_mirror_descent, log_linear_policy, log_linear_step
from algorithms.mirror_descent.schedules import Constant, Regularised
from algorithms.mirror_descent.tabular import mirror_descent
from envs.tabular.critics import exact_critic
from envs.tabular.families import garnet
from l2t.errors import ConfigurationError


@pytest.mark.parametrize("mu", [0.0, 0.2])
def test_with_one_hot_features_it_is_the_tabular_step(mu: float) -> None:
    mdp = garnet(6, 3, 3)
    critic = exact_critic(mdp, mu)
    schedule = Regularised(mu) if mu else Constant(2.0)

    def linear(policy: Any, key: Any, state: Any) -> Any:
        q, metrics, state = critic(policy, key, state)
        return q.reshape(-1), metrics, state

    with jax.enable_x64(True):
        features = jnp.eye(18).reshape(6, 3, 18)
        start, key = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(3), 6)), jax.random.key(0)
        tabular = mirror_descent(critic, kl_step, schedule, start, 20, mu, key)
        found = log_linear_mirror_descent(linear, features, schedule, jnp.log(start).reshape(-1), 20, mu, key)
        np.testing.assert_allclose(log_linear_policy(features, found.weights), tabular.log_policy, atol=1e-9)
        np.testing.assert_allclose(found.metrics["reward_rate"], tabular.metrics["reward_rate"], atol=1e-12)
    assert np.ptp(tabular.metrics["reward_rate"]) > 0.05


def test_the_step_maximises_the_tabular_objective_within_the_family() -> None:
    """With Q = ψᵀθ, π_{w'} is the Kullback step from π_w, also where features are few."""
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        features, weights, theta = (jnp.asarray(rng.normal(size=shape)) for shape in ((7, 4, 3), 3, 3))
        new = log_linear_policy(features, log_linear_step(weights, theta, jnp.asarray(0.7), 0.4))
        step = kl_step(log_linear_policy(features, weights), features @ theta, jnp.asarray(0.7), 0.4)
        np.testing.assert_allclose(new, step, atol=1e-12)
        np.testing.assert_allclose(jnp.exp(log_linear_policy(features, weights)), softmax(features @ weights, 1))


def test_a_critics_memory_and_its_weights_are_carried() -> None:
    def critic(policy: Any, key: Any, state: Any) -> Any:
        return jnp.stack([state, policy[0, 0]]), {"seen": state}, state + 1.0

    features = jnp.zeros((1, 2, 2)).at[0, 0, 1].set(1.0)
    found = log_linear_mirror_descent(
        critic, features, Constant(0.5), jnp.zeros(2), 6, 0.1, jax.random.key(0), jnp.asarray(3.0), record_every=2
    )
    weights, expected = np.zeros(2), [np.zeros(2)]
    for k in range(6):
        theta = np.array([3.0 + k, 1.0 / (1.0 + np.exp(-weights[1]))])
        weights = (weights + 0.5 * theta) / 1.05
        expected.append(weights)
    np.testing.assert_allclose(found.weights, np.array(expected)[::2], rtol=1e-5)
    np.testing.assert_array_equal(found.metrics["seen"], np.arange(3.0, 9.0))
    assert float(found.critic_state) == 9.0


def test_weights_that_do_not_fit_are_refused() -> None:
    def critic(policy: Any, key: Any, state: Any) -> Any:
        return jnp.zeros(2), {}, state

    with pytest.raises(ConfigurationError, match="they must be"):
        log_linear_mirror_descent(critic, jnp.zeros((2, 2, 3)), Constant(1.0), jnp.zeros(2), 1, 0.0, jax.random.key(0))
    with pytest.raises(ConfigurationError, match="entropy"):
        log_linear_mirror_descent(critic, jnp.zeros((2, 2, 2)), Constant(1.0), jnp.zeros(2), 1, -1.0, jax.random.key(0))
