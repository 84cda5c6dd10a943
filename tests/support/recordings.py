"""Recorded episodes drawn at random: every number is its own, so that whoever takes a wrong one is found out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from l2t.demonstrations.record import Episode, Facts
from l2t.rl.types import EnvironmentSpec

LOW, HIGH = (-2.0, -0.5), (2.0, 1.0)
SPEC = EnvironmentSpec("walk", {"teacher": 3, "student": 1}, LOW, HIGH, episode_length=20, timestep=0.05)

TERMINATED, TRUNCATED, BOTH = (True, False), (False, True), (True, True)


def random_episode(rng: np.random.Generator, length: int, end: tuple[bool, bool], seed: int) -> Episode:
    last = np.arange(length) == length - 1
    return Episode(
        observation=rng.normal(size=(length + 1, 3)).astype(np.float32),
        action=rng.uniform(LOW, HIGH, (length, 2)).astype(np.float32),
        reward=rng.normal(size=length).astype(np.float32),
        terminated=last & end[0],
        truncated=last & end[1],
        seed=seed,
    )


def recording(
    ends: Sequence[tuple[int, tuple[bool, bool]]] = ((3, TERMINATED), (4, TRUNCATED), (2, BOTH), (5, TRUNCATED)),
    **changes: Any,
) -> tuple[list[Episode], Facts]:
    """Episodes of these lengths and ends, and facts that go with them."""
    rng = np.random.default_rng(0)
    seeds = tuple(range(7, 7 + len(ends)))
    episodes = [random_episode(rng, length, end, seed) for (length, end), seed in zip(ends, seeds, strict=True)]
    facts = {
        "task": "walk",
        "actions": "mean",
        "policies": ("a teacher", "b teacher"),
        "policy": tuple(number % 2 for number in range(len(ends))),
        "seeds": seeds,
        "engine": "native",
        "timestep": 0.05,
        "action_low": LOW,
        "action_high": HIGH,
        "parameters": {"mass": 1.5, "range": [0.0, 1.0]},
        "created": "2026-01-31T12:00:00+00:00",
        "written_by": "0.1.0",
    }
    return episodes, Facts(**(facts | changes))
