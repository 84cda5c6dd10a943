"""Transitions of a stochastic policy in parallel environments, stored ones to read again, and Monte-Carlo values.

The process is that of the average-reward setting: a termination is a transition to the next episode's first state and
pays `reset_cost`, and a time limit is no transition at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key

from l2t.errors import ConfigurationError
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.transitions import PairTransitions
from l2t.rl.types import Environment, EnvironmentSpec, EnvironmentState, Observation, cut_off
from l2t.rl.vector import VectorEnvironment, VectorState


@dataclass(frozen=True)
class Endless:
    """An environment without its time limit, so that streams are unbroken and their averages are the process's own."""

    environment: Environment

    @property
    def spec(self) -> EnvironmentSpec:
        """The task's."""
        return self.environment.spec

    def reset(self, key: Key[Array, ""], needed: Any = True) -> EnvironmentState:
        """Draw a start state."""
        return self.environment.reset(key, needed)

    def step(self, state: EnvironmentState, action: Float[Array, " action"]) -> EnvironmentState:
        """Advance one step; `truncated` is never set."""
        return replace(self.environment.step(state, action), truncated=jnp.asarray(False))


@struct.dataclass
class StreamState:
    """Environments, and the actions that they take next, in policy units."""

    environments: VectorState
    action: Float[Array, "env action"]


@dataclass(frozen=True)
class PolicySource:
    """The transitions x → x' of a policy π in `vector`, as a `Source`; x = (encoded observation, action in [-1, 1]).

    Actions are clipped as the environment clips them: what lies beyond has no effect, so Q does not see it either. At a
    termination x' is the first state of the next episode with its a', and the reward is r - reset_cost. At a time limit
    x' is the true successor with an a' of its own, and the path goes on elsewhere: sums of rewards over a path are
    right only between time limits; `Endless` has none.

    Attributes:
        vector: N instances.
        distribution: π at a batch of observations.
        encode: observations to vectors, such as the policy's own normaliser.
        exploration: ε: the action taken is uniform over [-1, 1] with this probability, else it is the a' that was drawn
            from π. The a' of x' always is that one.
    """

    vector: VectorEnvironment
    distribution: Callable[[Observation], DiagonalGaussian]
    encode: Callable[[Observation], Float[Array, "env n"]]
    exploration: float = 0.0

    def init(self, key: Key[Array, ""]) -> StreamState:
        """Fresh episodes with staggered clocks."""
        start_key, policy_key, explore_key = jax.random.split(key, 3)
        environments = self.vector.init(start_key)
        drawn = self._draw_action(policy_key, environments.environment.observation)
        return StreamState(environments, self._perturb(explore_key, drawn))

    def step(self, state: StreamState, key: Key[Array, ""]) -> tuple[StreamState, PairTransitions]:
        """One transition of every instance."""
        policy_key, explore_key, cut_key = jax.random.split(key, 3)
        before = state.environments.environment.observation
        environments, outcome = self.vector.step(state.environments, state.action)
        shown = environments.environment.observation
        drawn = self._draw_action(policy_key, shown)
        next_pair = self._pair(shown, drawn)
        cut = cut_off(outcome.terminated, outcome.truncated)

        def beyond(next_pair: Array) -> Array:
            successor = self._pair(outcome.successor, self._draw_action(cut_key, outcome.successor))
            return jnp.where(cut[:, None], successor, next_pair)

        next_pair = jax.lax.cond(cut.any(), beyond, lambda next_pair: next_pair, next_pair)
        reward = outcome.reward - self.vector.spec.reset_cost * outcome.terminated
        return (
            StreamState(environments, self._perturb(explore_key, drawn)),
            PairTransitions(self._pair(before, state.action), reward, next_pair),
        )

    def draw(self, state: StreamState, key: Key[Array, ""], length: int) -> tuple[StreamState, PairTransitions]:
        """The next `length` transitions: those of the first instance in order of time, then those of the second, ...

        Raises:
            ConfigurationError: `length` is no multiple of the number of instances.
        """
        steps, rest = divmod(length, self.vector.num_envs)
        if rest:
            raise ConfigurationError(
                f"{length} transitions cannot be shared out among {self.vector.num_envs} instances."
            )
        state, batch = jax.lax.scan(self.step, state, jax.random.split(key, steps))
        return state, jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(length, *x.shape[2:]), batch)

    def _draw_action(self, key: Key[Array, ""], observation: Observation) -> Float[Array, "env action"]:
        return jnp.clip(self.distribution(observation).sample(key), -1.0, 1.0)

    def _perturb(self, key: Key[Array, ""], drawn: Float[Array, "env action"]) -> Float[Array, "env action"]:
        if self.exploration == 0.0:
            return drawn
        whether_key, action_key = jax.random.split(key)
        explores = jax.random.bernoulli(whether_key, self.exploration, (drawn.shape[0], 1))
        return jnp.where(explores, jax.random.uniform(action_key, drawn.shape, minval=-1.0, maxval=1.0), drawn)

    def _pair(self, observation: Observation, action: Float[Array, "env action"]) -> Float[Array, "env size"]:
        return jnp.concatenate([self.encode(observation), action], axis=-1)


@struct.dataclass
class StoredSource:
    """Transitions that were drawn before, in their order, so that several methods can learn from the same ones.

    The stream's state is how many have been read of each of `slots` stores that a problem reads side by side. Who
    builds one sees to it that it is long enough: at the end the last transitions would be read again.

    Attributes:
        transitions: the store.
        slot: which of the stores this is.
        slots: how many there are.
    """

    transitions: PairTransitions
    slot: int = struct.field(pytree_node=False, default=0)
    slots: int = struct.field(pytree_node=False, default=1)

    def init(self, key: Key[Array, ""]) -> Int[Array, " slots"]:
        """Nothing has been read."""
        del key
        return jnp.zeros(self.slots, jnp.int32)

    def draw(
        self, state: Int[Array, " slots"], key: Key[Array, ""], length: int
    ) -> tuple[Int[Array, " slots"], PairTransitions]:
        """The next `length` transitions."""
        del key
        start = state[self.slot]
        batch = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, length), self.transitions)
        return state.at[self.slot].add(length), batch


def differential_returns(
    source: PolicySource,
    start: EnvironmentState,
    action: Float[Array, "env action"],
    reward_rate: Float[Array, ""],
    key: Key[Array, ""],
    horizon: int,
) -> Float[Array, " env"]:
    """One Monte-Carlo sample of Q(s, a) for each instance, up to a constant that all share.

    Σ_{t<H} w_t (r_t - ρ) with w_t = min(1, 2 (1 - t/H)): the mean of the sums over H/2, ..., H terms, in which what a
    gait's phase adds in turn cancels. The first action is `action`, the others are π's.

    Args:
        source: the policy, in as many instances as `start` has, without a time limit and without exploration.
        start: simulations to start from, exactly; their own random numbers are drawn afresh.
        action: first actions, in policy units.
        reward_rate: ρ.
        key: of everything that is random.
        horizon: H; the bias falls with the process's memory over it.
    """
    start_key, noise_key, key = jax.random.split(key, 3)
    fresh = replace(start, key=jax.random.split(noise_key, source.vector.num_envs))
    state = StreamState(replace(source.vector.init(start_key), environment=fresh), jnp.clip(action, -1.0, 1.0))
    weights = jnp.minimum(1.0, 2.0 * (1.0 - jnp.arange(horizon) / horizon))

    def step(carry: tuple[StreamState, Array], inputs: tuple[Array, Array]) -> tuple[tuple[StreamState, Array], None]:
        state, total = carry
        key, weight = inputs
        state, transition = source.step(state, key)
        return (state, total + weight * (transition.reward - reward_rate)), None

    zeros = jnp.zeros(source.vector.num_envs)
    return jax.lax.scan(step, (state, zeros), (jax.random.split(key, horizon), weights))[0][1]
