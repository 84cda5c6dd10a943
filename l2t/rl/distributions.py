"""Distributions over actions. They are pytrees: they ride in batches, and leading axes are batch axes."""

from __future__ import annotations

import math
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Key


class Distribution(Protocol):
    """What policies and losses ask of a distribution; the last axis is the action."""

    def mode(self) -> Float[Array, "*batch action"]:
        """The action that stands for the distribution, as evaluation plays it."""
        ...

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch action"]:
        """One draw per batch element."""
        ...

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, " *batch"]:
        """Log-density of an action."""
        ...

    def entropy(self) -> Float[Array, " *batch"]:
        """-E[log π]."""
        ...

    def kl(self, other: Self) -> Float[Array, " *batch"]:
        """KL(self || other)."""
        ...

    def batched(self) -> Self:
        """The same with every parameter spread over all batch axes, so that rows can be cut out of it."""
        ...


@struct.dataclass
class DiagonalGaussian:
    """N(mean, diag(exp(log_std)²)); the policy of every continuous task here."""

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*#batch action"]

    def mode(self) -> Float[Array, "*batch action"]:
        """The mean."""
        return self.mean

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch action"]:
        """One draw per batch element."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, " *batch"]:
        """log N(action) = -½ Σ [((a - mean)/std)² + 2 log std + log 2π]."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * jnp.sum(z**2 + 2.0 * self.log_std + math.log(2.0 * math.pi), axis=-1)

    def entropy(self) -> Float[Array, " *batch"]:
        """Σ [log std + ½ log 2πe]."""
        return self._entropies().sum(axis=-1)

    def paid_entropy(self) -> Float[Array, " *batch"]:
        """Σ min(log std + ½ log 2πe, log 2): no action in [-1, 1] has more than log 2 for a coordinate.

        What is wider is clipped to the ends of the interval, and a price on entropy without this bound pays for that.
        """
        return jnp.minimum(self._entropies(), math.log(2.0)).sum(axis=-1)

    def _entropies(self) -> Float[Array, "*batch action"]:
        return self.batched().log_std + 0.5 * math.log(2.0 * math.pi * math.e)

    def kl(self, other: DiagonalGaussian) -> Float[Array, " *batch"]:
        """KL(self || other) = Σ [log σ₂/σ₁ + (σ₁² + (μ₁ - μ₂)²) / 2σ₂² - ½]."""
        variance_ratio = jnp.exp(2.0 * (self.log_std - other.log_std))
        distance = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * jnp.sum(variance_ratio + distance - 1.0 + 2.0 * (other.log_std - self.log_std), axis=-1)

    def batched(self) -> DiagonalGaussian:
        """See `Distribution.batched`."""
        return DiagonalGaussian(self.mean, jnp.broadcast_to(self.log_std, self.mean.shape))


@struct.dataclass
class SquashedGaussian:
    """The action is tanh(z), z ~ N(mean, diag(exp(log_std)²)): it never leaves the box."""

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*batch action"]

    @property
    def base(self) -> DiagonalGaussian:
        """Of z."""
        return DiagonalGaussian(self.mean, self.log_std)

    def mode(self) -> Float[Array, "*batch action"]:
        """tanh(mean): the median, which is what is played where one action stands for all."""
        return jnp.tanh(self.mean)

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch action"]:
        """One draw per batch element."""
        return jnp.tanh(self.base.sample(key))

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, " *batch"]:
        """log N(z) - Σ log(1 - a²), a = tanh(z). On the faces of the box, where z is infinite, just inside of them."""
        return self.log_prob_of(jnp.arctanh(jnp.clip(action, -INSIDE, INSIDE)))

    def log_prob_of(self, z: Float[Array, "*batch action"]) -> Float[Array, " *batch"]:
        """The same, exactly, for the action tanh(z)."""
        return self.base.log_prob(z) - _log_slope(z).sum(axis=-1)

    def entropy(self) -> Float[Array, " *batch"]:
        """H(z) + E[Σ log(1 - tanh(z)²)], the expectation by Gauss-Hermite quadrature."""
        nodes, weights = (jnp.asarray(x, jnp.float32) for x in _HERMITE)
        z = self.mean[..., None] + math.sqrt(2.0) * jnp.exp(self.log_std)[..., None] * nodes
        return self.base.entropy() + (_log_slope(z) @ weights).sum(axis=-1) / math.sqrt(math.pi)

    def kl(self, other: SquashedGaussian) -> Float[Array, " *batch"]:
        """Of the Gaussians behind: a bijection changes no divergence."""
        return self.base.kl(other.base)

    def batched(self) -> SquashedGaussian:
        """See `Distribution.batched`."""
        return SquashedGaussian(self.mean, jnp.broadcast_to(self.log_std, self.mean.shape))

    def linearised(self) -> DiagonalGaussian:
        """The Gaussian over actions that it is close to where it is narrow: mean tanh(mean), deviation σ(1 - tanh²).

        Deviations below 0.01 count as 0.01: where the tanh saturates there would be none.
        """
        return DiagonalGaussian(self.mode(), jnp.maximum(self.log_std + _log_slope(self.mean), math.log(0.01)))


INSIDE = 1.0 - 1e-6
"""The largest action of which it is asked where it came from: that of the box's faces is infinite."""

_HERMITE = np.polynomial.hermite.hermgauss(32)


def _log_slope(z: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """log(1 - tanh(z)²), without the cancellation."""
    return 2.0 * (math.log(2.0) - z - jax.nn.softplus(-2.0 * z))


@struct.dataclass
class Chosen:
    """`one` where `which` is true, `other` elsewhere; they may be of different families."""

    which: Bool[Array, " *batch"]
    one: Any
    other: Any

    def mode(self) -> Float[Array, "*batch action"]:
        """Of the one that is chosen."""
        return self._of(self.one.mode(), self.other.mode())

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch action"]:
        """Of the one that is chosen."""
        return self._of(self.one.sample(key), self.other.sample(key))

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, " *batch"]:
        """Of the one that is chosen."""
        return self._of(self.one.log_prob(action), self.other.log_prob(action))

    def entropy(self) -> Float[Array, " *batch"]:
        """Of the one that is chosen."""
        return self._of(self.one.entropy(), self.other.entropy())

    def kl(self, other: Chosen) -> Float[Array, " *batch"]:
        """Of the ones that are chosen; `other` must choose alike."""
        return self._of(self.one.kl(other.one), self.other.kl(other.other))

    def batched(self) -> Chosen:
        """See `Distribution.batched`."""
        return Chosen(self.which, self.one.batched(), self.other.batched())

    def _of(self, one: Array, other: Array) -> Array:
        return jnp.where(self.which.reshape(self.which.shape + (1,) * (one.ndim - self.which.ndim)), one, other)


def choose(which: Bool[Array, " *batch"], one: Distribution, other: Distribution) -> Distribution:
    """`one` where `which` is true, `other` elsewhere."""
    if type(one) is not type(other):
        return Chosen(which, one, other)
    return jax.tree.map(lambda a, b: jnp.where(which[..., None], a, b), one.batched(), other.batched())
