"""Linear features of state-action pairs, Q(x) ≈ ψ(x)ᵀ θ: tables for finite processes, Fourier features for others."""

from __future__ import annotations

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree
from numpy import ndarray

from l2t.config import check_count, check_range
from l2t.errors import FeatureError


class Features(Protocol):
    """ψ: pairs → R^d, as the few operations that estimators need; `pair` has a leading axis n."""

    @property
    def size(self) -> int:
        """d."""
        ...

    @property
    def squared_norm(self) -> Float[Array, ""]:
        """max_x ‖ψ(x)‖², or its mean where that is the better scale of a step."""
        ...

    @property
    def constant(self) -> Float[Array, " d"] | None:
        """The unit vector c along which ψ(x)ᵀ c is the same for every x, or None where there is none."""
        ...

    def __call__(self, pair: PyTree) -> Float[Array, "n d"]:
        """ψ(x)."""
        ...

    def value(self, theta: Float[Array, " d"], pair: PyTree) -> Float[Array, " n"]:
        """ψ(x)ᵀ θ."""
        ...

    def weighted_sum(self, weight: Float[Array, " n"], pair: PyTree) -> Float[Array, " d"]:
        """Σ_i w_i ψ(x_i)."""
        ...

    def square_sum(self, pair: PyTree) -> Float[Array, " d"]:
        """Σ_i ψ(x_i)², coordinate by coordinate."""
        ...

    def outer_sum(self, pair: PyTree, other: PyTree) -> Float[Array, "d d"]:
        """Σ_i ψ(x_i) ψ(y_i)ᵀ."""
        ...


@struct.dataclass
class OneHot:
    """One coordinate for each pair of a finite process: ψ(x) = e_x."""

    size: int = struct.field(pytree_node=False)

    @property
    def num_pairs(self) -> int:
        """How many pairs it describes."""
        return self.size

    @property
    def squared_norm(self) -> Float[Array, ""]:
        """1: rows are unit vectors."""
        return jnp.ones(())

    @property
    def constant(self) -> Float[Array, " d"]:
        """All coordinates alike."""
        return jnp.full(self.size, self.size**-0.5)

    def __call__(self, pair: Int[Array, " n"]) -> Float[Array, "n d"]:
        """e_x."""
        return jax.nn.one_hot(pair, self.size)

    def value(self, theta: Float[Array, " d"], pair: Int[Array, " n"]) -> Float[Array, " n"]:
        """θ_x."""
        return theta[pair]

    def weighted_sum(self, weight: Float[Array, " n"], pair: Int[Array, " n"]) -> Float[Array, " d"]:
        """By coordinate, the sum of the weights of its pair."""
        return jnp.zeros(self.size).at[pair].add(weight)

    def square_sum(self, pair: Int[Array, " n"]) -> Float[Array, " d"]:
        """How often each pair occurs."""
        return self.weighted_sum(jnp.ones(pair.shape), pair)

    def outer_sum(self, pair: Int[Array, " n"], other: Int[Array, " n"]) -> Float[Array, "d d"]:
        """By coordinates (x, y), how many transitions lead from x to y."""
        return jnp.zeros((self.size, self.size)).at[pair, other].add(1.0)


@struct.dataclass
class TableFeatures:
    """A row of numbers for each pair of a finite process.

    Attributes:
        table: Ψ.
        direction: `constant`.
    """

    table: Float[Array, "pair d"]
    direction: Float[Array, " d"] | None

    @classmethod
    def create(cls, table: Float[ndarray, "pair d"]) -> TableFeatures:
        """Check a table and find out whether its span holds the constants.

        Raises:
            FeatureError: it is no table of finite numbers, or its columns depend on each other.
        """
        table = np.asarray(table, np.float64)
        if table.ndim != 2 or 0 in table.shape or not np.isfinite(table).all():
            raise FeatureError(f"Features of shape {table.shape} must be a finite table [pairs, features].")
        singular = np.linalg.svd(table, compute_uv=False)
        rank = int((singular > 1e-7 * singular[0]).sum())
        if rank < table.shape[1]:
            raise FeatureError(
                f"{table.shape[1]} features of {table.shape[0]} pairs have rank {rank} (singular values from "
                f"{singular[0]:.1e} to {singular[-1]:.1e}): drop those that are sums of others."
            )
        ones = np.ones(len(table))
        direction = np.linalg.lstsq(table, ones, rcond=None)[0]
        spans = np.abs(table @ direction - 1.0).max() < 1e-7
        unit = jnp.asarray(direction / np.linalg.norm(direction), jnp.float32)
        return cls(jnp.asarray(table, jnp.float32), unit if spans else None)

    @property
    def num_pairs(self) -> int:
        """How many pairs it describes."""
        return self.table.shape[0]

    @property
    def size(self) -> int:
        """Columns of Ψ."""
        return self.table.shape[1]

    @property
    def squared_norm(self) -> Float[Array, ""]:
        """The largest ‖Ψ_x‖² of any row."""
        return jnp.square(self.table).sum(1).max()

    @property
    def constant(self) -> Float[Array, " d"] | None:
        """c with Ψ c the same in all rows, where the columns span it."""
        return self.direction

    def __call__(self, pair: Int[Array, " n"]) -> Float[Array, "n d"]:
        """Rows of Ψ."""
        return self.table[pair]

    def value(self, theta: Float[Array, " d"], pair: Int[Array, " n"]) -> Float[Array, " n"]:
        """Ψ_x θ; where transitions outnumber rows, from all rows at once."""
        few = pair.shape[0] < self.table.shape[0]
        return self.table[pair] @ theta if few else (self.table @ theta)[pair]

    def weighted_sum(self, weight: Float[Array, " n"], pair: Int[Array, " n"]) -> Float[Array, " d"]:
        """Σ_i w_i Ψ_{x_i}; where transitions outnumber rows, weights are first added up by pair."""
        if pair.shape[0] < self.table.shape[0]:
            return weight @ self.table[pair]
        return jnp.zeros(self.table.shape[0]).at[pair].add(weight) @ self.table

    def square_sum(self, pair: Int[Array, " n"]) -> Float[Array, " d"]:
        """Σ_i Ψ_{x_i}², coordinate by coordinate."""
        return TableFeatures(jnp.square(self.table), None).weighted_sum(jnp.ones(pair.shape), pair)

    def outer_sum(self, pair: Int[Array, " n"], other: Int[Array, " n"]) -> Float[Array, "d d"]:
        """Σ_i Ψ_{x_i}ᵀ Ψ_{y_i}."""
        return self.table[pair].T @ self.table[other]


@struct.dataclass
class FourierFeatures:
    """Random Fourier features ψ_i(x) = √(2/d) cos(w_iᵀ x + b_i) of vectors, with w_i ~ N(0, 1/ℓ²), b_i ~ U[0, 2π].

    ψ(x)ᵀψ(y) approximates the Gaussian kernel exp(-‖x - y‖²/(2ℓ²)).

    Attributes:
        frequency: w.
        phase: b.

    Source: Rahimi and Recht, "Random features for large-scale kernel machines", NeurIPS 2007.
    """

    frequency: Float[Array, "size d"]
    phase: Float[Array, " d"]

    @classmethod
    def create(cls, key: Key[Array, ""], input_size: int, size: int, length_scale: float) -> FourierFeatures:
        """Draw d = `size` features of vectors of length `input_size`; ℓ = `length_scale`."""
        check_count("size", size)
        check_range("length_scale", length_scale, 0.0, open_low=True)
        frequency_key, phase_key = jax.random.split(key)
        return cls(
            jax.random.normal(frequency_key, (input_size, size)) / length_scale,
            jax.random.uniform(phase_key, (size,), maxval=2.0 * np.pi),
        )

    @property
    def size(self) -> int:
        """d, the number of frequencies."""
        return self.phase.shape[0]

    @property
    def squared_norm(self) -> Float[Array, ""]:
        """1: what ‖ψ(x)‖² is on average over the draw; no x exceeds 2."""
        return jnp.ones(())

    @property
    def constant(self) -> None:
        """None: the constants are only approximated."""
        return None

    def __call__(self, pair: Float[Array, "n size"]) -> Float[Array, "n d"]:
        """√(2/d) cos(wᵀ x + b)."""
        return jnp.sqrt(2.0 / self.size) * jnp.cos(pair @ self.frequency + self.phase)

    def value(self, theta: Float[Array, " d"], pair: Float[Array, "n size"]) -> Float[Array, " n"]:
        """√(2/d) Σ_j θ_j cos(w_jᵀ x + b_j)."""
        return self(pair) @ theta

    def weighted_sum(self, weight: Float[Array, " n"], pair: Float[Array, "n size"]) -> Float[Array, " d"]:
        """Σ_i w_i ψ(x_i), the features computed for the occasion."""
        return weight @ self(pair)

    def square_sum(self, pair: Float[Array, "n size"]) -> Float[Array, " d"]:
        """Σ_i ψ(x_i)², coordinate by coordinate, the features computed for the occasion."""
        return jnp.square(self(pair)).sum(0)

    def outer_sum(self, pair: Float[Array, "n size"], other: Float[Array, "n size"]) -> Float[Array, "d d"]:
        """Σ_i ψ(x_i) ψ(y_i)ᵀ, the features computed for the occasion."""
        return self(pair).T @ self(other)


def random_features(num_pairs: int, size: int, seed: int = 0) -> TableFeatures:
    """Independent standard normal entries over √d, and a last column of ones over √d."""
    check_count("size", size, 2)
    table = np.random.default_rng(seed).standard_normal((num_pairs, size - 1))
    return TableFeatures.create(np.column_stack([table, np.ones(num_pairs)]) / np.sqrt(size))


def radial_features(num_states: int, num_actions: int, centres: int) -> TableFeatures:
    """Gaussian bumps exp(-(s - c)²/(2w²)) over the state's number, normalised to sum 1, a copy of them for each action.

    w is the distance between two centres.

    Args:
        num_states, num_actions: of the process.
        centres: bumps, evenly spaced.
    """
    check_count("centres", centres, 2)
    spacing = (num_states - 1) / (centres - 1)
    distance = np.arange(num_states)[:, None] - spacing * np.arange(centres)
    bumps = np.exp(-0.5 * (distance / spacing) ** 2)
    bumps /= bumps.sum(1, keepdims=True)
    return TableFeatures.create(np.kron(bumps, np.eye(num_actions)))


def aggregated_features(num_states: int, num_actions: int, groups: int) -> TableFeatures:
    """States in `groups` runs of (almost) equal length; one coordinate for each group and action."""
    check_count("groups", groups)
    member = np.arange(num_states) * groups // num_states
    return TableFeatures.create(np.kron(np.eye(groups)[member], np.eye(num_actions)))
