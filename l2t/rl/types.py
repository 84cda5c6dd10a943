"""The records that environments, roll-outs and algorithms exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from l2t.errors import ConfigurationError

Observation = dict[str, Array]
"""Observation groups by name, e.g. `{"teacher": s, "student": o}`; each model declares the group it sees."""

Metrics = dict[str, Any]
"""Flat and namespaced: `train/episode_return`, `loss/actor`, `env_steps/teacher` to scalars; any may be `Measured`."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """Static facts about an environment.

    Attributes:
        name: the task's name, as in the run directory.
        observation_sizes: length of each observation group.
        action_low, action_high: bounds of the task's own action space.
        episode_length: time limit in steps.
        reset_cost: what the average-reward formulation charges for a termination (a reset transition), in reward units.
        timestep: seconds of simulated time per environment step.
        observation_names: what each coordinate of a group is, with its unit; groups without names are left out.
        action_names: what each coordinate of the action is; empty where it is not known.
    """

    name: str
    observation_sizes: Mapping[str, int]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    episode_length: int
    reset_cost: float = 0.0
    timestep: float = 1.0
    observation_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    action_names: tuple[str, ...] = ()

    @property
    def action_size(self) -> int:
        """Number of action coordinates."""
        return len(self.action_low)

    def size_of(self, group: str) -> int:
        """Length of an observation group.

        Raises:
            ConfigurationError: the task does not show it.
        """
        if group not in self.observation_sizes:
            raise ConfigurationError(
                f"{self.name} shows no observation group {group!r}, which is needed here; it shows "
                f"{', '.join(map(repr, self.observation_sizes)) or 'none'}. What is exact must be called 'teacher', "
                "and what a student sees 'student'."
            )
        return self.observation_sizes[group]

    def check_shown(self, observation: Observation) -> None:
        """Raise unless observations `[env, n]` of the task are of the groups and sizes that stand here.

        Raises:
            ConfigurationError: a group is missing or unknown, or of another size.
        """
        found = {name: group.shape[1:] for name, group in observation.items()}
        declared = {name: (size,) for name, size in self.observation_sizes.items()}
        if found != declared:
            shows, says = (", ".join(f"{name} {list(one[name])}" for name in sorted(one)) for one in (found, declared))
            raise ConfigurationError(f"{self.name} shows {shows}, and its spec says {says}: let both say the same.")


@struct.dataclass
class EnvironmentState:
    """One environment instance after a reset or a step. Everything that decides its future is in here.

    `unstable` says that the physics failed in this step: it is terminated and pays nothing, and what is observed is
    finite.
    """

    observation: Observation
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    metrics: dict[str, Float[Array, ""]]
    step: Int[Array, ""]
    key: Key[Array, ""]
    physics: PyTree = None
    extras: PyTree = None
    unstable: Bool[Array, ""] = struct.field(default_factory=lambda: jnp.asarray(False))


class Environment(Protocol):
    """A task, written for one instance and vmapped by its caller."""

    @property
    def spec(self) -> EnvironmentSpec:
        """Sizes, bounds and limits."""
        ...

    def reset(self, key: Key[Array, ""], needed: Any = True) -> EnvironmentState:
        """Draw a start state. Where `needed` is False the caller discards the result, so that work may be skipped."""
        ...

    def step(self, state: EnvironmentState, action: Float[Array, " action"]) -> EnvironmentState:
        """Advance one step. `action` is in the task's own units; a time limit only sets `truncated`."""
        ...


@runtime_checkable
class Restarts(Protocol):
    """An environment in which an episode may depend on how the one before it ended, as in a curriculum."""

    def restart(self, key: Key[Array, ""], ended: EnvironmentState, needed: Any = True) -> EnvironmentState:
        """Draw the start of the episode that comes after `ended`; `needed` as in `Environment.reset`."""
        ...


@runtime_checkable
class TurnsActions(Protocol):
    """An environment that changes sides at times, as one seen in a mirror: what was done before, it then calls another.

    Actions are those of the state that they are taken in. Whatever is kept of one until later has to be turned.
    """

    def turn_action(
        self, before: EnvironmentState, after: EnvironmentState, action: Float[Array, " action"]
    ) -> Float[Array, " action"]:
        """An action of the state `before`, in policy units, as it is called in the state `after`."""
        ...


@runtime_checkable
class Disturbs(Protocol):
    """An environment that can disturb its robots in training and leave them alone where they are judged."""

    def undisturbed(self) -> Environment:
        """The environment to judge in: this one without what is meant for training only."""
        ...


def judged(environment: Environment) -> Environment:
    """Where policies are evaluated, shown and recorded that were trained in `environment`."""
    return environment.undisturbed() if isinstance(environment, Disturbs) else environment


@runtime_checkable
class ShowsStudents(Protocol):
    """An environment that can say what its students would have seen of recorded episodes."""

    def as_student(
        self,
        key: Key[Array, ""],
        exact: Float[Array, "time n"],
        action: Float[Array, "time action"],
        first: Bool[Array, " time"],
    ) -> Float[Array, "time student"]:
        """The `student` group along episodes, one behind the other.

        Args:
            key: of the noise.
            exact: the `teacher` group before each step.
            action: in policy units.
            first: where an episode begins.
        """
        ...


def cut_off(terminated: Bool[Array, " *batch"], truncated: Bool[Array, " *batch"]) -> Bool[Array, " *batch"]:
    """Where a time limit alone ended an episode: a step that is both is a termination, here as everywhere."""
    return truncated & ~terminated


@struct.dataclass
class Transitions:
    """Single steps, of any age and in any order; every leaf has the same leading axes.

    Attributes:
        observation: what the behaviour policy saw.
        action: what was done, in policy units.
        reward: of the step.
        following: the state that comes after, as `Trajectory.following` has it.
        terminated, truncated: how the step ended.
    """

    observation: Observation
    action: Float[Array, "*batch action"]
    reward: Float[Array, " *batch"]
    following: Observation
    terminated: Bool[Array, " *batch"]
    truncated: Bool[Array, " *batch"]


@struct.dataclass
class Trajectory:
    """T steps of N environments; every leaf has leading axes `[time, env]`.

    Attributes:
        observation: what the behaviour policy saw.
        first: where `observation` is the first of an episode.
        successor: the true next observation, taken before any automatic reset.
        action, log_prob: the behaviour's action (policy units) and its log-density.
        reward, terminated, truncated: outcome of the step; the two flags are never merged.
        final_observation: observation after the last step (after any reset), leading axis `[env]`.
        executed: what was done in place of `action`; None where nothing disturbs actions.
        replayed: steps drawn from all that is remembered, `[update, row, ...]`; None where nothing is.
    """

    observation: Observation
    first: Bool[Array, "time env"]
    successor: Observation
    action: Float[Array, "time env action"]
    log_prob: Float[Array, "time env"]
    reward: Float[Array, "time env"]
    terminated: Bool[Array, "time env"]
    truncated: Bool[Array, "time env"]
    final_observation: Observation
    executed: Float[Array, "time env action"] | None = None
    replayed: Transitions | None = None

    def following(self) -> Observation:
        """The state that comes after each transition in the average-reward setting, `[time, env, ...]`.

        A termination is a transition to the next episode's first state. A time limit is no transition at all: there the
        process would have gone on to the true successor. A step that is both is a termination.
        """

        def select(seen: Array, last: Array, successor: Array) -> Array:
            shown = jnp.concatenate([seen[1:], last[None]])
            return jnp.where(self.terminated[..., None], shown, successor)

        return jax.tree.map(select, self.observation, self.final_observation, self.successor)

    def cut(self) -> Bool[Array, "time env"]:
        """Where what comes next belongs to another stretch of the process: at a time limit that is no termination."""
        return cut_off(self.terminated, self.truncated)

    def transitions(self) -> Transitions:
        """Its steps one by one, `[time, env, ...]`: what was done, and what came of it."""
        action = self.action if self.executed is None else self.executed
        return Transitions(self.observation, action, self.reward, self.following(), self.terminated, self.truncated)

    def of_environments(self, part: slice) -> Trajectory:
        """The same steps of some of the environments."""
        steps = {name: getattr(self, name) for name in _PER_STEP}
        return Trajectory(
            **jax.tree.map(lambda x: x[:, part], steps),
            final_observation=jax.tree.map(lambda x: x[part], self.final_observation),
            replayed=self.replayed,
        )


_PER_STEP = ("observation", "first", "successor", "action", "log_prob", "reward", "terminated", "truncated", "executed")
"""Fields of a trajectory with axes `[time, env]`, the last of them where there is such."""


def blank(spec: EnvironmentSpec, num_steps: int, num_envs: int) -> Trajectory:
    """A trajectory of a task's shapes and types, with nothing in it."""
    lead = (num_steps, num_envs)
    false, zeros = jnp.zeros(lead, bool), jnp.zeros(lead)

    def seen(*lead: int) -> Observation:
        return {group: jnp.zeros((*lead, size)) for group, size in spec.observation_sizes.items()}

    action = jnp.zeros((*lead, spec.action_size))
    return Trajectory(seen(*lead), false, seen(*lead), action, zeros, zeros, false, false, seen(num_envs))
