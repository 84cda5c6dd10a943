"""IQ-Learn's objective against its definition and differences, its limit, and the traps that its page warns of."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from algorithms.inverse.tabular_config import CountingConfig, TabularIQLearnConfig
from algorithms.inverse.tabular_iq_learn import QRecovery, iq_learn, iq_objective
from envs.tabular.exact import evaluate, relative_value_iteration
from envs.tabular.families import garnet
from l2t.errors import ConfigurationError
from l2t.rewards.canonical import canonical_distance

MDP, MU = garnet(6, 3, 3, teleport=0.05), 0.5
EXPERT = relative_value_iteration(MDP, MU).policy
VISITS = evaluate(MDP, EXPERT).stationary[:, None] * EXPERT


@cache
def learnt(discount: float, weight: float, iterations: int = 4000) -> QRecovery:
    config = TabularIQLearnConfig(iterations=iterations, discount=discount)
    with jax.enable_x64(True):
        return jax.device_get(jax.jit(lambda t, v: iq_learn(t, v, MU, config, weight))(MDP.transition, VISITS))


def objective(q: np.ndarray, mixed: np.ndarray, discount: float, weight: float) -> float:
    """J pair by pair, successor by successor."""
    value = MU * logsumexp(q / MU, axis=1)
    total = 0.0
    for s in range(MDP.num_states):
        for a in range(MDP.num_actions):
            following = sum(MDP.transition[s, a, t] * value[t] for t in range(MDP.num_states))
            reward = q[s, a] - discount * following
            total += VISITS[s, a] * reward - mixed[s, a] * (value[s] - discount * following)
            total -= weight * mixed[s, a] * reward**2
    return total


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_the_objective_is_its_definition(discount: float) -> None:
    rng = np.random.default_rng(0)
    q, mixed = rng.normal(size=VISITS.shape), rng.dirichlet(np.ones(VISITS.size)).reshape(VISITS.shape)
    with jax.enable_x64(True):
        found = iq_objective(
            jnp.asarray(MDP.transition), jnp.asarray(q), jnp.asarray(VISITS), jnp.asarray(mixed), MU, discount, 0.3
        )
        assert float(found) == pytest.approx(objective(q, mixed, discount, 0.3), abs=1e-12)


@pytest.mark.parametrize("weight", [0.5, 0.05])
def test_it_ends_where_finite_differences_of_the_objective_vanish(weight: float) -> None:
    """With the mixture held at the last policy's visits, as every step does."""
    found = learnt(0.9, weight)
    policy = np.exp(found.log_policy)
    mixed = 0.5 * (VISITS + evaluate(MDP, policy / policy.sum(1, keepdims=True)).stationary[:, None] * policy)
    assert found.movement[-1] < 1e-9
    step, slopes = 1e-5, np.zeros_like(VISITS)
    for index in np.ndindex(*VISITS.shape):
        change = np.zeros_like(VISITS)
        change[index] = step
        slopes[index] = (
            objective(found.q + change, mixed, 0.9, weight) - objective(found.q - change, mixed, 0.9, weight)
        ) / (2 * step)
    np.testing.assert_allclose(slopes, 0.0, atol=1e-7)


def test_its_reward_explains_its_policy() -> None:
    """r = Q - γ P V: discounted soft value iteration on r gives Q back."""
    found = learnt(0.9, 0.05)
    q = np.zeros_like(found.q)
    for _ in range(600):
        q = found.reward + 0.9 * MDP.transition @ (MU * logsumexp(q / MU, axis=1))
    np.testing.assert_allclose(q, found.q, atol=1e-8)
    np.testing.assert_allclose(
        np.exp(found.log_policy), np.exp(q / MU) / np.exp(q / MU).sum(1, keepdims=True), atol=1e-8
    )


def distance(reward: np.ndarray) -> float:
    return canonical_distance(MDP.transition, reward, MDP.reward, MDP.uniform_policy())


def test_the_discount_stays_in_the_answer() -> None:
    """Exact visits and hardly any χ²: the policy is the expert's, the reward is not, unless γ is near 1."""
    errors = {}
    for discount in (0.5, 0.9, 0.99):
        found = learnt(discount, 0.005, 20_000)
        np.testing.assert_allclose(np.exp(found.log_policy), EXPERT, atol=0.01)
        errors[discount] = distance(found.reward)
    assert errors[0.5] > 3.0 * errors[0.9] > 9.0 * errors[0.99] > 0.0
    # Any V explains the expert: r = μ log π_E + V - γ P V. With γ < 1 these are different rewards.
    value = np.random.default_rng(3).normal(size=MDP.num_states)
    shaped = MU * np.log(EXPERT) + value[:, None]
    assert distance(shaped - MDP.transition @ value) < 1e-8
    assert distance(shaped - 0.5 * MDP.transition @ value) > 0.1


def test_at_discount_one_the_value_term_telescopes_and_it_is_refused() -> None:
    """E_mix[V - V'] is 0 for any Q where the mixture is stationary."""
    for seed in range(3):
        q = np.random.default_rng(seed).normal(size=VISITS.shape)
        value = MU * logsumexp(q / MU, axis=1)
        assert (VISITS * (value[:, None] - MDP.transition @ value)).sum() == pytest.approx(0.0, abs=1e-12)
        assert (VISITS * (value[:, None] - 0.9 * MDP.transition @ value)).sum() == pytest.approx(
            0.1 * VISITS.sum(1) @ value, abs=1e-12
        )
    with pytest.raises(ConfigurationError, match="telescope"):
        TabularIQLearnConfig(discount=1.0)


def test_chi2_on_the_expert_alone_diverges() -> None:
    """The expert goes to and fro between two states; action 1 of the first leads to a third, which it never sees.

    There Q falls with every step. With χ² on the mixture it comes to rest.
    """
    chain = np.zeros((3, 2, 3))
    chain[0, 0, 1] = chain[0, 1, 2] = chain[1, :, 0] = chain[2, :, 0] = 1.0
    visits = np.array([[0.5, 0.0], [0.25, 0.25], [0.0, 0.0]])

    def range_after(iterations: int, on_expert: bool) -> tuple[float, float]:
        config = TabularIQLearnConfig(iterations=iterations, discount=0.9)
        with jax.enable_x64(True):
            found = jax.jit(lambda t, v: iq_learn(t, v, MU, config, config.weight_for(1.0), on_expert))(chain, visits)
            return float(np.ptp(np.asarray(found.q))), float(found.movement[-1])

    assert range_after(400, True)[0] > 1.8 * range_after(200, True)[0] > 10.0
    size, movement = range_after(2000, False)
    assert size < 5.0
    assert movement < 1e-6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "iterations"),
        ({"step_size": 0.0}, "step_size"),
        ({"chi2": 0.0}, "chi2"),
        ({"chi2_power": -1.0}, "chi2_power"),
        ({"discount": 1.5}, "discount"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TabularIQLearnConfig(**changes)


def test_other_prices_and_counts_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="entropy=0"):
        iq_learn(jnp.asarray(MDP.transition), jnp.asarray(VISITS), 0.0, TabularIQLearnConfig(), 0.5)
    with pytest.raises(ConfigurationError, match="pseudo_count"):
        CountingConfig(0.0)
