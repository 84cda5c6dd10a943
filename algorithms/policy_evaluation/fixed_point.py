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
) -> Float[ndarray, " d"]:
    """θ* with Ψθ* = Π_D(r - ρ + P^π Ψθ*), the shortest one.

    Args:
        table: Ψ.
        weight: the diagonal of D: how often the data hold each pair.
        chain: P^π between pairs.
        reward: r - h^π, by pair.
        reward_rate: ρ of the policy.
    """
    weighted = table.T * weight
    matrix = weighted @ (table - chain @ table)
    return np.linalg.lstsq(matrix, weighted @ (reward - reward_rate), rcond=1e-12)[0]


def squared_error(
    value: Float[ndarray, "*batch pair"], truth: Float[ndarray, " pair"], weight: Float[ndarray, " pair"]
) -> Float[ndarray, " *batch"]:
    """min_c ‖Q - Q* - c‖²_D = Var_D(Q - Q*): constants are free."""
    error = np.asarray(value, np.float64) - truth
    error = error - (error @ weight)[..., None]
    return (np.square(error) * weight).sum(-1)
