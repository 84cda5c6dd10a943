"""VRTD and EVRTD: variance-reduced temporal differences for the differential Q of a policy.

With the stochastic operator of a transition ξ = (x, r, x'),

    g(θ, ξ) = ψ(x) [ (ψ(x) - ψ(x'))ᵀ θ - r + ρ̂ ],

epoch k starts from an anchor θ̃ and does three things:

    1. over N_k transitions:  ρ̂ = mean of r,  ĝ = mean of g(θ̃, ξ_i);
    2. over T_k more:         θ_{t+1} = θ_t - η [ g(θ_t, ξ_t) - g(θ̃, ξ_t) + ĝ ],  θ_0 = θ̃;
    3. θ̃ <- mean of the later part of θ_1, ..., θ_T.

The noise of step 2 shrinks with ‖θ_t - θ̃‖, so an epoch ends at the root of the operator averaged over N_k transitions,
and the error falls as 1/N_k. N_k grows geometrically. Where the features hold the constants, which g cannot see, every
iterate is projected on their complement.

EVRTD is for policies that are not random enough: transitions come from π̃ = (1-ε) π + ε/A, while a' is drawn from π.
With one-hot features the fixed point stays Q^π; with fewer features it depends on ε, and nothing guarantees stability.
ρ̂ comes from stretches in which π acts unperturbed.

Choices of this project, where the paper leaves constants open: T_k is a share of N_k; η = `step_size`/max ‖ψ‖², which
single transitions stay stable under, if they are about a mixing time apart (`skip`); `average_epochs` weights the
epochs' outputs by powers of their N_k, so that the transitions of all late epochs count towards the last digit.

Source: Li, Wu and Lan, "Stochastic first-order methods for average-reward Markov decision processes", arXiv 2205.05800.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.features import Features
from algorithms.policy_evaluation.config import VRTDConfig
from algorithms.policy_evaluation.operator import reduced_step
from algorithms.policy_evaluation.problem import BLOCK, Estimate, Problem, over_blocks, without_constant
from l2t.errors import ConfigurationError
from l2t.rl.transitions import PairTransitions, Source

_WEIGHT_POWER = 1.5
"""Epoch outputs are averaged with weights N_k^1.5: 1 would use each transition best but forgets the first epochs, which
have not converged, too slowly."""


@struct.dataclass
class _Anchor:
    """Sums over an epoch's first part: of g without ρ̂, of ψ, of r, and their number."""

    operator: Float[Array, " d"]
    feature: Float[Array, " d"]
    reward: Float[Array, ""]
    count: Float[Array, ""]


@struct.dataclass
class _Inner:
    """θ_t - θ̃, the sum of the iterates that count, t, and the first t that counts."""

    offset: Float[Array, " d"]
    total: Float[Array, " d"]
    count: Float[Array, ""]
    step: Int[Array, ""]
    first: Int[Array, ""]


class VRTD:
    """See the module's docstring. With a `rate_source` in the problem it is EVRTD.

    Args:
        config: steps, growth, shares.
        samples: transitions to draw in all.

    Raises:
        ConfigurationError: `samples` does not suffice for one epoch.
    """

    def __init__(self, config: VRTDConfig, samples: int) -> None:
        self.config = config
        self.epochs = _epochs(config, samples // BLOCK)
        if not self.epochs:
            raise ConfigurationError(f"samples={samples} is too small for one epoch of VRTD; give at least 4000.")

    @property
    def samples(self) -> Int[np.ndarray, " points"]:
        """Transitions drawn by the end of each epoch, burn-in and skipped ones included."""
        return BLOCK * (self.config.burn_in_blocks + np.cumsum([sum(epoch) for epoch in self.epochs]))

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The estimate after each epoch, from θ = 0."""
        start_key, key = jax.random.split(key)
        return self.go_on(problem, key, jnp.zeros(problem.features.size), problem.source.init(start_key))[0]

    def go_on(
        self, problem: Problem, key: Key[Array, ""], theta: Float[Array, " d"], stream: PyTree
    ) -> tuple[Estimate, PyTree]:
        """The same from a given anchor and state of the stream, which is also returned: a critic's warm start."""
        burn_key, key = jax.random.split(key)
        features = problem.features
        burn_in = jnp.asarray(self.config.burn_in_blocks)
        _, stream = over_blocks(lambda carry, batch: carry, problem.source, None, stream, burn_key, burn_in)

        def epoch(
            state: tuple[Array, PyTree, Estimate, Array], inputs: tuple[Array, tuple[Array, ...]]
        ) -> tuple[tuple[Array, PyTree, Estimate, Array], Estimate]:
            anchor, stream, mean, weight = state
            key, (anchor_blocks, rate_blocks, inner_blocks) = inputs
            keys = jax.random.split(key, 3)
            sums, stream = over_blocks(
                self._anchor(features, anchor), problem.source, _no_sums(features), stream, keys[0], anchor_blocks
            )
            rate = sums.reward / sums.count
            if problem.rate_source is not None:
                (reward, count), stream = over_blocks(
                    _reward_sum, problem.rate_source, (jnp.zeros(()), jnp.zeros(())), stream, keys[1], rate_blocks
                )
                rate = reward / count
            operator = (sums.operator + rate * sums.feature) / sums.count
            theta, stream = self._inner(problem.source, features, operator, stream, keys[2], inner_blocks)
            theta = anchor + theta
            share = (sums.count / self.samples[-1]) ** _WEIGHT_POWER
            weight = weight + share
            now = Estimate(theta, rate)
            mean = jax.tree.map(lambda old, new: old + share / weight * (new - old), mean, now)
            return (theta, stream, mean, weight), mean if self.config.average_epochs else now

        zero = jnp.zeros(())
        state = (theta, stream, Estimate(jnp.zeros_like(theta), zero), zero)
        inputs = (
            jax.random.split(key, len(self.epochs)),
            tuple(jnp.asarray(part) for part in zip(*self.epochs, strict=True)),
        )
        (_, stream, _, _), curve = jax.lax.scan(epoch, state, inputs)
        return curve, stream

    def _anchor(self, features: Features, theta: Array) -> Callable[[_Anchor, PairTransitions], _Anchor]:
        def update(sums: _Anchor, batch: PairTransitions) -> _Anchor:
            difference = features.value(theta, batch.pair) - features.value(theta, batch.next_pair) - batch.reward
            return _Anchor(
                sums.operator + features.weighted_sum(difference, batch.pair),
                sums.feature + features.weighted_sum(jnp.ones(BLOCK), batch.pair),
                sums.reward + batch.reward.sum(),
                sums.count + BLOCK,
            )

        return update

    def _inner(
        self, source: Source, features: Features, operator: Array, stream: PyTree, key: Array, blocks: Array
    ) -> tuple[Float[Array, " d"], PyTree]:
        """The mean offset from the anchor over the later part of the inner iterates."""
        skip = self.config.skip
        step_size = self.config.step_size / features.largest_norm

        def step(inner: _Inner, transition: tuple[PyTree, PyTree]) -> tuple[_Inner, None]:
            pair, next_pair = jax.tree.map(lambda x: x[None], transition)
            moved = reduced_step(features, inner.offset, pair, next_pair, operator, step_size)
            offset = without_constant(features, moved)
            counts = (inner.step >= inner.first).astype(jnp.float32)
            total = inner.total + counts * offset
            return _Inner(offset, total, inner.count + counts, inner.step + 1, inner.first), None

        def update(inner: _Inner, batch: PairTransitions) -> _Inner:
            kept = jax.tree.map(lambda x: x[skip - 1 :: skip], (batch.pair, batch.next_pair))
            return jax.lax.scan(step, inner, kept)[0]

        zero = jnp.zeros(features.size)
        first = (blocks * (BLOCK // skip) * self.config.discard).astype(jnp.int32)
        start = _Inner(zero, zero, jnp.zeros(()), jnp.zeros((), jnp.int32), first)
        inner, stream = over_blocks(update, source, start, stream, key, blocks)
        return inner.total / inner.count, stream


def _epochs(config: VRTDConfig, blocks: int) -> list[tuple[int, int, int]]:
    """Blocks of anchor, of unperturbed reward rate and of inner steps, epoch by epoch, to use up the budget."""
    shares = np.array([1.0, config.rate_fraction, config.inner_fraction])
    left = blocks - config.burn_in_blocks
    sizes = config.first_blocks * config.growth ** np.arange(64.0)
    ends = np.cumsum(sizes) * shares.sum()
    sizes = sizes[ends <= left]
    if not len(sizes):
        return []
    parts = np.outer(sizes * left / ends[len(sizes) - 1], shares)
    least = (1, int(config.rate_fraction > 0.0), 1)
    epochs = np.maximum(parts.astype(int), least)
    while epochs.sum() > left:  # the least parts cost more than the budget: fewer epochs
        epochs = epochs[1:]
    epochs[-1, 0] += left - epochs.sum()  # what rounding left over
    return [(int(a), int(b), int(c)) for a, b, c in epochs]


def _no_sums(features: Features) -> _Anchor:
    zero = jnp.zeros(features.size)
    return _Anchor(zero, zero, jnp.zeros(()), jnp.zeros(()))


def _reward_sum(carry: tuple[Array, Array], batch: PairTransitions) -> tuple[Array, Array]:
    return carry[0] + batch.reward.sum(), carry[1] + BLOCK
