"""Exact solvers against each other, closed forms, and long products of the chain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.tabular.exact import (
    evaluate,
    greedy_policy,
    linear_programme,
    relative_value_iteration,
    stationary_distribution,
)
from envs.tabular.families import (
    access_control,
    coin_games,
    garnet,
    grid_world,
    ring,
    river_swim,
    transient_start,
    two_state_cycle,
)
from envs.tabular.model import TabularMDP, recurrent_classes
from l2t.errors import ModelError, ReducibleChainError

FAMILIES = [
    garnet(),
    grid_world(),
    access_control(),
    river_swim(),
    ring(),
    transient_start(),
    two_state_cycle(),
    coin_games(3),
]


@st.composite
def processes(draw) -> TabularMDP:
    """Random sparse processes; the jumps make every policy's chain unichain."""
    states = draw(st.integers(2, 12))
    return garnet(
        states,
        draw(st.integers(1, 4)),
        draw(st.integers(1, states)),
        teleport=draw(st.floats(0.01, 1.0)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@given(mdp=processes(), seed=st.integers(0, 1000), entropy=st.sampled_from([0.0, 0.1]))
@settings(max_examples=200, deadline=None)
def test_an_evaluation_solves_the_poisson_equation(mdp: TabularMDP, seed: int, entropy: float) -> None:
    policy = np.random.default_rng(seed).dirichlet(np.ones(mdp.num_actions), mdp.num_states)
    found = evaluate(mdp, policy, entropy)
    chain = mdp.chain(policy)
    np.testing.assert_allclose(found.stationary @ chain, found.stationary, atol=1e-12)
    np.testing.assert_allclose((policy * found.q).sum(1), found.bias, atol=1e-10)
    assert found.stationary @ found.bias == pytest.approx(0.0, abs=1e-10)
    # The definition of ρ: the average over a long time, from any start.
    reward = (policy * mdp.reward).sum(1) - entropy * (policy * np.log(policy)).sum(1)
    average = np.linalg.matrix_power(0.5 * (chain + np.eye(len(chain))), 2**14) @ reward
    np.testing.assert_allclose(average, found.reward_rate, atol=1e-10)


@given(mdp=processes())
@settings(max_examples=200, deadline=None)
def test_value_iteration_the_linear_programme_and_the_linear_solve_agree(mdp: TabularMDP) -> None:
    optimum = relative_value_iteration(mdp)
    assert linear_programme(mdp).reward_rate == pytest.approx(optimum.reward_rate, abs=1e-10)
    solved = evaluate(mdp, optimum.policy)
    assert solved.reward_rate == pytest.approx(optimum.reward_rate, abs=1e-10)
    np.testing.assert_allclose(solved.bias - solved.bias[0], optimum.bias, atol=1e-8)


@given(mdp=processes(), mu=st.floats(0.01, 1.0))
@settings(max_examples=100, deadline=None)
def test_the_regularised_optimum_is_the_softmax_of_its_own_q(mdp: TabularMDP, mu: float) -> None:
    optimum = relative_value_iteration(mdp, mu)
    solved = evaluate(mdp, optimum.policy, mu)
    assert solved.reward_rate == pytest.approx(optimum.reward_rate, abs=1e-10)
    np.testing.assert_allclose(greedy_policy(solved.q, mu), optimum.policy, atol=1e-8)


@pytest.mark.parametrize("mdp", FAMILIES, ids=lambda mdp: mdp.name)
def test_the_oracles_agree_on_every_family(mdp: TabularMDP) -> None:
    optimum, programme = relative_value_iteration(mdp), linear_programme(mdp)
    assert optimum.reward_rate == pytest.approx(programme.reward_rate, abs=1e-10)
    assert optimum.reward_rate >= evaluate(mdp, mdp.uniform_policy()).reward_rate - 1e-12
    # What is visited is taken by an action that Bellman's equation calls best.
    visited = programme.stationary[:, None] * programme.policy > 1e-9
    np.testing.assert_allclose((optimum.q - optimum.bias[:, None])[visited], 0.0, atol=1e-8)


def test_performance_difference() -> None:
    """ρ(π') - ρ(π) = E_{ν'}[<Q^π(s,.), π'(.|s) - π(.|s)> - h^{π'}(s) + h^π(s)], with h in both rewards."""
    mdp, mu, rng = garnet(seed=4), 0.2, np.random.default_rng(1)
    old, new = (rng.dirichlet(np.ones(4), 20) for _ in range(2))
    before, after = evaluate(mdp, old, mu), evaluate(mdp, new, mu)
    h_old, h_new = (mu * (p * np.log(p)).sum(1) for p in (old, new))
    gain = after.stationary @ ((before.q * (new - old)).sum(1) - h_new + h_old)
    assert after.reward_rate - before.reward_rate == pytest.approx(gain, abs=1e-12)


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.3, 0.1)])
def test_two_states_in_closed_form(p: float, q: float) -> None:
    found = evaluate(two_state_cycle(p, q, (2.0, -1.0)), np.ones((2, 1)))
    np.testing.assert_allclose(found.stationary, [q / (p + q), p / (p + q)], atol=1e-15)
    assert found.reward_rate == pytest.approx((2.0 * q - p) / (p + q))
    assert found.bias[0] - found.bias[1] == pytest.approx(3.0 / (p + q))


def test_the_rings_second_eigenvalue_is_as_documented() -> None:
    mdp = ring(12, 0.3)
    eigenvalues = np.sort(np.linalg.eigvalsh(mdp.chain(mdp.uniform_policy())))
    assert eigenvalues[-2] == pytest.approx(1.0 - 0.3 * (1.0 - np.cos(2.0 * np.pi / 12)))


def test_what_the_worse_coins_cost_is_the_mean_of_their_edges() -> None:
    mdp, edge = coin_games(3, 0.6), np.array([0.6, 0.3, 0.15])
    assert relative_value_iteration(mdp).reward_rate == pytest.approx(0.5 * (1.0 + edge.mean()), abs=1e-10)
    worse = np.repeat([0.1, 0.7, 0.4], 2)  # in games 0, 1 and 2, after a loss and after a win
    policy = np.stack([1.0 - worse, worse], 1)
    policy[2:4] = policy[2:4, ::-1]  # coin 1 is the better one in game 1
    lost = 0.5 * (1.0 + edge.mean()) - evaluate(mdp, policy).reward_rate
    assert lost == pytest.approx(np.mean(edge * worse[::2]), abs=1e-12)


def test_the_best_swimmer_swims_and_the_best_gatekeeper_is_choosy() -> None:
    assert relative_value_iteration(river_swim()).policy.argmax(1).tolist() == [1] * 6
    accepts = relative_value_iteration(access_control()).policy.argmax(1).reshape(11, 4)
    assert accepts[1:, 3].all()  # the best payer always, where a server is free
    assert (np.diff(accepts[1:].astype(int), axis=0) >= 0).all()  # the more are free, the more are taken
    assert not accepts[1, 0]


def test_transient_states_are_never_visited_in_the_long_run() -> None:
    mdp = transient_start(3)
    optimum = relative_value_iteration(mdp)
    found = evaluate(mdp, optimum.policy)
    np.testing.assert_allclose(found.stationary[:3], 0.0, atol=1e-15)
    assert found.reward_rate == pytest.approx(1.0)
    assert [c.tolist() for c in recurrent_classes(mdp.chain(mdp.uniform_policy()))] == [[3, 4]]


def test_a_chain_in_two_parts_is_refused() -> None:
    with pytest.raises(ReducibleChainError, match="2 recurrent classes"):
        stationary_distribution(np.eye(2))
    split = TabularMDP(np.eye(2)[:, None, :], np.array([[0.0], [1.0]]))
    with pytest.raises(ReducibleChainError):
        evaluate(split, np.ones((2, 1)))
    with pytest.raises(ModelError, match="did not converge"):
        relative_value_iteration(split, max_iterations=1000)


@pytest.mark.parametrize(
    ("transition", "reward", "message"),
    [
        (np.ones((2, 2)), np.ones((2, 2)), "it must be"),
        (np.full((2, 1, 2), 0.5), np.ones((2, 2)), r"must be \(2, 1\)"),
        (np.full((2, 1, 2), 0.6), np.ones((2, 1)), "sum to 1.2"),
        (np.array([[[1.5, -0.5]], [[0.5, 0.5]]]), np.ones((2, 1)), "negative probability"),
        (np.full((2, 1, 2), 0.5), np.array([[np.nan], [0.0]]), "not finite"),
    ],
)
def test_what_is_no_process_is_refused(transition, reward, message) -> None:
    with pytest.raises(ModelError, match=message):
        TabularMDP(transition, reward)


def test_what_is_no_policy_is_refused() -> None:
    mdp = river_swim()
    with pytest.raises(ModelError, match=r"must be \(6, 2\)"):
        evaluate(mdp, np.ones((2, 6)))
    with pytest.raises(ModelError, match="policy: the probabilities of row"):
        evaluate(mdp, np.ones((6, 2)))
