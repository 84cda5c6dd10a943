"""What SPMD and PPO share: an actor, a critic, their state and how a batch is prepared for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.models import Actor, Critic, ModelState
from l2t.rl.types import EnvironmentSpec, Observation, Trajectory


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
        """Models for a task."""
        sizes = spec.observation_sizes
        return cls(
            Actor(actor_group, sizes[actor_group], spec.action_size, network),
            Critic(critic_group, sizes[critic_group], network),
        )

    def init(self, key: Key[Array, ""]) -> ActorCriticState:
        """Fresh models."""
        actor_key, critic_key = jax.random.split(key)
        return ActorCriticState(self.actor.init(actor_key), self.critic.init(critic_key))

    def distribution(self, state: ActorCriticState, observation: Observation) -> DiagonalGaussian:
        """The policy at a batch of observations."""
        return self.actor.distribution(state.actor, observation)

    def values(
        self, state: ActorCriticState, trajectory: Trajectory
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"], Float[Array, "time env"]]:
        """V(s_t), V(true successor of s_t), and V(what the environment showed next, after any reset)."""
        value = self.critic.value(state.critic, trajectory.observation)
        successor = self.critic.value(state.critic, trajectory.successor)
        last = self.critic.value(state.critic, trajectory.final_observation)
        return value, successor, jnp.concatenate([value[1:], last[None]])

    def features(self, state: ActorCriticState, trajectory: Trajectory) -> dict[str, Float[Array, "time env n"]]:
        """Normalised observations, computed once for all passes over the batch."""
        observation = trajectory.observation
        return {
            "actor_features": state.actor.normaliser(observation[self.actor.group]),
            "critic_features": state.critic.normaliser(observation[self.critic.group]),
        }

    def observe(self, state: ActorCriticState, trajectory: Trajectory) -> ActorCriticState:
        """Take the batch into the observation statistics, as the last act of an iteration."""
        observation = trajectory.observation
        return ActorCriticState(
            replace(state.actor, normaliser=state.actor.normaliser.update(observation[self.actor.group])),
            replace(state.critic, normaliser=state.critic.normaliser.update(observation[self.critic.group])),
        )
