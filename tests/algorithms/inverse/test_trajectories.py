"""f-IRL's gradient against finite differences of the divergence, and the list of trajectories against the chain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp, rel_entr

from envs.tabular.families import garnet
from l2t.errors import ConfigurationError
from tests.support.all_trajectories import (
    enumerate_trajectories,
    f_divergence,
    f_irl_gradient,
    trajectory_distribution,
)

T, ALPHA = 4, 0.7
STOCHASTIC = garnet(3, 2, 2, teleport=0.1, seed=3)
STEPS = np.eye(3)[np.array([[0, 1], [2, 0], [1, 2]])]
"""A deterministic process: P[s, a, s']."""

KINDS = pytest.mark.parametrize("kind", ["forward", "reverse", "jensen_shannon"])


def reward_of(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, 2))


def test_the_list_is_complete_and_weighs_what_the_chain_does() -> None:
    """With r = 0 actions are uniform, up to the number that there are: the marginals are those of P^uniform."""
    start = np.array([0.6, 0.4, 0.0])
    paths = enumerate_trajectories(STOCHASTIC.transition, start, T)
    chance = trajectory_distribution(paths, np.zeros((3, 2)))
    assert len(np.unique(np.hstack([paths.states, paths.actions]), axis=0)) == len(paths.states)
    chain, state = STOCHASTIC.chain(STOCHASTIC.uniform_policy()), start
    for step in range(T):
        np.testing.assert_allclose(np.bincount(paths.states[:, step], chance, 3), state, atol=1e-12)
        state = state @ chain
    np.testing.assert_allclose(paths.pair_counts().sum((1, 2)), T)
    np.testing.assert_allclose(paths.state_counts()[:, 1], (paths.states == 1).sum(1))


@KINDS
@pytest.mark.parametrize("matched", ["states", "pairs"])
@pytest.mark.parametrize("transition", [STEPS, STOCHASTIC.transition], ids=["deterministic", "stochastic"])
def test_the_gradient_is_the_finite_difference_of_the_divergence(
    kind: str, matched: str, transition: np.ndarray
) -> None:
    start = np.array([0.5, 0.3, 0.2])
    paths = enumerate_trajectories(transition, start, T)
    counts = paths.state_counts() if matched == "states" else paths.pair_counts().reshape(-1, 6)
    expert = trajectory_distribution(paths, reward_of(1), ALPHA) @ counts / T

    def loss(reward: np.ndarray) -> float:
        return f_divergence(expert, trajectory_distribution(paths, reward, ALPHA) @ counts / T, kind)

    reward, step, differences = reward_of(), 1e-5, np.zeros((3, 2))
    for index in np.ndindex(3, 2):
        change = np.zeros((3, 2))
        change[index] = step
        differences[index] = (loss(reward + change) - loss(reward - change)) / (2 * step)
    gradient = f_irl_gradient(paths, reward, expert, counts, kind, ALPHA)
    np.testing.assert_allclose(gradient, differences, atol=1e-8)
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(f_irl_gradient(paths, reward_of(1), expert, counts, kind, ALPHA), 0.0, atol=1e-12)


def test_the_divergences_are_those_of_scipy() -> None:
    expert, other = np.random.default_rng(2).dirichlet(np.ones(5), 2)
    middle = 0.5 * (expert + other)
    assert f_divergence(expert, other, "forward") == pytest.approx(rel_entr(expert, other).sum())
    assert f_divergence(expert, other, "reverse") == pytest.approx(rel_entr(other, expert).sum())
    both = rel_entr(expert, middle).sum() + rel_entr(other, middle).sum()
    assert f_divergence(expert, other, "jensen_shannon") == pytest.approx(both)


def soft_optimal_chances(transition: np.ndarray, paths, reward: np.ndarray) -> np.ndarray:
    """Backwards from the horizon: Q_t = r + P V_{t+1}, V_t = α log Σ exp(Q_t/α), and the policy along each path."""
    value, log_chance = np.zeros(3), paths.log_weight.copy()
    for step in reversed(range(T)):
        q = reward + transition @ value
        value = ALPHA * logsumexp(q / ALPHA, axis=1)
        log_policy = (q - value[:, None]) / ALPHA
        log_chance += log_policy[paths.states[:, step], paths.actions[:, step]]
    return np.exp(log_chance)


def test_it_is_the_gradient_of_the_soft_optimal_policy_where_transitions_are_deterministic() -> None:
    start = np.array([1.0, 0.0, 0.0])
    for transition, equal in ((STEPS, True), (STOCHASTIC.transition, False)):
        paths = enumerate_trajectories(transition, start, T)
        policy = soft_optimal_chances(transition, paths, reward_of())
        assert policy.sum() == pytest.approx(1.0)
        gap = np.abs(policy - trajectory_distribution(paths, reward_of(), ALPHA)).sum()
        assert (gap < 1e-12) if equal else (gap > 0.05)


def test_a_covariance_over_single_transitions_is_another_gradient() -> None:
    paths = enumerate_trajectories(STEPS, np.array([0.5, 0.3, 0.2]), T)
    counts, reward = paths.state_counts(), reward_of()
    expert = trajectory_distribution(paths, reward_of(1), ALPHA) @ counts / T
    chance = trajectory_distribution(paths, reward, ALPHA)
    score = np.log(expert / (chance @ counts / T))
    pairs = np.einsum("n,nsa->sa", chance, paths.pair_counts()) / T
    one_by_one = -pairs * (score[:, None] - (pairs * score[:, None]).sum()) / ALPHA
    whole = f_irl_gradient(paths, reward, expert, counts, "reverse", ALPHA)
    assert np.abs(one_by_one - whole).max() > 0.3 * np.abs(whole).max()


def test_what_cannot_be_listed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="more than 1,000,000"):
        enumerate_trajectories(STOCHASTIC.transition, np.ones(3) / 3, 12)
    with pytest.raises(ConfigurationError, match="choose one of: forward"):
        f_divergence(np.ones(2) / 2, np.ones(2) / 2, "wasserstein")
