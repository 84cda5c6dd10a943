"""Every kind of feature against sums written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.features import FourierFeatures, OneHot, aggregated_features, radial_features, random_features

FOURIER = FourierFeatures.create(jax.random.key(0), 3, 8, 1.5)


def _pairs(features, count):
    rng = np.random.default_rng(count)
    if isinstance(features, FourierFeatures):
        return jnp.asarray(rng.normal(size=(count, 3)), jnp.float32)
    return jnp.asarray(rng.integers(0, features.num_pairs, count))  # some pair occurs twice


def _rows(features, pair):
    """ψ, from the definition."""
    if isinstance(features, FourierFeatures):
        angle = np.asarray(pair, np.float64) @ np.asarray(features.frequency) + np.asarray(features.phase)
        return np.sqrt(2.0 / features.size) * np.cos(angle)
    if isinstance(features, OneHot):
        return np.eye(features.size)[pair]
    return np.asarray(features.table, np.float64)[pair]


@pytest.mark.parametrize("count", [4, 40])  # fewer and more than there are rows: sums take another way
@pytest.mark.parametrize("features", [OneHot(12), random_features(12, 5), FOURIER], ids=["one-hot", "table", "fourier"])
def test_the_operations_are_sums_over_rows(features, count) -> None:
    pair, other = _pairs(features, count), _pairs(features, count)[::-1]
    rows, others, rng = _rows(features, pair), _rows(features, other), np.random.default_rng(0)
    theta, weight = rng.normal(size=features.size), rng.normal(size=count)
    np.testing.assert_allclose(features(pair), rows, atol=1e-5)
    np.testing.assert_allclose(features.value(jnp.asarray(theta, jnp.float32), pair), rows @ theta, atol=1e-5)
    np.testing.assert_allclose(features.weighted_sum(jnp.asarray(weight, jnp.float32), pair), weight @ rows, atol=2e-5)
    np.testing.assert_allclose(features.square_sum(pair), (rows**2).sum(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features.outer_sum(pair, other), rows.T @ others, atol=1e-4)


@pytest.mark.parametrize("features", [OneHot(12), random_features(12, 5), radial_features(6, 2, 3)])
def test_the_constant_gives_every_pair_the_same_and_the_squared_norm_bounds_all(features) -> None:
    rows = _rows(features, np.arange(12))
    same = rows @ np.asarray(features.constant, np.float64)
    np.testing.assert_allclose(same, same[0], atol=1e-6)
    assert np.linalg.norm(features.constant) == pytest.approx(1.0, abs=1e-6)
    assert float(features.squared_norm) == pytest.approx((rows**2).sum(1).max(), rel=1e-6)


def test_a_span_without_the_constants_says_so() -> None:
    table = np.random.default_rng(0).normal(size=(12, 4))
    assert type(random_features(12, 5)).create(table).constant is None


def test_fourier_features_approximate_the_gaussian_kernel_of_their_length_scale() -> None:
    many = FourierFeatures.create(jax.random.key(1), 2, 40_000, 0.7)
    x = jnp.asarray([[0.0, 0.0], [0.5, 0.0], [0.3, -0.8], [2.0, 2.0]])
    square = ((np.asarray(x)[:, None] - np.asarray(x)[None]) ** 2).sum(-1)
    np.testing.assert_allclose(many(x) @ many(x).T, np.exp(-square / (2.0 * 0.7**2)), atol=0.03)


def test_aggregated_states_share_their_coordinates() -> None:
    table = np.asarray(aggregated_features(6, 2, 3).table)
    expected = [[state // 2 * 2 + action for action in range(2)] for state in range(6)]
    np.testing.assert_array_equal(table.argmax(1), np.ravel(expected))
    np.testing.assert_array_equal(table.sum(1), 1.0)


def test_radial_features_sum_to_one_and_peak_at_their_centres() -> None:
    table = np.asarray(radial_features(5, 2, 3).table).reshape(5, 2, 3, 2)
    np.testing.assert_allclose(table.sum((2, 3)), 1.0, atol=1e-6)
    np.testing.assert_array_equal(table[:, 0, :, 1], 0.0)
    assert table[[0, 2, 4], 0, :, 0].argmax(1).tolist() == [0, 1, 2]
    assert table[1, 1, 0, 1] == pytest.approx(table[1, 1, 1, 1], rel=1e-5)  # halfway between two centres
