import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from l2t.errors import L2TError
from l2t.rewards.importance import permutation_importance

NAMES = ("a", "b", "noise")


def reward(x):
    return 2.0 * x[..., 0] + jnp.sin(x[..., 1])


def test_shuffling_costs_twice_the_share_of_the_variance():
    x = np.random.default_rng(0).normal(size=(4000, 3))
    found = permutation_importance(reward, x, NAMES)
    share = np.array([4.0 * x[:, 0].var(), np.sin(x[:, 1]).var(), 0.0]) / np.asarray(reward(x)).var()
    np.testing.assert_allclose(found.r_squared.estimate, 2.0 * share, atol=0.05)
    assert found.r_squared["noise"].estimate == 0.0
    assert found.r_squared["a"].low < 2.0 * share[0] < found.r_squared["a"].high


def test_the_drop_of_rank_correlation_is_that_of_an_explicit_shuffle():
    x = np.random.default_rng(1).normal(size=(3000, 3))
    found = permutation_importance(reward, x, NAMES, repeats=3)
    truth = np.asarray(reward(x))
    rng = np.random.default_rng(99)
    for name, column in (("a", 0), ("b", 1)):
        shuffled = x.copy()
        shuffled[:, column] = rng.permutation(x[:, column])
        drop = 1.0 - spearmanr(truth, np.asarray(reward(shuffled))).statistic
        assert found.rank[name].estimate == pytest.approx(drop, abs=0.04)
    assert found.rank["noise"].estimate == pytest.approx(0.0, abs=1e-9)


def test_duplicates_are_shuffled_together():
    base = np.random.default_rng(2).normal(size=(2000, 2))
    x = np.column_stack([base, base[:, 0]])
    both = lambda x: x[..., 0] + x[..., 2] + x[..., 1]  # noqa: E731
    found = permutation_importance(both, x, ("a", "b", "copy"))
    assert found.r_squared.names == ("a + copy", "b")
    np.testing.assert_allclose(found.r_squared.estimate, [2 * 4 / 5, 2 * 1 / 5], atol=0.08)
    apart = permutation_importance(both, x, ("a", "b", "copy"), groups=((0,), (1,), (2,)))
    assert apart.r_squared["a"].estimate < 0.5 * found.r_squared["a + copy"].estimate
    assert apart.outside[0] > 0.5 > found.outside[0]


def test_against_another_target_a_misleading_column_is_worth_less_than_nothing():
    x = np.random.default_rng(3).normal(size=(3000, 3))
    found = permutation_importance(lambda x: x[..., 0] - 2.0 * x[..., 1], x, NAMES, target=x[:, 0] + 2.0 * x[:, 1])
    assert found.r_squared["b"].high < 0.0 < found.r_squared["a"].low
    assert found.rank["b"].high < 0.0 < found.rank["a"].low


def test_a_constant_target_is_refused():
    with pytest.raises(L2TError, match="no column can matter"):
        permutation_importance(lambda x: 0.0 * x[..., 0], np.random.default_rng(4).normal(size=(50, 3)), NAMES)
