"""The loop that every algorithm shares: collect, store, let the reward learn and relabel, learn.

Who acts and who learns is an `Agent`: one learner alone (`Solo`), or several that learn from the same batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key, PyTree

from l2t.config import DisturbanceConfig
from l2t.rl.algorithm import RunState
from l2t.rl.experience import Experience, Fresh
from l2t.rl.keys import aside
from l2t.rl.learner import Learner
from l2t.rl.policy import Policy
from l2t.rl.reward import Reward, TaskReward
from l2t.rl.rollout import collect
from l2t.rl.types import Environment, Metrics, Trajectory
from l2t.rl.vector import VectorEnvironment, VectorState
from l2t.rl.warm_start import inherit


class Agent(Protocol):
    """Who acts in the environments and learns from what happens."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Who can be evaluated."""
        ...

    def drivers(self, state: PyTree) -> Mapping[str, int | Int[Array, ""]]:
        """How many of the environments each role drives, in the state that a batch is collected with."""
        ...

    @property
    def learners(self) -> int:
        """How many learners there are; each is given a key of its own."""
        ...

    def init(self, keys: Sequence[Key[Array, ""]]) -> PyTree:
        """A fresh state."""
        ...

    def behaviour(self, state: PyTree) -> Policy:
        """Who acts while a batch is collected; its initial memory goes on from the last batch."""
        ...

    def paid(self, state: PyTree, trajectory: Trajectory) -> tuple[Trajectory, Policy]:
        """The part of a batch that the reward is learnt on, and the policy that acted there: whose pay it is."""
        ...

    def policy(self, state: PyTree, role: str) -> Policy:
        """The policy of a role, on episodes of its own."""
        ...

    def learn(self, state: PyTree, trajectory: Trajectory, keys: Sequence[Key[Array, ""]]) -> tuple[PyTree, Metrics]:
        """One iteration on one batch."""
        ...

    def learner_states(self, state: PyTree) -> dict[str, PyTree]:
        """The states of the learners, by role."""
        ...

    def with_learner_states(self, state: PyTree, states: Mapping[str, PyTree]) -> PyTree:
        """The state with others in their place."""
        ...


@dataclass(frozen=True)
class Solo:
    """One learner that drives every environment."""

    learner: Learner
    role: str
    num_envs: int
    learners = 1

    @property
    def roles(self) -> tuple[str, ...]:
        """The learner's."""
        return (self.role,)

    def drivers(self, state: PyTree) -> Mapping[str, int]:
        """All of them."""
        del state
        return {self.role: self.num_envs}

    def init(self, keys: Sequence[Key[Array, ""]]) -> PyTree:
        """The learner's state."""
        return self.learner.init(keys[0])

    def behaviour(self, state: PyTree) -> Policy:
        """The learner's policy."""
        return self.learner.policy(state)

    def paid(self, state: PyTree, trajectory: Trajectory) -> tuple[Trajectory, Policy]:
        """All of it is the learner's."""
        return trajectory, self.behaviour(state)

    def policy(self, state: PyTree, role: str) -> Policy:
        """The learner's policy, whatever the role is called."""
        del role
        return self.learner.policy(state)

    def learn(self, state: PyTree, trajectory: Trajectory, keys: Sequence[Key[Array, ""]]) -> tuple[PyTree, Metrics]:
        """The learner learns."""
        return self.learner.learn(state, trajectory, keys[0])

    def learner_states(self, state: PyTree) -> dict[str, PyTree]:
        """The only one."""
        return {self.role: state}

    def with_learner_states(self, state: PyTree, states: Mapping[str, PyTree]) -> PyTree:
        """The only one."""
        del state
        return states[self.role]


@struct.dataclass
class Learnt:
    """States of the agent and of the reward."""

    agent: PyTree
    reward: PyTree


@struct.dataclass
class Transient:
    """Simulations under way, and stored experience."""

    environments: VectorState
    store: PyTree


@dataclass(frozen=True)
class Loop:
    """An agent in its environments; an `Algorithm`.

    Attributes:
        environment: the task.
        agent: who acts and learns.
        num_envs, num_steps: environments, and steps of each in an iteration.
        reward: what the agent is paid.
        experience: which steps it learns from.
        disturbance: what actions are off by; the agent learns from those that were meant.
        prior_steps, warnings: see `Algorithm`.
    """

    environment: Environment
    agent: Agent
    num_envs: int
    num_steps: int
    reward: Reward = field(default_factory=TaskReward)
    experience: Experience = field(default_factory=Fresh)
    disturbance: DisturbanceConfig = DisturbanceConfig()
    prior_steps: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """Who can be evaluated."""
        return self.agent.roles

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration, whoever takes them."""
        return self.num_envs * self.num_steps

    def init(self, key: Key[Array, ""]) -> RunState:
        """Fresh learners, fresh environments, an empty store."""
        key, *agent_keys, environment_key = jax.random.split(key, 2 + self.agent.learners)
        learnt = Learnt(self.agent.init(agent_keys), self.reward.init(aside(environment_key)))
        environments = self._vector.init(environment_key)

        def example() -> Trajectory:
            return jax.eval_shape(lambda: self._collect(learnt, environments, key)[1])

        return RunState(
            learnt=learnt,
            transient=Transient(environments, self.experience.init(example)),
            iteration=jnp.zeros((), jnp.int32),
            key=key,
        )

    def iterate(self, state: RunState) -> tuple[RunState, Metrics]:
        """Collect, store, relabel, learn; once."""
        key, collect_key, *agent_keys = jax.random.split(state.key, 2 + self.agent.learners)
        store_key, reward_key = jax.random.split(aside(collect_key))
        learnt, transient = state.learnt, state.transient
        environments, collected, metrics = self._collect(learnt, transient.environments, collect_key)
        store, batch = self.experience.exchange(transient.store, collected, store_key)
        paid, earner = self.agent.paid(learnt.agent, batch)
        reward, reward_metrics = self.reward.learn(learnt.reward, paid, earner, reward_key)
        agent, agent_metrics = self.agent.learn(learnt.agent, self.reward.relabel(reward, batch), agent_keys)
        driven = self.agent.drivers(learnt.agent)
        steps = {f"env_steps/{role}": jnp.asarray(self.num_steps * n) for role, n in driven.items()}
        state = RunState(Learnt(agent, reward), Transient(environments, store), state.iteration + 1, key)
        return state, metrics | reward_metrics | agent_metrics | steps

    def policy(self, learnt: Learnt, role: str) -> Policy:
        """The policy of a role."""
        return self.agent.policy(learnt.agent, role)

    def heir(self, learnt: Learnt, of: Loop, old: Learnt, roles: Sequence[str] = ()) -> tuple[Learnt, tuple[str, ...]]:
        """What begins with the networks that another loop has learnt, and the roles that inherited some.

        Args:
            learnt: of this loop.
            of: the other loop.
            old: what that has learnt.
            roles: that may inherit; none named: all.

        Raises:
            ConfigurationError: they do not fit.
        """
        ours, theirs = self.agent.learner_states(learnt.agent), of.agent.learner_states(old.agent)
        states, heirs = inherit(ours, theirs, roles)
        return replace(learnt, agent=self.agent.with_learner_states(learnt.agent, states)), heirs

    def _collect(
        self, learnt: Learnt, environments: VectorState, key: Key[Array, ""]
    ) -> tuple[VectorState, Trajectory, Metrics]:
        return collect(self._vector, self.agent.behaviour(learnt.agent), environments, key, self.num_steps)

    @property
    def _vector(self) -> VectorEnvironment:
        return VectorEnvironment(self.environment, self.num_envs, self.disturbance)
