"""Mirror descent for log-linear policies, π_w(a|s) ∝ exp(ψ(s,a)ᵀ w), with a critic that is linear in the same features.

With Q = ψᵀ θ the Kullback step from π_w stays in the family, and in its parameters it reads

    w_{k+1} = (w_k + η_k θ_k)/(1 + η_k μ),

whatever the number of states and actions. With one-hot features w is log π up to a constant in each state, and this is
the tabular step.

Source: Li, Wu and Lan, arXiv 2205.05800; for discounted rewards this is natural policy gradient with compatible
features, Agarwal, Kakade, Lee and Mahajan, JMLR 2021.
"""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from algorithms.mirror_descent.schedules import Schedule
from algorithms.mirror_descent.tabular import iterate
from l2t.config import check_range
from l2t.errors import ConfigurationError


class LinearCritic(Protocol):
    """What estimates θ with Q^π ≈ ψᵀ θ, up to a constant in each state; otherwise as `tabular.TabularCritic`."""

    def __call__(
        self, policy: Float[Array, "state action"], key: Key[Array, ""], state: Any, /
    ) -> tuple[Float[Array, " feature"], dict[str, Array], Any]:
        """θ, scalars to be recorded, and the critic's next state."""
        ...


@struct.dataclass
class WeightPath:
    """The weights of K iterations.

    Attributes:
        weights: w_0, w_n, w_2n, ..., w_K with n = `record_every`.
        metrics: what the critic said of π_0, ..., π_{K-1}, each [K].
        critic_state: the critic's last state.
    """

    weights: Float[Array, "record feature"]
    metrics: dict[str, Array]
    critic_state: PyTree


def log_linear_policy(
    features: Float[Array, "state action feature"], weights: Float[Array, "*batch feature"]
) -> Float[Array, "*batch state action"]:
    """log π_w(a|s) = ψ(s,a)ᵀ w - log Σ_b exp(ψ(s,b)ᵀ w)."""
    logits = jnp.einsum("saf,...f->...sa", features, weights)
    return jax.nn.log_softmax(logits)


def log_linear_step(
    weights: Float[Array, " feature"],
    theta: Float[Array, " feature"],
    step_size: Float[Array, ""],
    entropy: float = 0.0,
) -> Float[Array, " feature"]:
    """w_{k+1} = (w_k + η θ)/(1 + ημ).

    Args:
        weights: w_k.
        theta: the critic's θ, in units of reward.
        step_size: η, in units of 1/reward.
        entropy: μ, in units of reward.
    """
    return (weights + step_size * theta) / (1.0 + step_size * entropy)


def log_linear_mirror_descent(
    critic: LinearCritic,
    features: Float[Array, "state action feature"],
    schedule: Schedule,
    weights: Float[Array, " feature"],
    iterations: int,
    entropy: float,
    key: Key[Array, ""],
    critic_state: PyTree = (),
    record_every: int = 1,
) -> WeightPath:
    """Run the loop; arguments as those of `tabular.mirror_descent`. Can be compiled and vmapped.

    Args:
        critic: see `LinearCritic`.
        features: ψ[s, a].
        schedule: k -> η_k.
        weights: w_0; its dtype is that of the run.
        iterations: K.
        entropy: μ >= 0, in units of reward.
        key: every iteration's critic gets its own.
        critic_state: the critic's first state.
        record_every: n, which divides K.

    Raises:
        ConfigurationError: a value is out of its range, or the weights do not fit the features.
    """
    check_range("entropy", entropy, 0.0)
    if features.ndim != 3 or weights.shape != features.shape[2:]:
        raise ConfigurationError(
            f"weights have shape {weights.shape} and features {features.shape}; they must be [feature] and "
            "[state, action, feature]."
        )

    def update(w: Array, step_size: Array, key: Array, state: PyTree) -> tuple[Array, dict[str, Array], PyTree]:
        theta, metrics, state = critic(jnp.exp(log_linear_policy(features, w)), key, state)
        return log_linear_step(w, theta.astype(w.dtype), step_size, entropy), metrics, state

    recorded, metrics, state = iterate(update, schedule, weights, iterations, key, critic_state, record_every)
    return WeightPath(recorded, metrics, state)
