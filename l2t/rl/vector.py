"""Many instances of an environment, with automatic resets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Key

from l2t.config import DisturbanceConfig
from l2t.rl.keys import aside
from l2t.rl.types import Environment, EnvironmentSpec, EnvironmentState, Observation, Restarts, TurnsActions


@struct.dataclass
class EpisodeStatistics:
    """Per instance: the running episode, and the last one that was seen from its start to its end."""

    running_return: Float[Array, " env"]
    running_length: Float[Array, " env"]
    whole: Bool[Array, " env"]
    last_return: Float[Array, " env"]
    last_length: Float[Array, " env"]
    finished: Bool[Array, " env"]


PREVIOUS_ACTION = "previous_action"
"""The observation group that holds the last action in policy units: free of noise, zero when an episode begins.

In an environment that `TurnsActions` it is that action as it is called now.
"""


@struct.dataclass
class VectorState:
    """N instances.

    Attributes:
        environment: each instance after its last step, or after the reset that followed.
        first: where an episode begins.
        action: the last action, clipped, zero where an episode begins.
        statistics: of episodes.
        key: for resets.
        disturbance: what the last action was off by; `None` where nothing disturbs.

    Both are turned to what they are called now, see `TurnsActions`: what pulls at a robot's left leg goes on doing so.
    """

    environment: EnvironmentState
    first: Bool[Array, " env"]
    action: Float[Array, "env action"]
    statistics: EpisodeStatistics
    key: Key[Array, ""]
    disturbance: Float[Array, "env action"] | None = None

    @property
    def observation(self) -> Observation:
        """What a policy sees now."""
        return with_action(self.environment.observation, self.action)


class Outcome(NamedTuple):
    """What a step brought, before any reset; `executed` is what was done, clipped, as the state before calls it."""

    successor: Observation
    executed: Float[Array, "env action"]
    reward: Float[Array, " env"]
    terminated: Bool[Array, " env"]
    truncated: Bool[Array, " env"]
    metrics: dict[str, Float[Array, " env"]]
    unstable: Bool[Array, " env"]


@dataclass(frozen=True)
class VectorEnvironment:
    """`num_envs` instances; actions are in policy units, [-1, 1] spanning the task's range, and clipped to it.

    Attributes:
        environment: one of them.
        num_envs: how many.
        disturbance: d' = ρ d + sqrt(1 - ρ²) scale ε, ε ~ N(0, 1), is added to what is clipped: an action is d' off, and
            so is the one that is observed as the last. It goes on over the ends of episodes, and where the environment
            `TurnsActions` it stays with the robot's own left and right.
    """

    environment: Environment
    num_envs: int
    disturbance: DisturbanceConfig = DisturbanceConfig()

    @property
    def spec(self) -> EnvironmentSpec:
        """The task's."""
        return self.environment.spec

    def init(self, key: Key[Array, ""], staggered: bool = True) -> VectorState:
        """Fresh episodes. Staggered clocks spread the first time limits over a whole episode's length."""
        key, reset_key, clock_key = jax.random.split(key, 3)
        state = jax.vmap(self.environment.reset)(jax.random.split(reset_key, self.num_envs))
        self.spec.check_shown(state.observation)
        if staggered:
            clocks = jax.random.randint(clock_key, (self.num_envs,), 0, self.spec.episode_length, jnp.int32)
            state = replace(state, step=clocks)
        zeros = jnp.zeros(self.num_envs)
        statistics = EpisodeStatistics(zeros, zeros, state.step == 0, zeros, zeros, jnp.zeros(self.num_envs, bool))
        action = jnp.zeros((self.num_envs, self.spec.action_size))
        disturbance = None if self.disturbance.scale == 0.0 else self._disturbed(aside(key), action, persistence=0.0)
        return VectorState(state, jnp.ones(self.num_envs, bool), action, statistics, key, disturbance)

    def step(self, state: VectorState, action: Float[Array, "env action"]) -> tuple[VectorState, Outcome]:
        """Advance every instance; those that ended start a new episode."""
        action, disturbance = jnp.clip(action, -1.0, 1.0), state.disturbance
        if disturbance is not None:
            disturbance = self._disturbed(aside(state.key), disturbance, self.disturbance.persistence)
            action = jnp.clip(action + disturbance, -1.0, 1.0)
        after = jax.vmap(self.environment.step)(state.environment, scale_action(self.spec, action))
        seen = as_seen(self.environment, state.environment, after, action)
        successor = with_action(after.observation, seen)
        flags = after.terminated, after.truncated
        outcome = Outcome(successor, action, after.reward, *flags, after.metrics, after.unstable)
        done = after.terminated | after.truncated
        key, reset_key = jax.random.split(state.key)

        def reset(after: EnvironmentState) -> EnvironmentState:
            keys = jax.random.split(reset_key, self.num_envs)
            if isinstance(self.environment, Restarts):
                fresh = jax.vmap(self.environment.restart)(keys, after, done)
            else:
                fresh = jax.vmap(self.environment.reset)(keys, done)
            return jax.tree.map(lambda new, old: jnp.where(_like(done, new), new, old), fresh, after)

        # Most steps end no episode: skipping the reset is worth some 5 % of the engine's time.
        environment = jax.lax.cond(done.any(), reset, lambda after: after, after)
        if disturbance is not None:
            disturbance = as_seen(self.environment, state.environment, environment, disturbance)
        statistics = _record(state.statistics, after, done)
        last = jnp.where(done[:, None], 0.0, seen)
        return VectorState(environment, done, last, statistics, key, disturbance), outcome

    def _disturbed(
        self, key: Key[Array, ""], last: Float[Array, "env action"], persistence: float
    ) -> Float[Array, "env action"]:
        fresh = self.disturbance.scale * jax.random.normal(key, last.shape)
        return persistence * last + math.sqrt(1.0 - persistence**2) * fresh


def with_action(observation: Observation, action: Float[Array, "env action"]) -> Observation:
    """The observation groups and the action that led to them."""
    return {**observation, PREVIOUS_ACTION: action}


def as_seen(
    environment: Environment, before: EnvironmentState, after: EnvironmentState, action: Float[Array, "env action"]
) -> Float[Array, "env action"]:
    """Actions of a batch of states, in policy units, as they are called in the states `after`; see `TurnsActions`."""
    if not isinstance(environment, TurnsActions):
        return action
    return jax.vmap(environment.turn_action)(before, after, action)


def scale_action(spec: EnvironmentSpec, action: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
    """Policy units to the task's: [-1, 1] onto [low, high], clipped to it as float32 has it."""
    low, high = jnp.asarray(spec.action_low, jnp.float32), jnp.asarray(spec.action_high, jnp.float32)
    # Clipped again at the end: low + (high - low) may round to a number above high.
    return jnp.clip(low + 0.5 * (jnp.clip(action, -1.0, 1.0) + 1.0) * (high - low), low, high)


def _like(flag: Bool[Array, " env"], leaf: Array) -> Bool[Array, "env *ones"]:
    return flag.reshape(flag.shape + (1,) * (leaf.ndim - 1))


def _record(statistics: EpisodeStatistics, after: EnvironmentState, done: Bool[Array, " env"]) -> EpisodeStatistics:
    running_return = statistics.running_return + after.reward
    running_length = statistics.running_length + 1.0
    complete = done & statistics.whole
    return EpisodeStatistics(
        running_return=jnp.where(done, 0.0, running_return),
        running_length=jnp.where(done, 0.0, running_length),
        whole=statistics.whole | done,
        last_return=jnp.where(complete, running_return, statistics.last_return),
        last_length=jnp.where(complete, running_length, statistics.last_length),
        finished=statistics.finished | complete,
    )
