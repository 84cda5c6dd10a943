"""Advantage operators against independent loops and against linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from l2t.rl.returns import (
    accumulate_trace,
    bounded,
    deviation,
    differential_advantage,
    differential_target,
    discounted_advantage,
    explained_variance,
    quartiles,
)


def _random(seed: int, time: int = 12, envs: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (time, envs)
    return {
        "reward": rng.normal(size=shape).astype(np.float32),
        "value": rng.normal(size=shape).astype(np.float32),
        "next_value": rng.normal(size=shape).astype(np.float32),
        "terminated": rng.random(shape) < 0.15,
        "truncated": rng.random(shape) < 0.15,
    }


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), trace_decay=st.floats(0.0, 1.0), reward_rate=st.floats(-2.0, 2.0))
def test_differential_advantage_equals_the_sum_over_the_trace(
    seed: int, trace_decay: float, reward_rate: float
) -> None:
    x = _random(seed)
    actual = differential_advantage(
        x["reward"], x["value"], x["next_value"], x["truncated"], jnp.float32(reward_rate), trace_decay
    )
    delta = x["reward"].astype(float) - reward_rate + x["next_value"] - x["value"]
    for env in range(3):
        for t in range(12):
            expected, weight = 0.0, 1.0
            for k in range(t, 12):
                expected += weight * delta[k, env]
                if x["truncated"][k, env]:
                    break
                weight *= trace_decay
            assert actual[t, env] == pytest.approx(expected, abs=2e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), trace_decay=st.floats(0.0, 1.0), discount=st.floats(0.0, 0.999))
def test_discounted_advantage_sums_the_trace(seed: int, trace_decay: float, discount: float) -> None:
    x = _random(seed)
    actual = discounted_advantage(**x, discount=discount, trace_decay=trace_decay)
    for env in range(3):
        for t in range(12):
            expected, weight = 0.0, 1.0
            for k in range(t, 12):
                bootstrap = 0.0 if x["terminated"][k, env] else discount * x["next_value"][k, env]
                expected += weight * (x["reward"][k, env] + bootstrap - x["value"][k, env])
                if x["terminated"][k, env] or x["truncated"][k, env]:
                    break
                weight *= discount * trace_decay
            assert actual[t, env] == pytest.approx(expected, abs=2e-4)


def test_differential_advantage_is_zero_for_the_exact_bias_of_a_markov_reward_process() -> None:
    """V solves V = r - ρ + P V (least squares in float64); then every δ averages to zero over successors."""
    rng = np.random.default_rng(0)
    transition = rng.dirichlet(np.ones(5), size=5)
    reward = rng.normal(size=5)
    values, vectors = np.linalg.eig(transition.T)
    stationary = np.real(vectors[:, np.argmax(np.real(values))])
    stationary /= stationary.sum()
    rate = stationary @ reward
    bias = np.linalg.lstsq(np.eye(5) - transition, reward - rate, rcond=None)[0]
    expected_next = transition @ bias
    advantage = differential_advantage(
        jnp.asarray(reward), jnp.asarray(bias), jnp.asarray(expected_next), jnp.zeros(5, bool), jnp.asarray(rate), 0.7
    )
    np.testing.assert_allclose(advantage, 0.0, atol=1e-5)


def test_a_constant_shift_of_the_value_leaves_the_differential_advantage() -> None:
    x = _random(1)
    shifted = x | {"value": x["value"] + 100.0, "next_value": x["next_value"] + 100.0}
    for case in (x, shifted):
        case.pop("terminated", None)
        case["cut"] = case.pop("truncated")
    plain, moved = (differential_advantage(**c, reward_rate=jnp.float32(0.3), trace_decay=0.9) for c in (x, shifted))
    np.testing.assert_allclose(plain, moved, atol=1e-4)


def test_a_termination_does_not_bootstrap_and_a_truncation_does() -> None:
    one = jnp.ones((1, 1))
    no, yes = jnp.zeros((1, 1), bool), jnp.ones((1, 1), bool)
    ended = discounted_advantage(one, 0 * one, 5 * one, yes, no, 0.9, 0.95)
    limited = discounted_advantage(one, 0 * one, 5 * one, no, yes, 0.9, 0.95)
    assert ended[0, 0] == pytest.approx(1.0)
    assert limited[0, 0] == pytest.approx(1.0 + 0.9 * 5.0)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        accumulate_trace(jnp.zeros((3, 2)), jnp.zeros((3, 1)))


def test_explained_variance_is_one_for_a_perfect_critic_and_zero_for_a_constant_one() -> None:
    target = jnp.arange(10.0)
    assert explained_variance(target, target) == pytest.approx(1.0)
    assert explained_variance(jnp.full(10, 3.0), target) == pytest.approx(0.0)


@pytest.mark.parametrize("scale", [1e-15, 1e-5, 1.0, 1e6])
def test_explained_variance_is_the_same_in_every_unit_of_reward(scale: float) -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=4_000)
    prediction = target + 0.1 * rng.normal(size=4_000)
    expected = 1.0 - np.var(target - prediction) / np.var(target)  # about 0.99, in float64
    found = explained_variance(jnp.asarray(scale * prediction), jnp.asarray(scale * target))
    assert float(found) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.3, -7e4])
def test_nothing_is_explained_of_a_target_that_does_not_vary(constant: float) -> None:
    for count in (1_000, 200_000):
        target = jnp.full(count, constant)
        predictions = jnp.stack([jnp.linspace(-1.0, 1.0, count), jnp.zeros(count)])
        assert not jax.vmap(explained_variance, in_axes=(0, None))(predictions, target).any()


@pytest.mark.parametrize(("step", "kept"), [(1.0, 0.0), (0.25, 0.75)])
def test_a_differential_critics_target_is_centred_and_its_scale_follows_the_spread(step: float, kept: float) -> None:
    x = _random(3)
    target, scale = differential_target(x["reward"], x["value"], jnp.float32(8.0), jnp.float32(step))
    total = x["reward"].astype(float) + x["value"]
    np.testing.assert_allclose(target, total - total.mean(), atol=1e-5)
    assert float(scale) == pytest.approx(kept * 8.0 + step * total.std(), abs=1e-4)
    constant, floor = differential_target(jnp.ones((4, 2)), jnp.ones((4, 2)), jnp.float32(1.0), jnp.float32(1.0))
    assert not constant.any()
    assert float(floor) > 0.0  # targets are divided by it


def test_quartiles_of_a_normal_sample_are_its_mean_and_deviation_and_stay_when_a_few_lie_far_off() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 40_000).astype(np.float32)
    centre, width = quartiles(jnp.asarray(x))
    assert float(centre) == pytest.approx(np.median(x), abs=1e-5)
    assert float(width) == pytest.approx(scipy.stats.iqr(x, scale="normal"), rel=1e-3)
    assert (float(centre), float(width)) == pytest.approx((3.0, 2.0), rel=0.02)
    x[:1_200] = -1_500.0  # two of 64 robots
    assert (float(quartiles(x)[0]), float(quartiles(x)[1])) == pytest.approx((2.9, 2.05), rel=0.05)
    assert float(deviation(x)[1]) > 200.0


@pytest.mark.parametrize("common", [0.0, 0.3, -1234.5])
def test_where_the_middle_half_is_one_number_quartiles_are_as_far_apart_as_the_deviation(common: float) -> None:
    x = np.full(64 * 97, common, np.float32)
    x[::8] = np.random.default_rng(0).normal(common, 5.0, len(x[::8]))
    centre, width = quartiles(jnp.asarray(x))
    assert float(centre) == pytest.approx(common, rel=1e-6)
    assert float(width) == pytest.approx(x.astype(float).std(), rel=1e-3)
    kept = np.asarray(bounded(jnp.asarray(x), quartiles, 20.0))
    np.testing.assert_array_equal(kept, x)  # none lies twenty deviations off: nothing is clipped to the median


def test_what_is_bounded_lies_within_so_many_widths_of_the_centre() -> None:
    x = jnp.array([-100.0, -1.0, 0.0, 1.0, 2.0, 50.0, 0.5])
    middle, width = np.median(x), scipy.stats.iqr(x, scale="normal")
    expected = np.clip(x, middle - 2.0 * width, middle + 2.0 * width)
    np.testing.assert_allclose(bounded(x, quartiles, 2.0), expected, rtol=2e-3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), horizon=st.floats(1.5, 1e4), reward_rate=st.floats(-2.0, 2.0))
def test_with_a_horizon_differential_values_are_discounted_ones_less_a_constant(
    seed: int, horizon: float, reward_rate: float
) -> None:
    """γ = 1 - 1/H, and the constant is what the reward rate earns until the process begins anew, ρ H."""
    x = _random(seed)
    x["terminated"] = np.zeros_like(x["terminated"])
    ours = {name: x[name] for name in ("reward", "value", "next_value")} | {"cut": x["truncated"]}
    theirs = x | {name: x[name] + reward_rate * horizon for name in ("value", "next_value")}
    discounted = discounted_advantage(**theirs, discount=1.0 - 1.0 / horizon, trace_decay=0.9)
    actual = differential_advantage(**ours, reward_rate=jnp.float32(reward_rate), trace_decay=0.9, horizon=horizon)
    np.testing.assert_allclose(actual, discounted, atol=1e-5 * (1.0 + abs(reward_rate) * horizon))
