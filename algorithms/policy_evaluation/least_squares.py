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
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from algorithms.features import Features
from algorithms.policy_evaluation.config import LSTDConfig, MonteCarloConfig
from algorithms.policy_evaluation.problem import (
    BLOCK,
    Estimate,
    Problem,
    geometric_blocks,
    run_segments,
    without_constant,
)
from l2t.rl.transitions import PairTransitions


@struct.dataclass
class _Sums:
    """Of the matrix, of ψ times what θ should explain before ρ̂ is taken off, of ψ times ρ̂'s share of it, and of r."""

    matrix: Float[Array, "d d"]
    target: Float[Array, " d"]
    offset: Float[Array, " d"]
    reward: Float[Array, ""]
    count: Float[Array, ""]


def _no_sums(features: Features) -> _Sums:
    zero = jnp.zeros(features.size)
    return _Sums(jnp.zeros((features.size, features.size)), zero, zero, jnp.zeros(()), jnp.zeros(()))


def _solve(features: Features, sums: _Sums, ridge: float) -> Estimate:
    """θ ⟂ c of the system; the ridge, in units of the mean diagonal, settles what the data leave open."""
    rate = sums.reward / sums.count
    vector = (sums.target - rate * sums.offset) / sums.count
    matrix = sums.matrix / sums.count
    matrix = matrix + ridge * jnp.trace(matrix) / features.size * jnp.eye(features.size)
    return Estimate(without_constant(features, jnp.linalg.solve(matrix, vector)), rate)


class LSTD:
    """Differential least-squares TD(0); see the module's docstring.

    Args:
        config: the ridge.
        samples: transitions to draw in all.
    """

    def __init__(self, config: LSTDConfig, samples: int) -> None:
        self.config = config
        self.segments = geometric_blocks(samples)

    @property
    def samples(self) -> Int[np.ndarray, " points"]:
        """Transitions drawn before each estimate."""
        return BLOCK * np.cumsum(self.segments)

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The curve of estimates."""
        features = problem.features

        def update(sums: _Sums, batch: PairTransitions) -> _Sums:
            own, cross = features.outer_sum(batch.pair, batch.pair), features.outer_sum(batch.pair, batch.next_pair)
            return _Sums(
                sums.matrix + own - cross,
                sums.target + features.weighted_sum(batch.reward, batch.pair),
                sums.offset + features.weighted_sum(jnp.ones(BLOCK), batch.pair),
                sums.reward + batch.reward.sum(),
                sums.count + BLOCK,
            )

        def readout(sums: _Sums) -> Estimate:
            if features.constant is not None:  # the matrix sends the constants to zero: their direction is filled up
                scale = jnp.trace(sums.matrix) / features.size
                sums = replace(sums, matrix=sums.matrix + scale * jnp.outer(features.constant, features.constant))
            return _solve(features, sums, self.config.ridge)

        return run_segments(update, readout, problem, _no_sums(features), self.segments, key)


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

    @property
    def samples(self) -> Int[np.ndarray, " points"]:
        """Transitions drawn before each estimate."""
        return BLOCK * np.cumsum(self.segments)

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The curve of estimates."""
        features, horizon = problem.features, self.config.horizon
        starts = BLOCK - horizon + 1

        def update(sums: _Sums, batch: PairTransitions) -> _Sums:
            pair = batch.pair[:starts]
            # Taking the block's mean off before summing keeps float32 exact enough.
            level = batch.reward.mean()
            running = jnp.concatenate([jnp.zeros(1), jnp.cumsum(batch.reward - level)])
            returns = running[horizon:] - running[:-horizon] + horizon * level
            return _Sums(
                sums.matrix + features.outer_sum(pair, pair),
                sums.target + features.weighted_sum(returns, pair),
                sums.offset + horizon * features.weighted_sum(jnp.ones(starts), pair),
                sums.reward + batch.reward.sum(),
                sums.count + BLOCK,
            )

        def readout(sums: _Sums) -> Estimate:
            return _solve(features, sums, self.config.ridge)

        return run_segments(update, readout, problem, _no_sums(features), self.segments, key)
