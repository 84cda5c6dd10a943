"""Observation statistics against NumPy."""

import jax.numpy as jnp
import numpy as np

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


def test_outliers_are_clipped_and_constant_coordinates_stay_finite() -> None:
    normaliser = Normaliser.create(1).update(jnp.zeros((10, 1)))
    assert float(normaliser(jnp.asarray([1e6]))[0]) == CLIP
    assert np.isfinite(normaliser(jnp.asarray([0.0]))).all()
