"""f-IRL: the reward moves so that the policy's state distribution becomes the expert's.

A logistic network y estimates log ρ_E(x)/ρ_π(x). The reward's gradient is a covariance over whole stretches τ of T
steps,

    ∇_φ D_f = -(1/T) cov_τ( Σ_t h(y(x_t)), Σ_t ∇_φ r_φ(x_t) ),

with h(y) = e^y (forward KL), y (reverse KL) or softplus(y) (Jensen-Shannon). A covariance over single steps is another
gradient. y is held within ±10, and no gradient flows through it.

Source: Ni et al., "f-IRL: inverse reinforcement learning via state marginal matching", arXiv 2011.04709.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from algorithms.inverse.objectives import GAIL, KEPT, Features, features_of_inputs, pay_of_inputs
from l2t.rewards.model import RewardModel
from l2t.rl.types import Metrics

LIMIT = 10.0
"""Bound on the log-ratio."""

PULLS: dict[str, Callable[[Array], Array]] = {"fkl": jnp.exp, "rkl": lambda y: y, "js": jax.nn.softplus}
"""h of each divergence."""


@dataclass(frozen=True)
class FIRL:
    """See the module's docstring; an `Objective` whose loss is the density ratio's.

    Attributes:
        model: r.
        ratio: y.
        divergence: `fkl`, `rkl` or `js`.
        gradient_penalty: λ, on y.
    """

    model: RewardModel
    ratio: RewardModel
    divergence: str
    gradient_penalty: float
    asks_policy = False
    features = features_of_inputs
    pay = pay_of_inputs

    @property
    def models(self) -> Mapping[str, RewardModel]:
        """r and y."""
        return {KEPT: self.model, "ratio": self.ratio}

    def loss(
        self, weights: PyTree, policy: Features, expert: Features, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The density ratio's."""
        classifier = GAIL(self.ratio, self.gradient_penalty)
        return classifier.loss({KEPT: weights["ratio"]}, policy, expert, key)

    def stretch_loss(self, weights: PyTree, policy: Features) -> Float[Array, ""]:
        """-(1/T) cov_τ(Σ h, Σ r), whose gradient in r is that of the divergence; leaves are `[time, env, ...]`."""
        y = jnp.clip(self.ratio.raw(weights["ratio"], policy["x"]), -LIMIT, LIMIT)
        return stretch_covariance(jax.lax.stop_gradient(PULLS[self.divergence](y)), self.pay(weights, policy))


def stretch_covariance(pull: Float[Array, "time env"], reward: Float[Array, "time env"]) -> Float[Array, ""]:
    """-(1/T) cov_τ(Σ_t h_t, Σ_t r_t) over the environments, whose rows are equally long."""
    total, earned = pull.sum(axis=0), reward.sum(axis=0)
    return -((total - total.mean()) * (earned - earned.mean())).mean() / pull.shape[0]
