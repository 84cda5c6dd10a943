"""Models: a normaliser, a network and an output, kept in one state so that none is saved without the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.keys import aside
from l2t.rl.memory import MemoryCell, NoMemory
from l2t.rl.normaliser import Normaliser
from l2t.rl.types import EnvironmentSpec, Observation

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
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
        activation = ACTIVATIONS[self.activation]
        for width in self.hidden:
            x = activation(nn.Dense(width, kernel_init=nn.initializers.orthogonal(2.0**0.5))(x))
        return nn.Dense(self.outputs, kernel_init=nn.initializers.orthogonal(self.output_gain))(x)


@struct.dataclass
class ModelState:
    """Weights and the normaliser they were trained with."""

    weights: PyTree
    normaliser: Normaliser

    def seen(self, inputs: Float[Array, "*batch n"]) -> ModelState:
        """With `inputs` taken into the normaliser's statistics, as the last act of an iteration."""
        return replace(self, normaliser=self.normaliser.update(inputs))


@dataclass(frozen=True)
class Actor:
    """A Gaussian policy with a state-independent standard deviation.

    Attributes:
        groups: observation groups that it sees, one behind the other.
        memory: between the normalised observation and the network.
        action_size: number of action coordinates.
        network: size of the network.
    """

    groups: tuple[str, ...]
    memory: MemoryCell
    action_size: int
    network: NetworkConfig

    @classmethod
    def of_group(cls, group: str, spec: EnvironmentSpec, network: NetworkConfig) -> Actor:
        """One that sees one group and remembers nothing."""
        return cls((group,), NoMemory(spec.size_of(group)), spec.action_size, network)

    def init(self, key: Key[Array, ""]) -> ModelState:
        """Mean actions near zero, standard deviation exp(initial_log_std)."""
        weights = {
            "memory": self.memory.init(aside(key)),
            "mean": self._mlp.init(key, jnp.zeros(self.memory.outputs)),
            "log_std": jnp.full(self.action_size, self.network.initial_log_std, jnp.float32),
        }
        return ModelState(weights, Normaliser.create(self.memory.inputs))

    def inputs(self, observation: Observation) -> Float[Array, "*batch n"]:
        """What it sees of an observation."""
        return jnp.concatenate([observation[group] for group in self.groups], axis=-1)

    def features(self, state: ModelState, observation: Observation) -> Float[Array, "*batch n"]:
        """The same, normalised, as losses use it."""
        return state.normaliser(self.inputs(observation))

    def unroll(
        self,
        weights: PyTree,
        carry: PyTree,
        features: Float[Array, "time env n"],
        first: Bool[Array, "time env"],
    ) -> tuple[PyTree, DiagonalGaussian]:
        """The policy along stretches of time, from the carry at their start."""
        carry, y = self.memory.unroll(weights["memory"], carry, features, first)
        return carry, self._head(weights, y)

    def apply(self, weights: PyTree, features: Float[Array, "*batch n"]) -> DiagonalGaussian:
        """The policy of one that remembers nothing."""
        return self._head(weights, features)

    def policy(self, state: ModelState, start: PyTree | None = None) -> ActorPolicy:
        """The policy, from a carry `start` that is not the one before an episode."""
        return ActorPolicy(self, state, start)

    def _head(self, weights: PyTree, y: Float[Array, "*batch outputs"]) -> DiagonalGaussian:
        return DiagonalGaussian(jnp.asarray(self._mlp.apply(weights["mean"], y)), weights["log_std"])

    @property
    def _mlp(self) -> MLP:
        return MLP(self.network.hidden, self.action_size, self.network.activation, 0.01)


@dataclass(frozen=True)
class ActorPolicy:
    """An actor's state as a `Policy`."""

    actor: Actor
    state: ModelState
    start: PyTree | None = None

    def initial(self, instances: int) -> PyTree:
        """The carry before the first step."""
        return self.actor.memory.start(instances) if self.start is None else self.start

    def step(
        self, memory: PyTree, observation: Observation, first: Bool[Array, " env"]
    ) -> tuple[PyTree, DiagonalGaussian]:
        """See `Policy.step`."""
        weights = self.state.weights
        memory, y = self.actor.memory.step(
            weights["memory"], memory, self.actor.features(self.state, observation), first
        )
        return memory, self.actor._head(weights, y)

    def distribution(self, observation: Observation) -> DiagonalGaussian:
        """The policy of one that remembers nothing, over any batch axes."""
        return self.actor.apply(self.state.weights, self.actor.features(self.state, observation))


@dataclass(frozen=True)
class Critic:
    """A state-value function over one observation group."""

    group: str
    observation_size: int
    network: NetworkConfig

    def init(self, key: Key[Array, ""]) -> ModelState:
        """Fresh weights; values deviate from 0 by about half a unit."""
        return ModelState(
            self._mlp.init(key, jnp.zeros(self.observation_size)), Normaliser.create(self.observation_size)
        )

    def features(self, state: ModelState, observation: Observation) -> Float[Array, "*batch n"]:
        """What it sees of an observation, normalised."""
        return state.normaliser(observation[self.group])

    def value(self, state: ModelState, observation: Observation) -> Float[Array, " *batch"]:
        """Value at a batch of observations, in the critic's own (normalised) units."""
        return self.apply(state.weights, self.features(state, observation))

    def apply(self, weights: PyTree, features: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """Value at features that are normalised already, as losses use it."""
        return jnp.asarray(self._mlp.apply(weights, features))[..., 0]

    @property
    def _mlp(self) -> MLP:
        return MLP(self.network.hidden, 1, self.network.activation, 1.0)
