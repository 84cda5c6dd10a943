"""Sums that float32 cannot hold, alone and inside the estimators."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.features import OneHot
from algorithms.policy_evaluation.build import build_estimator
from algorithms.policy_evaluation.config import LSTDConfig, MonteCarloConfig, VRTDConfig
from algorithms.policy_evaluation.problem import BLOCK, Problem
from algorithms.policy_evaluation.vrtd import VRTD
from algorithms.policy_evaluation.wide_sum import WideSum
from l2t.rl.transitions import PairTransitions


@jax.jit
def _go_on(state, terms, times):
    """Add the terms in turn, so many in all."""
    return jax.lax.fori_loop(0, times, lambda i, state: state.add(terms[i % terms.shape[0]]), state)


@pytest.mark.parametrize("before", [0, 30_000_000, 2_000_000_000])
@pytest.mark.parametrize("terms", [[1.0], [0.1], [0.3, -0.1], [1e4, 1e-4], [1.0, 1e-3, -0.999]])
def test_the_next_hundred_thousand_terms_count_in_full(before, terms) -> None:
    """After none, after 3e7, and after the blocks of 1e12 transitions, as the sum stands then. Fractions: the oracle.

    A plain sum of ones would stay at 1.7e7.
    """
    rounded, more = np.float32(terms), 100_000 - 100_000 % len(terms)
    mean = sum(map(Fraction, rounded.tolist()), Fraction(0)) / len(terms)
    total = np.float32(mean * before)
    rest = np.float32(mean * before - Fraction(float(total)))
    start, times = WideSum(jnp.asarray(total), jnp.asarray(rest)), before + more
    found = _go_on(start, jnp.asarray(rounded), more)
    added = Fraction(float(found.total)) + Fraction(float(found.rest)) - Fraction(float(total)) - Fraction(float(rest))
    assert abs(added / more - mean) <= 1e-5 * abs(mean)
    assert abs(Fraction(float(found.over(jnp.asarray(times, jnp.float32)))) - mean) <= 3e-7 * abs(mean)


class _Alternating:
    """The path 0, 1, 0, 1, ... that pays 0.1 and 1.37, as quickly as it can be given."""

    def init(self, key):
        return jnp.zeros(())

    def draw(self, state, key, length):
        pair = jnp.arange(length) % 2
        return state, PairTransitions(pair, jnp.where(pair == 0, 0.1, 1.37), 1 - pair)


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (LSTDConfig(ridge=0.0), -0.635),
        (MonteCarloConfig(horizon=21), -1.27),  # of 21 terms, the odd one out
        (VRTDConfig(burn_in_blocks=0, first_blocks=100, growth=100.0, inner_fraction=0.001), -0.635),
    ],
    ids=["lstd", "monte-carlo", "vrtd"],
)
def test_estimates_from_forty_million_transitions_are_those_of_the_path(config, difference) -> None:
    """Q(0) - Q(1) = (r0 - r1)/2 for a cycle of two. Plain sums would be wrong in the fourth digit, and soon stop."""
    estimator = build_estimator(config, 40_000_000)
    assert estimator.samples[-1] == 40_000_000
    found = jax.jit(lambda key: estimator.run(Problem(OneHot(2), _Alternating()), key))(jax.random.key(0))
    assert float(found.reward_rate[-1]) == pytest.approx(0.735, rel=1e-6)  # a block's own mean is float32
    assert float(found.theta[-1] @ jnp.asarray([1.0, -1.0])) == pytest.approx(difference, abs=2e-5)


@pytest.mark.parametrize("samples", [30_000_000, 10**12])
@pytest.mark.parametrize(("skip", "discard"), [(1, 0.2), (7, 0.33), (500, 0.0)])
def test_an_epochs_numbers_hold_at_any_budget(samples, skip, discard) -> None:
    """In Python's integers: where the iterates that count begin, and how many they are."""
    estimator = VRTD(VRTDConfig(skip=skip, discard=discard), samples)
    assert estimator.samples[-1] == samples
    parts, each = estimator._parts(), BLOCK // skip
    for k, (anchor, _, inner) in enumerate(estimator.epochs):
        begin = int(parts.first_block[k]) * each + int(parts.first_step[k])
        assert abs(begin - Fraction(discard) * inner * each) <= 1
        assert float(parts.counted[k]) == pytest.approx(inner * each - begin, rel=1e-7)
        assert int(parts.anchor_blocks[k]) == anchor
    sizes = np.array([anchor for anchor, _, _ in estimator.epochs], np.float64) ** 1.5
    np.testing.assert_allclose(parts.weight, sizes / sizes.cumsum(), rtol=1e-6)
