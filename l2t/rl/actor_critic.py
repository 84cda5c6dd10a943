"""An actor and a critic: their state, and how a batch is prepared for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.rl.models import Actor, ActorPolicy, Critic, ModelState
from l2t.rl.types import EnvironmentSpec, Observation


@struct.dataclass
class ActorCriticState:
    """The two models."""

    actor: ModelState
    critic: ModelState

    @property
    def weights(self) -> PyTree:
        """What an optimiser moves."""
        return {"actor": self.actor.weights, "critic": self.critic.weights}

    def with_weights(self, weights: PyTree) -> ActorCriticState:
        """The same models with other weights."""
        return ActorCriticState(
            replace(self.actor, weights=weights["actor"]), replace(self.critic, weights=weights["critic"])
        )


@dataclass(frozen=True)
class ActorCritic:
    """An actor and a critic, possibly over different observation groups."""

    actor: Actor
    critic: Critic

    @classmethod
    def create(cls, spec: EnvironmentSpec, network: NetworkConfig, actor_group: str, critic_group: str) -> ActorCritic:
        """Models of one size for a task."""
        actor = Actor.of_group(actor_group, spec, network)
        return cls(actor, Critic(critic_group, spec.size_of(critic_group), network))

    def init(self, key: Key[Array, ""]) -> ActorCriticState:
        """Fresh models."""
        actor_key, critic_key = jax.random.split(key)
        return ActorCriticState(self.actor.init(actor_key), self.critic.init(critic_key))

    def policy(self, state: ActorCriticState) -> ActorPolicy:
        """The actor's policy."""
        return self.actor.policy(state.actor)

    def value(self, state: ActorCriticState, observation: Observation) -> Float[Array, " *batch"]:
        """V at a batch of observations, in the critic's own units."""
        return self.critic.value(state.critic, observation)

    def features(self, state: ActorCriticState, observation: Observation) -> dict[str, Float[Array, "*batch n"]]:
        """Normalised observations, computed once for all passes over a batch."""
        return {
            "actor_features": self.actor.features(state.actor, observation),
            "critic_features": self.critic.features(state.critic, observation),
        }

    def seen(self, state: ActorCriticState, observation: Observation) -> ActorCriticState:
        """With a batch taken into the observation statistics, as the last act of an iteration."""
        return ActorCriticState(
            state.actor.seen(self.actor.inputs(observation)), state.critic.seen(observation[self.critic.group])
        )
