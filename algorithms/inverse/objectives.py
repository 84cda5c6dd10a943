"""What a learned reward is trained for: objectives that see steps of the policy and steps of the expert.

IPMD, inverse reinforcement learning by feature matching, r = R tanh(y); it is maximum-entropy where what learns the
policy is paid for entropy (`optimizer.entropy` > 0, which is not SPMD's default):

    L(φ) = E_π r - E_E r + c (E_π r² + E_E r²) + λ G.

The norm is squared: a penalty on the norm itself is homogeneous of degree one, and bounds no scale.

GAIL, D the logistic function of y, paid r = softplus(y) = -log(1 - D), positive, hence a bonus for surviving:

    L = -E_E log D - E_π log(1 - D) + λ G.

AIRL, the same with y = g(x) + h(s') - h(s) - log π(a|s), paid g + h' - h; -log π is paid by the price of entropy μ of
what learns the policy, and by nothing else. The shaping is not discounted, as nothing is here; g alone is kept. Where D
is undecided, y = 0, g + h' - h is log π_E, and the policy seeks

    max_π E_π[log π_E - μ log π].

For μ = 1 alone that is greatest at the expert, being -KL(π || π_E). For μ = 0, SPMD's and PPO's default, it is greatest
at the expert's modes: means are imitated, the spread is not, and no policy is at rest before it has none. Paying -log π
itself is no way out: beyond the box it grows for ever, and g, which sees clipped actions, cannot answer.

G = E (|∇| - 1)₊² between the two, of r or of y, in normalised inputs.

Sources: Wu, Ke and Wu, arXiv 2305.14608 (IPMD); Ho and Ermon, arXiv 1606.03476 (GAIL); Fu, Luo and Levine, arXiv
1710.11248 (AIRL). Squared norm, bound and one-sided penalty are choices of this project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from l2t.rewards.model import RewardModel
from l2t.rl.normaliser import Normaliser
from l2t.rl.types import Metrics, Transitions

Features = dict[str, Array]
"""What an objective sees of steps, normalised: leaves `[*batch, ...]`."""

KEPT = "reward"
"""Name of the network that a run leaves behind as its learned reward."""


class Objective(Protocol):
    """One way to learn a reward."""

    @property
    def models(self) -> Mapping[str, RewardModel]:
        """Its networks by name; the one called `reward` is what is left of it."""
        ...

    @property
    def asks_policy(self) -> bool:
        """Whether it needs log π of the expert's actions."""
        ...

    def features(
        self, normalisers: Mapping[str, Normaliser], steps: Transitions, log_prob: Float[Array, " *batch"]
    ) -> Features:
        """Of steps and the current policy's log-density of their actions."""
        ...

    def loss(
        self, weights: PyTree, policy: Features, expert: Features, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """On as many steps of each."""
        ...

    def pay(self, weights: PyTree, features: Features) -> Float[Array, " *batch"]:
        """What the policy is paid."""
        ...


class OfInputs(Protocol):
    """An objective whose reward is a function of x alone."""

    @property
    def model(self) -> RewardModel:
        """The reward."""
        ...


def features_of_inputs(
    self: OfInputs, normalisers: Mapping[str, Normaliser], steps: Transitions, log_prob: Float[Array, " *batch"]
) -> Features:
    """x; `Objective.features` of those."""
    del log_prob
    return {"x": normalisers[KEPT](self.model.stack(steps))}


def pay_of_inputs(self: OfInputs, weights: PyTree, features: Features) -> Float[Array, " *batch"]:
    """r(x); `Objective.pay` of those."""
    return self.model.apply(weights[KEPT], features["x"])


@dataclass(frozen=True)
class IPMD:
    """See the module's docstring.

    Attributes:
        model: r.
        penalty: c.
        gradient_penalty: λ.
    """

    model: RewardModel
    penalty: float
    gradient_penalty: float
    asks_policy = False
    features = features_of_inputs
    pay = pay_of_inputs

    @property
    def models(self) -> Mapping[str, RewardModel]:
        """r alone."""
        return {KEPT: self.model}

    def loss(
        self, weights: PyTree, policy: Features, expert: Features, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """See the module's docstring."""
        ours, theirs = self.pay(weights, policy), self.pay(weights, expert)
        gap = ours.mean() - theirs.mean()
        size = (ours**2).mean() + (theirs**2).mean()
        steepness = _steepness(
            lambda x: self.model.apply(weights[KEPT], x), policy["x"], expert["x"], key, self.gradient_penalty
        )
        right = 0.5 * ((ours < 0.0).mean() + (theirs > 0.0).mean())
        metrics = {"loss/reward": gap + self.penalty * size, "learned_reward/accuracy": right}
        return gap + self.penalty * size + steepness, metrics


@dataclass(frozen=True)
class GAIL:
    """See the module's docstring.

    Attributes:
        model: softplus(y).
        gradient_penalty: λ.
    """

    model: RewardModel
    gradient_penalty: float
    asks_policy = False
    features = features_of_inputs
    pay = pay_of_inputs

    @property
    def models(self) -> Mapping[str, RewardModel]:
        """The discriminator."""
        return {KEPT: self.model}

    def loss(
        self, weights: PyTree, policy: Features, expert: Features, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """See the module's docstring."""
        ours, theirs = (self.model.raw(weights[KEPT], side["x"]) for side in (policy, expert))
        loss, metrics = _logistic(ours, theirs)
        steepness = _steepness(
            lambda x: self.model.raw(weights[KEPT], x), policy["x"], expert["x"], key, self.gradient_penalty
        )
        return loss + steepness, metrics


@dataclass(frozen=True)
class AIRL:
    """See the module's docstring.

    Attributes:
        model: g.
        potential: h.
        gradient_penalty: λ, on g.
    """

    model: RewardModel
    potential: RewardModel
    gradient_penalty: float
    asks_policy = True

    @property
    def models(self) -> Mapping[str, RewardModel]:
        """g and h."""
        return {KEPT: self.model, "potential": self.potential}

    def features(
        self, normalisers: Mapping[str, Normaliser], steps: Transitions, log_prob: Float[Array, " *batch"]
    ) -> Features:
        """x, s, s' and log π; s and s' by one normaliser."""
        scaled, group = normalisers["potential"], self.potential.group
        return {
            "x": normalisers[KEPT](self.model.stack(steps)),
            "state": scaled(steps.observation[group]),
            "following": scaled(steps.following[group]),
            "log_prob": log_prob,
        }

    def loss(
        self, weights: PyTree, policy: Features, expert: Features, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """See the module's docstring."""
        ours, theirs = (self.pay(weights, side) - side["log_prob"] for side in (policy, expert))
        loss, metrics = _logistic(ours, theirs)
        steepness = _steepness(
            lambda x: self.model.apply(weights[KEPT], x), policy["x"], expert["x"], key, self.gradient_penalty
        )
        return loss + steepness, metrics

    def pay(self, weights: PyTree, features: Features) -> Float[Array, " *batch"]:
        """g + h' - h."""
        before, after = (self.potential.apply(weights["potential"], features[name]) for name in ("state", "following"))
        return self.model.apply(weights[KEPT], features["x"]) + after - before


def _logistic(ours: Float[Array, " batch"], theirs: Float[Array, " batch"]) -> tuple[Float[Array, ""], Metrics]:
    """-E_E log D - E_π log(1 - D), and how often D is right."""
    loss = jax.nn.softplus(-theirs).mean() + jax.nn.softplus(ours).mean()
    right = 0.5 * ((ours < 0.0).mean() + (theirs > 0.0).mean())
    return loss, {"loss/reward": loss, "learned_reward/accuracy": right}


def _steepness(
    reward: Callable[[Float[Array, " n"]], Float[Array, ""]],
    one: Float[Array, "batch n"],
    other: Float[Array, "batch n"],
    key: Key[Array, ""],
    weight: float,
) -> Float[Array, ""]:
    """λ E (|∇r(z)| - 1)₊², z between the two."""
    if weight == 0.0:
        return jnp.zeros(())
    t = jax.random.uniform(key, (one.shape[0], 1))
    slope = jax.vmap(jax.grad(reward))(t * one + (1.0 - t) * other)
    norm = jnp.sqrt((slope**2).sum(axis=-1) + 1e-12)
    return weight * (jnp.maximum(norm - 1.0, 0.0) ** 2).mean()
