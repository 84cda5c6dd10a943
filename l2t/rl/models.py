"""Models: a normaliser, a network and an output, kept in one state so that none is saved without the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.normaliser import Normaliser
from l2t.rl.types import Observation

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "elu": nn.elu,
    "swish": nn.swish,
}


class MLP(nn.Module):
    """A multi-layer perceptron with orthogonal weights; the last layer's gain sets how it starts."""

    hidden: tuple[int, ...]
    outputs: int
    activation: str
    output_gain: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Features to outputs, over any leading axes."""
        activation = _ACTIVATIONS[self.activation]
        for width in self.hidden:
            x = activation(nn.Dense(width, kernel_init=nn.initializers.orthogonal(2.0**0.5))(x))
        return nn.Dense(self.outputs, kernel_init=nn.initializers.orthogonal(self.output_gain))(x)


@struct.dataclass
class ModelState:
    """Weights and the normaliser they were trained with."""

    weights: PyTree
    normaliser: Normaliser


@dataclass(frozen=True)
class Actor:
    """A Gaussian policy over one observation group, with a state-independent standard deviation."""

    group: str
    observation_size: int
    action_size: int
    network: NetworkConfig

    def init(self, key: Key[Array, ""]) -> ModelState:
        """Mean actions near zero, standard deviation exp(initial_log_std)."""
        weights = {
            "mean": self._mlp.init(key, jnp.zeros(self.observation_size)),
            "log_std": jnp.full(self.action_size, self.network.initial_log_std, jnp.float32),
        }
        return ModelState(weights, Normaliser.create(self.observation_size))

    def distribution(self, state: ModelState, observation: Observation) -> DiagonalGaussian:
        """The policy at a batch of observations."""
        return self.apply(state.weights, state.normaliser(observation[self.group]))

    def apply(self, weights: PyTree, features: Float[Array, "*batch n"]) -> DiagonalGaussian:
        """The policy at features that are normalised already, as losses use it."""
        mean = self._mlp.apply(weights["mean"], features)
        return DiagonalGaussian(jnp.asarray(mean), weights["log_std"])

    @property
    def _mlp(self) -> MLP:
        return MLP(self.network.hidden, self.action_size, self.network.activation, 0.01)


@dataclass(frozen=True)
class Critic:
    """A state-value function over one observation group."""

    group: str
    observation_size: int
    network: NetworkConfig

    def init(self, key: Key[Array, ""]) -> ModelState:
        """Small values everywhere."""
        return ModelState(
            self._mlp.init(key, jnp.zeros(self.observation_size)), Normaliser.create(self.observation_size)
        )

    def value(self, state: ModelState, observation: Observation) -> Float[Array, " *batch"]:
        """Value at a batch of observations, in the critic's own (normalised) units."""
        return self.apply(state.weights, state.normaliser(observation[self.group]))

    def apply(self, weights: PyTree, features: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """Value at features that are normalised already, as losses use it."""
        return jnp.asarray(self._mlp.apply(weights, features))[..., 0]

    @property
    def _mlp(self) -> MLP:
        return MLP(self.network.hidden, 1, self.network.activation, 1.0)
