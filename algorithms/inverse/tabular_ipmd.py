"""IPMD on a finite process: one reward step, then one mirror step of the policy, over and over.

    φ_{k+1} = φ_k - α_c ∇L(φ_k)/m,   α_c = αμ/(1 + 2cμ),   ∇L from d_{π_k} and d_E (`tabular.reward_gradient`),
    π_{k+1} = mirror step of Q^{π_k}_{r_{k+1}},   π_{k+1} ∝ π_k^{1/(1+ημ)} exp(η Q/(1+ημ)),

with m_i = Σ (d_π + d_E) ψ_i² for each parameter: an entry of the gradient is as small as the visits to the pairs that
it speaks of, and rare pairs would take that much longer. The divisor of α_c keeps a large penalty from overshooting.

**Held-out demonstrations.** The objective that φ minimises is G(φ) = ρ(r_φ) - E_E[r_φ], with the soft gain ρ of π_k. On
what it was fitted to, G falls as long as r grows along directions in which counted demonstrations contradict the
process; on the held-out part that is a loss. So the reward that is kept is the one of the least held-out G, and
the *gap* is G(held out) - G(fitted) = E_fitted[r] - E_held out[r], in units of reward.

The entropy price μ is fixed. With a temperature that adapts to a target entropy the policy is the same for r and 2r,
and the scale of the reward is not identified.

Source: Wu, Ke and Wu, "Inverse reinforcement learning with the average reward criterion" (arXiv 2305.14608).
"""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from algorithms.inverse.tabular import LinearReward, evaluate, reward_gradient
from algorithms.inverse.tabular_config import TabularIPMDConfig
from algorithms.mirror_descent.divergences import kl_step
from l2t.config import check_range

_EMPTY = 1e-30
"""Visits this rare count as none: a parameter that neither policy nor expert touches does not move."""

GROWTH = 1.25
"""Warn if the reward's size grew by this factor over the second half of a run."""

RISE = 0.1
"""Warn if the held-out objective rose from its least value by this share of the reward's size."""


class OverfittingWarning(UserWarning):
    """The reward goes on growing, or fits the demonstrations better than others of the same expert."""


@struct.dataclass
class Recovery:
    """What IPMD found, and its path with an axis of K iterations.

    Attributes:
        reward: r[s, a] where the held-out objective was least; without held-out demonstrations the last one.
        log_policy: the policy there.
        stopped: the iteration of these, counted from 0; φ_0 = 0.
        last_reward, last_log_policy: after all K.
        objective: G on the demonstrations that were fitted.
        held_out: G on the others; NaN without any.
        size: √E_π[r²]: of the reward.
        mismatch: Σ |d_π - d_E|, at most 2.
    """

    reward: Float[Array, "state action"]
    log_policy: Float[Array, "state action"]
    stopped: Int[Array, ""]
    last_reward: Float[Array, "state action"]
    last_log_policy: Float[Array, "state action"]
    objective: Float[Array, " iteration"]
    held_out: Float[Array, " iteration"]
    size: Float[Array, " iteration"]
    mismatch: Float[Array, " iteration"]

    @property
    def gap(self) -> Float[Array, " iteration"]:
        """G(held out) - G(fitted), in units of reward."""
        return self.held_out - self.objective


def inverse_mirror_descent(
    transition: Float[Array, "state action state"],
    reward: LinearReward,
    expert_visits: Float[Array, "state action"],
    entropy: float,
    config: TabularIPMDConfig,
    penalty: float | Float[Array, ""],
    held_out_visits: Float[Array, "state action"] | None = None,
) -> Recovery:
    """Run the loop from φ = 0 and the uniform policy. Can be compiled, and vmapped over visits and penalty.

    Args:
        transition: P[s, a, s'].
        reward: r.
        expert_visits: d_E[s, a], exact or counted; sums to 1.
        entropy: μ > 0, in units of reward: that of the expert, or what one takes it to be. r is found in its units.
        config: steps and iterations.
        penalty: c, as `config.penalty_for(n)` gives it.
        held_out_visits: d_H[s, a] of demonstrations that are not in d_E.

    Raises:
        ConfigurationError: μ is not positive.
    """
    check_range("entropy", entropy, 0.0, open_low=True)
    uniform = jnp.full(expert_visits.shape, -jnp.log(expert_visits.shape[1]), transition.dtype)
    nothing = jnp.zeros(reward.features.shape[-1], transition.dtype)
    judge = expert_visits if held_out_visits is None else held_out_visits

    def once(carry: tuple[Array, ...], k: Array) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        parameters, log_policy, best, best_parameters, best_log_policy, stopped = carry
        value = reward(parameters)
        now = evaluate(transition, value, log_policy, entropy)
        visits = now.visitation
        objective = now.soft_rate - (expert_visits * value).sum()
        unseen = now.soft_rate - (judge * value).sum()
        better = unseen < best
        kept = jax.tree.map(
            lambda new, old: jnp.where(better, new, old),
            (unseen, parameters, log_policy, k),
            (best, best_parameters, best_log_policy, stopped),
        )
        curves = (objective, unseen, jnp.sqrt((visits * value**2).sum()), jnp.abs(visits - expert_visits).sum())

        gradient = reward_gradient(reward, parameters, visits, expert_visits, penalty)
        weight = jnp.einsum("sa,sad->d", visits + expert_visits, reward.features**2)
        step = config.reward_step * entropy / (1.0 + 2.0 * penalty * entropy)
        parameters = parameters - step * gradient / (weight + _EMPTY)
        q = evaluate(transition, reward(parameters), log_policy, entropy).q
        log_policy = kl_step(log_policy, q, jnp.asarray(config.policy_step / entropy, q.dtype), entropy)
        return (parameters, log_policy, *kept), curves

    start = (nothing, uniform, jnp.asarray(jnp.inf, transition.dtype), nothing, uniform, jnp.zeros((), jnp.int32))
    steps = jnp.arange(config.iterations, dtype=jnp.int32)
    (parameters, log_policy, _, best, best_log_policy, stopped), curves = jax.lax.scan(once, start, steps)
    objective, unseen, size, mismatch = curves
    if held_out_visits is None:
        best, best_log_policy, stopped = parameters, log_policy, jnp.asarray(config.iterations, jnp.int32)
        unseen = jnp.full_like(objective, jnp.nan)
    return Recovery(
        reward(best), best_log_policy, stopped, reward(parameters), log_policy, objective, unseen, size, mismatch
    )


def check_overfitting(found: Recovery, config: TabularIPMDConfig) -> tuple[float, float]:
    """The gap of the last reward over its size, and by what factor the size grew over the second half of the run.

    Warns where the reward still grows (by a quarter or more), or where the held-out objective has risen from its least
    value by a tenth of the reward's size or more.

    Args:
        found: of one run, or of several with axes in front.
        config: what they were run with, for the advice.

    Returns:
        The largest of each over the runs; the first is NaN without held-out demonstrations.
    """
    size, unseen, gap = (np.asarray(x, np.float64) for x in (found.size, found.held_out, found.gap))
    last = np.maximum(size[..., -1], _EMPTY)
    growth = last / np.maximum(size[..., size.shape[-1] // 2], _EMPTY)
    risen = (unseen[..., -1] - unseen.min(-1)) / last
    relative = gap[..., -1] / last
    cure = (
        f"Give more demonstrations, a larger penalty than {config.penalty:g} (of its square, which bounds the reward) "
        "or fewer iterations, and take the reward that was kept where held-out demonstrations liked it best."
    )
    if (growth > GROWTH).any():
        warnings.warn(
            f"The reward is still growing{_runs(growth > GROWTH)}: its size rose by up to {growth.max():.2f} times "
            f"over the second half of {config.iterations} iterations, to {size[..., -1].max():.3g}. {cure}",
            OverfittingWarning,
            stacklevel=2,
        )
    if (risen > RISE).any():
        warnings.warn(
            f"The held-out gap grows{_runs(risen > RISE)}: held-out demonstrations earn up to {relative.max():.2g} of "
            f"the reward's size less than those that it was fitted to. {cure}",
            OverfittingWarning,
            stacklevel=2,
        )
    return float(relative.max()), float(growth.max())


def _runs(which: np.ndarray) -> str:
    return f" in {which.sum()} of {which.size} runs" if which.size > 1 else ""
