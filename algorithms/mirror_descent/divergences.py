"""One step of policy mirror descent, in each state on its own:

    π_{k+1}(.|s) = argmax_p  η [<Q(s,.), p> - μ Σ_a p_a log p_a] - D(p, π_k(.|s)),   p in the simplex,

for the Bregman divergence D(p, q) = φ(p) - φ(q) - <φ'(q), p - q> of φ = Σ p log p (Kullback and Leibler), of
φ = -2 Σ √p (Tsallis, order ½) or of φ = ½ Σ p² (Euclid). With a multiplier y of Σ p = 1, the maximum has

    φ'(p_a) + ημ log p_a = φ'(q_a) + η (Q_a - y),   or p_a = 0, for Euclid with μ = 0, where that has no solution.

So a constant added to Q moves y and not p.

Policies are given and returned as **log π**: the Kullback step multiplies probabilities, and after some thousand steps
those of bad actions are far below the smallest float, from where they must be able to come back. log 0 = -inf is
allowed.
Under Kullback and Tsallis an action of probability 0 keeps it; Euclid may revive it.

Arrays are [..., action]; the dtype of `log_policy` is kept, and decides the accuracy. Everything can be compiled and
vmapped; `kl_step` can be differentiated too.

Source: Li, Wu and Lan, "Stochastic first-order methods for average-reward Markov decision processes", arXiv 2205.05800.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

MirrorStep = Callable[[Float[Array, "*batch action"], Float[Array, "*batch action"], Float[Array, ""], float], Array]
"""(log π_k, Q, η > 0, μ >= 0) -> log π_{k+1}. μ is a Python number: μ = 0 may be another algorithm."""

_TSALLIS_STEPS = 12
_OMEGA_STEPS = 6
_SEARCH_STEPS = 100


def kl_step(
    log_policy: Float[Array, "*batch action"],
    q: Float[Array, "*batch action"],
    step_size: Float[Array, ""],
    entropy: float = 0.0,
) -> Float[Array, "*batch action"]:
    """Mirror step for D = Σ p log(p/q), in closed form: π_{k+1} ∝ π_k^{1/(1+ημ)} exp(η Q/(1+ημ)).

    Args:
        log_policy: log π_k.
        q: Q, in units of reward.
        step_size: η, in units of 1/reward.
        entropy: μ, in units of reward.

    Returns:
        log π_{k+1}.
    """
    return jax.nn.log_softmax((log_policy + step_size * _centre(q)) / (1.0 + step_size * entropy))


def tsallis_step(
    log_policy: Float[Array, "*batch action"],
    q: Float[Array, "*batch action"],
    step_size: Float[Array, ""],
    entropy: float = 0.0,
) -> Float[Array, "*batch action"]:
    """Mirror step for φ = -2 Σ √p. With μ = 0,

        p_a = t_a^{-2},   t_a = q_a^{-1/2} - η (Q_a - y),   Σ p = 1;

    with μ > 0 t solves t + 2ημ log t = q^{-1/2} - η (Q - y). Probabilities fall no faster than 1/(ηk)², so none is lost
    before q^{-1/2} overflows.

    The entropy's curvature is only 2 √p times that of φ. So with μ > 0 a rare action approaches its optimal p by a
    factor of 1/(1 + 2ημ √p) a step, where it is 1/(1 + ημ) under Kullback: the steps have to be that much longer.

    Args and returns: see `kl_step`.
    """
    support = jnp.isfinite(log_policy)
    root = jnp.where(support, jnp.exp(-0.5 * log_policy), jnp.inf)
    excess = root - step_size * _centre(q)
    excess = excess - excess.min(-1, keepdims=True)
    support = jnp.isfinite(excess)
    price = step_size * entropy
    if entropy > 0.0:

        def solve(level: Array) -> tuple[Array, Array]:
            scaled = _log_omega(-level / (2.0 * price) - jnp.log(2.0 * price))
            root = 2.0 * price * jnp.exp(scaled)
            return -2.0 * (scaled + jnp.log(2.0 * price)), 1.0 / (price + 0.5 * root)

        actions = q.shape[-1]
        low = -jnp.sqrt(jnp.asarray(actions, q.dtype)) - price * jnp.log(jnp.asarray(actions, q.dtype))
        return _search(solve, -excess, support, low, -jnp.ones_like(low))

    # With t = t_min + excess, (Σ t^{-2})^{-1/2} - 1 is increasing and concave in t_min, and at t_min = 1 not positive.
    # So Newton's iterates rise to the root and never pass it. It is almost linear: 6 steps reached the accuracy of
    # float64 in half a million random rows of up to 1,000 actions.
    def newton(_: int, least: Array) -> Array:
        inverse = 1.0 / (least + excess)
        total = (inverse**2).sum(-1, keepdims=True)
        return least + jnp.maximum(total * (jnp.sqrt(total) - 1.0) / (inverse**3).sum(-1, keepdims=True), 0.0)

    least = jax.lax.fori_loop(0, _TSALLIS_STEPS, newton, jnp.ones_like(excess[..., :1]))
    return _normalise(jnp.where(support, -2.0 * jnp.log(least + jnp.where(support, excess, 0.0)), -jnp.inf))


def euclidean_step(
    log_policy: Float[Array, "*batch action"],
    q: Float[Array, "*batch action"],
    step_size: Float[Array, ""],
    entropy: float = 0.0,
) -> Float[Array, "*batch action"]:
    """Mirror step for φ = ½ Σ p²: with μ = 0 the projection of π_k + ηQ on the simplex,

        p_a = max(0, π_k,a + η (Q_a - y)),   Σ p = 1,

    exactly, by sorting; with μ > 0 p solves p + ημ log p = π_k + η (Q - y), and every action has a probability.

    Args and returns: see `kl_step`.
    Source of the projection: Held, Wolfe and Crowder, "Validation of subgradient optimization", 1974.
    """
    target = jnp.exp(log_policy) + step_size * _centre(q)
    target = target - target.max(-1, keepdims=True)
    actions = q.shape[-1]
    if entropy > 0.0:
        price = step_size * entropy

        def solve(level: Array) -> tuple[Array, Array]:
            log_p = _log_omega(level / price - jnp.log(price)) + jnp.log(price)
            return log_p, 1.0 / (price + jnp.exp(log_p))

        low = 1.0 / actions - price * jnp.log(jnp.asarray(actions, q.dtype))
        return _search(solve, target, jnp.ones_like(target, bool), low, jnp.ones_like(low))

    # What is more than 1 below the best gets nothing; cutting it off keeps the sums small and exact.
    target = jnp.maximum(target, -2.0)
    ordered = jnp.flip(jnp.sort(target, -1), -1)
    level = (jnp.cumsum(ordered, -1) - 1.0) / jnp.arange(1, actions + 1, dtype=q.dtype)
    last = (ordered > level).sum(-1, keepdims=True) - 1
    policy = jnp.maximum(target - jnp.take_along_axis(level, last, -1), 0.0)
    positive = policy > 0.0
    return _normalise(jnp.where(positive, jnp.log(jnp.where(positive, policy, 1.0)), -jnp.inf))


def _search(
    solve: Callable[[Array], tuple[Array, Array]],
    base: Float[Array, "*batch action"],
    support: Bool[Array, "*batch action"],
    low: Float[Array, ""],
    high: Float[Array, ""],
) -> Float[Array, "*batch action"]:
    """log p(base + λ) with the λ in [low, high] that makes Σ p = 1, by Newton's steps within a shrinking bracket.

    Args:
        solve: c -> (log p, d log p/dc), where φ'(p) + ημ log p = c.
        base: the c of each action, up to λ; the greatest is 0. Its probability lies in [1/A, 1].
        support: which actions have a probability.
        low, high: the c of probabilities 1/A and 1, between which λ lies therefore.
    """
    base = jnp.where(support, base, 0.0)
    tolerance = jnp.finfo(base.dtype).eps * max(8, base.shape[-1])

    def total(shift: Array) -> tuple[Array, Array, Array]:
        log_p, slope = solve(base + shift)
        log_p = jnp.where(support, log_p, -jnp.inf)
        return log_p, jax.nn.logsumexp(log_p, -1, keepdims=True), (jax.nn.softmax(log_p) * slope).sum(-1, keepdims=True)

    def unsolved(carry: tuple[Array, ...]) -> Array:
        return (carry[0] < _SEARCH_STEPS) & jnp.any(jnp.abs(carry[4]) > tolerance)

    def narrow(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        count, low, high, shift, last = carry
        _, excess, slope = total(shift)
        low, high = jnp.where(excess < 0.0, shift, low), jnp.where(excess < 0.0, high, shift)
        newton = shift - excess / slope
        trusted = (newton > low) & (newton < high) & (jnp.abs(excess) < 0.5 * jnp.abs(last))
        moved = jnp.where(trusted, newton, 0.5 * (low + high))
        return count + 1, low, high, jnp.where(jnp.abs(excess) > tolerance, moved, shift), excess

    edge = jnp.zeros_like(base[..., :1])
    start = (jnp.zeros((), jnp.int32), edge + low, edge + high, edge + high, edge + jnp.inf)
    return _normalise(total(jax.lax.while_loop(unsolved, narrow, start)[3])[0])


def _log_omega(z: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The x with exp(x) + x = z: the logarithm of Wright's ω function.

    The left side is convex and the start lies above the root, so Newton's iterates fall to it; from this start 5 steps
    reach the accuracy of float64 for every z.
    """

    def newton(_: int, x: Array) -> Array:
        power = jnp.exp(x)
        return x - (power + x - z) / (1.0 + power)

    return jax.lax.fori_loop(0, _OMEGA_STEPS, newton, jnp.minimum(z, jnp.log(jnp.maximum(z, 1.0))))


def _centre(q: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
    """Q less its maximum, which changes no step and saves the digits that a large constant would take."""
    return q - q.max(-1, keepdims=True)


def _normalise(log_policy: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
    """What is left of rounding."""
    return log_policy - jax.nn.logsumexp(log_policy, -1, keepdims=True)
