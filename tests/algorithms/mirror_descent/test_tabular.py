"""The loop with an exact critic against the exact solvers, and its book-keeping against a plain loop."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from algorithms.mirror_descent.divergences import MirrorStep, euclidean_step, kl_step, tsallis_step
from algorithms.mirror_descent.schedules import Constant, Geometric, Regularised, Schedule, SquareRoot
from algorithms.mirror_descent.tabular import PolicyPath, in_stages, mirror_descent
from envs.tabular.critics import exact_critic, generative_critic
from envs.tabular.exact import evaluate, relative_value_iteration
from envs.tabular.families import access_control, coin_games, garnet, river_swim
from envs.tabular.model import TabularMDP
from l2t.errors import ConfigurationError

PROCESSES = [garnet(8, 3, 3), river_swim(), access_control(4)]
EVERY = pytest.mark.parametrize("mdp", PROCESSES, ids=lambda mdp: mdp.name)
STEPS = pytest.mark.parametrize("step", [kl_step, tsallis_step, euclidean_step])


def run_exactly(
    mdp: TabularMDP, step: MirrorStep, schedule: Schedule, iterations: int, mu: float, record_every: int = 1
) -> PolicyPath:
    """From the uniform policy, in float64."""
    with jax.enable_x64(True):

        def run(key: Any) -> PolicyPath:
            start = jnp.asarray(mdp.uniform_policy())
            return mirror_descent(
                exact_critic(mdp, mu), step, schedule, start, iterations, mu, key, record_every=record_every
            )

        return jax.tree.map(np.asarray, jax.jit(run)(jax.random.key(0)))


@EVERY
@STEPS
def test_with_an_exact_critic_every_step_improves(mdp: TabularMDP, step: MirrorStep) -> None:
    found = run_exactly(mdp, step, Constant(1.0), 30, 0.0)
    rates = [evaluate(mdp, np.exp(x), 0.0).reward_rate for x in found.log_policy]
    np.testing.assert_allclose(found.metrics["reward_rate"], rates[:-1], atol=1e-10)
    assert np.diff(rates).min() > -1e-12
    optimal = relative_value_iteration(mdp).reward_rate
    assert optimal - rates[-1] < 0.6 * (optimal - rates[0])


@EVERY
@STEPS
def test_a_regularised_run_converges_linearly_to_the_soft_optimum(mdp: TabularMDP, step: MirrorStep) -> None:
    mu = 0.2 * float(mdp.reward.max())  # the optimum leaves no action below 1e-5, where Tsallis would be slow
    found = run_exactly(mdp, step, Constant(5.0), 400, mu, record_every=400)
    optimum = relative_value_iteration(mdp, mu)
    gap = optimum.reward_rate - found.metrics["reward_rate"]
    assert np.diff(gap).max() < 1e-11
    assert gap[-1] < 1e-10
    # Linear: from anywhere above rounding, sixty more steps divide the gap by at least 2.
    above = gap[:-60] > 1e-9
    assert above.sum() > 2
    assert (gap[60:][above] < 0.5 * gap[:-60][above]).all()
    np.testing.assert_allclose(np.exp(found.log_policy[-1]), optimum.policy, atol=1e-4)


@EVERY
@STEPS
def test_an_unregularised_run_reaches_the_optimal_rate(mdp: TabularMDP, step: MirrorStep) -> None:
    found = run_exactly(mdp, step, Constant(1e4), 300, 0.0, record_every=300)
    reached = evaluate(mdp, np.exp(found.log_policy[-1])).reward_rate
    assert reached == pytest.approx(relative_value_iteration(mdp).reward_rate, abs=1e-8)


@pytest.mark.parametrize("schedule", [Constant(20.0), Geometric(0.5, 2.0), SquareRoot(2, 0.1)])
def test_the_sum_of_the_steps_sets_how_far_an_exact_run_is_after_each(schedule: Schedule) -> None:
    """A won game is worth 1 more than a lost one, so Q of the coins differs by δ_j: the gap is known in closed form.

    Constant steps: linear, by exp(-η δ_min) a step. √ steps: no faster than 1/√k where coins are tied.
    """
    mdp, edge = coin_games(4), 0.8 * 0.5 ** np.arange(4)
    found = run_exactly(mdp, kl_step, schedule, 30, 0.0)
    gap = 0.5 * (1.0 + edge.mean()) - np.array([evaluate(mdp, np.exp(x)).reward_rate for x in found.log_policy])
    odds = np.outer(np.cumsum([0.0, *(float(schedule(k)) for k in range(30))]), edge)
    np.testing.assert_allclose(gap, (edge / (1.0 + np.exp(np.minimum(odds, 700.0)))).mean(1), rtol=1e-6, atol=1e-13)
    if isinstance(schedule, Constant):
        late = gap[(gap > 1e-11) & (gap < 1e-3)]
        assert len(late) > 5
        np.testing.assert_allclose(late[1:] / late[:-1], np.exp(-20.0 * edge[-1]), rtol=0.1)


def test_averaged_steps_make_the_log_policy_the_mean_of_all_estimates() -> None:
    """η_k = 1/(μ(k+1)):  (K+1) log π_K = log π_0 + Σ_k Q_k/μ, up to a constant in each state."""
    mu, key, start = 0.3, jax.random.key(4), np.random.default_rng(0).dirichlet(np.ones(3), 2)

    def critic(policy: Any, key: Any, state: Any) -> Any:
        q = jax.random.normal(key, (2, 3))
        return q, {}, (state[0] + q, jnp.concatenate([state[1][1:], jax.random.key_data(key)[None]]))

    first = (jnp.zeros((2, 3)), jnp.zeros((10, 2), jnp.uint32))
    found = mirror_descent(critic, kl_step, Regularised(mu), jnp.asarray(start), 10, mu, key, first)
    total, keys = jax.tree.map(np.asarray, found.critic_state)
    np.testing.assert_allclose(found.log_policy[-1], log_softmax((np.log(start) + total / mu) / 11.0, 1), atol=1e-5)
    assert len(np.unique(keys, axis=0)) == 10


def test_records_are_the_loop_written_out() -> None:
    def critic(policy: Any, key: Any, state: Any) -> Any:
        return policy * state, {"reward_rate": policy[0, 0], "seen": state}, state + 1

    schedule, start = SquareRoot(2, 3.0, 0.5), np.array([[0.3, 0.7], [0.5, 0.5]])
    args = (critic, kl_step, schedule, jnp.asarray(start), 6, 0.1, jax.random.key(0), jnp.asarray(2))
    found = mirror_descent(*args, record_every=3)
    policies = [start]
    for k in range(6):
        eta = 0.5 * math.sqrt(math.log(2) / (k + 1)) / 3.0
        power = policies[-1] ** (1.0 / (1.0 + 0.1 * eta)) * np.exp(eta * policies[-1] * (2 + k) / (1.0 + 0.1 * eta))
        policies.append(power / power.sum(1, keepdims=True))
    np.testing.assert_allclose(found.policy, np.array(policies)[::3], atol=1e-6)
    np.testing.assert_allclose(found.metrics["reward_rate"], np.array(policies)[:-1, 0, 0], atol=1e-6)
    assert found.metrics["seen"].tolist() == [2, 3, 4, 5, 6, 7]
    assert int(found.critic_state) == 8
    np.testing.assert_allclose(mirror_descent(*args).log_policy[::3], found.log_policy, atol=1e-6)


def test_critics_take_turns_and_hand_their_state_on() -> None:
    """Two iterations each, the last one more, also mapped over seeds."""

    def named(name: int) -> Any:
        return lambda policy, key, state: (policy, {"who": jnp.asarray(name)}, state * 10 + name)

    def run(first: Any) -> PolicyPath:
        critic = in_stages([named(1), named(2), named(3)], 2)
        state = (jnp.zeros((), jnp.int32), first)
        return mirror_descent(critic, kl_step, Constant(1.0), jnp.full((2, 2), 0.5), 7, 0.0, jax.random.key(0), state)

    found = jax.jit(jax.vmap(run))(jnp.array([0, 5]))
    assert found.metrics["who"].tolist() == [[1, 1, 2, 2, 3, 3, 3]] * 2
    assert found.critic_state[0].tolist() == [7, 7]
    assert found.critic_state[1].tolist() == [1122333, 51122333]


@pytest.mark.parametrize(("count", "iterations", "name"), [(0, 1, "critics"), (1, 0, "iterations")])
def test_stages_without_a_critic_or_an_iteration_are_refused(count: int, iterations: int, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        in_stages([lambda policy, key, state: (policy, {}, state)] * count, iterations)


def test_runs_are_mapped_over_keys_and_roll_outs_find_good_policies() -> None:
    mdp = garnet(6, 3, 2, teleport=0.3, seed=1)
    critic = generative_critic(mdp, rollouts=16, horizon=8)

    def run(key: Any) -> PolicyPath:
        start = jnp.asarray(mdp.uniform_policy())
        return mirror_descent(critic, kl_step, SquareRoot(3, 1.0, 2.0), start, 60, 0.0, key, record_every=60)

    keys = jax.random.split(jax.random.key(0), 4)
    together = jax.jit(jax.vmap(run))(keys)
    alone = jax.jit(run)(keys[2])
    np.testing.assert_allclose(together.policy[2], alone.policy, atol=1e-4)
    assert not np.allclose(together.metrics["reward_rate"][0], together.metrics["reward_rate"][1])
    optimal, before = relative_value_iteration(mdp).reward_rate, evaluate(mdp, mdp.uniform_policy()).reward_rate
    for policy in np.asarray(together.policy[:, -1], np.float64):
        assert optimal - evaluate(mdp, policy / policy.sum(1, keepdims=True)).reward_rate < 0.1 * (optimal - before)


def test_schedules_are_their_equations() -> None:
    for k in (0, 3, 99):
        assert Constant(0.3)(k) == 0.3
        assert SquareRoot(10, 4.0, 0.5)(k) == pytest.approx(0.5 * math.sqrt(math.log(10) / (k + 1)) / 4.0)
        assert Geometric(0.3, 4.0)(k) == pytest.approx(0.3 * 4.0**k)
        assert Regularised(0.2, 3.0)(k) == pytest.approx(3.0 / (0.2 * (k + 1)))
        for schedule in (Constant(0.3), Geometric(0.3, 1.125), SquareRoot(10, 4.0), Regularised(0.2)):
            assert float(jax.jit(schedule)(k)) == pytest.approx(schedule(k), rel=1e-6)


@pytest.mark.parametrize(
    ("good", "changes"),
    [
        (Constant(1.0), {"step_size": [0.0, -1.0, math.inf, math.nan, "1"]}),
        (Geometric(1.0, 2.0), {"step_size": [0.0, math.nan], "growth": [1.0, 0.5, math.inf]}),
        (SquareRoot(2, 1.0), {"num_actions": [1, 2.0], "q_max": [0.0, -1.0], "scale": [0.0, math.nan]}),
        (Regularised(1.0), {"entropy": [0.0, -1.0], "scale": [0.0, -2.0]}),
    ],
)
def test_steps_that_would_not_be_positive_are_refused(good: Any, changes: dict[str, list[Any]]) -> None:
    for name, values in changes.items():
        for value in values:
            with pytest.raises(ConfigurationError, match=rf"schedule\.{name}="):
                dataclasses.replace(good, **{name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "iterations"),
        ({"record_every": 0}, "record_every"),
        ({"record_every": 4}, "must divide iterations=10"),
        ({"entropy": -0.1}, "entropy"),
    ],
)
def test_runs_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    def critic(policy: Any, key: Any, state: Any) -> Any:
        return policy, {}, state

    arguments: dict[str, Any] = {"iterations": 10, "entropy": 0.0, "key": jax.random.key(0)} | changes
    with pytest.raises(ConfigurationError, match=message):
        mirror_descent(critic, kl_step, Constant(1.0), jnp.full((2, 2), 0.5), **arguments)
