"""Estimators that solve one linear system: differential LSTD, and regression on Monte-Carlo returns.

LSTD:         Σ ψ(x) (ψ(x) - ψ(x'))ᵀ θ = Σ ψ(x) (r - ρ̂);
Monte-Carlo:  Σ ψ(x) ψ(x)ᵀ θ = Σ ψ(x_t) G_t,  G_t = Σ_{l<H} (r_{t+l} - ρ̂).

ρ̂ is the mean reward of all transitions so far.

Source: Yu and Bertsekas, "Convergence results for some temporal difference methods based on least squares", IEEE
Transactions on Automatic Control 2009.
"""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key

from algorithms.features import Features
from algorithms.policy_evaluation.config import LSTDConfig, MonteCarloConfig
from algorithms.policy_evaluation.problem import (
    BLOCK,
    Estimate,
    Problem,
    drawn_by,
    geometric_blocks,
    run_segments,
    without_constant,
)
from algorithms.policy_evaluation.wide_sum import WideSum
from l2t.rl.transitions import PairTransitions


@struct.dataclass
class _Moments:
    """Means of the matrix, of ψ times what θ should explain before ρ̂ is taken off, of ψ times ρ̂'s share, and of r."""

    matrix: Float[Array, "d d"]
    target: Float[Array, " d"]
    offset: Float[Array, " d"]
    reward: Float[Array, ""]


@struct.dataclass
class _Seen:
    """The moments of each block, summed, and the number of blocks."""

    moments: WideSum[_Moments]
    blocks: Int[Array, ""]

    def add(self, moments: _Moments) -> _Seen:
        return _Seen(self.moments.add(moments), self.blocks + 1)

    def mean(self) -> _Moments:
        return self.moments.over(self.blocks.astype(jnp.float32))


def _nothing(features: Features) -> _Seen:
    zero = jnp.zeros(features.size)
    moments = _Moments(jnp.zeros((features.size, features.size)), zero, zero, jnp.zeros(()))
    return _Seen(WideSum.zero(moments), jnp.zeros((), jnp.int32))


def _solve(features: Features, moments: _Moments, ridge: float) -> Estimate:
    """θ ⟂ c of the system; the ridge, in units of the mean diagonal, settles what the data leave open."""
    vector = moments.target - moments.reward * moments.offset
    matrix = moments.matrix + ridge * jnp.trace(moments.matrix) / features.size * jnp.eye(features.size)
    return Estimate(without_constant(features, jnp.linalg.solve(matrix, vector)), moments.reward)


class LSTD:
    """Differential least-squares TD(0); see the module's docstring.

    Args:
        config: the ridge.
        samples: transitions to draw in all.
    """

    def __init__(self, config: LSTDConfig, samples: int) -> None:
        self.config = config
        self.segments = geometric_blocks(samples)
        self.samples = drawn_by(self.segments)

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The curve of estimates."""
        features = problem.features

        def update(seen: _Seen, batch: PairTransitions) -> _Seen:
            covariance = features.outer_sum(batch.pair, batch.pair) - features.outer_sum(batch.pair, batch.next_pair)
            return seen.add(
                _Moments(
                    covariance / BLOCK,
                    features.weighted_sum(batch.reward, batch.pair) / BLOCK,
                    features.weighted_sum(jnp.ones(BLOCK), batch.pair) / BLOCK,
                    batch.reward.mean(),
                )
            )

        def readout(seen: _Seen) -> Estimate:
            moments = seen.mean()
            if features.constant is not None:  # the matrix sends the constants to zero: their direction is filled up
                scale = jnp.trace(moments.matrix) / features.size
                filled = moments.matrix + scale * jnp.outer(features.constant, features.constant)
                moments = replace(moments, matrix=filled)
            return _solve(features, moments, self.config.ridge)

        return run_segments(update, readout, problem, _nothing(features), self.segments, key)


class MonteCarlo:
    """Regression on truncated differential returns; see the module's docstring.

    Returns start in the first BLOCK - H + 1 transitions of every block, so that each lies within one.

    Args:
        config: horizon and ridge.
        samples: transitions to draw in all.
    """

    def __init__(self, config: MonteCarloConfig, samples: int) -> None:
        self.config = config
        self.segments = geometric_blocks(samples)
        self.samples = drawn_by(self.segments)

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The curve of estimates."""
        features, horizon = problem.features, self.config.horizon
        starts = BLOCK - horizon + 1

        def update(seen: _Seen, batch: PairTransitions) -> _Seen:
            pair = batch.pair[:starts]
            # Taking the block's mean off before summing keeps float32 exact enough.
            level = batch.reward.mean()
            running = jnp.concatenate([jnp.zeros(1), jnp.cumsum(batch.reward - level)])
            returns = running[horizon:] - running[:-horizon] + horizon * level
            return seen.add(
                _Moments(
                    features.outer_sum(pair, pair) / starts,
                    features.weighted_sum(returns, pair) / starts,
                    horizon * features.weighted_sum(jnp.ones(starts), pair) / starts,
                    level,
                )
            )

        def readout(seen: _Seen) -> Estimate:
            return _solve(features, seen.mean(), self.config.ridge)

        return run_segments(update, readout, problem, _nothing(features), self.segments, key)
