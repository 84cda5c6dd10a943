"""Distributions over actions. They are pytrees: they ride in batches, and leading axes are batch axes."""

from __future__ import annotations

import math
from typing import Protocol, Self, TypeVar

import jax
import jax.numpy as jnp
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


D = TypeVar("D", bound=Distribution)


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
        return jnp.sum(self.batched().log_std + 0.5 * math.log(2.0 * math.pi * math.e), axis=-1)

    def kl(self, other: DiagonalGaussian) -> Float[Array, " *batch"]:
        """KL(self || other) = Σ [log σ₂/σ₁ + (σ₁² + (μ₁ - μ₂)²) / 2σ₂² - ½]."""
        variance_ratio = jnp.exp(2.0 * (self.log_std - other.log_std))
        distance = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * jnp.sum(variance_ratio + distance - 1.0 + 2.0 * (other.log_std - self.log_std), axis=-1)

    def batched(self) -> DiagonalGaussian:
        """See `Distribution.batched`."""
        return DiagonalGaussian(self.mean, jnp.broadcast_to(self.log_std, self.mean.shape))


def choose(which: Bool[Array, " *batch"], one: D, other: D) -> D:
    """`one` where `which` is true, `other` elsewhere."""
    return jax.tree.map(lambda a, b: jnp.where(which[..., None], a, b), one.batched(), other.batched())
