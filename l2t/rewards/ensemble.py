"""Do the rewards of several seeds pay for the same things? Attributions side by side, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import rankdata, t

from l2t.errors import L2TError
from l2t.report.statistics import Interval
from l2t.rewards.attribution import Attribution, attribute
from l2t.rewards.samples import CONFIDENCE, RESAMPLES, Estimates, Reward, as_table, values_of


@dataclass(frozen=True)
class Ensemble:
    """Attributions of K rewards, each divided by the standard deviation of its reward over the common samples.

    Attributes:
        names: of the columns.
        magnitude: mean |A_i| by seed, `[seed, column]`, in standard deviations of the reward.
        slope: signed effect by seed, `[seed, column]`, in the same unit; see `Attribution.slope`.
        mean_magnitude, mean_slope: over seeds, with Student's 95 % intervals.
        stable: columns whose slope has one sign in all seeds, and an interval without zero.
        ranking_agreement: rank correlation over columns of two seeds' magnitudes, averaged over all pairs.
        reward_agreement: rank correlation over samples of two seeds' rewards, averaged over all pairs.
    """

    names: tuple[str, ...]
    magnitude: Float[ndarray, "seed column"]
    slope: Float[ndarray, "seed column"]
    mean_magnitude: Estimates
    mean_slope: Estimates
    stable: Bool[ndarray, " column"]
    ranking_agreement: Interval
    reward_agreement: Interval


def attribute_ensemble(
    rewards: Sequence[Reward], samples: Any, expert: Any, names: tuple[str, ...], **options: Any
) -> Ensemble:
    """Attribute every reward at the same samples, against the same baselines, and compare; see `attribute`."""
    x = as_table("The sample", samples, names)
    found = [attribute(reward, x, expert, names, **options) for reward in rewards]
    return compare_seeds(found, np.stack([values_of(reward, x) for reward in rewards]) if rewards else np.zeros((0, 1)))


def compare_seeds(
    attributions: Sequence[Attribution], values: Float[ndarray, "seed sample"], seed: int = 0
) -> Ensemble:
    """Compare attributions of several rewards at the same samples.

    A reward is identified up to a positive factor and a constant. Attributions do not see the constant; the factor goes
    with the division by std r. What remains may still differ by shaping, which the samples cannot tell.

    Args:
        attributions: one per seed.
        values: r at the common samples.
        seed: of the resampling of seeds, which the intervals of the agreements come from.

    Raises:
        L2TError: fewer than two seeds, other columns, or a reward that is the same everywhere.
    """
    values = np.asarray(values, np.float64)
    if len(attributions) < 2 or len(values) != len(attributions):
        raise L2TError(
            f"{len(attributions)} attributions and {len(values)} rows of rewards: give both for two seeds or more."
        )
    names = attributions[0].names
    if any(one.names != names for one in attributions):
        raise L2TError("The attributions are of different columns; give the same names for every seed.")
    scale = values.std(1)
    if scale.min() <= 0.0:
        raise L2TError(f"The reward of seed number {int(scale.argmin())} is the same on all samples; leave it out.")
    magnitude = np.stack([one.magnitude.estimate for one in attributions]) / scale[:, None]
    slope = np.stack([one.slope.estimate for one in attributions]) / scale[:, None]
    mean_slope = _over_seeds(names, slope)
    one_sign = (np.sign(slope) == np.sign(slope[0])).all(0) & (slope[0] != 0.0)
    return Ensemble(
        names,
        magnitude,
        slope,
        _over_seeds(names, magnitude),
        mean_slope,
        one_sign & ((mean_slope.low > 0.0) | (mean_slope.high < 0.0)),
        pairwise_agreement(magnitude, seed),
        pairwise_agreement(values, seed),
    )


def pairwise_agreement(rows: Float[ndarray, "seed n"], seed: int = 0) -> Interval:
    """Spearman's correlation averaged over all pairs of rows; the interval resamples rows, and has ends from 3 rows on.

    A resample's mean is over its pairs of different rows: a row agrees with itself, which says nothing.
    """
    ranks = rankdata(rows, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    norm = np.linalg.norm(ranks, axis=1)
    scaled = np.divide(ranks, norm[:, None], out=np.zeros_like(ranks), where=norm[:, None] > 0.0)
    table = scaled @ scaled.T
    size = len(rows)
    mean = float(np.mean([table[i, j] for i, j in combinations(range(size), 2)]))
    if size < 3:
        return Interval(mean, float("nan"), float("nan"))
    draws = np.random.default_rng(seed).multinomial(size, np.full(size, 1.0 / size), size=RESAMPLES).astype(float)
    different = table - np.diag(np.diag(table))
    weight = draws.sum(1) ** 2 - (draws**2).sum(1)
    usable = weight > 0.0
    means = np.einsum("ri,ij,rj->r", draws, different, draws)[usable] / weight[usable]
    low, high = np.quantile(means, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return Interval(mean, float(low), float(high))


def _over_seeds(names: tuple[str, ...], values: Float[ndarray, "seed column"]) -> Estimates:
    """Student's interval: with a handful of seeds a bootstrap is too narrow."""
    count = len(values)
    half = t.ppf(0.5 + CONFIDENCE / 2.0, count - 1) * values.std(0, ddof=1) / np.sqrt(count)
    mean = values.mean(0)
    return Estimates(names, mean, mean - half, mean + half)
