"""The rules for the reward rate on a chain of two states whose soft gain is known, from a replay that grew stale."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.replay.reward_rate import relative_value_rate, soft_value, td_rate
from algorithms.replay.targets import average_backup
from envs.tabular.exact import relative_value_iteration
from envs.tabular.model import TabularMDP

pytestmark = pytest.mark.usefixtures("optimised")

TEMPERATURE = 0.5
CHAIN = TabularMDP(
    np.array([[[0.8, 0.2], [0.3, 0.7]], [[0.6, 0.4], [0.1, 0.9]]]), np.array([[0.0, 0.4], [1.0, 0.2]]), "two states"
)
STALE = np.array([0.5, 0.2, 0.05, 0.25])
"""How often each pair stands in the replay: nothing like what the soft-optimal policy visits."""
UPDATES = 200_000


def _replayed_sarsa(rule: str, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Soft actor-critic with a table for a critic: twin Q with slow targets, π = softmax(min Q/α), batches of 16.

    Returns:
        ρ and the mean of Q after every update.
    """
    transition, reward = jnp.asarray(CHAIN.transition, jnp.float32), jnp.asarray(CHAIN.reward, jnp.float32)

    def update(carry, key):
        q, target, rate = carry
        pair_key, state_key, action_key = jax.random.split(key, 3)
        pair = jax.random.choice(pair_key, 4, (16,), p=jnp.asarray(STALE, jnp.float32))
        s, a = pair // 2, pair % 2
        following = (jax.random.uniform(state_key, (16,)) < transition[s, a, 1]).astype(jnp.int32)
        log_policy = jax.nn.log_softmax(q.min(0) / TEMPERATURE)
        chosen = jax.random.categorical(action_key, log_policy[following])
        value = soft_value(target[:, following, chosen], log_policy[following, chosen], TEMPERATURE)
        error = reward[s, a] - rate + value - q[:, s, a]
        q = q.at[:, s, a].add(0.02 * error)
        target = target + 0.005 * (q - target)
        if rule == "relative value":
            rate = relative_value_rate(rate, value)
        elif rule == "td":
            rate = td_rate(rate, error)
        elif rule == "average of the batch mean":
            rate = rate + 0.005 * (reward[s, a].mean() - rate)
        return (q, target, rate), (rate, q.mean())

    start = (jnp.zeros((2, 2, 2)), jnp.zeros((2, 2, 2)), jnp.zeros(()))
    return jax.lax.scan(update, start, jax.random.split(key, UPDATES))[1]


@cache
def curves(rule: str) -> tuple[np.ndarray, np.ndarray]:
    rate, mean = jax.jit(partial(_replayed_sarsa, rule))(jax.random.key(0))
    return np.asarray(rate, np.float64), np.asarray(mean, np.float64)


def last_half(curve: np.ndarray) -> tuple[float, float]:
    """Means over the third and the last quarter: sampling noise of single updates is no drift."""
    _, _, third, fourth = np.split(curve, 4)
    return float(third.mean()), float(fourth.mean())


@pytest.mark.parametrize("rule", ["relative value", "td"])
def test_both_rules_find_the_soft_gain_and_the_values_stand_still(rule: str) -> None:
    exact = relative_value_iteration(CHAIN, TEMPERATURE).reward_rate
    rate, mean = curves(rule)
    assert last_half(rate)[1] == pytest.approx(exact, rel=0.01)
    before, after = last_half(mean)
    assert abs(after - before) < 0.01 * abs(before)


@pytest.mark.parametrize("rule", [relative_value_rate, None], ids=["relative value", "td"])
def test_with_a_horizon_values_are_discounted_ones_less_a_constant(rule: Any) -> None:
    """Expected backups of all pairs, weighted by the stale replay, against soft value iteration with γ = 1 - 1/H."""
    horizon, (reward, transition) = 20.0, (jnp.asarray(CHAIN.reward), jnp.asarray(CHAIN.transition))
    weights = jnp.asarray(STALE).reshape(2, 2)

    def log_sum(q: jax.Array) -> jax.Array:
        return TEMPERATURE * jax.nn.logsumexp(q / TEMPERATURE, axis=-1)

    def update(carry, _):
        q, rate = carry
        backup = average_backup(reward.reshape(4, 1), jnp.zeros((4, 1)), jnp.zeros((4, 1), bool), rate, horizon)
        after = transition.reshape(4, 2) @ log_sum(q)
        mean = (weights.reshape(4) * after).sum()
        error = (backup.paid + backup.weight * after + backup.anew * mean).reshape(2, 2) - q
        rate = td_rate(rate, (weights * error).sum()) if rule is None else rule(rate, mean)
        return (q + 0.2 * error, rate), None

    start = jnp.zeros((2, 2), reward.dtype), jnp.zeros((), reward.dtype)
    (q, rate), _ = jax.lax.scan(update, start, length=40_000)
    exact, _ = jax.lax.scan(
        lambda q, _: (reward + (1.0 - 1.0 / horizon) * transition @ log_sum(q), None), start[0], length=2_000
    )
    np.testing.assert_allclose(q - q.mean(), exact - exact.mean(), atol=1e-4)
    policy = jax.nn.softmax(q / TEMPERATURE)
    # The gain is that of the process that begins anew at what is replayed.
    occupancy = np.linalg.solve(
        np.eye(2) - (1.0 - 1.0 / horizon) * np.einsum("sa,sat->ts", policy, transition),
        np.einsum("sa,sat->t", weights, transition) / horizon,
    )
    entropy = -(policy * jnp.log(policy)).sum(1)
    gain = occupancy @ np.asarray((policy * reward).sum(1) + TEMPERATURE * entropy)
    assert float(rate) == pytest.approx(gain, abs=1e-3)


def test_an_average_of_the_batch_mean_reward_lets_the_values_grow_without_end() -> None:
    """ρ̂ is the replay's mean reward, and every update adds what it lacks: Q doubles over the last half."""
    exact = relative_value_iteration(CHAIN, TEMPERATURE).reward_rate
    rate, mean = curves("average of the batch mean")
    replayed = float(STALE @ CHAIN.reward.reshape(-1))
    assert last_half(rate)[1] == pytest.approx(replayed, rel=0.02)
    assert abs(exact - replayed) > 0.1
    assert mean[-1] > 1.9 * mean[UPDATES // 2] > 10.0


def test_relative_values_at_rest_have_the_gain_for_their_mean() -> None:
    mean_value = np.random.default_rng(0).normal(size=32)
    assert float(relative_value_rate(jnp.asarray(mean_value.mean()), jnp.asarray(mean_value), 0.3)) == pytest.approx(
        mean_value.mean(), abs=1e-6
    )
    assert float(relative_value_rate(jnp.asarray(1.0), jnp.asarray([3.0, 5.0]), 0.25)) == 1.75


def test_a_constant_reward_shift_moves_the_td_rule_by_it() -> None:
    error = jnp.asarray([0.5, -0.25, 1.25])
    assert float(td_rate(jnp.asarray(2.0), error, 0.1)) == pytest.approx(2.05)
    # At ρ + c and r + c the errors are the same, and so is what is added.
    assert float(td_rate(jnp.asarray(2.0 + 7.0), error, 0.1)) == pytest.approx(2.05 + 7.0)


def test_the_soft_value_of_the_soft_optimal_policy_is_the_log_sum() -> None:
    """Whatever the action, min Q - α log π is α log Σ exp(Q/α) there."""
    q = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5, 3)), jnp.float32)
    least = np.asarray(q, np.float64).min(0)
    log_sum = 0.7 * np.log(np.exp(least / 0.7).sum(1))
    for action in range(3):
        log_probability = jnp.asarray(least[:, action] / 0.7 - log_sum / 0.7, jnp.float32)
        np.testing.assert_allclose(soft_value(q[:, :, action], log_probability, 0.7), log_sum, atol=1e-5)
