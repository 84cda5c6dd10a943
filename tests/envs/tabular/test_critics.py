"""Critics against the exact solver, and against powers of the chain."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import xlogy

from envs.tabular.critics import exact_critic, generative_critic
from envs.tabular.exact import evaluate
from envs.tabular.families import access_control, garnet, river_swim, transient_start, two_state_cycle
from envs.tabular.model import TabularMDP
from l2t.errors import ConfigurationError

FAMILIES = [garnet(), access_control(), river_swim(), transient_start(), two_state_cycle()]


@pytest.mark.parametrize("mdp", FAMILIES, ids=lambda mdp: mdp.name)
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_the_exact_critic_is_the_exact_solver(mdp: TabularMDP, mu: float) -> None:
    policy = np.random.default_rng(0).dirichlet(np.ones(mdp.num_actions), mdp.num_states)
    policy[-1] = np.eye(mdp.num_actions)[0]
    expected = evaluate(mdp, policy, mu)
    with jax.enable_x64(True):
        q, metrics, state = jax.jit(exact_critic(mdp, mu))(jnp.asarray(policy), jax.random.key(0), jnp.asarray(7))
        np.testing.assert_allclose(q, expected.q, atol=1e-9)
        assert float(metrics["reward_rate"]) == pytest.approx(expected.reward_rate, abs=1e-12)
    assert int(metrics["samples"]) == 0
    assert int(state) == 7


def test_the_exact_critic_keeps_single_precision() -> None:
    mdp = garnet()
    q, _, _ = exact_critic(mdp, 0.1)(jnp.asarray(mdp.uniform_policy(), jnp.float32), jax.random.key(0), ())
    assert q.dtype == jnp.float32
    np.testing.assert_allclose(q, evaluate(mdp, mdp.uniform_policy(), 0.1).q, atol=1e-5)


def centred(q: np.ndarray) -> np.ndarray:
    """Less its mean over pairs: critics are right up to a constant."""
    return q - q.mean((-2, -1), keepdims=True)


def worst_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest error of the mean of independent estimates, in standard errors."""
    found = centred(found)
    return float(np.abs((found.mean(0) - centred(expected)) / (found.std(0, ddof=1) / np.sqrt(len(found)))).max())


@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_the_mean_of_roll_outs_is_q_up_to_a_constant(mu: float) -> None:
    mdp = garnet(6, 3, 2, teleport=0.5, seed=1)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    policy[2] = [0.0, 0.7, 0.3]
    critic = generative_critic(mdp, rollouts=64, horizon=16, entropy=mu)
    keys = jax.random.split(jax.random.key(0), 200)
    q, metrics, _ = jax.jit(jax.vmap(lambda key: critic(jnp.asarray(policy), key, ())))(keys)
    expected = evaluate(mdp, policy, mu)
    q, rate = np.asarray(q, np.float64), np.asarray(metrics["reward_rate"], np.float64)
    assert worst_error(q, expected.q) < 4.5
    assert worst_error(q, expected.q + 0.2 * np.eye(6, 3)) > 4.5
    assert rate.mean() == pytest.approx(expected.reward_rate, abs=4.0 * rate.std() / np.sqrt(200))
    # The constant is right too, where ρ̂ is not biased: the mean of Q over ν and π is that of V, 0.
    level = (expected.stationary[:, None] * policy * q).sum((1, 2))
    assert level.mean() == pytest.approx(0.0, abs=4.0 * level.std() / np.sqrt(200))
    assert metrics["samples"].tolist() == [6 * 3 * 64 * 16] * 200


def test_short_roll_outs_are_biased_as_documented() -> None:
    """E Q̂ = Q - E[V(s_H)|s,a] up to a constant, by powers of the pair chain."""
    mdp, mu, horizon = garnet(5, 2, 2, seed=3), 0.4, 3
    policy = np.random.default_rng(1).dirichlet(np.ones(2), 5)
    critic = generative_critic(mdp, rollouts=16, horizon=horizon, entropy=mu)
    keys = jax.random.split(jax.random.key(1), 200)
    q, metrics, _ = jax.jit(jax.vmap(lambda key: critic(jnp.asarray(policy), key, ())))(keys)
    found = np.asarray(q, np.float64)
    exact = evaluate(mdp, policy, mu)
    ahead = mdp.transition @ np.linalg.matrix_power(mdp.chain(policy), horizon - 1) @ exact.bias
    assert worst_error(found, exact.q - ahead) < 4.5
    assert worst_error(found, exact.q) > 4.5
    # Truncated sums by hand, and with them the mean of what was paid in the later half, t = 1 and 2.
    paid = (mdp.reward - mu * xlogy(policy, policy).sum(1, keepdims=True)).reshape(-1)
    after = [np.linalg.matrix_power(mdp.pair_chain(policy), t) @ paid for t in range(horizon)]
    assert worst_error(found, sum(after, np.zeros(10)).reshape(5, 2)) < 4.5
    rate = np.asarray(metrics["reward_rate"], np.float64)
    assert rate.mean() == pytest.approx(np.mean(after[1:]), abs=4.0 * rate.std() / np.sqrt(200))


def test_counts_and_prices_out_of_range_are_refused() -> None:
    mdp = river_swim()
    with pytest.raises(ConfigurationError, match="rollouts"):
        generative_critic(mdp, 0, 5)
    with pytest.raises(ConfigurationError, match="horizon"):
        generative_critic(mdp, 1, 0)
    for build in (lambda: generative_critic(mdp, 1, 1, -0.1), lambda: exact_critic(mdp, -0.1)):
        with pytest.raises(ConfigurationError, match="entropy"):
            build()
