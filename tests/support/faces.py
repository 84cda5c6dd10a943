"""Gymnasium faces of the slimmest task, and of how many instances."""

from __future__ import annotations

from typing import Any

import gymnasium

import envs.gymnasium  # noqa: F401  (registers the ids)

SLIM = "l2t/InvertedPendulum-v5"


def make_vector(num_envs: int = 4, **options: Any) -> gymnasium.vector.VectorEnv:
    """Instances in one program, on the CPU."""
    return gymnasium.make_vec(SLIM, num_envs=num_envs, physics="native", **options)
