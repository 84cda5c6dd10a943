"""How far apart two rewards of a finite process are, when what no policy can tell apart counts for nothing.

Without a discount r and r + Φ(s') - Φ(s) + c give every policy the same stationary behaviour and the same order, for
any Φ, and so does a positive factor. Demonstrations therefore identify a reward only up to these, and comparing the
numbers r(s,a) themselves is meaningless. The canonical form under a fixed reference policy u,

    C(r) = r - ρ_u + P V_u - V_u,    (P V)(s,a) = Σ_s' P(s'|s,a) V(s'),    r^u - ρ_u + P^u V_u - V_u = 0,

is the same for all of them but the factor, and two rewards with one C differ by exactly such a Φ and c. It is the
advantage of u: Σ_a u(a|s) C(s,a) = 0.

NumPy in float64. The process is given as arrays, so that nothing here depends on where it came from.

Source: the discounted canonical forms of Gleave et al., "Quantifying differences in reward functions" (arXiv
2006.13900), and of Skalse et al., "STARC" (arXiv 2309.15257), with the differential values of the average-reward case.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from l2t.errors import ModelError, ReducibleChainError

_NOTHING = 1e-12
"""A canonical form this small beside its reward is rounding: the reward tells no two policies apart."""


def canonical_reward(
    transition: Float[ndarray, "state action state"],
    reward: Float[ndarray, "state action"],
    reference: Float[ndarray, "state action"],
) -> Float[ndarray, "state action"]:
    """C(r) = r - ρ_u + P V_u - V_u.

    A reward r(s,a,s') is first averaged over the successor.

    Args:
        transition: P[s, a, s'].
        reward: r[s, a].
        reference: u[s, a], such as the uniform policy. It decides how states are weighted against each other, so
            distances under different references are different numbers. Give every action some probability.

    Raises:
        ModelError: shapes differ, a row is no distribution, or a number is not finite.
        ReducibleChainError: u has several recurrent classes, so there is no one ρ_u.
    """
    transition, reward, reference = _checked(transition, reward, reference)
    size = len(reward)
    chain = np.einsum("sa,sat->st", reference, transition)
    # The unknowns are V and ρ: (I - P^u) V + ρ = r^u, and Σ V = 0, which is regular for one recurrent class.
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = np.eye(size) - chain
    system[:size, size] = system[size, :size] = 1.0
    if np.linalg.matrix_rank(system) <= size:
        raise ReducibleChainError(
            "The reference policy has several recurrent classes, so it has no one reward rate: give one that takes "
            "every action, or link the classes."
        )
    solved = np.linalg.solve(system, np.append((reference * reward).sum(1), 0.0))
    value, rate = solved[:size], solved[size]
    return reward - rate + transition @ value - value[:, None]


def canonical_distance(
    transition: Float[ndarray, "state action state"],
    first: Float[ndarray, "state action"],
    second: Float[ndarray, "state action"],
    reference: Float[ndarray, "state action"],
) -> float:
    """d = ½ ‖C(r_1)/‖C(r_1)‖ - C(r_2)/‖C(r_2)‖‖ in [0, 1], with the Euclidean norm over all pairs (s, a).

    0 where each reward is a positive multiple of the other plus Φ(s') - Φ(s) + c, 1 where it is a negative one, √½
    where C(r_1) and C(r_2) are orthogonal, as two rewards drawn apart nearly are. d² = (1 - cos)/2. A reward that tells
    no two policies apart, as a constant, has no direction: it is ½ from every other and 0 from its like.

    Args:
        transition, reference: as for `canonical_reward`.
        first, second: r_1[s, a] and r_2[s, a].

    Raises:
        ModelError, ReducibleChainError: as `canonical_reward`.
    """
    one, other = (_direction(transition, reward, reference) for reward in (first, second))
    return 0.5 * float(np.linalg.norm(one - other))


def _direction(transition: ndarray, reward: ndarray, reference: ndarray) -> ndarray:
    canonical = canonical_reward(transition, reward, reference)
    # Beside the size of r: what a large constant or potential leaves behind is rounding and no reward.
    size, scale = float(np.linalg.norm(canonical)), float(np.linalg.norm(reward))
    return canonical / size if size > _NOTHING * scale else np.zeros_like(canonical)


def _checked(transition: ndarray, reward: ndarray, reference: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    transition, reward, reference = (np.asarray(x, np.float64) for x in (transition, reward, reference))
    shape = transition.shape
    if transition.ndim != 3 or shape[0] != shape[2] or 0 in shape:
        raise ModelError(f"transition has shape {shape}; it must be [states, actions, states].")
    for name, array in (("reward", reward), ("reference", reference)):
        if array.shape != shape[:2]:
            raise ModelError(f"{name} has shape {array.shape}; with this transition it must be {shape[:2]}.")
    if not np.isfinite(reward).all():
        raise ModelError("reward holds a number that is not finite.")
    for name, rows in (("transition", transition), ("reference", reference)):
        if not (np.isfinite(rows).all() and rows.min() >= 0.0 and np.abs(rows.sum(-1) - 1.0).max() < 1e-9):
            raise ModelError(f"{name} holds a row that is no distribution; its entries must be >= 0 and sum to 1.")
    return transition, reward, reference
