"""The canonical form against the exact evaluation of the reference policy, and what it must not see and must see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.tabular.exact import evaluate, relative_value_iteration
from envs.tabular.families import garnet, grid_world, river_swim, transient_start
from envs.tabular.model import TabularMDP
from l2t.errors import ModelError, ReducibleChainError
from l2t.rewards.canonical import canonical_distance, canonical_reward

PROCESSES = [garnet(12, 3, 3, teleport=0.05), river_swim(), grid_world(3, 3, 0.2), transient_start()]
EVERY = pytest.mark.parametrize("mdp", PROCESSES, ids=lambda mdp: mdp.name)


def reference_of(mdp: TabularMDP, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(mdp.num_actions, 5.0), mdp.num_states)


def shaped(mdp: TabularMDP, reward: np.ndarray, potential: np.ndarray, factor: float, constant: float) -> np.ndarray:
    return factor * reward + mdp.transition @ potential - potential[:, None] + constant


@EVERY
def test_it_is_the_advantage_of_the_reference_policy(mdp: TabularMDP) -> None:
    reference = reference_of(mdp)
    exact = evaluate(mdp, reference)
    canonical = canonical_reward(mdp.transition, mdp.reward, reference)
    np.testing.assert_allclose(canonical, exact.q - exact.bias[:, None], atol=1e-10)
    np.testing.assert_allclose((reference * canonical).sum(1), 0.0, atol=1e-12)


@EVERY
@given(
    seed=st.integers(0, 1000),
    factor=st.floats(0.1, 10.0),
    constant=st.floats(-3.0, 3.0),
    height=st.sampled_from([0.0, 1.0, 3.0]),
)
@settings(max_examples=40, deadline=None)
def test_scale_shaping_and_a_constant_are_no_distance(
    mdp: TabularMDP, seed: int, factor: float, constant: float, height: float
) -> None:
    potential = height * np.random.default_rng(seed).normal(size=mdp.num_states)
    other = shaped(mdp, mdp.reward, potential, factor, constant)
    # Rounding relative to what is cancelled: the shaping and the constant beside the reward's own canonical form.
    size = np.linalg.norm(canonical_reward(mdp.transition, mdp.reward, reference_of(mdp)))
    cancelled = 1.0 + (abs(constant) + height) / (factor * size)
    assert canonical_distance(mdp.transition, mdp.reward, other, reference_of(mdp)) < 1e-14 * cancelled


def test_the_invariance_holds_to_the_last_digits() -> None:
    mdp = PROCESSES[0]
    potential = np.random.default_rng(1).normal(size=mdp.num_states)
    other = shaped(mdp, mdp.reward, potential, 2.5, 0.7)
    assert canonical_distance(mdp.transition, mdp.reward, other, mdp.uniform_policy()) < 1e-14


@EVERY
def test_two_rewards_of_one_canonical_form_differ_by_shaping_and_a_constant(mdp: TabularMDP) -> None:
    """Least squares over (Φ, c) explains r - C(r) exactly, and explains no other reward."""
    states, pairs = mdp.num_states, mdp.reward.size
    identity = np.repeat(np.eye(states), mdp.num_actions, axis=0)
    columns = np.column_stack([mdp.transition.reshape(pairs, states) - identity, np.ones(pairs)])

    def unexplained(reward: np.ndarray) -> float:
        coefficient = np.linalg.lstsq(columns, reward.reshape(-1), rcond=None)[0]
        return float(np.linalg.norm(columns @ coefficient - reward.reshape(-1)))

    assert unexplained(mdp.reward - canonical_reward(mdp.transition, mdp.reward, reference_of(mdp))) < 1e-12
    assert unexplained(mdp.reward) > 1e-2


@EVERY
def test_the_logarithm_of_a_soft_optimal_policy_is_at_distance_zero_from_its_reward(mdp: TabularMDP) -> None:
    """Q/μ - V/μ = log π, so μ log π = r - ρ + P V - V. Its rank correlation with r is far from 1 all the same."""
    expert = relative_value_iteration(mdp, 0.2).policy
    assert canonical_distance(mdp.transition, 0.2 * np.log(expert), mdp.reward, mdp.uniform_policy()) < 1e-8


@EVERY
def test_distances_are_those_of_directions(mdp: TabularMDP) -> None:
    rng, reference = np.random.default_rng(3), reference_of(mdp)
    one, other = rng.normal(size=(2, *mdp.reward.shape))

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        return canonical_distance(mdp.transition, first, second, reference)

    assert distance(one, -one) == pytest.approx(1.0, abs=1e-14)
    x, y = (canonical_reward(mdp.transition, r, reference).reshape(-1) for r in (one, other))
    cosine = x @ y / np.sqrt((x @ x) * (y @ y))
    assert distance(one, other) == pytest.approx(np.sqrt(0.5 * (1.0 - cosine)), abs=1e-12)
    assert distance(one, other) == distance(other, one) > 0.01


def test_a_reward_that_tells_no_policies_apart_has_no_direction() -> None:
    mdp = PROCESSES[0]
    potential = 1e3 * np.random.default_rng(5).normal(size=mdp.num_states)
    empty = shaped(mdp, mdp.reward, potential, 0.0, 1e4)
    uniform = mdp.uniform_policy()
    assert canonical_distance(mdp.transition, empty, np.full_like(empty, 7.0), uniform) == 0.0
    assert canonical_distance(mdp.transition, empty, mdp.reward, uniform) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transition": np.ones((2, 2))}, "must be .states, actions, states"),
        ({"reward": np.zeros((3, 1))}, "reward has shape"),
        ({"reward": np.full((2, 1), np.nan)}, "not finite"),
        ({"reference": np.zeros((2, 1))}, "reference holds a row"),
        ({"transition": np.zeros((2, 1, 2))}, "transition holds a row"),
    ],
)
def test_what_is_no_process_is_refused(changes: dict[str, np.ndarray], message: str) -> None:
    good = {"transition": np.full((2, 1, 2), 0.5), "reward": np.zeros((2, 1)), "reference": np.ones((2, 1))}
    with pytest.raises(ModelError, match=message):
        canonical_reward(**(good | changes))


def test_a_reference_without_one_reward_rate_is_refused() -> None:
    with pytest.raises(ReducibleChainError, match="several recurrent classes"):
        canonical_reward(np.eye(2)[:, None, :], np.zeros((2, 1)), np.ones((2, 1)))
