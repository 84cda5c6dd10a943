"""What a model can remember within an episode: nothing, or a recurrent state.

A memory turns features x_t into y_t, which may depend on all x of the episode so far. The leaves of its carry have a
leading axis `[env]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree


class MemoryCell(Protocol):
    """Pure functions of weights and a carry."""

    @property
    def inputs(self) -> int:
        """Length of x."""
        ...

    @property
    def outputs(self) -> int:
        """Length of y."""
        ...

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh weights."""
        ...

    def start(self, instances: int) -> PyTree:
        """The carry before an episode."""
        ...

    def step(
        self, weights: PyTree, carry: PyTree, x: Float[Array, "env n"], first: Bool[Array, " env"]
    ) -> tuple[PyTree, Float[Array, "env outputs"]]:
        """One step; where `first`, from a fresh carry."""
        ...

    def unroll(
        self, weights: PyTree, carry: PyTree, x: Float[Array, "time env n"], first: Bool[Array, "time env"]
    ) -> tuple[PyTree, Float[Array, "time env outputs"]]:
        """The same as `step` after `step`."""
        ...


@dataclass(frozen=True)
class NoMemory:
    """y = x."""

    inputs: int

    @property
    def outputs(self) -> int:
        """As many as go in."""
        return self.inputs

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Nothing."""
        del key
        return ()

    def start(self, instances: int) -> PyTree:
        """Nothing."""
        del instances
        return ()

    def step(self, weights: PyTree, carry: PyTree, x: Array, first: Array) -> tuple[PyTree, Array]:
        """See the class."""
        del weights, first
        return carry, x

    unroll = step


@dataclass(frozen=True)
class GRU:
    """A gated recurrent unit beside a direct path, y = (x, h).

        z = σ(W_z x + U_z h + b_z)          how much is kept
        r = σ(W_r x + U_r h + b_r)
        c = tanh(W_c x + r ∘ (U_c h) + b_c)
        h' = z ∘ h + (1 - z) ∘ c

    Source: Cho et al., arXiv 1406.1078, with the reset gate behind the product, so that one product serves all gates.
    """

    inputs: int
    size: int

    @property
    def outputs(self) -> int:
        """Length of (x, h)."""
        return self.inputs + self.size

    def init(self, key: Key[Array, ""]) -> PyTree:
        """W with Glorot's variance, U orthogonal gate by gate, b = 0."""
        input_key, *keys = jax.random.split(key, 4)
        orthogonal = nn.initializers.orthogonal()
        return {
            "W": nn.initializers.glorot_uniform()(input_key, (self.inputs, 3 * self.size)),
            "U": jnp.concatenate([orthogonal(k, (self.size, self.size)) for k in keys], axis=1),
            "b": jnp.zeros(3 * self.size),
        }

    def start(self, instances: int) -> Float[Array, "env size"]:
        """h = 0."""
        return jnp.zeros((instances, self.size))

    def step(self, weights: PyTree, carry: Array, x: Array, first: Array) -> tuple[Array, Array]:
        """One step; see the class."""
        h = _advance(weights["U"], carry, x @ weights["W"] + weights["b"], first)
        return h, jnp.concatenate([x, h], axis=-1)

    def unroll(self, weights: PyTree, carry: Array, x: Array, first: Array) -> tuple[Array, Array]:
        """All products with x at once; only those with h have to wait for each other."""

        def step(h: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            h = _advance(weights["U"], h, *inputs)
            return h, h

        carry, h = jax.lax.scan(step, carry, (x @ weights["W"] + weights["b"], first))
        return carry, jnp.concatenate([x, h], axis=-1)


def _advance(recurrent: Array, h: Array, driven: Array, first: Array) -> Array:
    h = jnp.where(first[..., None], 0.0, h)
    x_z, x_r, x_c = jnp.split(driven, 3, axis=-1)
    h_z, h_r, h_c = jnp.split(h @ recurrent, 3, axis=-1)
    kept = jax.nn.sigmoid(x_z + h_z)
    candidate = jnp.tanh(x_c + jax.nn.sigmoid(x_r + h_r) * h_c)
    return kept * h + (1.0 - kept) * candidate
