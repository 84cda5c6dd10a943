"""Sums over any number of blocks. In float32 a plain sum of equal terms stops growing after 1.7e7 of them."""

from __future__ import annotations

from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

Tree = TypeVar("Tree")


@struct.dataclass
class WideSum(Generic[Tree]):
    """Σ of pytrees of float32 arrays, held in two numbers and so with twice the digits of one.

    Of n terms the error is some (ε + n ε²) Σ|x| at most, with ε = 6e-8: 1e-5 for the 2e9 blocks of 1e12 transitions.

    Attributes:
        total: the sum as rounded.
        rest: what rounding has taken off it.

    Source: Dekker, "A floating-point technique for extending the available precision", Numerische Mathematik 1971.
    """

    total: Tree
    rest: Tree

    @classmethod
    def zero(cls, like: Tree) -> WideSum[Tree]:
        """The empty sum of terms that look like `like`."""
        zeros = jax.tree.map(jnp.zeros_like, like)
        return cls(zeros, zeros)

    def add(self, term: Tree) -> WideSum[Tree]:
        """The sum with one term more."""
        total = jax.tree.map(jnp.add, self.total, term)
        rest = jax.tree.map(lambda rest, *parts: rest + _lost(*parts), self.rest, self.total, term, total)
        # Left to grow, `rest` would lose digits as a plain sum does.
        carried = jax.tree.map(jnp.add, total, rest)
        return WideSum(carried, jax.tree.map(_lost, total, rest, carried))

    def over(self, count: Float[Array, ""]) -> Tree:
        """Σ/count."""
        return jax.tree.map(lambda total, rest: (total + rest) / count, self.total, self.rest)


def _lost(first: Array, second: Array, total: Array) -> Array:
    """first + second - total, exactly, where `total` is the rounded sum (Knuth's two-sum: no case distinction)."""
    taken = total - first
    return (first - (total - taken)) + (second - taken)
