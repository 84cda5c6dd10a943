import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr, ttest_1samp

from l2t.errors import L2TError
from l2t.rewards.ensemble import attribute_ensemble, pairwise_agreement

NAMES = ("a", "b", "c", "d")


def linear(weights, scale=1.0, shift=0.0):
    return lambda x: scale * (x @ jnp.asarray(weights, jnp.float32)) + shift


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(2, 150, 4))


def ensemble(weights, samples):
    scales, shifts = (1.0, 20.0, 0.1, 3.0, 7.0), (0.0, -5.0, 100.0, 1.0, 2.0)
    rewards = [linear(w, *at) for w, *at in zip(weights, scales, shifts, strict=False)]
    return attribute_ensemble(rewards, *samples, NAMES, nodes=2, baselines=2)


def test_scale_and_shift_do_not_count(samples):
    found = ensemble([[2.0, -1.0, 0.5, 0.1]] * 5, samples)
    np.testing.assert_allclose(found.slope, found.slope[:1].repeat(5, 0), rtol=1e-3)
    assert found.ranking_agreement.estimate == pytest.approx(1.0)
    assert found.reward_agreement.estimate == pytest.approx(1.0, abs=1e-5)
    w = np.array([2.0, -1.0, 0.5, 0.1])
    unit = (samples[0] @ w).std()
    np.testing.assert_allclose(found.mean_slope.estimate, w * samples.reshape(-1, 4).std(0) / unit, rtol=1e-3)


def test_a_sign_is_stable_only_where_all_seeds_and_the_interval_say_so(samples):
    noise = np.random.default_rng(1).normal(size=(5, 4))
    weights = np.array([2.0, -1.0, 0.0, 0.0]) + noise * [0.05, 0.05, 0.3, 0.0]
    found = ensemble(weights, samples)
    assert found.stable.tolist() == [True, True, False, False]
    by_test = ttest_1samp(found.slope[:, :3], 0.0).confidence_interval(0.95)
    np.testing.assert_allclose(found.mean_slope.low[:3], by_test.low)
    np.testing.assert_allclose(found.mean_slope.high[:3], by_test.high)


def test_agreement_is_the_mean_of_spearman_over_pairs():
    rows = np.random.default_rng(2).normal(size=(4, 30)) + np.linspace(0.0, 3.0, 30)
    found = pairwise_agreement(rows)
    table = spearmanr(rows.T).statistic
    assert found.estimate == pytest.approx(table[np.triu_indices(4, 1)].mean())
    assert found.low <= found.estimate <= found.high
    assert found.low >= table[np.triu_indices(4, 1)].min() - 1e-12
    assert found.high <= table[np.triu_indices(4, 1)].max() + 1e-12


def test_opposite_seeds_disagree(samples):
    found = ensemble([[2.0, -1.0, 0.5, 0.1], [-2.0, 1.0, -0.5, -0.1]], samples)
    assert found.reward_agreement.estimate == pytest.approx(-1.0, abs=1e-5)
    assert not found.stable.any()
    assert np.isnan(found.reward_agreement.low)


def test_one_seed_or_a_constant_reward_is_refused(samples):
    with pytest.raises(L2TError, match="two seeds or more"):
        ensemble([[1.0, 0.0, 0.0, 0.0]], samples)
    with pytest.raises(L2TError, match="nothing to attribute"):
        ensemble([[1.0, 0.0, 0.0, 0.0], [0.0] * 4], samples)
