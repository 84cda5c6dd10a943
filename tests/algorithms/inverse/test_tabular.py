"""Exact quantities of inverse reinforcement learning against the solvers of `envs.tabular.exact` and differences."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import linprog

from algorithms.inverse.tabular import LinearReward, evaluate, one_hot_reward, reward_gradient, visitation
from envs.tabular import exact
from envs.tabular.families import garnet, grid_world, river_swim
from envs.tabular.model import TabularMDP

PROCESSES = [garnet(8, 3, 3, teleport=0.05), river_swim(), grid_world(3, 3, 0.2)]
EVERY = pytest.mark.parametrize("mdp", PROCESSES, ids=lambda mdp: mdp.name)
MU = 0.4


def features_of(mdp: TabularMDP, size: int = 5) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(*mdp.reward.shape, size))


def soft_gain(mdp: TabularMDP, reward: np.ndarray) -> exact.Optimum:
    return exact.relative_value_iteration(TabularMDP(mdp.transition, reward), MU, tolerance=1e-13)


def pair_visits(mdp: TabularMDP, policy: np.ndarray) -> np.ndarray:
    return exact.evaluate(mdp, policy).stationary[:, None] * policy


def in_float64(function: Any, *arguments: Any) -> Any:
    with jax.enable_x64(True):
        return jax.device_get(jax.jit(function)(*arguments))


@EVERY
def test_an_evaluation_is_the_exact_one(mdp: TabularMDP) -> None:
    policy = np.random.default_rng(0).dirichlet(np.ones(mdp.num_actions), mdp.num_states)
    found = in_float64(lambda p, r, x: evaluate(p, r, x, MU), mdp.transition, mdp.reward, np.log(policy))
    solution = exact.evaluate(mdp, policy, MU)
    np.testing.assert_allclose(found.visitation, pair_visits(mdp, policy), atol=1e-12)
    np.testing.assert_allclose(found.soft_rate, solution.reward_rate, atol=1e-11)
    np.testing.assert_allclose(found.q, solution.q, atol=1e-9)
    np.testing.assert_allclose(in_float64(visitation, mdp.transition, policy), found.visitation, atol=1e-13)


@EVERY
@pytest.mark.parametrize("bound", [float("inf"), 1.5])
def test_the_envelope_gradient_is_the_finite_difference_of_the_optimal_soft_gain(mdp: TabularMDP, bound: float) -> None:
    """L(φ) = ρ*(r_φ) - E_E[r_φ], its gain by value iteration, whose policy is solved for anew at every point."""
    features, visits = features_of(mdp), pair_visits(mdp, mdp.uniform_policy())
    parameters = np.random.default_rng(4).normal(size=features.shape[-1])

    def reward_of(phi: np.ndarray) -> np.ndarray:
        linear = features @ phi
        return linear if bound == float("inf") else bound * np.tanh(linear / bound)

    def loss(phi: np.ndarray) -> float:
        return soft_gain(mdp, reward_of(phi)).reward_rate - float((visits * reward_of(phi)).sum())

    step = 1e-5
    differences = [(loss(parameters + e) - loss(parameters - e)) / (2 * step) for e in step * np.eye(len(parameters))]
    best = pair_visits(mdp, soft_gain(mdp, reward_of(parameters)).policy)
    gradient = in_float64(
        lambda f, phi, p, e: reward_gradient(LinearReward(f, bound), phi, p, e), features, parameters, best, visits
    )
    np.testing.assert_allclose(gradient, differences, atol=1e-6)
    if bound == float("inf"):
        np.testing.assert_allclose(gradient, np.einsum("sad,sa->d", features, best - visits), atol=1e-13)


@EVERY
def test_the_gradient_of_the_penalty_is_the_finite_difference_with_both_distributions_held_still(
    mdp: TabularMDP,
) -> None:
    rng = np.random.default_rng(7)
    features, parameters = features_of(mdp), rng.normal(size=5)
    policy_visits, expert_visits = rng.dirichlet(np.ones(mdp.reward.size), 2).reshape(2, *mdp.reward.shape)

    def loss(phi: np.ndarray) -> float:
        reward = features @ phi
        return float(
            ((policy_visits - expert_visits) * reward + 0.3 * (policy_visits + expert_visits) * reward**2).sum()
        )

    step = 1e-4
    differences = [(loss(parameters + e) - loss(parameters - e)) / (2 * step) for e in step * np.eye(5)]
    gradient = in_float64(
        lambda f, phi, p, e: reward_gradient(LinearReward(f), phi, p, e, 0.3),
        features,
        parameters,
        policy_visits,
        expert_visits,
    )
    np.testing.assert_allclose(gradient, differences, atol=1e-8)


@EVERY
def test_where_the_expert_is_the_policy_the_gradient_is_zero(mdp: TabularMDP) -> None:
    """At r, at r shifted by a constant, and at r shaped: the soft-optimal policy is one and the same."""
    rng = np.random.default_rng(1)
    expert = pair_visits(mdp, soft_gain(mdp, mdp.reward).policy)
    potential = rng.normal(size=mdp.num_states)
    for reward in (mdp.reward, mdp.reward + 3.0, mdp.reward + mdp.transition @ potential - potential[:, None]):
        found = soft_gain(mdp, reward)
        gradient = in_float64(
            lambda t, phi, p, e: reward_gradient(one_hot_reward(t), phi, p, e),
            mdp.transition,
            reward.reshape(-1),
            pair_visits(mdp, found.policy),
            expert,
        )
        np.testing.assert_allclose(gradient, 0.0, atol=1e-9)
    shifted = soft_gain(mdp, mdp.reward + 3.0)
    assert shifted.reward_rate == pytest.approx(soft_gain(mdp, mdp.reward).reward_rate + 3.0, abs=1e-9)


@EVERY
def test_no_stationary_policy_visits_as_counted_demonstrations_do(mdp: TabularMDP) -> None:
    """A linear programme: the least Σ |d - d̂| over all stationary d is 0 for exact visits and not for counted ones.

    This is why L with c = 0 is not bounded below: the distance is the best slope of a bounded r.
    """
    rng = np.random.default_rng(0)
    expert = pair_visits(mdp, soft_gain(mdp, mdp.reward).policy)
    counted = rng.multinomial(500, expert.reshape(-1)).reshape(expert.shape) / 500
    assert distance_to_stationary(mdp, expert) < 1e-8
    assert distance_to_stationary(mdp, counted) > 1e-3


def distance_to_stationary(mdp: TabularMDP, visits: np.ndarray) -> float:
    """min Σ t  over  d >= 0, d stationary, Σ d = 1, -t <= d - visits <= t."""
    states, actions = mdp.reward.shape
    pairs, identity = states * actions, np.eye(states * actions)
    flow = np.repeat(np.eye(states), actions, axis=1) - mdp.transition.reshape(pairs, states).T
    target = visits.reshape(-1)
    found = linprog(
        np.append(np.zeros(pairs), np.ones(pairs)),
        A_ub=np.block([[identity, -identity], [-identity, -identity]]),
        b_ub=np.append(target, -target),
        A_eq=np.block([[flow[1:], np.zeros((states - 1, pairs))], [np.ones((1, pairs)), np.zeros((1, pairs))]]),
        b_eq=np.append(np.zeros(states - 1), 1.0),
    )
    assert found.success
    return float(found.fun)
