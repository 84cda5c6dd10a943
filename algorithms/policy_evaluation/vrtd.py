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
single transitions stay stable under, if they are about a mixing time apart; `average_epochs` weights the outputs of the
epochs by powers of their N_k, so that the transitions of all late epochs count towards the last digit.

A chain that mixes slowly stays near one place for a while. Every step there applies all of ĝ, but the term that
corrects it, g(θ_t, ξ) - g(θ̃, ξ), acts only at that place: θ goes some η τ/2 times as far as it should, and where that
is above 2 each anchor is worse than the last. Therefore, unless `skip` is a number, each epoch measures the
correlation time τ of the stream in its N_k transitions and those before (`mixing`), and divides η by it. Every
transition is used: to take each τ-th with the whole η moves θ as far, and on a chain with a period shows it always the
same states. As θ then needs more transitions to get there, T_k/N_k grows with τ, up to 1; N_k + T_k and the budget
stay.

Source: Li, Wu and Lan, "Stochastic first-order methods for average-reward Markov decision processes", arXiv 2205.05800.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.features import Features
from algorithms.policy_evaluation.config import VRTDConfig
from algorithms.policy_evaluation.mixing import Mixing
from algorithms.policy_evaluation.operator import mean_operator, reduced_step
from algorithms.policy_evaluation.problem import BLOCK, Estimate, Problem, over_blocks, without_constant
from algorithms.policy_evaluation.wide_sum import WideSum
from l2t.errors import ConfigurationError
from l2t.rl.transitions import PairTransitions, Source

_WEIGHT_POWER = 1.5
"""Epoch outputs are averaged with weights N_k^1.5: 1 would use each transition best but forgets the first epochs, which
have not converged, too slowly."""

_ROUNDING = 1e-5
"""Rewards that differ by less than this share of their mean are all the same, up to rounding."""

Tree = TypeVar("Tree")
Watched = TypeVar("Watched")


@struct.dataclass
class _Anchor:
    """Means over an epoch's first part: of g at the anchor and at the one before, without ρ̂, of ψ, of ψ r, and of r.

    `products`, for the noise of the second: g_bᵀg_b, g_bᵀψ_b and ψ_bᵀψ_b of its means and those of ψ over each block.
    """

    operator: Float[Array, " d"]
    before: Float[Array, " d"]
    products: Float[Array, " 3"]
    feature: Float[Array, " d"]
    target: Float[Array, " d"]
    reward: Float[Array, ""]


@struct.dataclass
class _State:
    """Between two epochs: θ̃, the one before it, the stream, the mean of the outputs, and what the stream has shown."""

    anchor: Float[Array, " d"]
    before: Float[Array, " d"]
    stream: PyTree
    mean: Estimate
    mixing: Mixing | None


class _Epoch(NamedTuple):
    """An epoch in numbers, or all of them, with a leading axis.

    Attributes:
        anchor_blocks, rate_blocks, inner_blocks: blocks for ĝ and ρ̂, for ρ̂ of the policy alone, and of inner steps.
        first_block, first_step: of the inner iterates the first that counts, by its block and its place therein.
        counted: how many count.
        weight: of its output in the mean of the outputs so far.
    """

    anchor_blocks: Any
    rate_blocks: Any
    inner_blocks: Any
    first_block: Any
    first_step: Any
    counted: Any
    weight: Any


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
            least = BLOCK * _least_blocks(config)
            raise ConfigurationError(f"samples={samples} is too small for one epoch of VRTD; give at least {least}.")

    @property
    def samples(self) -> Int[np.ndarray, " points"]:
        """Transitions drawn by the end of each epoch, burn-in and skipped ones included."""
        return BLOCK * (self.config.burn_in_blocks + np.cumsum([sum(epoch) for epoch in self.epochs]))

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The estimate after each epoch, from θ = 0."""
        start_key, key = jax.random.split(key)
        return self.run_from(problem, key, jnp.zeros(problem.features.size), problem.source.init(start_key))[0]

    def run_from(
        self, problem: Problem, key: Key[Array, ""], theta: Float[Array, " d"], stream: PyTree
    ) -> tuple[Estimate, PyTree]:
        """The same from a given anchor and state of the stream, which is also returned: a critic's warm start."""
        burn_key, key = jax.random.split(key)
        features = problem.features
        burn_in = jnp.asarray(self.config.burn_in_blocks)
        mixing = None
        if self.config.skip is None:
            mixing = Mixing.nothing(features.size, max(*(sum(epoch) for epoch in self.epochs), 2))
        mixing, stream = over_blocks(partial(_mixed, features), problem.source, mixing, stream, burn_key, burn_in)

        def epoch(state: _State, inputs: tuple[Array, _Epoch]) -> tuple[_State, Estimate]:
            anchor, mean = state.anchor, state.mean
            key, part = inputs
            keys = jax.random.split(key, 3)
            mixing = state.mixing
            if mixing is not None:
                part, mixing = self._split(part, mixing.time()), mixing.new_stretch()
            seen, mixing, stream = _mean_over_blocks(
                partial(_anchor, features, anchor, state.before),
                problem.source,
                state.stream,
                keys[0],
                part.anchor_blocks,
                partial(_mixed, features),
                mixing,
            )
            rate = seen.reward
            if problem.rate_source is not None:
                rate, _, stream = _mean_over_blocks(
                    lambda batch: batch.reward.mean(), problem.rate_source, stream, keys[1], part.rate_blocks
                )
            operator = seen.operator + rate * seen.feature
            time = None if mixing is None else mixing.time()
            offset, stream = self._inner(problem.source, features, operator, stream, keys[2], part, time)
            now = Estimate(anchor + offset, rate)
            mean = jax.tree.map(lambda old, new: old + part.weight * (new - old), mean, now)
            shown = replace(
                mean if self.config.average_epochs else now,
                misfit=_misfit(operator, seen, rate),
                growth=_growth(operator, seen, rate, part.anchor_blocks),
                correlation_time=time,
            )
            return _State(now.theta, anchor, stream, mean, mixing), shown

        state = _State(theta, theta, stream, Estimate(jnp.zeros_like(theta), jnp.zeros(())), mixing)
        state, curve = jax.lax.scan(epoch, state, (jax.random.split(key, len(self.epochs)), self._parts()))
        return curve, state.stream

    def _parts(self) -> _Epoch:
        """All epochs. Transitions are counted here, in float64 and integers of 64 bits, and blocks in the program."""
        anchor, rate, inner = np.array(self.epochs).T
        of_block = BLOCK // (self.config.skip or 1)
        steps = inner * of_block
        first = (steps * self.config.discard).astype(np.int64)
        weight = (anchor * BLOCK / self.samples[-1]) ** _WEIGHT_POWER
        whole, floating = partial(jnp.asarray, dtype=jnp.int32), partial(jnp.asarray, dtype=jnp.float32)
        return _Epoch(
            *(whole(x) for x in (anchor, rate, inner, *divmod(first, of_block))),
            counted=floating(steps - first),
            weight=floating(weight / weight.cumsum()),
        )

    def _split(self, part: _Epoch, time: Float[Array, ""]) -> _Epoch:
        """The same transitions, shared out between ĝ and the inner steps as the correlation time asks for."""
        share = self.config.inner_fraction * jnp.minimum(time, max(1.0, 1.0 / self.config.inner_fraction))
        both = part.anchor_blocks + part.inner_blocks
        wanted = (both * (share / (1.0 + share))).astype(jnp.int32)
        inner = jnp.clip(wanted, part.inner_blocks, both - 1)
        first = (inner * self.config.discard).astype(jnp.int32)
        return part._replace(
            anchor_blocks=both - inner,
            inner_blocks=inner,
            first_block=first,
            first_step=jnp.zeros_like(first),
            counted=BLOCK * (inner - first).astype(jnp.float32),
        )

    def _inner(
        self,
        source: Source,
        features: Features,
        operator: Array,
        stream: PyTree,
        key: Array,
        part: _Epoch,
        time: Float[Array, ""] | None,
    ) -> tuple[Float[Array, " d"], PyTree]:
        """The mean offset from the anchor over the later part of the inner iterates."""
        skip = self.config.skip or 1
        step_size = self.config.step_size / features.squared_norm
        if time is not None:
            step_size = step_size / time

        def step(state: tuple[Array, Array], inputs: tuple[PyTree, PyTree, Array]) -> tuple[tuple[Array, Array], None]:
            offset, total = state
            pair, next_pair, counts = jax.tree.map(lambda x: x[None], inputs)
            moved = reduced_step(features, offset, pair, next_pair, operator, step_size)
            offset = without_constant(features, moved)
            return (offset, total + counts * offset), None

        def update(
            state: tuple[Array, WideSum[Array], Array], batch: PairTransitions
        ) -> tuple[Array, WideSum[Array], Array]:
            offset, total, block = state
            pair, next_pair = jax.tree.map(lambda x: x[skip - 1 :: skip], (batch.pair, batch.next_pair))
            late = jnp.arange(BLOCK // skip) >= part.first_step
            counts = (block > part.first_block) | ((block == part.first_block) & late)
            inputs = (pair, next_pair, counts.astype(jnp.float32))
            (offset, of_block), _ = jax.lax.scan(step, (offset, jnp.zeros_like(offset)), inputs)
            return offset, total.add(of_block), block + 1

        zero = jnp.zeros(features.size)
        start = (zero, WideSum.zero(zero), jnp.zeros((), jnp.int32))
        (_, total, _), stream = over_blocks(update, source, start, stream, key, part.inner_blocks)
        return total.over(part.counted), stream


def _mean_over_blocks(
    of_block: Callable[[PairTransitions], Tree],
    source: Source,
    stream: PyTree,
    key: Array,
    blocks: Int[Array, ""],
    watch: Callable[[Watched, PairTransitions], Watched] = lambda watched, batch: watched,
    watched: Watched = None,
) -> tuple[Tree, Watched, PyTree]:
    """The mean of what a function says of each block, what has been seen of them, and the stream after them."""
    like = jax.eval_shape(lambda: of_block(source.draw(stream, key, BLOCK)[1]))

    def update(carry: tuple[WideSum[Tree], Watched], batch: PairTransitions) -> tuple[WideSum[Tree], Watched]:
        total, watched = carry
        return total.add(of_block(batch)), watch(watched, batch)

    (total, watched), stream = over_blocks(update, source, (WideSum.zero(like), watched), stream, key, blocks)
    return total.over(blocks.astype(jnp.float32)), watched, stream


def _mixed(features: Features, mixing: Mixing | None, batch: PairTransitions) -> Mixing | None:
    return None if mixing is None else mixing.add(features, batch.pair)


def _anchor(
    features: Features, theta: Float[Array, " d"], before: Float[Array, " d"], batch: PairTransitions
) -> _Anchor:
    last = mean_operator(features, before, batch, jnp.zeros(()))
    feature = features.weighted_sum(jnp.ones(BLOCK), batch.pair) / BLOCK
    return _Anchor(
        operator=mean_operator(features, theta, batch, jnp.zeros(())),
        before=last,
        products=jnp.stack([last @ last, last @ feature, feature @ feature]),
        feature=feature,
        target=features.weighted_sum(batch.reward, batch.pair) / BLOCK,
        reward=batch.reward.mean(),
    )


def _misfit(operator: Float[Array, " d"], seen: _Anchor, rate: Float[Array, ""]) -> Float[Array, ""]:
    """‖ĝ(θ̃)‖/‖ĝ(0)‖ over the same transitions; a ĝ(0) that is nothing but rounding counts as that much."""
    level = rate * seen.feature
    rounding = _ROUNDING * jnp.linalg.norm(level) + jnp.finfo(jnp.float32).tiny
    return jnp.linalg.norm(operator) / jnp.maximum(jnp.linalg.norm(level - seen.target), rounding)


def _growth(
    operator: Float[Array, " d"], seen: _Anchor, rate: Float[Array, ""], blocks: Int[Array, ""]
) -> Float[Array, ""]:
    """‖ĝ(θ̃)‖ over that of the anchor before, over the same transitions; twice its noise and rounding count as much."""
    level = rate * seen.feature
    rounding = _ROUNDING * (jnp.linalg.norm(level) + jnp.linalg.norm(seen.target)) + jnp.finfo(jnp.float32).tiny
    before = jnp.linalg.norm(seen.before + level)
    of_blocks = seen.products @ jnp.stack([jnp.ones_like(rate), 2.0 * rate, rate**2])
    noise = jnp.sqrt(jnp.maximum(of_blocks - before**2, 0.0) / jnp.maximum(blocks - 1, 1))
    return jnp.linalg.norm(operator) / jnp.maximum(jnp.maximum(before, 2.0 * noise), rounding)


def _least_blocks(config: VRTDConfig) -> int:
    """The smallest budget that `_epochs` can share out."""
    first = config.first_blocks * (1.0 + config.rate_fraction + config.inner_fraction)
    return next(blocks for blocks in count(config.burn_in_blocks + int(first)) if _epochs(config, blocks))


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
    if not len(epochs):
        return []
    epochs[-1, 0] += left - epochs.sum()  # what rounding left over
    return [(int(a), int(b), int(c)) for a, b, c in epochs]
