"""The networks of off-policy learners: a squashed Gaussian actor, and critics of state and action."""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.rl.distributions import SquashedGaussian
from l2t.rl.models import ACTIVATIONS, MLP, ModelState
from l2t.rl.normaliser import Normaliser
from l2t.rl.types import EnvironmentSpec, Observation

LOG_STD = (-5.0, 2.0)
"""Log-deviations stay in this interval."""

UNIFORM = 0.87
"""tanh of a Gaussian with this deviation is nearly uniform on [-1, 1]."""


class CriticNetwork(nn.Module):
    """Q(s, a), with layer normalisation before each activation."""

    hidden: tuple[int, ...]
    activation: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Features and action, one behind the other, to values."""
        for width in self.hidden:
            x = ACTIVATIONS[self.activation](nn.LayerNorm()(nn.Dense(width)(x)))
        return nn.Dense(1)(x)[..., 0]


@dataclass(frozen=True)
class SquashedActor:
    """π(a|s): tanh of a Gaussian whose mean and deviation both depend on the state."""

    group: str
    observation_size: int
    action_size: int
    network: NetworkConfig

    @classmethod
    def of_group(cls, group: str, spec: EnvironmentSpec, network: NetworkConfig) -> SquashedActor:
        """One that sees one group."""
        return cls(group, spec.observation_sizes[group], spec.action_size, network)

    def init(self, key: Key[Array, ""]) -> ModelState:
        """Actions around the middle of the box."""
        weights = self._mlp.init(key, jnp.zeros(self.observation_size))
        return ModelState(weights, Normaliser.create(self.observation_size))

    def features(self, state: ModelState, observation: Observation) -> Float[Array, "*batch n"]:
        """What it sees of an observation, normalised."""
        return state.normaliser(observation[self.group])

    def apply(self, weights: PyTree, features: Float[Array, "*batch n"]) -> SquashedGaussian:
        """The policy at features that are normalised already."""
        mean, raw = jnp.split(jnp.asarray(self._mlp.apply(weights, features)), 2, axis=-1)
        low, high = LOG_STD
        return SquashedGaussian(mean, low + 0.5 * (high - low) * (jnp.tanh(raw) + 1.0))

    @property
    def _mlp(self) -> MLP:
        return MLP(self.network.hidden, 2 * self.action_size, self.network.activation, 0.01)


@dataclass(frozen=True)
class SquashedPolicy:
    """A state of the actor as a `Policy`; its actions are nearly uniform while `warming_up`."""

    actor: SquashedActor
    state: ModelState
    warming_up: Bool[Array, ""]

    def initial(self, instances: int) -> tuple[()]:
        """Nothing is remembered."""
        del instances
        return ()

    def step(
        self, memory: tuple[()], observation: Observation, first: Bool[Array, " env"]
    ) -> tuple[tuple[()], SquashedGaussian]:
        """See `Policy.step`."""
        del first
        return memory, self.distribution(observation)

    def distribution(self, observation: Observation) -> SquashedGaussian:
        """The policy over any batch axes."""
        learnt = self.actor.apply(self.state.weights, self.actor.features(self.state, observation))
        return SquashedGaussian(
            jnp.where(self.warming_up, 0.0, learnt.mean),
            jnp.where(self.warming_up, jnp.log(UNIFORM), learnt.log_std),
        )


@dataclass(frozen=True)
class TwinCritic:
    """Two independent critics; the smaller value is the one that counts."""

    inputs: int
    network: NetworkConfig

    def init(self, key: Key[Array, ""]) -> tuple[PyTree, PyTree]:
        """Weights of both."""
        one, other = (self._net.init(k, jnp.zeros(self.inputs)) for k in jax.random.split(key))
        return one, other

    def apply(
        self, weights: tuple[PyTree, PyTree], features: Float[Array, "*batch n"], action: Float[Array, "*batch action"]
    ) -> tuple[Float[Array, " *batch"], Float[Array, " *batch"]]:
        """Q_1 and Q_2."""
        x = jnp.concatenate([features, action], axis=-1)
        # One after the other: a batched product of matrices is slower than two on a CPU.
        one, other = (jnp.asarray(self._net.apply(w, x)) for w in weights)
        return one, other

    def smaller(
        self, weights: tuple[PyTree, PyTree], features: Float[Array, "*batch n"], action: Float[Array, "*batch action"]
    ) -> Float[Array, " *batch"]:
        """min_j Q_j."""
        return jnp.minimum(*self.apply(weights, features, action))

    @property
    def _net(self) -> CriticNetwork:
        return CriticNetwork(self.network.hidden, self.network.activation)
