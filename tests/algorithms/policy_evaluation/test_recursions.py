"""VRTD over several epochs, and TD, against loops in NumPy over the same transitions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.features import OneHot, TableFeatures
from algorithms.policy_evaluation.config import TDConfig, VRTDConfig
from algorithms.policy_evaluation.problem import BLOCK, Problem
from algorithms.policy_evaluation.td import TD
from algorithms.policy_evaluation.vrtd import VRTD
from l2t.rl.transitions import PairTransitions

PAIRS = 5


class Stored:
    """Blocks of random transitions in turn; as a rate source it pays 2 more, and goes on in the same blocks."""

    def __init__(self, blocks, extra=0.0):
        rng = np.random.default_rng(0)
        self.pair, self.after = rng.integers(0, PAIRS, (2, blocks, BLOCK))
        self.reward = rng.normal(size=(blocks, BLOCK)) + self.pair + extra

    def init(self, key):
        return jnp.asarray(0)

    def draw(self, state, key, length):
        stored = PairTransitions(jnp.asarray(self.pair), jnp.asarray(self.reward, jnp.float32), jnp.asarray(self.after))
        return state + 1, jax.tree.map(lambda x: x[state], stored)


def _loop(config, epochs, source, rate_source):
    """The docstring of `vrtd`, with the outputs weighted by N_k^1.5 where they are averaged."""
    theta, block, outputs, shown = np.zeros(PAIRS), config.burn_in_blocks, [], []
    for anchor_blocks, rate_blocks, inner_blocks in epochs:
        anchor = slice(block, block + anchor_blocks)
        x, y, r = (part[anchor].ravel() for part in (source.pair, source.after, source.reward))
        block += anchor_blocks
        rate = rate_source.reward[block : block + rate_blocks].mean() if rate_blocks else r.mean()
        block += rate_blocks
        mean = (np.eye(PAIRS)[x] * (theta[x] - theta[y] - r + rate)[:, None]).mean(0)
        inner = [(b, i) for b in range(block, block + inner_blocks) for i in range(config.skip - 1, BLOCK, config.skip)]
        block += inner_blocks
        moved, kept = theta.copy(), []
        for step, (b, i) in enumerate(inner):
            x, y = source.pair[b, i], source.after[b, i]
            change = np.eye(PAIRS)[x] * ((moved - theta)[x] - (moved - theta)[y])
            moved = moved - config.step_size * (change + mean)
            moved = moved - moved.mean()
            if step >= int(config.discard * len(inner)):
                kept.append(moved)
        theta = np.mean(kept, axis=0)
        outputs.append((anchor_blocks**1.5, theta, rate))
        weights = [weight for weight, _, _ in outputs]
        if config.average_epochs:
            shown.append([np.average([o[i] for o in outputs], axis=0, weights=weights) for i in (1, 2)])
        else:
            shown.append([theta, rate])
    return [np.array(part) for part in zip(*shown, strict=True)]


@pytest.mark.parametrize(
    "changes",
    [
        {"skip": 7, "discard": 0.33},
        {"average_epochs": False},
        {"exploration": 0.3, "rate_fraction": 0.5},
        {"skip": 250},
    ],
    ids=["skip", "last", "evrtd", "two-a-block"],
)
def test_epochs_are_the_recursion_of_the_docstring(changes) -> None:
    shape = {"first_blocks": 2, "growth": 2.0, "inner_fraction": 0.6, "burn_in_blocks": 1, "step_size": 0.2, "skip": 1}
    config = VRTDConfig(**shape | changes)
    estimator = VRTD(config, 24 * BLOCK)
    assert len(estimator.epochs) >= 2
    source, plain = Stored(24), Stored(24, extra=2.0) if config.exploration else None
    found = jax.jit(lambda key: estimator.run(Problem(OneHot(PAIRS), source, plain), key))(jax.random.key(0))
    theta, rate = _loop(config, estimator.epochs, source, plain)
    np.testing.assert_allclose(found.theta, theta, atol=2e-5)
    np.testing.assert_allclose(found.reward_rate, rate, rtol=1e-6)


@pytest.mark.parametrize(
    "estimator", [VRTD(VRTDConfig(first_blocks=2, step_size=0.2), 24 * BLOCK), TD(TDConfig(step_size=0.4), 24 * BLOCK)]
)
def test_the_units_of_the_features_change_no_value(estimator) -> None:
    """With 3ψ, θ is a third: the step size is in units of 1/max ‖ψ‖²."""
    small, large = OneHot(PAIRS), TableFeatures.create(3.0 * np.eye(PAIRS))
    found = [
        jax.jit(lambda key, features=features: estimator.run(Problem(features, Stored(24)), key))(jax.random.key(0))
        for features in (small, large)
    ]
    assert np.abs(found[0].theta[-1]).max() > 0.1
    np.testing.assert_allclose(3.0 * found[1].theta, found[0].theta, atol=1e-4)
    np.testing.assert_allclose(found[1].reward_rate, found[0].reward_rate, rtol=1e-5)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_td_is_the_recursion_of_the_docstring(decay, average) -> None:
    """The constant is taken off at the end of each block, and of what is given."""
    config = TDConfig(step_size=0.4, rate_step=0.3, decay=decay, decay_after=200.0, average=average)
    estimator, source = TD(config, 6 * BLOCK), Stored(6)
    found = jax.jit(lambda key: estimator.run(Problem(OneHot(PAIRS), source), key))(jax.random.key(0))
    theta, rate, thetas, rates, time = np.zeros(PAIRS), 0.0, [], [], 0
    for block in range(6):
        for x, y, r in zip(source.pair[block], source.after[block], source.reward[block], strict=True):
            size = 0.4 * (1.0 + time / 200.0) ** -decay
            delta = r - rate + theta[y] - theta[x]
            theta = theta + size * delta * np.eye(PAIRS)[x]
            rate = rate + 0.3 * size * (r - rate)
            thetas.append(theta)
            rates.append(rate)
            time += 1
        theta = theta - theta.mean()
    expected = np.mean(thetas, axis=0) if average else theta
    np.testing.assert_allclose(found.theta[-1], expected - expected.mean(), atol=1e-4)
    assert float(found.reward_rate[-1]) == pytest.approx(np.mean(rates) if average else rate, rel=1e-4)


def test_the_automatic_epochs_are_the_recursion_with_the_step_and_the_shares_of_their_correlation_time() -> None:
    """On a chain that lingers: η/τ with the τ shown, and T_k/N_k with that of the epoch before."""
    config = VRTDConfig(first_blocks=4, growth=1.5, burn_in_blocks=0, inner_fraction=0.2, average_epochs=False)
    estimator, source = VRTD(config, 60 * BLOCK), Stored(60)
    source.pair = np.repeat(np.random.default_rng(1).integers(0, PAIRS, (60, BLOCK // 10)), 10, axis=1)
    found = jax.jit(lambda key: estimator.run(Problem(OneHot(PAIRS), source), key))(jax.random.key(0))
    times = np.asarray(found.correlation_time, np.float64)
    assert times[-1] == pytest.approx(10.0, rel=0.4)  # each pair stands for ten
    theta, block = np.zeros(PAIRS), 0
    for index, (anchor, _, inner) in enumerate(estimator.epochs):
        share = 0.2 * min(times[index - 1] if index else 1.0, 5.0)
        both = anchor + inner
        inner = min(max(int(both * share / (1.0 + share)), inner), both - 1)
        anchor = both - inner
        x, y, r = (part[block : block + anchor].ravel() for part in (source.pair, source.after, source.reward))
        mean = (np.eye(PAIRS)[x] * (theta[x] - theta[y] - r + r.mean())[:, None]).mean(0)
        block += anchor
        moved, kept = theta.copy(), []
        for x, y in zip(*(part[block : block + inner].ravel() for part in (source.pair, source.after)), strict=True):
            change = np.eye(PAIRS)[x] * ((moved - theta)[x] - (moved - theta)[y])
            moved = moved - 0.5 / times[index] * (change + mean)
            moved = moved - moved.mean()
            kept.append(moved)
        block += inner
        theta = np.mean(kept[int(0.2 * inner) * BLOCK :], axis=0)
        np.testing.assert_allclose(found.theta[index], theta, atol=5e-5)
    assert block == 60
