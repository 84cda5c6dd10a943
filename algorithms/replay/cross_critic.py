"""CrossQ's critics: batch renormalisation, states and their successors in one pass, and no target networks.

A batch norm knows the statistics of one distribution of inputs; (s, a) and (s', a') are two. Seen in one batch they are
one, and the critic needs no slow copy to bootstrap from. Renormalisation,

    x̂ = (x - μ_B)/σ_B r + d,      r = clip(σ_B/σ, 1/3, 3),  d = clip((μ_B - μ)/σ, -5, 5),

with μ, σ running averages and no gradient through r and d, makes training and evaluation agree; at first r = 1, d = 0.

Sources: Bhatt et al., "CrossQ", arXiv 1902.05605; Ioffe, "Batch renormalization", arXiv 1702.03275.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from algorithms.replay.networks import Critics, Pair
from l2t.config import NetworkConfig
from l2t.rl.models import ACTIVATIONS

MOMENTUM, WARM_UP, R_MAX, D_MAX, EPSILON = 0.99, 100_000, 3.0, 5.0, 1e-3


class BatchRenorm(nn.Module):
    """See the module's docstring; `training` updates the running averages, in the collection `stats`."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch n"], training: bool) -> Float[Array, "batch n"]:
        """x̂ times a scale, plus a shift."""
        size = x.shape[-1]
        mean = self.variable("stats", "mean", jnp.zeros, size)
        variance = self.variable("stats", "variance", jnp.ones, size)
        count = self.variable("stats", "count", jnp.zeros, ())
        deviation = jnp.sqrt(variance.value + EPSILON)
        if training:
            batch_mean, batch_variance = x.mean(axis=0), x.var(axis=0)
            batch_deviation = jnp.sqrt(batch_variance + EPSILON)
            warm = count.value >= WARM_UP
            r = jnp.where(warm, jnp.clip(batch_deviation / deviation, 1.0 / R_MAX, R_MAX), 1.0)
            d = jnp.where(warm, jnp.clip((batch_mean - mean.value) / deviation, -D_MAX, D_MAX), 0.0)
            y = (x - batch_mean) / batch_deviation * jax.lax.stop_gradient(r) + jax.lax.stop_gradient(d)
            if not self.is_initializing():
                mean.value = MOMENTUM * mean.value + (1.0 - MOMENTUM) * batch_mean
                variance.value = MOMENTUM * variance.value + (1.0 - MOMENTUM) * batch_variance
                count.value = count.value + 1.0
        else:
            y = (x - mean.value) / deviation
        scale = self.param("scale", nn.initializers.ones, (size,))
        shift = self.param("shift", nn.initializers.zeros, (size,))
        return y * scale + shift


class CrossNetwork(nn.Module):
    """Q(s, a), renormalised at the input and before each layer."""

    hidden: tuple[int, ...]
    activation: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch n"], training: bool) -> Float[Array, " batch"]:
        """Features and action, one behind the other, to values."""
        x = BatchRenorm()(x, training)
        for width in self.hidden:
            x = BatchRenorm()(ACTIVATIONS[self.activation](nn.Dense(width)(x)), training)
        return nn.Dense(1)(x)[..., 0]


@dataclass(frozen=True)
class CrossCritic:
    """Two of them; see `Critics` for what each part means."""

    inputs: int
    network: NetworkConfig

    def init(self, key: Key[Array, ""]) -> Critics:
        """Fresh weights; there are no targets."""
        made = [self._net.init(k, jnp.zeros((2, self.inputs)), True) for k in jax.random.split(key)]
        return Critics((made[0]["params"], made[1]["params"]), (made[0]["stats"], made[1]["stats"]), ())

    def apply(
        self, critics: Critics, features: Float[Array, "*batch n"], action: Float[Array, "*batch action"]
    ) -> Pair:
        """Q_1 and Q_2 by the running averages."""
        x = jnp.concatenate([features, action], axis=-1)
        one, other = (self._value(p, s, x) for p, s in zip(critics.params, critics.stats, strict=True))
        return one, other

    def joint(
        self,
        params: PyTree,
        critics: Critics,
        now: tuple[Array, Array],
        later: tuple[Array, Array],
    ) -> tuple[Pair, Pair, PyTree]:
        """Values at (s, a) and at (s', a') from one pass, and the running averages after it."""
        rows = now[0].shape[0]
        x = jnp.concatenate([jnp.concatenate(now, axis=-1), jnp.concatenate(later, axis=-1)])
        values, stats = [], []
        for p, s in zip(params, critics.stats, strict=True):
            value, changed = self._net.apply({"params": p, "stats": s}, x, True, mutable=["stats"])
            values.append(jnp.asarray(value))
            stats.append(changed["stats"])
        one, other = values
        return (one[:rows], other[:rows]), (one[rows:], other[rows:]), tuple(stats)

    def follow(self, critics: Critics, polyak: float) -> Critics:
        """Nothing follows."""
        del polyak
        return critics

    def _value(self, params: PyTree, stats: PyTree, x: Float[Array, "*batch n"]) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        return jnp.asarray(self._net.apply({"params": params, "stats": stats}, flat, False)).reshape(x.shape[:-1])

    @property
    def _net(self) -> CrossNetwork:
        return CrossNetwork(self.network.hidden, self.network.activation)
