"""Linear solves for the average reward of a finite chain, compiled and differentiable, in the dtype of their arguments.

With M = I - P + 1 1ᵀ, which is regular for one recurrent class:

    νᵀ M = 1ᵀ,   ρ = Σ ν r,   M W = r - ρ,   V = W - Σ ν W,

where Σ W = 0, so that (I - P) W = r - ρ: V solves the Poisson equation V = r - ρ + P V, with Σ ν V = 0. A chain with
several recurrent classes gives numbers that are not finite, or huge ones.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Float


class Worth(NamedTuple):
    """What a chain earns.

    Attributes:
        stationary: ν[s].
        rate: ρ.
        value: V[s], with Σ ν V = 0.
    """

    stationary: Float[Array, " state"]
    rate: Float[Array, ""]
    value: Float[Array, " state"]


def poisson_system(
    transition: Float[Array, "state action state"], policy: Float[Array, "state action"]
) -> Float[Array, "state state"]:
    """M of the chain P^π(s'|s) = Σ_a π(a|s) P(s'|s,a)."""
    chain = jnp.einsum("sa,sat->st", policy, transition)
    return jnp.eye(len(policy), dtype=policy.dtype) - chain + 1.0


def solve_poisson(system: Float[Array, "state state"], reward: Float[Array, " state"]) -> Worth:
    """ν, ρ and V by one factorisation of M.

    Args:
        system: M, see `poisson_system`.
        reward: what a step from each state earns, in the mean over actions.
    """
    factors = lu_factor(system)
    stationary = lu_solve(factors, jnp.ones_like(reward), trans=1)
    rate = stationary @ reward
    value = lu_solve(factors, reward - rate)
    return Worth(stationary, rate, value - stationary @ value)
