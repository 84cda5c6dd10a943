"""Playing a policy without learning from it: the step that evaluations, recordings and films have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from l2t.rl.distributions import Distribution
from l2t.rl.policy import Memory, Policy
from l2t.rl.types import Environment, EnvironmentSpec, EnvironmentState, Observation
from l2t.rl.vector import Outcome, VectorEnvironment, VectorState, as_seen, scale_action, with_action

Choice = Callable[[Distribution], Float[Array, "env action"]]
"""Which action of a distribution is played, in policy units."""


class Playing(NamedTuple):
    """Instances of a task in their first episode; nothing is reset when it is over.

    Attributes:
        state: each after its last step.
        action: the last one in policy units, clipped, as the state after it shows it; zero before the first.
        memory: the policy's.
        time: steps taken so far.
    """

    state: EnvironmentState
    action: Float[Array, "env action"]
    memory: Memory
    time: Int[Array, ""]


def modes(distribution: Distribution) -> Float[Array, "env action"]:
    """The choice of evaluations and films."""
    return distribution.mode()


def begin(environment: Environment, policy: Policy, keys: Key[Array, " env"]) -> Playing:
    """One instance for each key, reset with it."""
    count = len(keys)
    return Playing(
        state=jax.vmap(environment.reset)(keys),
        action=jnp.zeros((count, environment.spec.action_size)),
        memory=policy.initial(count),
        time=jnp.zeros((), jnp.int32),
    )


def proceed(
    environment: Environment, policy: Policy, playing: Playing, choice: Choice = modes
) -> tuple[Playing, Float[Array, "env action"]]:
    """A step of every instance, also of those whose episode is over; and the action in the task's units."""
    first = jnp.full(len(playing.action), playing.time == 0)
    memory, action, taken = decide(
        environment.spec, policy, playing.memory, playing.state.observation, playing.action, first, choice
    )
    state = jax.vmap(environment.step)(playing.state, taken)
    action = as_seen(environment, playing.state, state, action)
    return Playing(state, action, memory, playing.time + 1), taken


def decide(
    spec: EnvironmentSpec,
    policy: Policy,
    memory: Memory,
    observation: Observation,
    previous: Float[Array, "env action"],
    first: Bool[Array, " env"],
    choice: Choice = modes,
) -> tuple[Memory, Float[Array, "env action"], Float[Array, "env action"]]:
    """What a policy does next, where the task is elsewhere.

    Args:
        spec: the task's.
        policy: who acts.
        memory: as the last step left it.
        observation: the task's groups.
        previous: the last action in policy units, clipped; zero where an episode begins.
        first: where it does.
        choice: of an action.

    Returns:
        The memory and `previous` of the step after, and the action in the task's units.
    """
    memory, distribution = policy.step(memory, with_action(observation, previous), first)
    action = choice(distribution)
    return memory, jnp.clip(action, -1.0, 1.0), scale_action(spec, action)


def go_on(
    vector: VectorEnvironment, policy: Policy, state: VectorState, memory: Memory
) -> tuple[VectorState, Memory, Outcome]:
    """A step with the modes of a policy where episodes follow one another: what ended begins anew."""
    memory, distribution = policy.step(memory, state.observation, state.first)
    state, outcome = vector.step(state, distribution.mode())
    return state, memory, outcome
