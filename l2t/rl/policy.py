"""What a policy is: a distribution over actions, given what is observed now and what is remembered."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from l2t.errors import ConfigurationError
from l2t.rl.distributions import Distribution
from l2t.rl.types import Observation

Memory = PyTree
"""What a policy carries from step to step, leaves `[env, ...]`; `()` for one that remembers nothing."""


class Policy(Protocol):
    """Acts in a batch of instances; actions are in policy units, where [-1, 1] spans the task's range."""

    def initial(self, instances: int) -> Memory:
        """The memory before the first step."""
        ...

    def step(self, memory: Memory, observation: Observation, first: Bool[Array, " env"]) -> tuple[Memory, Distribution]:
        """The distribution of the next action, and the memory for the step after.

        Args:
            memory: as the last step left it.
            observation: groups with leading axis `[env]`.
            first: where an episode begins, so that what is remembered is of another one.
        """
        ...


@dataclass(frozen=True)
class Memoryless:
    """A policy of the present observation alone."""

    distribution: Callable[[Observation], Distribution]

    def initial(self, instances: int) -> Memory:
        """Nothing."""
        del instances
        return ()

    def step(self, memory: Memory, observation: Observation, first: Bool[Array, " env"]) -> tuple[Memory, Distribution]:
        """See `Policy.step`."""
        del first
        return memory, self.distribution(observation)


def along(policy: Policy, observation: Observation, first: Bool[Array, "time env"]) -> Distribution:
    """What a policy would do at every step of a batch, whoever acted; it remembers as it goes.

    Args:
        policy: whose initial memory is that before the first step.
        observation: groups `[time, env, n]`.
        first: where episodes begin.

    Returns:
        Distributions `[time, env]`.
    """

    def step(memory: Memory, xs: tuple[Observation, Array]) -> tuple[Memory, Distribution]:
        memory, distribution = policy.step(memory, *xs)
        return memory, distribution.batched()

    return jax.lax.scan(step, policy.initial(first.shape[1]), (observation, first))[1]


def ask(policy: Policy, observation: Observation) -> Distribution:
    """What a policy that remembers nothing would do at single states.

    Args:
        policy: who is asked.
        observation: groups `[*batch, n]`.

    Returns:
        Distributions `[*batch]`.

    Raises:
        ConfigurationError: the policy has a memory, and single states tell it nothing.
    """
    lead = next(iter(observation.values())).shape[:-1]
    flat = {name: group.reshape(-1, group.shape[-1]) for name, group in observation.items()}
    rows = math.prod(lead)
    memory = policy.initial(rows)
    if jax.tree.leaves(memory):
        raise ConfigurationError("A policy with a memory cannot be asked about single states; name another run.")
    _, distribution = policy.step(memory, flat, jnp.ones(rows, bool))
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), distribution.batched())
