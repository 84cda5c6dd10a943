"""Where samples have been: whether a point lies where the reward was trained, or where its value is a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from l2t.errors import L2TError
from l2t.rewards.samples import as_table

_LEAST_VARIANCE = 1e-6
"""Directions of less variance, beside the largest, are duplicates: a thousandth of a deviation is rounding there."""


@dataclass(frozen=True)
class Support:
    """A point belongs to the support if its nearest sample is no further than samples are from each other.

    Distances are Euclidean after whitening, z = (x - m) W, so that correlated columns count once. `radius` is a
    quantile of the distance from held-out samples to the nearest of `reference`: at 0.99 one in a hundred fresh samples
    is flagged by mistake. Neighbours rather than an ellipsoid, because a gait is a loop: the middle of a loop has
    Mahalanobis distance zero, and nobody has ever been there.

    In many dimensions all distances grow alike and the test grows lenient towards the middle of the samples: what it
    flags is outside, what it does not flag need not be inside.
    """

    centre: Float[ndarray, " n"]
    whitening: Float[ndarray, "n n"]
    reference: Float[ndarray, "m n"]
    radius: float

    def contains(self, x: Float[ndarray, "*batch n"]) -> Bool[ndarray, " *batch"]:
        """Whether each point belongs to the support."""
        x = np.asarray(x, np.float64)
        points = x.reshape(-1, x.shape[-1])
        return (self._distance(points) <= self.radius).reshape(x.shape[:-1])

    def _distance(self, points: Float[ndarray, "p n"]) -> Float[ndarray, " p"]:
        """To the nearest reference, in parts, since the table of all pairs may not fit the memory."""
        own = (self.reference**2).sum(1)
        nearest = np.empty(len(points))
        for start in range(0, len(points), 4096):
            z = (points[start : start + 4096] - self.centre) @ self.whitening
            square = own - 2.0 * (z @ self.reference.T)
            nearest[start : start + 4096] = square.min(1) + (z**2).sum(1)
        return np.sqrt(np.maximum(nearest, 0.0))


def fit_support(samples: Any, *, quantile: float = 0.99, reference: int = 2000, seed: int = 0) -> Support:
    """The support of `[sample, n]`: half of them, at most `reference`, to compare with, and as many to calibrate.

    Raises:
        L2TError: fewer than 20 samples, or all alike.
    """
    table = as_table("The sample of the support", samples, rows=20)
    order = np.random.default_rng(seed).permutation(len(table))
    kept = table[order[: min(reference, len(table) // 2)]]
    held_out = table[order[len(kept) : len(kept) + reference]]
    centre, scale = table.mean(0), table.std(0)
    varies = scale > 1e-12 * np.maximum(1.0, np.abs(centre))
    if not varies.any():
        raise L2TError("The samples of the support are all alike; give more of them.")
    scale = np.where(varies, scale, 1.0)  # a column that never varied may move by a thousandth of its unit
    variance, direction = np.linalg.eigh(np.cov(((table - centre) / scale).T, bias=True).reshape(len(centre), -1))
    whitening = direction / np.sqrt(np.maximum(variance, _LEAST_VARIANCE * variance.max())) / scale[:, None]
    unscaled = Support(centre, whitening, (kept - centre) @ whitening, np.inf)
    return Support(centre, whitening, unscaled.reference, float(np.quantile(unscaled._distance(held_out), quantile)))
