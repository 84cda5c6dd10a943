"""An additive surrogate r(x) ~ c + Σ_i f_i(x_i): a curve per column, and how much of the reward the curves explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import BSpline
from scipy.linalg import block_diag, cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import lsq_linear

from l2t.config import check_choice, check_count
from l2t.errors import L2TError
from l2t.report.statistics import Interval
from l2t.rewards.samples import as_column, as_table, episode_of, estimates, resampled_sums

GRID = 101
"""Points of a curve."""

_PENALTIES = 10.0 ** np.arange(-8.0, 3.0)
"""Smoothing to choose from, in units of a sample's weight."""

_RIDGE = 1e-9
"""Decides what the data leave open: between duplicates the effect is shared equally."""


@dataclass(frozen=True)
class Spline:
    """A cubic spline f(x) = Σ_l γ_l I_l(x) + offset, constant outside its knots.

    I_l = Σ_{j >= l} B_j rises from 0 to 1, so γ >= 0 makes f increase.

    Attributes:
        knots: of the B-splines; empty where the column never varied, and then f = 0.
        rises: γ.
        offset: makes f average zero over the fitted samples.
    """

    knots: Float[ndarray, " knot"]
    rises: Float[ndarray, " basis"]
    offset: float

    def __call__(self, x: Float[ndarray, " sample"]) -> Float[ndarray, " sample"]:
        """f(x)."""
        return _basis(x, self.knots) @ self.rises + self.offset


@dataclass(frozen=True)
class Component:
    """The curve of one column, from the 0.5 % to the 99.5 % quantile of its samples, with a pointwise 95 % interval."""

    name: str
    grid: Float[ndarray, " point"]
    value: Float[ndarray, " point"]
    low: Float[ndarray, " point"]
    high: Float[ndarray, " point"]


@dataclass(frozen=True)
class Surrogate:
    """r(x) ~ c + Σ_i f_i(x_i).

    Attributes:
        names: of the columns.
        constant: c, the mean reward of the fitted samples.
        splines: f_i.
        components: their curves, with intervals.
        r_squared: 1 - Σ (r - surrogate)² / Σ (r - mean)² on samples that were not fitted.
        penalty: the smoothing that generalised cross-validation chose.
    """

    names: tuple[str, ...]
    constant: float
    splines: tuple[Spline, ...]
    components: tuple[Component, ...]
    r_squared: Interval
    penalty: float

    def terms(self, x: Any) -> Float[ndarray, "sample column"]:
        """f_i(x_i)."""
        table = as_table("The sample", x, self.names, rows=1)
        return np.column_stack([spline(column) for spline, column in zip(self.splines, table.T, strict=True)])

    def __call__(self, x: Any) -> Float[ndarray, " sample"]:
        """c + Σ_i f_i(x_i)."""
        return self.constant + self.terms(x).sum(1)


def fit_surrogate(
    samples: Any,
    reward: Any,
    names: Sequence[str],
    *,
    monotone: Mapping[str, str] | None = None,
    knots: int = 8,
    held_out: float = 0.25,
    episode: Any = None,
    resamples: int = 100,
    seed: int = 0,
) -> Surrogate:
    """Fit cubic splines, one per column, by penalised least squares.

    min_γ Σ (r - c - Σ_i f_i(x_i))² + λ Σ_i Σ_l (difference of the slopes of f_i's control polygon)²,

    so that straight lines cost nothing; λ by generalised cross-validation. Intervals of the curves are of refits to
    resampled episodes with the same λ and knots.

    Args:
        samples: x, `[sample, n]`.
        reward: r(x), `[sample]`.
        names: of the columns.
        monotone: columns whose curve has to be `increasing` or `decreasing`.
        knots: inner intervals of each spline, between quantiles of the samples.
        held_out: share of the episodes that R² is measured on.
        episode: the episode that each sample is from; without it each is its own.
        resamples: refits.
        seed: of split and resampling.

    Raises:
        L2TError: tables do not fit, there are too few samples for the number of columns, or r is constant.
    """
    check_count("knots", knots)
    check_count("resamples", resamples, 2)
    x = as_table("The sample", samples, names, rows=20)
    r = as_column("The reward", reward, len(x))
    names, signs = tuple(names), _signs(names, monotone or {})
    kept, tested, kind = _split(episode_of(episode, len(x)), held_out, seed)
    if np.ptp(r[kept]) == 0.0 or np.ptp(r[tested]) == 0.0:
        raise L2TError("The reward is the same on all samples: there is nothing to explain.")

    knot_rows = [_knots(column, knots) for column in x[kept].T]
    blocks = [sign * _basis(column, k) for column, k, sign in zip(x[kept].T, knot_rows, signs, strict=True)]
    basis = np.hstack(blocks)
    if 2 * basis.shape[1] > len(basis):
        raise L2TError(
            f"{len(basis)} samples are too few for {basis.shape[1]} spline coefficients; "
            "give more samples, fewer columns or fewer knots."
        )
    centre, constant = basis.mean(0), float(r[kept].mean())
    design, target = basis - centre, r[kept] - constant
    roughness = np.asarray(block_diag(*[_roughness(k) for k in knot_rows]))
    bounded = np.repeat([bool(m) for m in _is_bounded(names, monotone or {})], [b.shape[1] for b in blocks])
    penalty = _cross_validated(design, target, roughness)
    rises = _solve(design.T @ design, design.T @ target, roughness * penalty * len(design), bounded)

    # Refits: the sums that the normal equations need, over whole episodes drawn anew.
    number = np.unique(kind[kept], return_inverse=True)[1]
    rng = np.random.default_rng(seed + 1)
    replicates = []
    for _ in range(resamples):
        weight = rng.multinomial(number.max() + 1, np.full(number.max() + 1, 1.0 / (number.max() + 1)))[number]
        weighted = design * weight[:, None]
        shift, level = weighted.sum(0) / weight.sum(), weight @ target / weight.sum()
        gram = weighted.T @ design - weight.sum() * np.outer(shift, shift)
        moment = weighted.T @ target - weight.sum() * shift * level
        replicates.append(_solve(gram, moment, roughness * penalty * weight.sum(), bounded))
    replicates = np.stack(replicates)

    splines, components, start = [], [], 0
    for name, column, k, block, sign in zip(names, x[kept].T, knot_rows, blocks, signs, strict=True):
        part = slice(start, start := start + block.shape[1])
        splines.append(Spline(k, sign * rises[part], float(-centre[part] @ rises[part])))
        low, high = np.quantile(column, [0.005, 0.995])
        grid = np.linspace(low, high, GRID)
        rows = sign * _basis(grid, k) - centre[part]
        band = estimates([name] * GRID, rows @ rises[part], replicates[:, part] @ rows.T)
        components.append(Component(name, grid, band.estimate, band.low, band.high))
    unscored = Surrogate(names, constant, tuple(splines), tuple(components), Interval(0.0, 0.0, 0.0), penalty)
    score = _r_squared(r[tested], unscored(x[tested]), kind[tested], seed)
    return Surrogate(names, constant, unscored.splines, unscored.components, score, penalty)


def _split(kind: ndarray, held_out: float, seed: int) -> tuple[ndarray, ndarray, ndarray]:
    """Which samples are fitted and which are held out, whole episodes at a time."""
    found = np.unique(kind)
    count = round(held_out * len(found))
    if not 0 < count < len(found):
        raise L2TError(f"held_out={held_out} of {len(found)} episodes leaves a part empty; choose another share.")
    tested = np.isin(kind, np.random.default_rng(seed).permutation(found)[:count])
    return ~tested, tested, kind


def _knots(column: ndarray, intervals: int) -> ndarray:
    low, high = column.min(), column.max()
    if high - low <= 1e-12 * max(1.0, abs(low), abs(high)):
        return np.empty(0)
    inner = np.unique(np.quantile(column, np.linspace(0.0, 1.0, intervals + 1)[1:-1]))
    # A knot next to another would let the curve jump between two samples.
    inner = inner[(inner > low) & (inner < high)]
    return np.concatenate([np.full(4, low), inner, np.full(4, high)])


def _basis(x: ndarray, knots: ndarray) -> ndarray:
    """I_l(x), l = 1, ..., `[sample, basis]`; I_0 = 1 is the constant's business."""
    if len(knots) == 0:
        return np.zeros((len(x), 0))
    dense = BSpline.design_matrix(np.clip(x, knots[0], knots[-1]), knots, 3).toarray()
    return np.cumsum(dense[:, ::-1], axis=1)[:, ::-1][:, 1:]


def _roughness(knots: ndarray) -> ndarray:
    """D with γᵀ D γ = Σ (s_{l+1} - s_l)², slopes s_l = γ_l range / (ξ_l - ξ_{l-1}), ξ averages of three knots each."""
    if len(knots) == 0:
        return np.zeros((0, 0))
    greville = np.array([knots[j + 1 : j + 4].mean() for j in range(len(knots) - 4)])
    slopes = np.diag((knots[-1] - knots[0]) / np.diff(greville) / (len(greville) - 1))
    change = np.diff(slopes, axis=0)
    return change.T @ change


def _cross_validated(design: ndarray, target: ndarray, roughness: ndarray) -> float:
    """The λ of the smallest n Σ (r - fit)² / (n - degrees of freedom)²."""
    n, gram, moment = len(design), design.T @ design, design.T @ target
    scores = []
    for penalty in _PENALTIES:
        factor = cho_factor(_regular(gram + penalty * n * roughness, gram))
        rises = cho_solve(factor, moment)
        freedom = 1.0 + np.trace(cho_solve(factor, gram))
        scores.append(((target - design @ rises) ** 2).sum() / max(n - freedom, 1.0) ** 2)
    return float(_PENALTIES[int(np.argmin(scores))])


def _solve(gram: ndarray, moment: ndarray, penalty: ndarray, bounded: ndarray) -> ndarray:
    """argmin γᵀ (G + penalty) γ / 2 - γᵀ m, with γ >= 0 where it is `bounded`."""
    matrix = _regular(gram + penalty, gram)
    free = cho_solve(cho_factor(matrix), moment)
    if (free[bounded] >= 0.0).all():
        return free  # the problem is convex: a bound that does not bind changes nothing
    upper = cholesky(matrix)
    right = solve_triangular(upper, moment, trans=1)
    found = lsq_linear(upper, right, (np.where(bounded, 0.0, -np.inf), np.inf), method="bvls", tol=1e-12)
    return np.asarray(found.x)


def _regular(matrix: ndarray, gram: ndarray) -> ndarray:
    return matrix + _RIDGE * max(float(np.trace(gram)) / max(len(gram), 1), 1e-300) * np.eye(len(gram))


def _r_squared(truth: ndarray, fit: ndarray, episode: ndarray, seed: int) -> Interval:
    """1 - Σ (r - fit)² / Σ (r - mean)², with a bootstrap interval over episodes."""
    several = episode if len(np.unique(episode)) > 1 else None
    centred = truth - truth.mean()
    table = np.column_stack([(truth - fit) ** 2, centred, centred**2])

    def score(sums: ndarray) -> ndarray:
        return 1.0 - sums[..., 0] / np.maximum(sums[..., 2] - sums[..., 1] ** 2 / sums[..., 3], 1e-300)

    whole = score(np.append(table.sum(0), len(table)))
    return estimates(["R²"], np.array([whole]), score(resampled_sums(table, several, seed=seed))[:, None])["R²"]


def _signs(names: Sequence[str], monotone: Mapping[str, str]) -> list[float]:
    for name, direction in monotone.items():
        check_choice("monotone", name, names)
        check_choice(f"monotone[{name!r}]", direction, ("increasing", "decreasing"))
    return [-1.0 if monotone.get(name) == "decreasing" else 1.0 for name in names]


def _is_bounded(names: Sequence[str], monotone: Mapping[str, str]) -> list[bool]:
    return [name in monotone for name in names]
