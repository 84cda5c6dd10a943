"""Advantage operators, differential and discounted: pure functions of one batch of trajectories.

Arrays have leading axes `[time, ...]`; trailing axes are independent trajectories.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Spread = Callable[[Array], tuple[Array, Array]]
"""Where numbers lie, and how wide: `deviation` or `quartiles`."""


def accumulate_trace(
    delta: Float[Array, "time *batch"], decay: Float[Array, "time *batch"]
) -> Float[Array, "time *batch"]:
    """A_t = δ_t + decay_t A_{t+1}, with A_T = 0."""
    if delta.shape != decay.shape:
        raise ValueError(f"delta {delta.shape} and decay {decay.shape} must have one shape.")

    def backwards(advantage: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, decay_t = inputs
        advantage = delta_t + decay_t * advantage
        return advantage, advantage

    return jax.lax.scan(backwards, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)[1]


def differential_advantage(
    reward: Float[Array, "time *batch"],
    value: Float[Array, "time *batch"],
    next_value: Float[Array, "time *batch"],
    cut: Bool[Array, "time *batch"],
    reward_rate: Float[Array, ""],
    trace_decay: float,
    horizon: float = math.inf,
) -> Float[Array, "time *batch"]:
    """Generalised advantage in the average-reward setting.

    δ_t = r_t - ρ + V(s_{t+1}) - V(s_t),  A_t = δ_t + λ A_{t+1}; nothing is discounted.

    With a finite H the process is taken to begin anew after each step with probability 1/H, somewhere worth 0, the mean
    of V: κ = 1 - 1/H stands before V(s_{t+1}) and λ. What lasts longer than H steps, such as a robot that is heavier
    than others or lies on its back, then weighs in V for H steps and no more.

    A termination is a transition to the next episode's first state: `next_value` is that state's value, the reward has
    paid the reset cost, and the trace runs on. A time limit is no transition at all: `next_value` is the value of the
    true successor and the trace is cut.

    Args:
        reward: r_t, reset costs included.
        value: V(s_t).
        next_value: V(s_{t+1}) as described.
        cut: where the trace is cut, as `Trajectory.cut` has it: a step that is both is a termination.
        reward_rate: ρ.
        trace_decay: λ.
        horizon: H.

    Source: Li, Wu and Lan, arXiv 2205.05800; the trace is that of Schulman et al., arXiv 1506.02438, without discount.
    """
    goes_on = 1.0 - 1.0 / horizon
    delta = reward - reward_rate + goes_on * next_value - value
    return accumulate_trace(delta, goes_on * trace_decay * (1.0 - cut.astype(delta.dtype)))


def differential_target(
    advantage: Float[Array, "time *batch"],
    value: Float[Array, "time *batch"],
    scale: Float[Array, ""],
    scale_step: Float[Array, ""],
    spread: Spread | None = None,
) -> tuple[Float[Array, "time *batch"], Float[Array, ""]]:
    """What a differential critic is fitted to, and the running scale that it is divided by.

    Differential values are unique up to a constant; the target A + V less its centre over the batch chooses it. The
    scale moves towards the target's width.

    Args:
        advantage: A_t.
        value: V(s_t).
        scale: as it stands.
        scale_step: of its exponential average; 1 forgets what was before.
        spread: centre and width; by default `deviation`.

    Returns:
        The target, in reward units, and the new scale.
    """
    target = advantage + value
    centre, width = (spread or deviation)(target)
    return target - centre, scale + scale_step * (width + 1e-6 - scale)


def deviation(x: Float[Array, " *batch"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and standard deviation."""
    return x.mean(), x.std()


def quartiles(x: Float[Array, " *batch"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Median, and the distance between the quartiles as a standard deviation: that of the normal distribution with it.

    A few of 64 robots on their backs, each a thousand below the others, do not move either. Where the middle half is
    one number, as where few steps are paid, the width is the standard deviation: 0 would leave nothing of the rest.
    """
    low, middle, high = jnp.percentile(x, jnp.array([25.0, 50.0, 75.0]))
    # Between two equal numbers the percentile interpolates, and rounds.
    apart = high - low > 4.0 * jnp.finfo(x.dtype).eps * jnp.maximum(jnp.abs(low), jnp.abs(high))
    return middle, jnp.where(apart, (high - low) / 1.349, x.std())


def bounded(x: Float[Array, " *batch"], spread: Spread, bound: float) -> Float[Array, " *batch"]:
    """x, no farther from its centre than `bound` widths."""
    centre, width = spread(x)
    return jnp.clip(x, centre - bound * width, centre + bound * width)


def discounted_advantage(
    reward: Float[Array, "time *batch"],
    value: Float[Array, "time *batch"],
    next_value: Float[Array, "time *batch"],
    terminated: Bool[Array, "time *batch"],
    truncated: Bool[Array, "time *batch"],
    discount: float,
    trace_decay: float,
) -> Float[Array, "time *batch"]:
    """Generalised advantage estimation.

    δ_t = r_t + γ V(s_{t+1}) - V(s_t),  A_t = δ_t + γλ A_{t+1}. V is zero after a termination; a time limit bootstraps
    from the true successor; both cut the trace.

    Source: Schulman et al., arXiv 1506.02438.
    """
    alive = 1.0 - terminated.astype(value.dtype)
    delta = reward + discount * alive * next_value - value
    running = alive * (1.0 - truncated.astype(value.dtype))
    return accumulate_trace(delta, discount * trace_decay * running)


def explained_variance(prediction: Float[Array, " *batch"], target: Float[Array, " *batch"]) -> Float[Array, ""]:
    """1 - Var(target - prediction) / Var(target), whatever the unit; 0 of a target that does not vary."""
    found = jnp.var(target - prediction), jnp.var(target), target.mean()
    # Only told: what is learnt must not come out otherwise by a bit because the compiler fuses the two.
    left, variance, mean = jax.lax.optimization_barrier(found)
    # The variance of a constant is what its mean is rounded by, squared.
    varies = variance > (64.0 * jnp.finfo(target.dtype).eps * mean) ** 2
    return jnp.where(varies, 1.0 - left / jnp.where(varies, variance, 1.0), 0.0)
