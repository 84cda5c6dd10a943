"""The additive surrogate on rewards that are additive, and on one that is not."""

import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.surrogate import fit_surrogate

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(-2.0, 2.0, (1500, 3))


def terms(x):
    return np.stack([np.sin(2.0 * x[:, 0]), x[:, 1] ** 2, 0.0 * x[:, 2]], 1)


def test_an_additive_reward_is_recovered_curve_by_curve(x):
    found = fit_surrogate(x, 3.0 + terms(x).sum(1), NAMES, resamples=10)
    assert found.r_squared.estimate > 0.999
    for component, truth in zip(found.components, (np.sin(2.0 * x[:, 0]), x[:, 1] ** 2, 0.0 * x[:, 2]), strict=True):
        function = {"a": lambda g: np.sin(2.0 * g), "b": np.square, "c": lambda g: 0.0 * g}[component.name]
        np.testing.assert_allclose(component.value, function(component.grid) - truth.mean(), atol=0.06)
    np.testing.assert_allclose(found.terms(x), terms(x) - terms(x).mean(0), atol=0.06)
    np.testing.assert_allclose(found(x), found.constant + found.terms(x).sum(1), atol=1e-12)


def test_a_linear_reward_is_fitted_exactly_and_smoothing_costs_nothing(x):
    found = fit_surrogate(x, x @ np.array([1.0, -2.0, 0.0]) + 1.0, NAMES, resamples=2)
    assert found.r_squared.estimate == pytest.approx(1.0, abs=1e-9)
    slope = np.gradient(found.components[1].value, found.components[1].grid)
    np.testing.assert_allclose(slope, -2.0, atol=1e-3)


def test_held_out_r_squared_is_the_explained_share_where_columns_interact(x):
    """r = a + b c: of its variance the part of `a` is additive."""
    found = fit_surrogate(x, x[:, 0] + x[:, 1] * x[:, 2], NAMES, resamples=2)
    assert found.r_squared.estimate == pytest.approx((4 / 3) / (4 / 3 + 16 / 9), abs=0.06)
    assert found.r_squared.low < found.r_squared.estimate < found.r_squared.high


def test_pure_noise_is_not_explained_on_held_out_samples(x):
    found = fit_surrogate(x, np.random.default_rng(1).normal(size=len(x)), NAMES, resamples=2)
    assert abs(found.r_squared.estimate) < 0.05


def test_the_band_covers_the_truth_about_as_often_as_it_says():
    covered = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-2.0, 2.0, (400, 2))
        found = fit_surrogate(x, np.sin(2.0 * x[:, 0]) + rng.normal(size=400), ("a", "b"), resamples=60, seed=seed)
        noise = found.components[1]  # the truth is 0
        covered.append(np.mean((noise.low <= 0.0) & (noise.high >= 0.0)))
    assert 0.75 < np.mean(covered) <= 1.0


def test_monotone_curves_are_monotone_and_the_nearest_such(x):
    noisy = x[:, 0] ** 3 - x[:, 1] + 0.5 * np.sin(6.0 * x[:, 0]) + np.random.default_rng(2).normal(size=len(x))
    free = fit_surrogate(x, noisy, NAMES, resamples=2)
    bound = fit_surrogate(x, noisy, NAMES, monotone={"a": "increasing", "b": "decreasing"}, resamples=2)
    assert np.diff(free.components[0].value).min() < 0.0
    assert np.diff(bound.components[0].value).min() >= -1e-9
    assert np.diff(bound.components[1].value).max() <= 1e-9
    assert bound.r_squared.estimate > 0.5
    against = fit_surrogate(x, x[:, 0], NAMES, monotone={"a": "decreasing"}, resamples=2)
    np.testing.assert_allclose(against.components[0].value, 0.0, atol=1e-6)


def test_a_duplicate_shares_its_effect_and_a_constant_has_none():
    first = np.random.default_rng(3).uniform(-1.0, 1.0, 600)
    x = np.column_stack([first, first, np.full(600, 2.0)])
    found = fit_surrogate(x, 2.0 * first, NAMES, resamples=2)
    np.testing.assert_allclose(found.terms(x)[:, 0], first - first.mean(), atol=0.02)
    np.testing.assert_allclose(found.terms(x)[:, 1], found.terms(x)[:, 0], atol=1e-3)
    np.testing.assert_array_equal(found.terms(x)[:, 2], 0.0)


def test_episodes_are_held_out_whole():
    """Every episode has its own level, which its own steps would betray."""
    rng = np.random.default_rng(4)
    episode = np.repeat(np.arange(30), 40)
    x = np.column_stack([rng.uniform(size=30)[episode] + 1e-3 * rng.uniform(size=1200)])
    reward = rng.normal(size=30)[episode]
    leaky = fit_surrogate(x, reward, ("a",), knots=60, resamples=2)
    whole = fit_surrogate(x, reward, ("a",), knots=60, episode=episode, resamples=2)
    assert leaky.r_squared.estimate > 0.5
    assert whole.r_squared.estimate < 0.2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"monotone": {"d": "increasing"}}, "not known"),
        ({"monotone": {"a": "up"}}, "not known"),
        ({"knots": 60}, "too few"),
        ({"held_out": 0.0}, "leaves a part empty"),
        ({"reward": np.ones(100)}, "nothing to explain"),
        ({"reward": np.ones(7)}, "each of the 100"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, says):
    x = np.random.default_rng(5).normal(size=(100, 3))
    given = {"reward": x[:, 0]} | change
    with pytest.raises(L2TError, match=says):
        fit_surrogate(x, given.pop("reward"), NAMES, **given)
