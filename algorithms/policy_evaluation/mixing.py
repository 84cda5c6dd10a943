"""How long the transitions of a stream repeat each other, measured from its features as they come.

The correlation time of a coordinate ψ_i, with c_ℓ = Cov(ψ_i(x_t), ψ_i(x_{t+ℓ})), is

    τ_i = 1 + 2 Σ_{ℓ≥1} c_ℓ / c_0:

the sum of ψ_i over a long stretch varies as if only one transition in τ_i were new. With one-hot features it grows with
the number of times that a pair comes back, beyond chance, while the chain stays near it: a chain that lingers has a
long τ, and one that turns round as a clock does none.

It is read off sums over stretches of b = 500, 1,000, 2,000, ... transitions, two neighbours u, v at a time (Allan's
variance, the energy of Haar's wavelets): E ½(u - v)² = τ_i b c_0 where b is long next to τ_i, and less where it is not,
so the largest over b is taken. Differences need no mean, drop slow drifts, and lose no digits.

What noise alone may have put there is left out. Over all coordinates, Σ ½(u - v)²/(b Σ c_0), a few stretches suffice,
and one standard error is taken off. From single coordinates it takes `_CERTAIN` of them, as the largest counts: rare
pairs that come in clusters carry VRTD away first, and the sum does not show them.

Sources: Sokal, "Monte Carlo methods in statistical mechanics", 1989 (τ); Allan, "Statistics of atomic frequency
standards", Proceedings of the IEEE 1966.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, PyTree

from algorithms.features import Features
from algorithms.policy_evaluation.problem import BLOCK

_CERTAIN = 2.0
"""Standard errors taken off the estimate of a single coordinate, the largest of many."""

_SMALL = 1e-6
"""Variances below this share of E ψ_i² are rounding: the coordinate is constant."""


@struct.dataclass
class _Level:
    """What one length of stretches has shown, or all of them, with a leading axis.

    Attributes:
        first: sums of ψ over the first of two neighbours.
        pairs: of neighbours seen.
        square, fourth: running means of ½(u - v)²/b and of its square.
    """

    first: Float[Array, "*level d"]
    pairs: Float[Array, "*level"]
    square: Float[Array, "*level d"]
    fourth: Float[Array, "*level d"]


@struct.dataclass
class Mixing:
    """What a stream has shown so far.

    Attributes:
        block: blocks of the stretch that is being read; it need not follow on the one before.
        levels: of b = 500, 1,000, 2,000, ...
        blocks: seen in all.
        mean, energy: running means of ψ and ψ².
    """

    block: Int[Array, ""]
    levels: _Level
    blocks: Float[Array, ""]
    mean: Float[Array, " d"]
    energy: Float[Array, " d"]

    @classmethod
    def nothing(cls, size: int, longest: int) -> Mixing:
        """Before anything has been seen of d = `size` features, in stretches of at most `longest` blocks."""
        levels = max(longest.bit_length() - 1, 1)
        grid, row, zero = jnp.zeros((levels, size)), jnp.zeros(size), jnp.zeros(())
        return cls(jnp.zeros((), jnp.int32), _Level(grid, jnp.zeros(levels), grid, grid), zero, row, row)

    def new_stretch(self) -> Mixing:
        """The next block does not follow on the last one."""
        return replace(self, block=jnp.zeros((), jnp.int32))

    def add(self, features: Features, pair: PyTree) -> Mixing:
        """With the next block of transitions."""
        total = features.weighted_sum(jnp.ones(BLOCK), pair)
        energy = features.square_sum(pair) / BLOCK
        blocks = self.blocks + 1.0

        def level(total: Array, of_level: tuple[Array, _Level]) -> tuple[Array, _Level]:
            """Given the sum over the last 2^index blocks; gives that over twice as many, right where both end here."""
            index, level = of_level
            number, rest = jnp.divmod(self.block + 1, 2**index)
            second = (rest == 0) & (number % 2 == 0)
            pairs = level.pairs + second
            share = second / jnp.maximum(pairs, 1.0)
            square = 0.5 * jnp.square(total - level.first) / (BLOCK * 2.0**index)
            return total + level.first, _Level(
                first=jnp.where((rest == 0) & ~second, total, level.first),
                pairs=pairs,
                square=level.square + share * (square - level.square),
                fourth=level.fourth + share * (jnp.square(square) - level.fourth),
            )

        _, levels = jax.lax.scan(level, total, (jnp.arange(len(self.levels.pairs)), self.levels))
        return Mixing(
            block=self.block + 1,
            levels=levels,
            blocks=blocks,
            mean=self.mean + (total / BLOCK - self.mean) / blocks,
            energy=self.energy + (energy - self.energy) / blocks,
        )

    def time(self) -> Float[Array, ""]:
        """τ, in transitions: of all coordinates together, or the longer one of a coordinate known well; at least 1."""
        square, fourth, pairs = self.levels.square, self.levels.fourth, jnp.maximum(self.levels.pairs, 1.0)
        tiny = jnp.finfo(jnp.float32).tiny
        variance = self.energy - jnp.square(self.mean)
        variance = jnp.where(variance > _SMALL * self.energy, variance, 0.0)
        total = square.sum(1)
        # Of a Gaussian u - v the square has the relative variance 2; coordinates are taken as independent.
        doubt = jnp.sqrt(2.0 * jnp.square(square / jnp.maximum(total, tiny)[:, None]).sum(1) / pairs)
        together = total / jnp.maximum(variance.sum(), tiny) * (1.0 - doubt)
        spread = jnp.maximum(fourth / jnp.maximum(jnp.square(square), tiny) - 1.0, 2.0)
        certain = 1.0 - _CERTAIN * jnp.sqrt(spread / pairs[:, None])
        alone = jnp.where(variance > 0.0, square / jnp.maximum(variance, tiny) * certain, 0.0)
        return jnp.maximum(jnp.maximum(together.max(), alone.max()), 1.0)
