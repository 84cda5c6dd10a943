"""IQ-Learn on a finite process: a soft Q-function instead of a reward and a policy.

With V(s) = μ log Σ_a exp(Q(s,a)/μ), π = exp((Q - V)/μ) and r = Q - γ P V, which is the reward for which Q is optimal,

    J(Q) = E_E[Q - γ P V] - E_mix[V - γ P V] - 1/(4a) E_mix[(Q - γ P V)²]

is maximised. E_mix is half the expert's visits and half those of the policy at hand, both held still. The process is
known here, so that P V is exact; from sampled successors the last term would also punish the variance of V(s').

What to know before it is compared with IPMD:

- **Where the χ² term stands matters.** On the expert's pairs alone nothing holds Q up at pairs that are not
  demonstrated and in states that no demonstrated pair leads to: there Q falls for ever, and J diverges. On the mixture
  it is IPMD's squared norm with c = 1/(8a).
- **γ < 1 is not a detail.** E_mix[V - γ P V] = (1-γ) E_mix[V] for stationary visits: at γ = 1 the value term telescopes
  to nothing, and nothing says any more what Q costs.
- **The discount stays in the answer.** Every r = μ log π_E + V - γ P V explains the expert. In the average-reward
  setting it differs from μ log π_E by the shaping V - P V, which is harmless, and by (1-γ) P V, which is not. So the
  canonical distance does not go to 0 with more demonstrations.
- The temperature is fixed, for the reason that IPMD's is.

Each step moves Q(s,a) by α μ ∂J/∂Q(s,a) over the visits that the gradient speaks of, d_mix(s,a) and π(a|s) times what
leaves s and what arrives in it, and over 1 + μ/(2a). Then it adds to Q the constant that maximises J exactly,
-E_mix[r]/(1-γ): along it J is so flat that steps would take 1/(1-γ)² times longer.

Source: Garg et al., "IQ-Learn: inverse soft-Q learning for imitation" (arXiv 2106.12142).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from algorithms.inverse.tabular import visitation
from algorithms.inverse.tabular_config import TabularIQLearnConfig
from l2t.config import check_range

_EMPTY = 1e-30


@struct.dataclass
class QRecovery:
    """What IQ-Learn found.

    Attributes:
        q: Q[s, a], in the units of reward that μ is given in.
        reward: r = Q - γ P V.
        log_policy: (Q - V)/μ.
        movement: the root mean square change of the policy's preferences, (Q - V), in each step, [K].
    """

    q: Float[Array, "state action"]
    reward: Float[Array, "state action"]
    log_policy: Float[Array, "state action"]
    movement: Float[Array, " iteration"]


def iq_objective(
    transition: Float[Array, "state action state"],
    q: Float[Array, "state action"],
    expert_visits: Float[Array, "state action"],
    mixed_visits: Float[Array, "state action"],
    entropy: float,
    discount: float,
    weight: float | Float[Array, ""],
    chi2_visits: Float[Array, "state action"] | None = None,
) -> Float[Array, ""]:
    """J(Q), all distributions held still.

    Args:
        transition: P[s, a, s'].
        q: Q[s, a].
        expert_visits, mixed_visits: d_E and d_mix[s, a].
        entropy: μ > 0.
        discount: γ.
        weight: 1/(4a).
        chi2_visits: where the last term is taken; at d_mix unless given. The expert's alone are the trap.
    """
    value, reward = _value_and_reward(transition, q, entropy, discount)
    flow = value[:, None] - (q - reward)
    where = mixed_visits if chi2_visits is None else chi2_visits
    return (expert_visits * reward - mixed_visits * flow - weight * where * reward**2).sum()


def iq_learn(
    transition: Float[Array, "state action state"],
    expert_visits: Float[Array, "state action"],
    entropy: float,
    config: TabularIQLearnConfig,
    weight: float | Float[Array, ""],
    chi2_on_expert: bool = False,
) -> QRecovery:
    """Ascend J from Q = 0. Can be compiled, and vmapped over visits and weight.

    Args:
        transition: P[s, a, s'].
        expert_visits: d_E[s, a], exact or counted.
        entropy: μ > 0, in units of reward.
        config: steps, iterations and γ.
        weight: 1/(4a), as `config.weight_for(n)` gives it.
        chi2_on_expert: the trap, to be looked at.

    Raises:
        ConfigurationError: μ is not positive.
    """
    check_range("entropy", entropy, 0.0, open_low=True)
    discount = config.discount

    def once(q: Array, _: Any) -> tuple[Array, Array]:
        log_policy = jax.nn.log_softmax(q / entropy)
        policy = jnp.exp(log_policy)
        mixed = 0.5 * (expert_visits + visitation(transition, policy))
        chi2 = expert_visits if chi2_on_expert else mixed
        ascent = jax.grad(iq_objective, argnums=1)(transition, q, expert_visits, mixed, entropy, discount, weight, chi2)
        arriving = jnp.einsum("sa,sat->t", mixed, transition)
        scale = (mixed + (mixed.sum(1) + arriving)[:, None] * policy) * (1.0 + 2.0 * weight * entropy)
        moved = q + config.step_size * entropy * ascent / (scale + _EMPTY)
        reward = _value_and_reward(transition, moved, entropy, discount)[1]
        moved = moved - (chi2 * reward).sum() / (1.0 - discount)
        change = entropy * (jax.nn.log_softmax(moved / entropy) - log_policy)
        return moved, jnp.sqrt((change**2).mean())

    q, movement = jax.lax.scan(once, jnp.zeros_like(expert_visits), None, config.iterations)
    _, reward = _value_and_reward(transition, q, entropy, discount)
    return QRecovery(q, reward, jax.nn.log_softmax(q / entropy), movement)


def _value_and_reward(transition: Array, q: Array, entropy: float, discount: float) -> tuple[Array, Array]:
    value = entropy * jax.nn.logsumexp(q / entropy, -1)
    return value, q - discount * transition @ value
