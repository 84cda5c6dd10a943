"""Regret against the exact solvers of the tabular environments, which share no code with it."""

import numpy as np
import pytest

from envs.tabular.exact import evaluate, greedy_policy, linear_programme, relative_value_iteration
from envs.tabular.families import garnet, grid_world
from envs.tabular.model import TabularMDP
from l2t.errors import ConfigurationError, L2TError, ModelError, ReducibleChainError
from l2t.rewards.regret import optimal_policy, regret_from_returns, regret_matrix, reward_rate, tabular_regret_matrix


@pytest.mark.parametrize("entropy", [0.0, 0.1])
def test_tabular_regret_is_that_of_the_exact_solvers(entropy):
    worlds = {f"p{slip}": grid_world(3, 3, slip) for slip in (0.2, 0.6)}
    truth = worlds["p0.2"].reward
    other = garnet(9, 4, seed=1).reward
    found = tabular_regret_matrix(
        {name: world.transition for name, world in worlds.items()},
        {"true": truth, "scaled": 3.0 * truth + 1.0, "other": other, "noisy": truth + 0.01 * other},
        truth,
        entropy=entropy,
    )
    np.testing.assert_allclose(found.regret[0], 0.0, atol=1e-9)
    if entropy == 0.0:
        np.testing.assert_allclose(found.regret[1], 0.0, atol=1e-9)  # a soft optimum does see the scale
    else:
        assert np.all(found.regret[1] > 1e-4)
    assert np.all(found.regret[2] > 1e-3)
    for j, world in enumerate(worlds.values()):
        best = relative_value_iteration(world, entropy).reward_rate
        if entropy == 0.0:
            assert best == pytest.approx(linear_programme(world).reward_rate, abs=1e-8)
        for i, reward in ((2, other), (3, truth + 0.01 * other)):
            q = relative_value_iteration(TabularMDP(world.transition, reward), entropy).q
            earned = evaluate(world, greedy_policy(q, entropy), entropy).reward_rate
            assert found.regret[i, j] == pytest.approx(best - earned, abs=1e-8)


def test_shaping_and_a_constant_leave_no_regret():
    mdp = garnet(8, 3, seed=3, teleport=0.05)
    φ = np.random.default_rng(0).normal(size=8)
    shaped = 2.0 * mdp.reward + mdp.transition @ φ - φ[:, None] + 5.0
    found = tabular_regret_matrix({"p": mdp.transition}, {"shaped": shaped, "reversed": -shaped}, mdp.reward)
    assert found.regret[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert found.regret[1, 0] > 0.05


def test_a_constant_reward_is_optimised_by_the_uniform_policy():
    mdp = garnet(6, 3, seed=4, teleport=0.1)
    np.testing.assert_allclose(optimal_policy(mdp.transition, np.ones((6, 3))), 1 / 3)
    assert reward_rate(mdp.transition, mdp.reward, mdp.uniform_policy()) == pytest.approx(
        evaluate(mdp, mdp.uniform_policy()).reward_rate, abs=1e-12
    )


def test_a_reward_rate_that_depends_on_the_start_is_refused():
    stay = np.eye(2)[:, None, :]
    with pytest.raises(ReducibleChainError, match="entropy"):
        reward_rate(stay, np.ones((2, 1)), np.ones((2, 1)))
    with pytest.raises(ModelError, match="did not converge"):
        optimal_policy(stay, np.array([[0.0], [1.0]]), max_iterations=100)
    with pytest.raises(ModelError, match="must be"):
        optimal_policy(stay, np.ones((2, 3)))


def test_every_cell_is_trained_with_every_seed():
    calls = []

    def train(reward, world, seed):
        calls.append((reward, world, seed))
        return reward * world + 0.1 * seed

    found = regret_matrix(train, {"true": 3.0, "learned": 2.0}, {"a": 1.0, "b": 10.0}, (0, 1, 2), reference="true")
    assert len(set(calls)) == len(calls) == 12
    np.testing.assert_allclose(found.regret, [[0.0, 0.0], [1.0, 10.0]], atol=1e-12)
    np.testing.assert_allclose(found.returns[1, 1], [20.0, 20.1, 20.2])


def test_intervals_are_those_of_a_difference_of_two_means_over_seeds():
    rng = np.random.default_rng(5)
    returns = np.stack([rng.normal(10.0, 1.0, (1, 40)), rng.normal(8.0, 2.0, (1, 40))])
    found = regret_from_returns(returns, ("true", "learned"), ("p",), reference="true")
    error = np.sqrt(returns[0].var() / 40 + returns[1].var() / 40)
    assert found.high[1, 0] - found.low[1, 0] == pytest.approx(2 * 1.96 * error, rel=0.12)
    assert found.low[0, 0] == found.high[0, 0] == 0.0


def test_one_seed_has_no_interval_and_bad_returns_are_refused():
    assert np.isnan(regret_from_returns(np.ones((1, 1, 1)), ("a",), ("p",), reference="a").low).all()
    with pytest.raises(ConfigurationError, match="reference"):
        regret_from_returns(np.ones((1, 1, 1)), ("a",), ("p",), reference="b")
    with pytest.raises(L2TError, match="not finite"):
        regret_from_returns(np.full((1, 1, 2), np.nan), ("a",), ("p",), reference="a")
    with pytest.raises(L2TError, match="1 rewards, 2 dynamics"):
        regret_from_returns(np.ones((1, 1, 2)), ("a",), ("p", "q"), reference="a")
