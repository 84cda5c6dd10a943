"""IPMD on processes whose rewards are known: exact experts, few demonstrations, long runs."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from algorithms.inverse.tabular import LinearReward, one_hot_reward
from algorithms.inverse.tabular_config import TabularIPMDConfig
from algorithms.inverse.tabular_ipmd import OverfittingWarning, Recovery, check_overfitting, inverse_mirror_descent
from envs.tabular.exact import evaluate, relative_value_iteration
from envs.tabular.families import garnet, grid_world, river_swim
from envs.tabular.model import TabularMDP
from l2t.errors import ConfigurationError
from l2t.rewards.canonical import canonical_distance

CASES = [(garnet(6, 3, 3, teleport=0.05), 0.5), (river_swim(), 0.2), (grid_world(3, 3, 0.2), 0.1)]
EVERY = pytest.mark.parametrize(("mdp", "mu"), CASES, ids=lambda x: getattr(x, "name", ""))
MDP, MU = CASES[0]


def expert_of(mdp: TabularMDP, mu: float) -> tuple[np.ndarray, np.ndarray]:
    policy = relative_value_iteration(mdp, mu).policy
    return policy, evaluate(mdp, policy).stationary[:, None] * policy


def run(
    mdp: TabularMDP,
    mu: float,
    config: TabularIPMDConfig,
    penalty: float,
    visits: np.ndarray,
    held_out: np.ndarray | None = None,
) -> Recovery:
    with jax.enable_x64(True):

        def recover(transition: Any, visits: Any, held_out: Any) -> Recovery:
            reward = one_hot_reward(transition, config.bound)
            return inverse_mirror_descent(transition, reward, visits, mu, config, penalty, held_out)

        return jax.device_get(jax.jit(recover)(mdp.transition, visits, held_out))


@cache
def demonstrations() -> tuple[np.ndarray, np.ndarray]:
    """80 independent pairs of the expert that are fitted, and 20 that are not."""
    _, visits = expert_of(MDP, MU)
    rng, shape = np.random.default_rng(0), visits.shape
    return tuple(rng.multinomial(n, visits.reshape(-1)).reshape(shape) / n for n in (80, 20))


@EVERY
def test_an_exact_expert_is_recovered_exactly(mdp: TabularMDP, mu: float) -> None:
    policy, visits = expert_of(mdp, mu)
    found = run(mdp, mu, TabularIPMDConfig(iterations=600), 0.0, visits)
    assert found.mismatch[-1] < 1e-10 < 0.1 < found.mismatch[0]
    np.testing.assert_allclose(found.log_policy, np.log(policy), atol=1e-6)
    for reward in (found.reward, mu * np.log(policy)):
        assert canonical_distance(mdp.transition, reward, mdp.reward, mdp.uniform_policy()) < 1e-8
    # The scale too, since μ is fixed: the policy that is best for the recovered reward is the expert.
    best = relative_value_iteration(TabularMDP(mdp.transition, found.reward), mu).policy
    np.testing.assert_allclose(best, policy, atol=1e-8)


def test_linear_features_are_matched_where_the_reward_lies_in_their_span() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(*MDP.reward.shape, 4))
    truth = np.array([0.5, -0.3, 0.2, 0.4])
    mdp = TabularMDP(MDP.transition, features @ truth)
    _, visits = expert_of(mdp, MU)
    config = TabularIPMDConfig(iterations=800)
    with jax.enable_x64(True):
        found = jax.device_get(
            jax.jit(
                lambda t, f, v: inverse_mirror_descent(t, LinearReward(f), v, MU, config, 0.0),
            )(mdp.transition, features, visits)
        )
    np.testing.assert_allclose(found.reward, mdp.reward, atol=1e-6)  # no shaping lies in the span of four columns


def test_a_constant_shift_of_the_expert_s_reward_changes_nothing() -> None:
    shifted = TabularMDP(MDP.transition, MDP.reward + 5.0)
    first, second = (run(m, MU, TabularIPMDConfig(iterations=50), 0.05, expert_of(m, MU)[1]) for m in (MDP, shifted))
    np.testing.assert_allclose(first.reward, second.reward, atol=1e-8)


def test_the_squared_norm_bounds_the_reward_and_says_where_it_ends() -> None:
    """At rest r = (d_E - d_π)/(2c (d_E + d_π)); ten times the steps do not move it."""
    fitted, held_out = demonstrations()
    penalty = 0.2
    short, long = (run(MDP, MU, TabularIPMDConfig(iterations=k), penalty, fitted, held_out) for k in (1_000, 10_000))
    log_policy = long.last_log_policy
    visits = evaluate(MDP, np.exp(log_policy) / np.exp(log_policy).sum(1, keepdims=True)).stationary[:, None]
    visits = visits * np.exp(log_policy)
    at_rest = (fitted - visits) / (2.0 * penalty * (fitted + visits))
    np.testing.assert_allclose(long.last_reward, at_rest, atol=1e-4)
    assert np.abs(long.last_reward).max() <= 1.0 / (2.0 * penalty)
    np.testing.assert_allclose(long.size[-1], short.size[-1], rtol=1e-2)
    # π is best for r, so the policy step has converged too.
    best = relative_value_iteration(TabularMDP(MDP.transition, long.last_reward), MU).policy
    np.testing.assert_allclose(np.exp(log_policy), best, atol=1e-6)


@cache
def many_runs(iterations: int, penalty: float) -> Recovery:
    """Sixteen sets of 80 and 20 demonstrations."""
    fitted, held_out = many_demonstrations()
    with jax.enable_x64(True):
        config, transition = TabularIPMDConfig(iterations=iterations), jnp.asarray(MDP.transition)

        def recover(fitted: Any, held_out: Any) -> Recovery:
            reward = one_hot_reward(transition)
            return inverse_mirror_descent(transition, reward, fitted, MU, config, penalty, held_out)

        return jax.device_get(jax.jit(jax.vmap(recover))(fitted, held_out))


def many_demonstrations() -> tuple[np.ndarray, np.ndarray]:
    _, visits = expert_of(MDP, MU)
    rng, shape = np.random.default_rng(1), visits.shape
    fitted, held_out = (rng.multinomial(n, visits.reshape(-1), 16).reshape(16, *shape) / n for n in (80, 20))
    return fitted, held_out


def test_without_a_penalty_few_demonstrations_make_the_reward_grow_and_warnings_say_so() -> None:
    """Ten times the steps: the reward grows with them, except where the squared norm is punished."""
    fitted, held_out = many_demonstrations()
    short, long, bounded = many_runs(200, 0.0), many_runs(2_000, 0.0), many_runs(2_000, 0.2)
    assert (long.size[:, -1] > 3.0 * short.size[:, -1]).all()
    assert np.abs(bounded.last_reward).max() <= 2.5 < 10.0 < np.abs(long.last_reward).max()
    with pytest.warns(OverfittingWarning) as caught:
        gap, growth = check_overfitting(long, TabularIPMDConfig(iterations=2_000))
    growing, rising = (str(warning.message) for warning in caught)
    assert growing.startswith("The reward is still growing in 16 of 16 runs")
    assert rising.startswith("The held-out gap grows in")
    assert all("a larger penalty" in text and "fewer iterations" in text for text in (growing, rising))
    assert growth == pytest.approx((long.size[:, -1] / long.size[:, 1_000]).max())
    # The gap is what held-out demonstrations earn less than those that were fitted.
    earned = ((fitted - held_out) * long.last_reward).sum((1, 2))
    np.testing.assert_allclose(long.gap[:, -1], earned, rtol=0.02)
    assert gap == pytest.approx((earned / long.size[:, -1]).max(), rel=0.02)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The reward is still growing")
        warnings.filterwarnings("ignore", message="The held-out gap grows")
        check_overfitting(bounded, TabularIPMDConfig(iterations=2_000))


def test_the_kept_reward_is_the_one_that_held_out_demonstrations_like_best() -> None:
    """In most draws that is long before the end, and on average it is nearer to the truth."""
    found = many_runs(200, 0.0)
    np.testing.assert_array_equal(found.stopped, found.held_out.argmin(1))
    assert (found.stopped < 100).sum() >= 8
    distances = np.array(
        [
            [canonical_distance(MDP.transition, reward, MDP.reward, MDP.uniform_policy()) for reward in rewards]
            for rewards in (found.reward, found.last_reward)
        ]
    )
    assert distances[0].mean() < 0.9 * distances[1].mean()

    run_ = int(((found.stopped > 0) & (found.stopped < 199)).argmax())
    stopped, (fitted, held_out) = int(found.stopped[run_]), many_demonstrations()
    again = run(MDP, MU, TabularIPMDConfig(iterations=stopped), 0.0, fitted[run_])
    np.testing.assert_allclose(found.reward[run_], again.last_reward, atol=1e-10)
    np.testing.assert_allclose(found.log_policy[run_], again.last_log_policy, atol=1e-10)
    # The objective is the soft gain less what demonstrations earn; the policy is not far behind the best one.
    gain = relative_value_iteration(TabularMDP(MDP.transition, again.last_reward), MU).reward_rate
    earned = float((held_out[run_] * again.last_reward).sum())
    assert found.held_out[run_, stopped] == pytest.approx(gain - earned, abs=2e-2)


def test_an_exact_expert_raises_no_warning() -> None:
    _, visits = expert_of(MDP, MU)
    config = TabularIPMDConfig(iterations=300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_overfitting(run(MDP, MU, config, 0.05, visits, visits), config)


def test_a_bounded_reward_stays_within_its_bound_without_a_penalty() -> None:
    fitted, held_out = demonstrations()
    found = run(MDP, MU, TabularIPMDConfig(iterations=1_000, bound=0.8), 0.0, fitted, held_out)
    assert 0.5 < np.abs(found.last_reward).max() <= 0.8


def test_one_iteration_is_the_two_steps_written_out() -> None:
    """From r = 0 and the uniform policy, with the exact Q of the new reward."""
    fitted, _ = demonstrations()
    config = TabularIPMDConfig(iterations=1, reward_step=0.7, policy_step=2.0)
    found = run(MDP, MU, config, 0.05, fitted)
    uniform = MDP.uniform_policy()
    visits = evaluate(MDP, uniform).stationary[:, None] * uniform
    reward = 0.7 * MU / (1.0 + 0.1 * MU) * (fitted - visits) / (fitted + visits)
    q = evaluate(TabularMDP(MDP.transition, reward), uniform, MU).q
    np.testing.assert_allclose(found.reward, reward, atol=1e-12)
    np.testing.assert_allclose(found.log_policy, log_softmax((2.0 / MU) * q / 3.0, 1), atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "iterations"),
        ({"reward_step": 0.0}, "reward_step"),
        ({"policy_step": -1.0}, "policy_step"),
        ({"penalty": -0.1}, "penalty"),
        ({"penalty_power": 2.0}, "penalty_power"),
        ({"bound": 0.0}, "bound"),
        ({"held_out": 1.0}, "held_out"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TabularIPMDConfig(**changes)


def test_an_entropy_price_of_zero_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="entropy=0"):
        run(MDP, 0.0, TabularIPMDConfig(), 0.0, demonstrations()[0])


def test_the_penalty_falls_with_the_demonstrations() -> None:
    assert TabularIPMDConfig(penalty=0.2, penalty_power=0.5).penalty_for(400.0) == pytest.approx(0.01)
    assert TabularIPMDConfig(penalty=0.2).penalty_for(400.0) == 0.2
    assert TabularIPMDConfig(penalty_power=0.5).penalty_for(float("inf")) == 0.0
