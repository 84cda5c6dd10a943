"""Demonstrations made by hand, for probe environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from l2t.demonstrations.record import Demonstrations, Episode, Facts, from_episodes


def demonstrate(
    probe: Any, act: Callable[[np.ndarray], Any], episodes: int, seed: int = 0, reward: float = 0.0
) -> Demonstrations:
    """Whole episodes of a probe whose next observation is drawn anew at every step, uniformly on [-1, 1].

    Args:
        probe: such as `signal_following()`.
        act: from observations `[time, n]` to actions in the task's units.
        episodes, seed: how many, and of the draws.
        reward: the true reward that is recorded at every step.
    """
    rng, spec, found = np.random.default_rng(seed), probe.spec, []
    for _ in range(episodes):
        observation = rng.uniform(-1.0, 1.0, (spec.episode_length + 1, spec.observation_sizes["teacher"]))
        action = np.clip(np.asarray(act(observation[:-1])), spec.action_low[0], spec.action_high[0])[:, None]
        truncated = np.zeros(spec.episode_length, bool)
        truncated[-1] = True
        found.append(
            Episode(
                observation.astype(np.float32),
                action.astype(np.float32),
                np.full(spec.episode_length, reward),
                np.zeros(spec.episode_length, bool),
                truncated,
                seed,
            )
        )
    many = (0,) * episodes
    facts = Facts(spec.name, "mean", ("by hand",), many, many, "none", spec.timestep, spec.action_low, spec.action_high)
    return from_episodes(found, facts)
