"""Diagonal Gaussians, the policies of every continuous task here."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key


@struct.dataclass
class DiagonalGaussian:
    """N(mean, diag(exp(log_std)²)); leading axes are batch axes and the last axis is the action."""

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*#batch action"]

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch action"]:
        """One draw per batch element."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, " *batch"]:
        """log N(action) = -½ Σ [((a - mean)/std)² + 2 log std + log 2π]."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * jnp.sum(z**2 + 2.0 * self.log_std + math.log(2.0 * math.pi), axis=-1)

    def entropy(self) -> Float[Array, " *batch"]:
        """Σ [log std + ½ log 2πe]."""
        log_std = jnp.broadcast_to(self.log_std, self.mean.shape)
        return jnp.sum(log_std + 0.5 * math.log(2.0 * math.pi * math.e), axis=-1)

    def kl(self, other: DiagonalGaussian) -> Float[Array, " *batch"]:
        """KL(self || other) = Σ [log σ₂/σ₁ + (σ₁² + (μ₁ - μ₂)²) / 2σ₂² - ½]."""
        variance_ratio = jnp.exp(2.0 * (self.log_std - other.log_std))
        distance = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * jnp.sum(variance_ratio + distance - 1.0 + 2.0 * (other.log_std - self.log_std), axis=-1)
