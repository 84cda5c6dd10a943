"""What the estimators converge to, by dense linear algebra in float64, and how far they are from it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def projected_fixed_point(
    table: Float[ndarray, "pair d"],
    weight: Float[ndarray, " pair"],
    chain: Float[ndarray, "pair pair"],
    reward: Float[ndarray, " pair"],
    reward_rate: float,
    constant: Float[ndarray, " d"] | None = None,
) -> Float[ndarray, " d"]:
    """θ* with Ψθ* = Π_D(r - ρ + P^π Ψθ*), the shortest one.

    With a constant direction c the system is solved on its complement, as the projected iterates do: under a D that is
    not stationary for π it has no solution elsewhere.

    Args:
        table: Ψ.
        weight: the diagonal of D: how often the data hold each pair.
        chain: P^π between pairs.
        reward: r - h^π, by pair.
        reward_rate: ρ of the policy.
        constant: c, of length 1.
    """
    weighted = table.T * weight
    matrix, vector = weighted @ (table - chain @ table), weighted @ (reward - reward_rate)
    if constant is not None:
        projector = np.eye(len(constant)) - np.outer(constant, constant)
        matrix, vector = projector @ matrix @ projector, projector @ vector
    return np.linalg.lstsq(matrix, vector, rcond=1e-10)[0]


def weighted_projection(
    table: Float[ndarray, "pair d"], weight: Float[ndarray, " pair"], value: Float[ndarray, " pair"]
) -> Float[ndarray, " d"]:
    """θ of Π_D v: what regression on returns converges to, up to their truncation."""
    weighted = table.T * weight
    return np.linalg.lstsq(weighted @ table, weighted @ value, rcond=1e-10)[0]


def squared_error(
    value: Float[ndarray, "*batch pair"], truth: Float[ndarray, " pair"], weight: Float[ndarray, " pair"]
) -> Float[ndarray, " *batch"]:
    """min_c ‖Q - Q* - c‖²_D = Var_D(Q - Q*): constants are free."""
    error = np.asarray(value, np.float64) - truth
    error = error - (error @ weight)[..., None]
    return (np.square(error) * weight).sum(-1)
