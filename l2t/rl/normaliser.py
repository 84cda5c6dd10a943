"""Running mean and variance of observations."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

CLIP = 10.0
"""Normalised observations are clipped to ±CLIP."""

PRIOR = 1e-4
"""How many observations mean 0 and variance 1 count for before there are any."""


@struct.dataclass
class Normaliser:
    """Mean and variance of everything seen so far, per coordinate."""

    mean: Float[Array, " n"]
    variance: Float[Array, " n"]
    count: Float[Array, ""]

    @classmethod
    def create(cls, size: int) -> Normaliser:
        """Mean 0, variance 1, with the weight of almost no data."""
        return cls(jnp.zeros(size), jnp.ones(size), jnp.asarray(PRIOR, jnp.float32))

    def update(self, batch: Float[Array, "*batch n"]) -> Normaliser:
        """Merge a batch, by the parallel formula of Chan, Golub and LeVeque (1983)."""
        batch = batch.reshape(-1, batch.shape[-1])
        batch_mean, batch_variance = batch.mean(axis=0), batch.var(axis=0)
        count = self.count + batch.shape[0]
        weight = batch.shape[0] / count
        shift = batch_mean - self.mean
        variance = self.variance + weight * (batch_variance - self.variance) + weight * (1.0 - weight) * shift**2
        return Normaliser(self.mean + weight * shift, variance, count)

    def __call__(self, observation: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """(observation - mean) / std, clipped; 0 where a coordinate never changed.

        No weight has learnt what such a coordinate means: where it does change, as on other ground, it is not shown.
        """
        scaled = jnp.clip((observation - self.mean) / jnp.sqrt(self.variance + 1e-8), -CLIP, CLIP)
        return jnp.where(self._constant() & (self.count >= 1.0), 0.0, scaled)

    def for_another_task(self) -> Normaliser:
        """The same, but for variance 1 of coordinates that never changed: they may now, and can be learnt from."""
        return Normaliser(self.mean, jnp.where(self._constant(), 1.0, self.variance), self.count)

    def _constant(self) -> Bool[Array, " n"]:
        # What is left of the prior, and rounding.
        return self.variance <= 2 * PRIOR * (1.0 + self.mean**2) / self.count + (1e-6 * self.mean) ** 2
