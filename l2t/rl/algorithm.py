"""What an algorithm is: pure functions over a training-state pytree, and the configuration that builds one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Key, PyTree

    from l2t.config import NetworkConfig
    from l2t.rl.types import Environment, Observation

Metrics = dict[str, Any]
"""Flat and namespaced: `train/episode_return`, `loss/actor`, `env_steps/teacher`, ... to scalar arrays."""

Policy = Callable[["Observation", "Key[Array, '']"], "Float[Array, 'env action']"]
"""Batched observation groups and a key to actions in policy units, where [-1, 1] spans the task's range."""


class Algorithm(Protocol):
    """A learner and its environments."""

    @property
    def environment(self) -> Environment:
        """The task it trains in; evaluation uses the same one."""
        ...

    @property
    def roles(self) -> tuple[str, ...]:
        """Who can be evaluated, such as `("teacher", "student")`."""
        ...

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps that one `iterate` takes."""
        ...

    def init(self, key: Key[Array, ""]) -> PyTree:
        """The state before the first iteration. Everything that decides the future is in it."""
        ...

    def iterate(self, state: PyTree) -> tuple[PyTree, Metrics]:
        """Collect and learn once. Pure; jitted by the caller, who donates `state` and may vmap over seeds."""
        ...

    def policy(self, state: PyTree, role: str) -> Policy:
        """The deterministic policy of a role (mean actions), for evaluation, video and export."""
        ...


@dataclass(frozen=True)
class FrozenPolicy:
    """A policy loaded from a finished run.

    Attributes:
        apply: `(parameters, observation, key)` to actions in policy units.
        parameters: the run's state.
        environment: name of the task it was trained on.
        env_steps: environment steps that its training took.
    """

    apply: Callable[[Any, Any, Any], Any]
    parameters: Any
    environment: str
    env_steps: int


@dataclass(frozen=True)
class BuildContext:
    """What an algorithm's configuration needs to build it.

    Attributes:
        environment: the task.
        num_envs: parallel instances.
        total_steps: environment steps of the whole run, for schedules.
        network: sizes and activation of the networks that have no configuration of their own.
        load_policy: reads the policy of a role from a run directory.
    """

    environment: Environment
    num_envs: int
    total_steps: int
    network: NetworkConfig
    load_policy: Callable[[str, str], FrozenPolicy]

    def iterations(self, num_steps: int) -> int:
        """Iterations of the run with roll-outs of `num_steps`."""
        return math.ceil(self.total_steps / (self.num_envs * num_steps))


class AlgorithmConfig(Protocol):
    """A validated frozen dataclass; a YAML names it as `_target_`."""

    @property
    def name(self) -> str:
        """The algorithm's name in run directories and tables."""
        ...

    def build(self, context: BuildContext) -> Algorithm:
        """Construct the algorithm. Imports JAX; constructing the configuration does not."""
        ...
