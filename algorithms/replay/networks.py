"""The networks of off-policy learners: a squashed Gaussian actor, and critics of state and action."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.rl.distributions import INSIDE, SquashedGaussian
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
        return cls(group, spec.size_of(group), spec.action_size, network)

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
        learnt = self.learnt(observation)
        return SquashedGaussian(
            jnp.where(self.warming_up, 0.0, learnt.mean),
            jnp.where(self.warming_up, jnp.log(UNIFORM), learnt.log_std),
        )

    def learnt(self, observation: Observation) -> SquashedGaussian:
        """What the actor says itself, whoever acts."""
        return self.actor.apply(self.state.weights, self.actor.features(self.state, observation))

    def meant(self, observation: Observation, action: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """What the actor itself makes of the chance that led to `action`: the same but for the warm-up.

        There a = tanh(0.87 ε), and the actor's is tanh(μ + σ ε).
        """
        learnt = self.learnt(observation)
        noise = jnp.arctanh(jnp.clip(action, -INSIDE, INSIDE)) / UNIFORM
        return jnp.where(self.warming_up, jnp.tanh(learnt.mean + jnp.exp(learnt.log_std) * noise), action)


Pair = tuple[Float[Array, "*batch"], Float[Array, "*batch"]]
"""Q_1 and Q_2."""


@struct.dataclass
class Critics:
    """Two critics.

    Attributes:
        params: what the optimiser moves, of each.
        stats: running averages of each; `()` where there are none.
        targets: slow copies of `params`; `()` where there are none.
    """

    params: tuple[PyTree, PyTree]
    stats: PyTree
    targets: PyTree


class CriticModel(Protocol):
    """Two critics of state and action; the smaller value is the one that counts."""

    def init(self, key: Key[Array, ""]) -> Critics:
        """Fresh ones."""
        ...

    def apply(
        self, critics: Critics, features: Float[Array, "*batch n"], action: Float[Array, "*batch action"]
    ) -> Pair:
        """Values as the actor is taught by."""
        ...

    def joint(
        self, params: PyTree, critics: Critics, now: tuple[Array, Array], later: tuple[Array, Array]
    ) -> tuple[Pair, Pair, PyTree]:
        """For a loss in `params`: values at (s, a), values to bootstrap from at (s', a'), and the stats after it."""
        ...

    def follow(self, critics: Critics, polyak: float) -> Critics:
        """With targets that have come closer."""
        ...


@dataclass(frozen=True)
class TwinCritic:
    """Two independent critics with target networks."""

    inputs: int
    network: NetworkConfig

    def init(self, key: Key[Array, ""]) -> Critics:
        """Fresh ones; the targets are copies."""
        one, other = (self._net.init(k, jnp.zeros(self.inputs)) for k in jax.random.split(key))
        return Critics((one, other), (), (one, other))

    def apply(
        self, critics: Critics, features: Float[Array, "*batch n"], action: Float[Array, "*batch action"]
    ) -> Pair:
        """Q_1 and Q_2."""
        return self._values(critics.params, (features, action))

    def joint(
        self, params: PyTree, critics: Critics, now: tuple[Array, Array], later: tuple[Array, Array]
    ) -> tuple[Pair, Pair, PyTree]:
        """The targets' values are those to bootstrap from."""
        return self._values(params, now), self._values(critics.targets, later), ()

    def follow(self, critics: Critics, polyak: float) -> Critics:
        """Polyak averages."""
        return replace(critics, targets=optax.incremental_update(critics.params, critics.targets, polyak))

    def _values(self, params: tuple[PyTree, PyTree], at: tuple[Array, Array]) -> Pair:
        x = jnp.concatenate(at, axis=-1)
        # One after the other: a batched product of matrices is slower than two on a CPU.
        one, other = (jnp.asarray(self._net.apply(p, x)) for p in params)
        return one, other

    @property
    def _net(self) -> CriticNetwork:
        return CriticNetwork(self.network.hidden, self.network.activation)


def smaller(pair: Pair) -> Float[Array, "*batch"]:
    """min_j Q_j."""
    return jnp.minimum(*pair)


def reparametrised(
    policy: SquashedGaussian, key: Key[Array, ""]
) -> tuple[Float[Array, "batch action"], Float[Array, " batch"]]:
    """An action of π and its log-density, both differentiable in π."""
    z = policy.base.sample(key)
    return jnp.tanh(z), policy.log_prob_of(z)
