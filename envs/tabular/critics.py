"""Critics of finite processes that need more than a stream of experience: the exact one, and roll-outs from any pair.

Each builder returns a function (π, key, state) -> (Q, metrics, state), which can be compiled and vmapped. These critics
remember nothing: they hand `state` back untouched. The metrics are `reward_rate`, which is ρ with the regulariser, and
`samples`, the number of transitions drawn. With h^π(s) = μ Σ_a π(a|s) log π(a|s), as in `exact`:

    Q(s,a) = r(s,a) - h^π(s) - ρ + Σ_s' P(s'|s,a) V(s').
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float, Key

from envs.tabular.model import TabularMDP
from envs.tabular.sampling import Sampler
from l2t.config import check_count, check_range
from l2t.mdp import poisson_system, solve_poisson

QEstimator = Callable[
    [Float[Array, "state action"], Key[Array, ""], Any], tuple[Float[Array, "state action"], dict[str, Array], Any]
]
"""(π, key, state) -> (Q, metrics, state): what a critic of mirror descent is."""


def exact_critic(mdp: TabularMDP, entropy: float = 0.0) -> QEstimator:
    """Q^π by a linear solve (`l2t.mdp`), in the policy's dtype; Σ ν V = 0 as in `exact.evaluate`.

    Args:
        mdp: the process. A policy with several recurrent classes gives numbers that are not finite, or huge ones.
        entropy: μ >= 0, in units of reward.

    Raises:
        ConfigurationError: μ is negative.
    """
    check_range("entropy", entropy, 0.0)

    def critic(
        policy: Float[Array, "state action"], key: Key[Array, ""], state: Any
    ) -> tuple[Float[Array, "state action"], dict[str, Array], Any]:
        transition, reward = jnp.asarray(mdp.transition, policy.dtype), jnp.asarray(mdp.reward, policy.dtype)
        regulariser = entropy * xlogy(policy, policy).sum(1)
        regularised = (policy * reward).sum(1) - regulariser
        _, rate, value = solve_poisson(poisson_system(transition, policy), regularised)
        q = reward - regulariser[:, None] - rate + transition @ value
        return q, {"reward_rate": rate, "samples": jnp.zeros((), jnp.int32)}, state

    return critic


def generative_critic(mdp: TabularMDP, rollouts: int, horizon: int, entropy: float = 0.0) -> QEstimator:
    """Q^π from n roll-outs of H steps from every pair, with the generative model:

        Q̂(s,a) = mean of Σ_{t<H} [r_t - h^π(s_t) - ρ̂],   (s_0, a_0) = (s, a),   a_t ~ π(.|s_t) for t > 0,
        ρ̂ = mean of r_t - h^π(s_t) over t >= H/2 and all roll-outs.

    Bias: E Q̂(s,a) = Q(s,a) - E[V(s_H)|s,a] + H (ρ - E ρ̂). With Σ ν V = 0 the second term falls as the chain forgets
    its start; if the chain is periodic it does not fall. The third is one number for all pairs, so neither it nor the
    noise of ρ̂ moves a mirror step. The variance of Q̂ grows like H/n. ρ̂ is biased as far as the chain remembers its
    start after H/2 steps.

    Draws are float32 whatever the policy's dtype, see `Sampler`.

    Args:
        mdp: the process.
        rollouts: n, from each pair.
        horizon: H, in steps.
        entropy: μ >= 0, in units of reward.

    Raises:
        ConfigurationError: a count is below 1, or μ is negative.
    """
    check_count("rollouts", rollouts)
    check_count("horizon", horizon)
    check_range("entropy", entropy, 0.0)
    model = Sampler.create(mdp, mdp.uniform_policy())
    states, actions = mdp.reward.shape
    count = states * actions * rollouts

    def critic(
        policy: Float[Array, "state action"], key: Key[Array, ""], state: Any
    ) -> tuple[Float[Array, "state action"], dict[str, Array], Any]:
        sampler = model.with_policy(policy)
        regularised = sampler.reward.astype(policy.dtype) - entropy * xlogy(policy, policy).sum(1, keepdims=True)

        def step(pairs: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], Array]:
            at, action = pairs
            state_key, action_key = jax.random.split(key)
            successor = jax.vmap(sampler.next_state)(jax.random.split(state_key, count), at, action)
            chosen = jax.vmap(sampler.action)(jax.random.split(action_key, count), successor)
            return (successor, chosen), regularised[at, action]

        pair = jnp.repeat(jnp.arange(states * actions, dtype=jnp.int32), rollouts)
        _, earned = jax.lax.scan(step, (pair // actions, pair % actions), jax.random.split(key, horizon))
        rate = earned[horizon // 2 :].mean()
        q = (earned - rate).sum(0).reshape(states, actions, rollouts).mean(-1)
        return q, {"reward_rate": rate, "samples": jnp.asarray(count * horizon, jnp.int32)}, state

    return critic
