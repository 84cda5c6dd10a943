"""Gaussians against SciPy and Monte-Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from l2t.rl.distributions import DiagonalGaussian

MEAN = np.array([0.3, -1.0, 2.0], np.float32)
LOG_STD = np.array([-0.5, 0.2, -1.3], np.float32)
POLICY = DiagonalGaussian(jnp.asarray(MEAN), jnp.asarray(LOG_STD))


def test_log_prob_is_scipys() -> None:
    action = np.array([0.1, -0.4, 2.2])
    expected = stats.multivariate_normal(MEAN, np.diag(np.exp(2 * LOG_STD))).logpdf(action)
    assert POLICY.log_prob(jnp.asarray(action)) == pytest.approx(expected, rel=1e-5)


def test_entropy_is_scipys() -> None:
    expected = stats.multivariate_normal(MEAN, np.diag(np.exp(2 * LOG_STD))).entropy()
    assert POLICY.entropy() == pytest.approx(expected, rel=1e-5)


def test_kl_is_the_mean_log_ratio_of_samples() -> None:
    other = DiagonalGaussian(POLICY.mean + 0.3, POLICY.log_std + 0.2)
    many = DiagonalGaussian(jnp.broadcast_to(POLICY.mean, (200_000, 3)), POLICY.log_std)
    samples = many.sample(jax.random.key(0))
    ratio = np.asarray(POLICY.log_prob(samples) - other.log_prob(samples))
    assert POLICY.kl(other) == pytest.approx(ratio.mean(), abs=5 * ratio.std() / np.sqrt(len(ratio)))
    assert POLICY.kl(POLICY) == pytest.approx(0.0, abs=1e-6)


def test_samples_have_the_stated_moments() -> None:
    many = DiagonalGaussian(jnp.broadcast_to(POLICY.mean, (100_000, 3)), POLICY.log_std)
    samples = np.asarray(many.sample(jax.random.key(1)))
    np.testing.assert_allclose(samples.mean(axis=0), MEAN, atol=0.02)
    np.testing.assert_allclose(samples.std(axis=0), np.exp(LOG_STD), rtol=0.02)
