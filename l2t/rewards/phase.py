"""Gaits: which part of its cycle a step is in, and what the reward pays along the cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import detrend, hilbert

from l2t.config import check_count
from l2t.errors import L2TError
from l2t.rewards.samples import as_column


@dataclass(frozen=True)
class Portrait:
    """A coordinate against its velocity along a gait, and the reward there.

    Attributes:
        title: whose gait.
        position, velocity, reward: by step.
        cycle_position, cycle_velocity: means in equal parts of the cycle; NaN in a part without a step.
        cycle_reward, cycle_low, cycle_high: mean reward of a part, and the quartiles of the steps in it.
    """

    title: str
    position: Float[ndarray, " step"]
    velocity: Float[ndarray, " step"]
    reward: Float[ndarray, " step"]
    cycle_position: Float[ndarray, " part"]
    cycle_velocity: Float[ndarray, " part"]
    cycle_reward: Float[ndarray, " part"]
    cycle_low: Float[ndarray, " part"]
    cycle_high: Float[ndarray, " part"]


def gait_phase(signal: Any) -> Float[ndarray, " step"]:
    """Phase in [0, 1) of a signal that repeats: the angle of x + i H x, H the Hilbert transform; 0 at a maximum.

    For a signal of one dominant frequency. About a period at either end is distorted: cut it off.

    Raises:
        L2TError: the signal is constant or shorter than 8 steps.
    """
    x = as_column("The signal", signal, len(np.atleast_1d(signal)))
    if len(x) < 8 or np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        raise L2TError("A gait needs a signal of at least 8 steps that varies; choose another coordinate.")
    angle = np.angle(np.asarray(hilbert(detrend(x))))
    return (angle / (2.0 * np.pi)) % 1.0


def phase_portrait(
    title: str, position: Any, velocity: Any, reward: Any, *, phase: Any = None, parts: int = 40
) -> Portrait:
    """The portrait of one continuous stretch of steps.

    Args:
        title: whose gait.
        position, velocity, reward: by step.
        phase: in [0, 1), by step; by default that of `position`.
        parts: of the cycle.

    Raises:
        L2TError: lengths differ, or there is no gait.
    """
    check_count("parts", parts)
    x = as_column("The position", position, len(np.atleast_1d(position)))
    v, r = as_column("The velocity", velocity, len(x)), as_column("The reward", reward, len(x))
    angle = gait_phase(x) if phase is None else as_column("The phase", phase, len(x)) % 1.0
    part = np.minimum((angle * parts).astype(int), parts - 1)
    steps = [np.flatnonzero(part == p) for p in range(parts)]

    def over(values: ndarray, statistic: Any) -> ndarray:
        return np.array([statistic(values[at]) if len(at) else np.nan for at in steps])

    return Portrait(
        title, x, v, r,
        cycle_position=over(x, np.mean),
        cycle_velocity=over(v, np.mean),
        cycle_reward=over(r, np.mean),
        cycle_low=over(r, lambda values: np.quantile(values, 0.25)),
        cycle_high=over(r, lambda values: np.quantile(values, 0.75)),
    )  # fmt: skip
