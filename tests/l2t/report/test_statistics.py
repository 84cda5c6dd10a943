import numpy as np
import pytest
from scipy import stats

from l2t.report.statistics import Series, bootstrap_interval, curve_with_band, interquartile_mean, wilson_interval


def series(steps, values) -> Series:
    return Series(np.asarray(steps, float), np.asarray(values, float))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 2.0, 3.0, 100.0], 2.5),
        ([7.0], 7.0),
        ([1.0, 2.0, 9.0], 4.0),
        (list(range(8)), 3.5),
        ([-50.0, 0, 1, 2, 3, 4, 5, 90], 2.5),
    ],
)
def test_interquartile_mean_is_the_mean_of_the_middle_half(scores, expected):
    assert interquartile_mean(np.array(scores)) == pytest.approx(expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_interquartile_mean_is_scipys_trimmed_mean(count, axis):
    scores = np.random.default_rng(count).normal(size=(count, count, 2))
    expected = stats.trim_mean(scores, 0.25, axis=axis)
    np.testing.assert_allclose(interquartile_mean(scores, axis=axis), expected, rtol=1e-12)


def test_interquartile_mean_ignores_one_outlier_among_eight():
    scores = np.arange(8.0)
    wild = scores.copy()
    wild[-1] = 1e9
    assert interquartile_mean(wild) == interquartile_mean(scores)


def test_interval_of_the_mean_agrees_with_scipys_percentile_bootstrap():
    scores = np.random.default_rng(1).normal(100.0, 15.0, size=25)
    ours = bootstrap_interval(scores, np.mean, resamples=20_000)
    scipys = stats.bootstrap(
        (scores,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.low == pytest.approx(scipys.low, abs=0.4)
    assert ours.high == pytest.approx(scipys.high, abs=0.4)


def test_interval_of_the_mean_approaches_the_normal_approximation():
    scores = np.random.default_rng(3).normal(size=400)
    interval = bootstrap_interval(scores, np.mean, resamples=10_000)
    half_width = 1.96 * scores.std() / np.sqrt(len(scores))
    assert interval.high - interval.low == pytest.approx(2 * half_width, rel=0.05)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(4)
    draws = generator.normal(5.0, 2.0, size=(200, 30))
    intervals = [bootstrap_interval(scores, np.mean, resamples=500) for scores in draws]
    covered = np.mean([interval.low <= 5.0 <= interval.high for interval in intervals])
    assert 0.88 <= covered <= 0.99


def test_stratified_interval_does_not_count_the_difference_between_tasks_as_uncertainty():
    easy, hard = [1000.0, 1001.0, 1002.0], [0.0, 1.0, 2.0]
    stratified = bootstrap_interval([easy, hard], np.mean)
    pooled = bootstrap_interval([*easy, *hard], np.mean)
    assert stratified.estimate == pooled.estimate == pytest.approx(501.0)
    assert stratified.high - stratified.low < 2.1
    assert pooled.high - pooled.low > 500


def test_interval_is_the_same_each_time():
    assert bootstrap_interval([1.0, 4.0, 2.0]) == bootstrap_interval([1.0, 4.0, 2.0])


@pytest.mark.parametrize("statistic", [interquartile_mean, np.mean])
@pytest.mark.parametrize("scores", [[1.0, 2.0, 3.0, 10.0], [[0.1, 0.9], [0.5, 0.7]], [2.0, 1.0]])
def test_few_scores_have_their_range(scores, statistic):
    interval = bootstrap_interval(scores, statistic)
    assert (interval.low, interval.high) == (np.min(scores), np.max(scores))


def test_the_band_of_few_seeds_is_their_range():
    steps = np.array([1.0, 2.0])
    curve = curve_with_band([Series(steps, np.array([v, 2 * v])) for v in (1.0, 5.0, 2.0, 9.0)], np.mean)
    assert curve.low.tolist() == [1.0, 2.0]
    assert curve.high.tolist() == [9.0, 18.0]


def test_one_score_has_an_estimate_and_no_interval():
    interval = bootstrap_interval([3.0])
    assert interval.estimate == 3.0
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


@pytest.mark.parametrize("scores", [[], [[], []], [1.0, float("nan")]])
def test_interval_refuses_scores_that_are_missing_or_not_finite(scores):
    with pytest.raises(ValueError, match="an interval needs"):
        bootstrap_interval(scores)


def test_curve_keeps_steps_that_all_seeds_share():
    curve = curve_with_band([series([10, 20, 40], [1, 2, 4]), series([10, 20, 40], [3, 4, 6])], np.mean)
    np.testing.assert_array_equal(curve.steps, [10, 20, 40])
    np.testing.assert_allclose(curve.centre, [2, 3, 5])
    assert np.all(curve.low <= curve.centre)
    assert np.all(curve.centre <= curve.high)
    assert curve.seeds == 2


def test_curve_interpolates_seeds_with_different_steps():
    lines = [series([0, 10], [0, 10]), series([0, 3, 10], [2, 5, 12])]
    curve = curve_with_band(lines, np.mean, points=11)
    np.testing.assert_allclose(curve.steps, np.arange(11))
    np.testing.assert_allclose(curve.centre, np.arange(11) + 1.0)


def test_curve_ends_where_the_shortest_seed_ends():
    curve = curve_with_band([series([1, 2, 3, 4], [1, 2, 3, 4]), series([1, 2], [1, 2])], np.mean)
    np.testing.assert_array_equal(curve.steps, [1, 2])


def test_curve_of_one_seed_is_that_seed_without_a_band():
    curve = curve_with_band([series([1, 2], [5, 6])])
    np.testing.assert_array_equal(curve.centre, [5, 6])
    assert np.isnan(curve.low).all()


def test_seeds_that_never_overlap_are_refused():
    with pytest.raises(ValueError, match="no steps in common"):
        curve_with_band([series([1, 2], [0, 0]), series([3, 4], [0, 0])])


@pytest.mark.parametrize(("successes", "trials"), [(251, 256), (0, 8), (8, 8), (1, 3), (463, 512)])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_wilsons_interval_is_scipys(successes, trials, confidence):
    ours = wilson_interval(successes, trials, confidence)
    scipys = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert ours.estimate == successes / trials
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_a_share_that_is_none_has_no_interval(successes, trials):
    with pytest.raises(ValueError, match="successes of"):
        wilson_interval(successes, trials)
