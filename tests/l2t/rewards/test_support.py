import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.support import fit_support


def test_fresh_samples_are_flagged_as_seldom_as_the_quantile_says():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(4, 4))
    support = fit_support(rng.normal(size=(4000, 4)) @ mix, quantile=0.95)
    inside = support.contains(rng.normal(size=(4000, 4)) @ mix).mean()
    assert inside == pytest.approx(0.95, abs=0.02)


def test_the_middle_of_a_loop_is_outside():
    angle = np.random.default_rng(1).uniform(0.0, 2.0 * np.pi, 1000)
    support = fit_support(np.column_stack([np.cos(angle), 5.0 * np.sin(angle)]))
    assert support.contains(np.array([[0.0, 5.0], [0.0, 0.0], [0.6, 0.0]])).tolist() == [True, False, False]


def test_distances_are_those_of_the_explicit_loop_whatever_the_units():
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(400, 3))
    scaled = fit_support(samples * np.array([1.0, 1e3, 1e-3]))
    points = 2.0 * rng.normal(size=(300, 3))
    plain = fit_support(samples)
    inside = plain.contains(points)
    assert 0.1 < inside.mean() < 0.9
    np.testing.assert_array_equal(scaled.contains(points * np.array([1.0, 1e3, 1e-3])), inside)
    z = (points - plain.centre) @ plain.whitening
    loop = [min(np.linalg.norm(row - other) for other in plain.reference) <= plain.radius for row in z]
    np.testing.assert_array_equal(inside, loop)
    np.testing.assert_array_equal(plain.contains(points.reshape(3, 100, 3)), inside.reshape(3, 100))


def test_leaving_a_tight_correlation_or_a_constant_is_leaving_the_support():
    rng = np.random.default_rng(3)
    first = rng.normal(size=1000)
    support = fit_support(np.column_stack([first, first + 0.01 * rng.normal(size=1000), np.full(1000, 3.0)]))
    assert support.contains(np.array([[1.0, 1.0, 3.0], [1.0, 0.8, 3.0], [1.0, 1.0, 4.0]])).tolist() == [
        True,
        False,
        False,
    ]


def test_too_few_or_equal_samples_are_refused():
    with pytest.raises(L2TError, match="at least 20 samples"):
        fit_support(np.zeros((5, 2)))
    with pytest.raises(L2TError, match="all alike"):
        fit_support(np.ones((50, 2)))
