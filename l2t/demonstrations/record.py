"""Recorded episodes as learners take them: single steps without the true reward, which is kept apart for scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from l2t.config import check_count
from l2t.errors import ConfigurationError, DemonstrationError
from l2t.rl.types import EnvironmentSpec, Transitions

GROUP = "teacher"
"""The observation group that is recorded: exact. What a student sees of it is made by the student's own view."""


class Episode(NamedTuple):
    """One whole episode of T steps as the environment had it; NumPy, and what the disk holds.

    Attributes:
        observation: the exact group, before each step and after the last one.
        action: in the task's units.
        reward: the true one.
        terminated, truncated: of each step.
        seed: where the episode starts; `reset(seed=...)` of the task's Gymnasium face starts there too.
    """

    observation: Float[np.ndarray, "time+1 n"]
    action: Float[np.ndarray, "time action"]
    reward: Float[np.ndarray, " time"]
    terminated: Bool[np.ndarray, " time"]
    truncated: Bool[np.ndarray, " time"]
    seed: int


@dataclass(frozen=True)
class Facts:
    """Where demonstrations come from.

    Attributes:
        task: the task's name.
        actions: `mean` or `sampled`, how the policies were played.
        policies: who was recorded, as run directory, role and seed index; several were mixed.
        policy: of each episode, its number in `policies`.
        seeds: of each episode; see `Episode`.
        engine: the physics they were recorded on.
        timestep: seconds of simulated time per step.
        action_low, action_high: the task's range, which policy units span.
        parameters: the environment's configuration.
        created: date and time in UTC, ISO 8601.
        written_by: version of l2t.
    """

    task: str
    actions: str
    policies: tuple[str, ...]
    policy: tuple[int, ...]
    seeds: tuple[int, ...]
    engine: str
    timestep: float
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    written_by: str = ""

    def of_episodes(self, chosen: Sequence[int]) -> Facts:
        """The facts of some of the episodes."""
        policy, seeds = ([values[e] for e in chosen] for values in (self.policy, self.seeds))
        return replace(self, policy=tuple(policy), seeds=tuple(seeds))


@dataclass(frozen=True)
class Demonstrations:
    """Whole episodes, one after the other. Not a pytree: learners are handed `transitions`, never the returns.

    Attributes:
        transitions: the n steps. Actions are in policy units, [-1, 1] over the task's range. `following` is the true
            successor; after a termination the first state of the next episode here, the first episode being next to the
            last: episodes begin by independent draws. **`reward` is zero**: the true one is for scoring.
        episode: of each step, from 0.
        returns: true undiscounted returns, for scoring alone; NaN where the rewards are unknown.
        facts: where they come from.
    """

    transitions: Transitions
    episode: Int[Array, " n"]
    returns: Float[np.ndarray, " episode"]
    facts: Facts

    @property
    def lengths(self) -> Int[np.ndarray, " episode"]:
        """Steps of each episode."""
        return np.bincount(np.asarray(self.episode), minlength=len(self.returns))

    def select(self, chosen: Sequence[int]) -> Demonstrations:
        """These episodes in this order, numbered anew; what follows a termination is among them.

        Raises:
            ConfigurationError: none is chosen, or one that does not exist.
        """
        count, chosen = len(self.returns), [int(e) for e in chosen]
        if not chosen or min(chosen) < 0 or max(chosen) >= count:
            raise ConfigurationError(f"Episodes {chosen} cannot be chosen; there are {count}, from 0.")
        lengths = self.lengths
        begins = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.concatenate([np.arange(begins[e], begins[e + 1]) for e in chosen])
        old = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], self.transitions)
        return Demonstrations(
            transitions=_transitions(
                old.observation[GROUP], old.following[GROUP], old.action, old.terminated, old.truncated, lengths[chosen]
            ),
            episode=_numbers(lengths[chosen]),
            returns=self.returns[chosen],
            facts=self.facts.of_episodes(chosen),
        )

    def subset(self, episodes: int, seed: int = 0) -> Demonstrations:
        """So many whole episodes, drawn without replacement; with the same seed a smaller subset is part of a larger.

        Raises:
            ConfigurationError: there are not so many.
        """
        count = len(self.returns)
        check_count("episodes", episodes)
        if episodes > count:
            raise ConfigurationError(f"episodes={episodes} are more than the {count} recorded; collect more.")
        return self.select(_order(count, seed)[:episodes])

    def split(self, held_out: int, seed: int = 0) -> tuple[Demonstrations, Demonstrations]:
        """Training part and held-out part of `held_out` whole episodes, drawn with `seed`.

        Steps of one episode are alike, so that a held-out step of a training episode would tell nothing new.

        Raises:
            ConfigurationError: nothing would be left to train on.
        """
        count = len(self.returns)
        check_count("held_out", held_out)
        if held_out >= count:
            raise ConfigurationError(
                f"held_out={held_out} of {count} episode(s) leaves none to train on; collect more."
            )
        order = _order(count, seed)
        return self.select(order[held_out:]), self.select(order[:held_out])

    def trajectories(self) -> Transitions:
        """The steps with axes `[episode, time]`, for objectives over whole trajectories.

        Raises:
            DemonstrationError: the episodes differ in length.
        """
        lengths = self.lengths
        if lengths.min() != lengths.max():
            raise DemonstrationError(
                f"The episodes of {self.facts.task} are {lengths.min():,} to {lengths.max():,} steps long, and whole "
                "trajectories must be equally long: collect from a policy that reaches the time limit, or select some."
            )
        shape = (len(lengths), int(lengths[0]))
        return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), self.transitions)


def from_episodes(episodes: Sequence[Episode], facts: Facts) -> Demonstrations:
    """Put whole episodes in a row, actions in policy units and without their rewards."""
    low, high = (np.asarray(bound, np.float32) for bound in (facts.action_low, facts.action_high))
    action = np.concatenate([episode.action for episode in episodes])
    lengths = np.array([len(episode.action) for episode in episodes])
    return Demonstrations(
        transitions=_transitions(
            np.concatenate([episode.observation[:-1] for episode in episodes]),
            np.concatenate([episode.observation[1:] for episode in episodes]),
            np.clip(2.0 * (action - low) / (high - low) - 1.0, -1.0, 1.0).astype(np.float32),
            np.concatenate([episode.terminated for episode in episodes]),
            np.concatenate([episode.truncated for episode in episodes]),
            lengths,
        ),
        episode=_numbers(lengths),
        returns=np.array([episode.reward.sum(dtype=np.float64) for episode in episodes]),
        facts=facts,
    )


def blank(lengths: Sequence[int], spec: EnvironmentSpec) -> Demonstrations:
    """Episodes of these lengths in which nothing happens: where only the shape is wanted."""
    middle = 0.5 * (np.asarray(spec.action_low, np.float32) + np.asarray(spec.action_high, np.float32))
    episodes = [
        Episode(
            observation=np.zeros((length + 1, spec.size_of(GROUP)), np.float32),
            action=np.tile(middle, (length, 1)),
            reward=np.zeros(length),
            terminated=np.zeros(length, bool),
            truncated=np.zeros(length, bool),
            seed=0,
        )
        for length in lengths
    ]
    facts = Facts(
        task=spec.name,
        actions="mean",
        policies=(),
        policy=(0,) * len(episodes),
        seeds=(0,) * len(episodes),
        engine="",
        timestep=spec.timestep,
        action_low=spec.action_low,
        action_high=spec.action_high,
    )
    return from_episodes(episodes, facts)


def _transitions(
    observation: np.ndarray,
    successor: np.ndarray,
    action: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    lengths: np.ndarray,
) -> Transitions:
    """Only the last step of an episode can be a termination, so that nothing else has its successor replaced."""
    last = np.cumsum(lengths) - 1
    next_start = np.roll(observation[last - lengths + 1], -1, axis=0)
    following = successor.copy()
    following[last] = np.where(terminated[last, None], next_start, successor[last])
    return Transitions(
        observation={GROUP: jnp.asarray(observation)},
        action=jnp.asarray(action),
        reward=jnp.zeros(len(action)),
        following={GROUP: jnp.asarray(following)},
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
    )


def _numbers(lengths: np.ndarray) -> Int[Array, " n"]:
    return jnp.asarray(np.repeat(np.arange(len(lengths)), lengths), jnp.int32)


def _order(count: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).permutation(count).tolist()
