"""What a policy did, with the rewards it was paid: to be looked at and analysed. Learners get `Demonstrations`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from l2t.demonstrations.record import Episode, Facts
from l2t.demonstrations.record import from_episodes as in_a_row
from l2t.rl.types import EnvironmentSpec, Transitions


@dataclass(frozen=True)
class RollOut:
    """Whole episodes, one after the other.

    Attributes:
        steps: the n steps, with the task's own reward. Actions are in policy units, [-1, 1]; after a termination comes
            the next episode's first state, as in `Demonstrations`.
        episode: of each step, from 0.
        returns: the task's own, undiscounted.
        spec: of the task; `observation_names["teacher"]` and `action_names` name the columns.
    """

    steps: Transitions
    episode: Int[np.ndarray, " n"]
    returns: Float[np.ndarray, " episode"]
    spec: EnvironmentSpec

    @property
    def lengths(self) -> Int[np.ndarray, " episode"]:
        """Steps of each episode."""
        return np.bincount(self.episode, minlength=len(self.returns))


def from_episodes(episodes: Sequence[Episode], spec: EnvironmentSpec) -> RollOut:
    """Put whole episodes in a row."""
    seeds = tuple(episode.seed for episode in episodes)
    facts = Facts(
        task=spec.name,
        actions="mean",
        policies=(),
        policy=(0,) * len(episodes),
        seeds=seeds,
        engine="",
        timestep=spec.timestep,
        action_low=spec.action_low,
        action_high=spec.action_high,
    )
    row = in_a_row(episodes, facts)
    paid = np.concatenate([episode.reward for episode in episodes])
    steps = replace(row.transitions, reward=jnp.asarray(paid, jnp.float32))
    return RollOut(steps, np.asarray(row.episode), row.returns, spec)
