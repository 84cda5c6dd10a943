import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.reoptimise import reoptimisability


def test_the_ratio_is_of_what_is_earned_above_the_floor():
    found = reoptimisability([600.0, 800.0], [1100.0, 1300.0], floor=200.0)
    assert (found.fresh.estimate, found.cotrained.estimate) == (700.0, 1200.0)
    assert found.ratio.estimate == pytest.approx(0.5)
    assert found.ratio.low == pytest.approx(400.0 / 1100.0)
    assert found.ratio.high == pytest.approx(600.0 / 900.0)


def test_the_interval_is_that_of_the_delta_method():
    rng = np.random.default_rng(0)
    fresh, cotrained = rng.normal(5.0, 1.0, 60), rng.normal(10.0, 1.0, 60)
    found = reoptimisability(fresh, cotrained)
    a, b = fresh.mean(), cotrained.mean()
    error = (a / b) * np.sqrt(fresh.var() / 60 / a**2 + cotrained.var() / 60 / b**2)
    assert found.ratio.high - found.ratio.low == pytest.approx(2 * 1.96 * error, rel=0.12)


def test_where_resamples_may_earn_nothing_the_ratio_has_no_upper_end():
    found = reoptimisability([500.0, 800.0, 600.0], [100.0, 3000.0, -50.0], floor=50.0)
    assert found.ratio.high == np.inf
    assert 0.0 < found.ratio.low < found.ratio.estimate


def test_a_single_seed_leaves_the_interval_unknown():
    found = reoptimisability([5.0], [10.0, 11.0])
    assert np.isnan(found.fresh.low)
    assert np.isnan(found.ratio.high)
    assert np.isfinite(found.cotrained.low)


def test_without_something_to_compare_with_there_is_no_ratio():
    with pytest.raises(L2TError, match="does not beat the floor"):
        reoptimisability([5.0], [1.0, 2.0], floor=2.0)
    with pytest.raises(L2TError, match="one finite return per seed"):
        reoptimisability([], [1.0])
