"""The plain on-policy loop: collect with the learner's policy, learn, repeat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key, PyTree

from l2t.rl.algorithm import Metrics, Policy
from l2t.rl.learner import Learner, sample_behaviour
from l2t.rl.rollout import collect
from l2t.rl.types import Environment
from l2t.rl.vector import VectorEnvironment, VectorState


@struct.dataclass
class OnPolicyState:
    """Everything that decides the future of the run."""

    learner: PyTree
    environments: VectorState
    env_steps: Int[Array, ""]
    key: Key[Array, ""]


@dataclass(frozen=True)
class OnPolicy:
    """A learner and the environments it acts in. Its one role is named after the observation group that it sees."""

    environment: Environment
    learner: Learner
    role: str
    num_envs: int
    num_steps: int

    @property
    def roles(self) -> tuple[str, ...]:
        """Who can be evaluated."""
        return (self.role,)

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration."""
        return self.num_envs * self.num_steps

    def init(self, key: Key[Array, ""]) -> OnPolicyState:
        """Fresh learner, fresh environments."""
        key, learner_key, environment_key = jax.random.split(key, 3)
        return OnPolicyState(
            learner=self.learner.init(learner_key),
            environments=self._vector.init(environment_key),
            env_steps=jnp.zeros((), jnp.int32),
            key=key,
        )

    def iterate(self, state: OnPolicyState) -> tuple[OnPolicyState, Metrics]:
        """Collect and learn once."""
        key, collect_key, learn_key = jax.random.split(state.key, 3)
        behaviour = sample_behaviour(partial(self.learner.distribution, state.learner))
        environments, trajectory, metrics = collect(
            self._vector, behaviour, state.environments, collect_key, self.num_steps
        )
        learned = self.learner.learn(state.learner, trajectory, learn_key)
        env_steps = state.env_steps + self.steps_per_iteration
        metrics = metrics | learned.metrics | {f"env_steps/{self.role}": env_steps}
        return OnPolicyState(learned.state, environments, env_steps, key), metrics

    def policy(self, state: OnPolicyState, role: str) -> Policy:
        """Mean actions."""
        del role
        return lambda observation, key: self.learner.distribution(state.learner, observation).mean

    @property
    def _vector(self) -> VectorEnvironment:
        return VectorEnvironment(self.environment, self.num_envs)
