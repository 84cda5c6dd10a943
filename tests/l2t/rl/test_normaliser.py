"""Observation statistics against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from l2t.rl.normaliser import CLIP, Normaliser


def test_batches_merge_to_the_statistics_of_all_data() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(3.0, [1.0, 5.0], size=(7, 11, 2)).astype(np.float32)
    normaliser = Normaliser.create(2)
    for batch in data:
        normaliser = normaliser.update(jnp.asarray(batch))
    flat = data.reshape(-1, 2)
    np.testing.assert_allclose(normaliser.mean, flat.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(normaliser.variance, flat.var(axis=0), rtol=1e-3)
    standardised = normaliser(jnp.asarray(flat))
    np.testing.assert_allclose(standardised.std(axis=0), 1.0, rtol=1e-3)


def test_outliers_are_clipped() -> None:
    normaliser = Normaliser.create(1).update(jnp.asarray([[-1.0], [1.0]] * 5))
    assert float(normaliser(jnp.asarray([1e6]))[0]) == CLIP
    assert float(normaliser(jnp.asarray([-1e6]))[0]) == -CLIP


def test_a_coordinate_that_never_changed_is_not_shown_when_it_does() -> None:
    constant = jnp.stack([jnp.full(1000, 0.7), jnp.linspace(-0.01, 0.01, 1000)], axis=1)
    normaliser = Normaliser.create(2).update(constant).update(constant)
    shown = normaliser(jnp.asarray([[0.7, 0.0], [0.9, 0.01], [-100.0, -0.01]]))
    np.testing.assert_array_equal(shown[:, 0], 0.0)
    np.testing.assert_allclose(shown[:, 1], [0.0, 3**0.5, -(3**0.5)], rtol=0.02, atol=1e-4)
    # Once it has changed it is measured like any other.
    changed = normaliser.update(constant + jnp.asarray([0.3, 0.0]))
    assert float(changed(jnp.asarray([1.0, 0.0]))[0]) > 1.0


def test_before_there_are_any_observations_they_are_shown_as_they_are() -> None:
    np.testing.assert_allclose(Normaliser.create(2)(jnp.asarray([0.5, -3.0])), [0.5, -3.0], rtol=1e-6)


def test_for_another_task_a_constant_coordinate_is_measured_in_its_own_unit() -> None:
    normaliser = Normaliser.create(1).update(jnp.full((100, 1), 0.7)).for_another_task()
    assert float(normaliser(jnp.asarray([1.2]))[0]) == pytest.approx(0.5, abs=1e-6)
