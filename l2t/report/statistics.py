"""Statistics over seeds and tasks: robust means, bootstrap intervals, curves with confidence bands, rates.

Few seeds are the rule in reinforcement learning, so every estimate travels with its interval. The interquartile mean
and the stratified bootstrap follow Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (arXiv 2108.13264).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float

Statistic = Callable[..., np.ndarray]
"""`statistic(scores, axis=-1)` reduces the last axis; it is called on many resamples at once."""

FEWEST = 5
"""Of fewer scores a bootstrap says no more than their range: that is told, and no interval."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval.

    The ends are NaN where one score leaves them unknown, and the least and greatest of fewer than `FEWEST`.
    """

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One seed's measurements, `values[i]` at environment step `steps[i]`, with steps increasing."""

    steps: Float[np.ndarray, " points"]
    values: Float[np.ndarray, " points"]


@dataclass(frozen=True)
class Curve:
    """Several seeds on one grid of steps: a central line and a pointwise confidence band (NaN with one seed)."""

    steps: Float[np.ndarray, " points"]
    centre: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    seeds: int


def interquartile_mean(scores: Float[np.ndarray, "..."], axis: int = -1) -> np.ndarray:
    """Mean of the middle half: floor(n/4) scores are dropped at either end. With three scores or fewer, the mean."""
    # Not SciPy's `trim_mean`: importing it would take a second of every run.
    scores = np.sort(np.moveaxis(np.asarray(scores), axis, -1), axis=-1)
    dropped = scores.shape[-1] // 4
    return scores[..., dropped : scores.shape[-1] - dropped].mean(axis=-1)


def bootstrap_interval(
    strata: Sequence[Any] | np.ndarray,
    statistic: Statistic = interquartile_mean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of `statistic` over the pooled scores, resampled with replacement within each stratum.

    Of fewer than `FEWEST` scores the ends are the least and the greatest.

    Args:
        strata: the scores of each task, one sequence per task; a flat sequence is a single task.
        statistic: what to estimate.
        confidence: coverage of the interval.
        resamples: bootstrap replicates.
        seed: the generator's; the same scores give the same interval.

    Raises:
        ValueError: when there is no score, or a score is not finite.
    """
    groups = _as_strata(strata)
    pooled = np.concatenate(groups)
    estimate = float(statistic(pooled, axis=-1))
    if all(len(group) < 2 for group in groups):
        return Interval(estimate, float("nan"), float("nan"))
    if len(pooled) < FEWEST:
        return Interval(estimate, float(pooled.min()), float(pooled.max()))
    generator = np.random.default_rng(seed)
    drawn = [group[generator.integers(len(group), size=(resamples, len(group)))] for group in groups]
    replicates = statistic(np.concatenate(drawn, axis=-1), axis=-1)
    low, high = np.quantile(replicates, _tails(confidence))
    return Interval(estimate, float(low), float(high))


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a probability of which `successes` of `trials` are known.

    With p = successes / trials, n = trials and z the normal quantile of (1 + confidence) / 2,

        (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n).

    Unlike p ± z √(p (1 - p)/n) it stays within [0, 1] and is an interval also where all or none succeed.

    Raises:
        ValueError: there is no trial, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes of {trials} trials have no share")
    share, z = successes / trials, NormalDist().inv_cdf(_tails(confidence)[1])
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1.0 - share) / trials + (z / (2 * trials)) ** 2)
    scale = 1.0 + z * z / trials
    return Interval(share, max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0))


def curve_with_band(
    series: Sequence[Series],
    statistic: Statistic = interquartile_mean,
    *,
    points: int = 200,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Curve:
    """Put seeds on a common grid and bootstrap the statistic at each of its points.

    Of fewer than `FEWEST` seeds the band is their range. Only the stretch that *all* seeds cover is used: none is
    extrapolated and none drops out half-way, either of which would bend the curve. On it, steps that all seeds share
    are kept; otherwise each seed is interpolated linearly on `points` equal steps.

    Raises:
        ValueError: when there is no series, one is empty, or they have no stretch in common.
    """
    if not series or any(len(one.steps) == 0 for one in series):
        raise ValueError("a curve needs at least one series, and none of them empty")
    grid = _common_grid(series, points)
    values = np.stack([np.interp(grid, one.steps, one.values) for one in series])
    centre = statistic(values.T, axis=-1)
    if len(series) == 1:
        unknown = np.full(len(grid), np.nan)
        return Curve(grid, centre, unknown, unknown, 1)
    if len(series) < FEWEST:
        return Curve(grid, centre, values.min(0), values.max(0), len(series))
    # Whole seeds are resampled, so that the same draw serves every point and the band does not flicker.
    picks = np.random.default_rng(seed).integers(len(series), size=(resamples, len(series)))
    replicates = np.stack([statistic(column[picks], axis=-1) for column in values.T], axis=-1)
    low, high = np.quantile(replicates, _tails(confidence), axis=0)
    return Curve(grid, centre, low, high, len(series))


def _as_strata(strata: Sequence[Any] | np.ndarray) -> list[np.ndarray]:
    scores = list(strata)
    nested = scores if scores and np.ndim(scores[0]) else [scores]
    groups = [group for group in (np.asarray(group, float).ravel() for group in nested) if len(group)]
    if not groups:
        raise ValueError("an interval needs at least one score")
    if not all(np.isfinite(group).all() for group in groups):
        raise ValueError("an interval needs finite scores")
    return groups


def _tails(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2


def _common_grid(series: Sequence[Series], points: int) -> np.ndarray:
    start = max(float(one.steps[0]) for one in series)
    end = min(float(one.steps[-1]) for one in series)
    if start > end:
        raise ValueError("these series have no steps in common")
    covered = [one.steps[(one.steps >= start) & (one.steps <= end)] for one in series]
    if all(np.array_equal(steps, covered[0]) for steps in covered):
        return np.asarray(covered[0], float)
    return np.linspace(start, end, points)
