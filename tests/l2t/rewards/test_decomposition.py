import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.decomposition import decompose_gap, decompose_surrogate_gap
from l2t.rewards.surrogate import fit_surrogate

NAMES = ("speed", "effort")


def sides(seed=0, expert=400, policy=300):
    rng = np.random.default_rng(seed)
    f_expert, f_policy = rng.normal([2.0, -1.0], 1.0, (expert, 2)), rng.normal([1.5, -1.0], 1.0, (policy, 2))
    return f_expert, f_expert.sum(1) + 0.3, f_policy, f_policy.sum(1) + 0.1 * rng.normal(size=policy)


def test_the_gap_is_the_exact_sum_of_its_terms_and_a_residual():
    f_expert, r_expert, f_policy, r_policy = sides()
    gap = decompose_gap(f_expert, r_expert, f_policy, r_policy, NAMES)
    assert gap.total.estimate == pytest.approx(r_expert.mean() - r_policy.mean(), abs=1e-13)
    np.testing.assert_allclose(gap.terms.estimate, f_expert.mean(0) - f_policy.mean(0), atol=1e-13)
    assert gap.terms.estimate.sum() + gap.residual.estimate == pytest.approx(gap.total.estimate, abs=1e-13)
    assert gap.residual.estimate == pytest.approx(0.3, abs=0.03)


def test_intervals_are_those_of_a_difference_of_two_means():
    f_expert, r_expert, f_policy, r_policy = sides(1)
    gap = decompose_gap(f_expert, r_expert, f_policy, r_policy, NAMES)
    error = np.sqrt(f_expert.var(0) / len(f_expert) + f_policy.var(0) / len(f_policy))
    np.testing.assert_allclose(gap.terms.high - gap.terms.low, 2 * 1.96 * error, rtol=0.12)
    covers = [
        (one := decompose_gap(*sides(seed, 80, 60), names=NAMES).terms["speed"]).low < 0.5 < one.high
        for seed in range(60)
    ]
    assert np.mean(covers) > 0.85  # the width is bounded above


def test_intervals_are_over_episodes():
    f_expert, r_expert, f_policy, r_policy = sides(2, 30, 30)
    often, episode = np.repeat(np.arange(30), 10), np.repeat(np.arange(30), 10)
    once = decompose_gap(f_expert, r_expert, f_policy, r_policy, NAMES)
    repeated = decompose_gap(
        f_expert[often], r_expert[often], f_policy[often], r_policy[often], NAMES,
        expert_episode=episode, policy_episode=episode,
    )  # fmt: skip
    assert repeated.total.low == pytest.approx(once.total.low)
    assert repeated.total.high == pytest.approx(once.total.high)


def test_equal_sides_have_no_gap():
    f, r, *_ = sides()
    gap = decompose_gap(f, r, f, r, NAMES)
    np.testing.assert_allclose([gap.total.estimate, *gap.terms.estimate, gap.residual.estimate], 0.0, atol=1e-14)
    assert gap.total.low < 0.0 < gap.total.high


def test_a_surrogates_terms_explain_the_gap_of_an_additive_reward():
    rng = np.random.default_rng(3)
    expert, policy = rng.normal(0.5, 1.0, (1000, 2)), rng.normal(0.0, 1.0, (1000, 2))
    r = lambda x: np.sin(x[:, 0]) + 2.0 * x[:, 1]  # noqa: E731
    both = np.vstack([expert, policy])
    surrogate = fit_surrogate(both, r(both), NAMES, resamples=2)
    gap = decompose_surrogate_gap(surrogate, expert, r(expert), policy, r(policy))
    expected = [np.sin(expert[:, 0]).mean() - np.sin(policy[:, 0]).mean(), 2.0 * (expert - policy)[:, 1].mean()]
    np.testing.assert_allclose(gap.terms.estimate, expected, atol=0.02)
    assert gap.terms.estimate.sum() + gap.residual.estimate == pytest.approx(gap.total.estimate, abs=1e-12)


def test_names_that_the_result_needs_are_refused():
    with pytest.raises(L2TError, match="residual"):
        decompose_gap(*sides(), names=("speed", "residual"))
