"""Gaussians, also squashed, against SciPy and Monte-Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from l2t.rl.distributions import DiagonalGaussian, SquashedGaussian, choose

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


def _squashed() -> tuple[SquashedGaussian, np.ndarray]:
    rng = np.random.default_rng(5)
    mean, log_std = rng.normal(size=(2, 50, 3)).astype(np.float32)
    return SquashedGaussian(jnp.asarray(mean), jnp.asarray(0.5 * log_std)), np.tanh(mean + rng.normal(size=(50, 3)))


def test_a_squashed_log_prob_is_that_of_a_change_of_variables() -> None:
    policy, action = _squashed()
    z = np.arctanh(action)
    wanted = stats.norm.logpdf(z, policy.mean, np.exp(policy.log_std)) - np.log1p(-(action**2))
    np.testing.assert_allclose(policy.log_prob(jnp.asarray(action, jnp.float32)), wanted.sum(-1), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(policy.log_prob_of(jnp.asarray(z, jnp.float32)), wanted.sum(-1), rtol=1e-4, atol=1e-4)


def test_a_squashed_density_is_one_over_the_box_and_finite_on_its_faces() -> None:
    policy = SquashedGaussian(jnp.asarray([0.4]), jnp.asarray([-0.3]))
    z = np.linspace(-12.0, 12.0, 20_001)
    density = np.exp(np.asarray(jax.vmap(policy.log_prob_of)(jnp.asarray(z[:, None], jnp.float32)), np.float64))
    assert np.trapezoid(density, np.tanh(z)) == pytest.approx(1.0, abs=1e-4)
    assert np.isfinite(np.asarray(policy.log_prob(jnp.asarray([1.0])))).all()


def test_a_squashed_entropy_is_the_mean_surprise_of_samples() -> None:
    policy, _ = _squashed()
    z = policy.base.sample(jax.random.key(0))
    draws = jax.vmap(lambda key: -policy.log_prob_of(policy.base.sample(key)))(
        jax.random.split(jax.random.key(1), 40_000)
    )
    assert z.shape == (50, 3)
    np.testing.assert_allclose(policy.entropy(), draws.mean(axis=0), atol=0.05)


def test_a_squashed_policy_looks_like_a_gaussian_where_it_is_narrow() -> None:
    policy = SquashedGaussian(jnp.asarray([[0.5, -1.0]]), jnp.full((1, 2), -3.0))
    samples = np.asarray(jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 50_000)))[:, 0]
    near = policy.linearised()
    np.testing.assert_allclose(near.mean[0], samples.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(np.exp(near.log_std[0]), samples.std(axis=0), rtol=0.02)
    np.testing.assert_array_equal(policy.mode(), near.mode())


def test_distributions_of_two_families_are_chosen_between_element_by_element() -> None:
    squashed, action = _squashed()
    gaussian, which = DiagonalGaussian(squashed.mean, squashed.log_std), jnp.arange(50) < 20
    chosen = choose(which, gaussian, squashed)
    action = jnp.asarray(action, jnp.float32)
    for ask in (lambda d: d.log_prob(action), lambda d: d.entropy(), lambda d: d.sample(jax.random.key(0))):
        np.testing.assert_array_equal(ask(chosen)[:20], ask(gaussian)[:20])
        np.testing.assert_array_equal(ask(chosen)[20:], ask(squashed)[20:])
