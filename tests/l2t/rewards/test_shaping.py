"""A reward with a planted task part and a planted potential."""

import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.shaping import split_shaping


def planted(noise=0.0, steps=60, episodes=30, seed=0):
    rng = np.random.default_rng(seed)
    state = rng.normal(size=(episodes, steps + 1, 2)).cumsum(1) * 0.3
    s, following = state[:, :-1].reshape(-1, 2), state[:, 1:].reshape(-1, 2)
    φ = lambda s: np.column_stack([s, s[:, 0] * s[:, 1]])  # noqa: E731
    ψ = np.column_stack([np.sin(s[:, 0]), rng.normal(size=len(s))])  # the second is an action
    w, v, c = np.array([1.5, -0.7]), np.array([2.0, 0.5, -1.0]), 0.8
    g, shaping = ψ @ w, (φ(following) - φ(s)) @ v
    r = g + shaping + c + noise * rng.normal(size=len(s))
    return r, ψ, φ(s), φ(following), np.repeat(np.arange(episodes), steps), g, shaping


def test_task_part_and_potential_are_recovered_up_to_a_constant():
    r, ψ, φ, after, episode, g, shaping = planted()
    found = split_shaping(r, ψ, φ, after, episode=episode)
    np.testing.assert_allclose(found.task_weights.estimate, [1.5, -0.7], atol=1e-9)
    np.testing.assert_allclose(found.potential_weights.estimate, [2.0, 0.5, -1.0], atol=1e-9)
    assert found.constant == pytest.approx(0.8, abs=1e-9)
    np.testing.assert_allclose(found.task, g - g.mean(), atol=1e-9)
    np.testing.assert_allclose(found.shaping, shaping - shaping.mean(), atol=1e-9)
    assert found.overlap < 0.5


def test_shares_are_covariances_with_the_reward_and_sum_to_one():
    r, ψ, φ, after, episode, g, shaping = planted(noise=1.0)
    found = split_shaping(r, ψ, φ, after, episode=episode)
    assert found.shares.names == ("task", "shaping", "residual")
    assert found.shares.estimate.sum() == pytest.approx(1.0, abs=1e-12)
    expected = [np.cov(part, r)[0, 1] / r.var(ddof=1) for part in (g, shaping)]
    np.testing.assert_allclose(found.shares.estimate[:2], expected, atol=0.04)
    assert np.all((found.shares.low < found.shares.estimate) & (found.shares.estimate < found.shares.high))
    for name, truth in (("ψ1", 1.5), ("ψ2", -0.7)):
        assert found.task_weights[name].low < truth < found.task_weights[name].high


def test_without_a_potential_nothing_is_called_shaping():
    rng = np.random.default_rng(1)
    ψ, φ, after = rng.normal(size=(3, 500, 2))
    found = split_shaping(ψ @ [1.0, 2.0], ψ, φ, after, feature_names=("a", "b"))
    np.testing.assert_allclose(found.shares.estimate, [1.0, 0.0, 0.0], atol=1e-9)
    assert found.task_weights["b"].estimate == pytest.approx(2.0)


def test_a_feature_that_is_a_difference_of_potentials_is_told_by_the_overlap():
    rng = np.random.default_rng(2)
    φ, after = rng.normal(size=(2, 400, 2))
    velocity = (after - φ)[:, :1] / 0.05
    found = split_shaping(velocity[:, 0], np.column_stack([velocity, rng.normal(size=400)]), φ, after)
    assert found.overlap == pytest.approx(1.0, abs=1e-6)
    assert found.shares["residual"].estimate == pytest.approx(0.0, abs=1e-9)


def test_a_constant_feature_takes_nothing():
    r, ψ, φ, after, *_ = planted()
    found = split_shaping(r, np.column_stack([ψ, np.full(len(r), 4.0)]), φ, after, resamples=5)
    np.testing.assert_allclose(found.task_weights.estimate, [1.5, -0.7, 0.0], atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [((60, 59), (2, 2), "same samples"), ((60, 60), (2, 3), "same columns"), ((4, 4), (2, 2), "too few")],
)
def test_tables_that_do_not_fit_are_refused(rows, columns, says):
    rng = np.random.default_rng(3)
    size = rows[0]
    ψ, φ, after = (
        rng.normal(size=(size, 2)),
        rng.normal(size=(rows[1], columns[0])),
        rng.normal(size=(size, columns[1])),
    )
    with pytest.raises(L2TError, match=says):
        split_shaping(ψ[:, 0], ψ, φ, after)
