"""TD(0) in the average-reward setting, on two time scales, with or without averaging.

For each transition x → x' with reward r:

    δ = r - ρ + (ψ(x') - ψ(x))ᵀ θ,   θ <- θ + α_t δ ψ(x),   ρ <- ρ + β_t (r - ρ).

Source: Tsitsiklis and Van Roy, "Average cost temporal-difference learning", Automatica 1999; averaging is that of
Polyak and Juditsky, SIAM J. Control Optim. 1992.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key, PyTree

from algorithms.policy_evaluation.config import TDConfig
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
class _Iterate:
    """θ and ρ, their means over each block summed, and the number of blocks."""

    now: Estimate
    total: WideSum[Estimate]
    blocks: Int[Array, ""]


class TD:
    """See the module's docstring.

    Args:
        config: steps.
        samples: transitions to draw in all.
    """

    def __init__(self, config: TDConfig, samples: int) -> None:
        self.config = config
        self.segments = geometric_blocks(samples)
        self.samples = drawn_by(self.segments)

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The curve of estimates."""
        features, config = problem.features, self.config

        def step(
            state: tuple[Estimate, Estimate], inputs: tuple[PyTree, Array, PyTree, Array]
        ) -> tuple[tuple[Estimate, Estimate], None]:
            (theta, rate), total = (state[0].theta, state[0].reward_rate), state[1]
            pair, reward, next_pair, size = jax.tree.map(lambda x: x[None], inputs)
            delta = reward - rate + features.value(theta, next_pair) - features.value(theta, pair)
            theta = theta + size[0] / features.squared_norm * features.weighted_sum(delta, pair)
            now = Estimate(theta, rate + jnp.minimum(config.rate_step * size[0], 1.0) * (reward[0] - rate))
            return (now, jax.tree.map(jnp.add, total, now)), None

        def update(state: _Iterate, batch: PairTransitions) -> _Iterate:
            times = (state.blocks.astype(jnp.float32) * BLOCK + jnp.arange(BLOCK)) / config.decay_after
            sizes = config.step_size * (1.0 + times) ** -config.decay
            inputs = (batch.pair, batch.reward, batch.next_pair, sizes)
            zero = jax.tree.map(jnp.zeros_like, state.now)
            (now, total), _ = jax.lax.scan(step, (state.now, zero), inputs)
            mean = jax.tree.map(lambda x: x / BLOCK, total)
            now = replace(now, theta=without_constant(features, now.theta))
            return _Iterate(now, state.total.add(mean), state.blocks + 1)

        def readout(state: _Iterate) -> Estimate:
            chosen = state.total.over(state.blocks.astype(jnp.float32)) if config.average else state.now
            return Estimate(without_constant(features, chosen.theta), chosen.reward_rate)

        zero = Estimate(jnp.zeros(features.size), jnp.zeros(()))
        start = _Iterate(zero, WideSum.zero(zero), jnp.zeros((), jnp.int32))
        return run_segments(update, readout, problem, start, self.segments, key)
