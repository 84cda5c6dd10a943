"""Maximum-entropy inverse reinforcement learning on a finite process without a discount: exact values and gradients.

The expert is taken to be the policy that is best for some reward under the entropy price μ, and d_E(s,a) is how often
it visits each pair. The reward r_φ minimises

    L(φ) = max_π {E_π[r_φ] + μ H(π)} - E_E[r_φ] + c (E_π[r_φ²] + E_E[r_φ²]),

with E_π over d_π(s,a) = ν_π(s) π(a|s) and H(π) the mean entropy of π(.|s) over ν_π: the first term is the optimal soft
gain ρ(r_φ). By the envelope theorem its gradient is that of E_π[r_φ] alone, at the maximising π held still. So with
c = 0 and a linear reward r_φ = Ψφ,

    ∇L(φ) = Ψᵀ (d_π - d_E):   stationary features of the policy minus those of the expert.

- If d_E is a stationary distribution, the gradient is 0 where π is the expert: one solution is r = μ log π_E, and every
  other is that plus Φ(s') - Φ(s) + const, which L cannot see (`l2t.rewards.canonical` takes it out).
- Counted from finitely many demonstrations, d_E is no stationary distribution of the process: it has more in a state
  than flows in. Along such a Φ(s') - Φ(s) L with c = 0 falls for ever, and r with it grows. The squared norm stops it:
  with one parameter for each pair, ∇L = 0 says

      r = (d_E - d_π) / (2c (d_E + d_π)),   so |r| <= 1/(2c),

  at the price of a policy that no longer visits exactly what the expert does. A penalty on the norm itself grows like
  r, as what it should hold back does: it bounds nothing if it is small, and sends r to 0 if it is large.

The process is the array P[s,a,s'], so that nothing here knows an environment. Everything is in the dtype of its
arguments, and can be compiled and vmapped.

Source: Wu, Ke and Wu, "Inverse reinforcement learning with the average reward criterion" (arXiv 2305.14608).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from l2t.mdp import poisson_system, solve_poisson


class Evaluation(NamedTuple):
    """A policy under a reward.

    Attributes:
        visitation: d_π[s, a] = ν(s) π(a|s).
        soft_rate: ρ = E_π[r] + μ H(π).
        q: Q[s, a] = r + μ H(π(.|s)) - ρ + (P V)(s,a), with Σ ν V = 0.
    """

    visitation: Float[Array, "state action"]
    soft_rate: Float[Array, ""]
    q: Float[Array, "state action"]


@struct.dataclass
class LinearReward:
    """r_φ(s,a) = ψ(s,a)·φ, or R tanh(ψ(s,a)·φ/R).

    Attributes:
        features: Ψ[s, a, d]; `one_hot_reward` gives each pair its own.
        bound: R > 0, in units of reward; infinite for none.
    """

    features: Float[Array, "state action d"]
    bound: float = struct.field(pytree_node=False, default=float("inf"))

    def __call__(self, parameters: Float[Array, " d"]) -> Float[Array, "state action"]:
        """r_φ."""
        linear = self.features @ parameters
        return linear if self.bound == float("inf") else self.bound * jnp.tanh(linear / self.bound)


def one_hot_reward(transition: Float[Array, "state action state"], bound: float = float("inf")) -> LinearReward:
    """One parameter for each pair of a process."""
    states, actions, _ = transition.shape
    size = states * actions
    return LinearReward(jnp.eye(size, dtype=transition.dtype).reshape(states, actions, size), bound)


def evaluate(
    transition: Float[Array, "state action state"],
    reward: Float[Array, "state action"],
    log_policy: Float[Array, "state action"],
    entropy: float | Float[Array, ""],
) -> Evaluation:
    """d_π, ρ and Q by a linear solve (`l2t.mdp`), each step earning r^π + μ H(π(.|s)).

    A policy with several recurrent classes gives numbers that are not finite, or huge ones.

    Args:
        transition: P[s, a, s'].
        reward: r[s, a].
        log_policy: log π[s, a].
        entropy: μ >= 0, in units of reward.
    """
    policy = jnp.exp(log_policy)
    bonus = -entropy * xlogy(policy, policy).sum(1)
    earned = (policy * reward).sum(1) + bonus
    stationary, rate, value = solve_poisson(poisson_system(transition, policy), earned)
    q = reward + bonus[:, None] - rate + transition @ value
    return Evaluation(stationary[:, None] * policy, rate, q)


def visitation(
    transition: Float[Array, "state action state"], policy: Float[Array, "state action"]
) -> Float[Array, "state action"]:
    """d_π(s,a) = ν(s) π(a|s), by the solve of `evaluate`."""
    system = poisson_system(transition, policy)
    return jnp.linalg.solve(system.T, jnp.ones(len(policy), policy.dtype))[:, None] * policy


def reward_gradient(
    reward: LinearReward,
    parameters: Float[Array, " d"],
    policy_visits: Float[Array, "state action"],
    expert_visits: Float[Array, "state action"],
    penalty: float | Float[Array, ""] = 0.0,
) -> Float[Array, " d"]:
    """∇_φ of E_π[r_φ] - E_E[r_φ] + c (E_π[r_φ²] + E_E[r_φ²]), both distributions held still.

    At the π that is best for r_φ this is the gradient of L with c = 0. With c > 0 it leaves out how π moves E_π[r_φ²],
    as IPMD does.

    Args:
        reward: r.
        parameters: φ.
        policy_visits, expert_visits: d_π and d_E[s, a].
        penalty: c >= 0, in 1/(units of reward).
    """
    value, pull_back = jax.vjp(reward, parameters)
    (gradient,) = pull_back(policy_visits - expert_visits + 2.0 * penalty * (policy_visits + expert_visits) * value)
    return gradient
