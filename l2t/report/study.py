"""A study: a computation that is no training run. It gives curves over seeds, and tables with slopes fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from l2t.errors import L2TError
from l2t.report.pages import number
from l2t.report.statistics import Interval

RESAMPLES = 2000
"""Bootstrap replicates, seeds drawn with replacement."""


@dataclass(frozen=True)
class SeedCurves:
    """One method on one problem: a quantity against the samples used, for each seed.

    Attributes:
        problem, method: labels; a problem is a panel, a method a line in it.
        x: samples.
        y: one row for each seed, above 0 where slopes or logarithmic axes are asked for.
    """

    problem: str
    method: str
    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, "seed points"]


@dataclass(frozen=True)
class Table:
    """Headers and cells, as text; the first `names` columns are names."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 2


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Attributes:
        curves: all of them.
        tables: in reading order.
        x_label, y_label: of the curves.
        notes: warnings and remarks, each a sentence.
        log: whether the axes are logarithmic.
    """

    curves: Sequence[SeedCurves]
    tables: Sequence[Table]
    x_label: str
    y_label: str
    notes: Sequence[str] = ()
    log: bool = True


@dataclass(frozen=True)
class StudyContext:
    """What a study is handed.

    Attributes:
        seed: of every random number.
        notice: takes a line of progress at a time.
        load_run: reads a training run back from its directory, with `key=value` changes, on an engine that is here;
            what it gives has `config`, `environment`, `algorithm` and `state`.
    """

    seed: int
    notice: Callable[[str], None]
    load_run: Callable[[str, Sequence[str]], Any]


class StudyConfig(Protocol):
    """A checked frozen dataclass; a YAML of the group `experiment` names it as `_target_` of `study`."""

    @property
    def name(self) -> str:
        """The study's name, for its directory and title."""
        ...

    def run(self, context: StudyContext) -> StudyResult:
        """Do it, and say before each long piece what it is, and after it what came out."""
        ...


def mean_with_band(y: Float[np.ndarray, "seed points"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over seeds and the ends of its 95 % bootstrap interval, point by point; NaN ends with one seed."""
    mean = y.mean(0)
    if len(y) < 2:
        unknown = np.full_like(mean, np.nan)
        return mean, unknown, unknown
    rows = np.random.default_rng(0).integers(0, len(y), (RESAMPLES, len(y)))
    low, high = np.percentile(y[rows].mean(1), [2.5, 97.5], axis=0)
    return mean, low, high


def fitted_slope(curve: SeedCurves, start: float = 0.0, end: float = np.inf) -> Interval:
    """Least-squares slope of log mean(y) against log x over start <= x <= end, with a bootstrap interval over seeds.

    The ends are NaN with one seed, the slope too where some mean is not above 0, as where a method diverged.

    Raises:
        L2TError: fewer than three points lie in the range.
    """
    inside = (curve.x >= start) & (curve.x <= end)
    x, y = np.log(curve.x[inside]), curve.y[:, inside]
    if len(x) < 3:
        raise L2TError(
            f"{curve.method} on {curve.problem} has {len(x)} points between {start:g} and {end:g}; a slope needs three."
        )
    if not np.all(y.mean(0) > 0.0):
        return Interval(np.nan, np.nan, np.nan)

    def slope(mean: np.ndarray) -> np.ndarray:
        centred = x - x.mean()
        return np.log(mean) @ centred / (centred @ centred)

    if len(y) < 2:
        return Interval(float(slope(y.mean(0))), np.nan, np.nan)
    rows = np.random.default_rng(0).integers(0, len(y), (RESAMPLES, len(y)))
    means = np.maximum(y[rows].mean(1), np.finfo(float).tiny)
    low, high = np.percentile(slope(means), [2.5, 97.5])
    return Interval(float(slope(y.mean(0))), float(low), float(high))


def value_at(curve: SeedCurves, x: float) -> Float[np.ndarray, " seed"]:
    """Each seed's y at x, log-log interpolated between the points beside it: methods have points of their own.

    Raises:
        L2TError: the curve does not reach x.
    """
    if not curve.x[0] <= x <= curve.x[-1]:
        raise L2TError(
            f"{curve.method} on {curve.problem} has no error at {x:,.0f}: its points lie between {curve.x[0]:,.0f} and "
            f"{curve.x[-1]:,.0f}."
        )
    with np.errstate(divide="ignore"):
        logs = [np.interp(np.log(x), np.log(curve.x), np.log(row)) for row in curve.y]
    return np.exp(np.array(logs))


def interval_text(interval: Interval, digits: int = 2) -> str:
    """`-1.02 [-1.08, -0.97]`; the estimate alone where the ends are unknown, a dash where it is."""
    if np.isnan(interval.estimate):
        return "–"
    if np.isnan(interval.low):
        return f"{interval.estimate:.{digits}f}"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def markdown(content: Table) -> str:
    """The table as Markdown, under its title."""
    rule = "|".join("---" if index < content.names else "---:" for index in range(len(content.headers)))
    lines = ["| " + " | ".join(row) + " |" for row in (content.headers, *content.rows)]
    return "\n".join([f"**{content.title}**", "", lines[0], f"|{rule}|", *lines[1:]])


def scientific(value: float) -> str:
    """A number for a cell: `1.2e-05`, `0.034`."""
    return number(value, 2)
