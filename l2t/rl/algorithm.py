"""What an algorithm is: pure functions over the state of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flax import struct
from jaxtyping import Array, Int, Key, PyTree

from l2t.rl.policy import Policy
from l2t.rl.reward import Reward, TaskReward
from l2t.rl.types import Environment, Metrics

if TYPE_CHECKING:
    from l2t.config import NetworkConfig


@struct.dataclass
class RunState:
    """Everything that decides the future of a run.

    Attributes:
        learnt: what policies and learned rewards are made of, and what learners carry from batch to batch.
        transient: the simulations under way and stored experience; no policy needs it.
        iteration: how many have been made.
        key: of all that is random.
    """

    learnt: PyTree
    transient: PyTree
    iteration: Int[Array, ""]
    key: Key[Array, ""]


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

    @property
    def prior_steps(self) -> Mapping[str, int]:
        """Environment steps that were spent before the run, by name, for a fair budget."""
        ...

    @property
    def warnings(self) -> Mapping[str, str]:
        """What to tell the user, once, when a metric of this name is above 0."""
        ...

    def init(self, key: Key[Array, ""]) -> RunState:
        """The state before the first iteration."""
        ...

    def iterate(self, state: RunState) -> tuple[RunState, Metrics]:
        """Collect and learn once. Pure; jitted by the caller, who donates `state` and may vmap over seeds.

        The metrics `env_steps/<role>` are the steps of this iteration; who logs them adds them up.
        """
        ...

    def policy(self, learnt: PyTree, role: str) -> Policy:
        """The policy of a role, from the learnt part of a state."""
        ...


def default_role(roles: Iterable[str]) -> str:
    """Whose policy is meant where no role is named: the student's where there is one, for it leaves the simulation.

    Args:
        roles: those of an algorithm, at least one.
    """
    roles = tuple(roles)
    return "student" if "student" in roles else roles[0]


@dataclass(frozen=True)
class FrozenPolicy:
    """A policy loaded from a run, to be part of another one.

    Attributes:
        policy: from parameters to the policy.
        parameters: a function that gives what the run has learnt.
        environment: name of the task it was trained on.
        env_steps: environment steps that its training took.
    """

    policy: Callable[[Any], Policy]
    parameters: Callable[[], PyTree]
    environment: str
    env_steps: int


@dataclass(frozen=True)
class BuildContext:
    """What an algorithm's configuration needs to become one.

    Attributes:
        environment: the task.
        num_envs: parallel instances.
        total_steps: environment steps of the whole run, for schedules.
        network: sizes and activation of the networks that have no configuration of their own.
        load_policy: reads the policy of a role from a run directory.
        num_seeds: independent runs that are batched into one program.
        load_demonstrations: reads a directory of recorded episodes, an `l2t.demonstrations.record.Demonstrations`.
        reward: what learners are paid.
        trains: whether a run begins or goes on; of one that is read back no experience is stored, and needs no room.
    """

    environment: Environment
    num_envs: int
    total_steps: int
    network: NetworkConfig
    load_policy: Callable[[str, str], FrozenPolicy] = field(default=lambda run, role: _no_policies(run, role))
    num_seeds: int = 1
    load_demonstrations: Callable[[str], Any] = field(default=lambda path: _no_demonstrations(path))
    reward: Reward = field(default_factory=TaskReward)
    trains: bool = True

    def iterations(self, num_steps: int) -> int:
        """Iterations of the run with roll-outs of `num_steps`."""
        return math.ceil(self.total_steps / (self.num_envs * num_steps))


def _no_demonstrations(path: str) -> Any:
    raise LookupError(f"Nothing here can load the demonstrations {path}: give the BuildContext a load_demonstrations.")


def _no_policies(run: str, role: str) -> FrozenPolicy:
    raise LookupError(f"Nothing here can load the {role} of {run}: give the BuildContext a load_policy.")
