"""What every analysis shares: samples with named columns, columns that say the same, intervals over episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.stats import rankdata

from l2t.errors import L2TError
from l2t.report.statistics import Interval

Reward = Callable[[Float[Array, "*batch n"]], Float[Array, " *batch"]]
"""r(x), of inputs stacked along the last axis: observation, action, perhaps the next observation, or features."""

Groups = tuple[tuple[int, ...], ...]
"""Columns that are reported together; every column is in one group."""

RESAMPLES, CONFIDENCE = 1000, 0.95


@dataclass(frozen=True)
class Estimates:
    """A number per name, with the ends of its 95 % interval; the ends are NaN where they are unknown."""

    names: tuple[str, ...]
    estimate: Float[ndarray, " name"]
    low: Float[ndarray, " name"]
    high: Float[ndarray, " name"]

    def __getitem__(self, name: str) -> Interval:
        if name not in self.names:
            raise L2TError(f"There is no estimate for {name!r}; choose one of: {', '.join(self.names)}.")
        at = self.names.index(name)
        return Interval(float(self.estimate[at]), float(self.low[at]), float(self.high[at]))

    def ranked(self) -> Estimates:
        """The same, the largest magnitude first."""
        order = np.argsort(-np.abs(self.estimate), kind="stable")
        names = tuple(self.names[i] for i in order)
        return Estimates(names, self.estimate[order], self.low[order], self.high[order])


def as_table(what: str, x: Any, names: Sequence[str] | None = None, rows: int = 2) -> Float[ndarray, "sample n"]:
    """`x` as float64 `[sample, n]`.

    Raises:
        L2TError: it is no table, a number in it is not finite, it has fewer than `rows` rows, or there is not one name
            per column.
    """
    table = np.asarray(x, np.float64)
    if table.ndim != 2 or table.shape[0] < rows:
        raise L2TError(f"{what} has shape {table.shape}; give [samples, columns] with at least {rows} samples.")
    if not np.isfinite(table).all():
        raise L2TError(f"{what} holds a number that is not finite; leave those samples out.")
    if names is not None:
        if len(names) != table.shape[1]:
            raise L2TError(f"{what} has {table.shape[1]} columns and {len(names)} names; give one name per column.")
        if len(set(names)) != len(names):
            raise L2TError(f"The names of {what} repeat {_first_repeated(names)!r}; give each column its own.")
    return table


def as_column(what: str, values: Any, samples: int) -> Float[ndarray, " sample"]:
    """`values` as float64 `[sample]`.

    Raises:
        L2TError: there is not one finite number per sample.
    """
    column = np.asarray(values, np.float64)
    if column.shape != (samples,):
        raise L2TError(f"{what} has shape {column.shape}; give one number for each of the {samples} samples.")
    if not np.isfinite(column).all():
        raise L2TError(f"{what} holds a number that is not finite; leave those samples out.")
    return column


def values_of(reward: Reward, x: Float[ndarray, "sample n"]) -> Float[ndarray, " sample"]:
    """r(x) in float64.

    Raises:
        L2TError: the reward does not give one finite number per sample.
    """
    return as_column("The reward", reward(x.astype(np.float32)), len(x))  # pyright: ignore[reportArgumentType]


def correlated_groups(x: Float[ndarray, "sample n"], threshold: float = 0.95) -> Groups:
    """Columns that say the same, in the order of their first member.

    Two columns are in one group only if their rank correlation is at least `threshold` in magnitude, and so is that of
    every other pair in it (complete linkage: a chain of neighbours does not make a group). A constant column is alone.
    """
    x = as_table("The sample", x)
    size = x.shape[1]
    if size == 1:
        return ((0,),)
    ranks = rankdata(x, axis=0)
    ranks -= ranks.mean(0)
    norm = np.sqrt((ranks**2).sum(0))
    scaled = np.divide(ranks, norm, out=np.zeros_like(ranks), where=norm > 0.0)
    distance = np.clip(1.0 - np.abs(scaled.T @ scaled), 0.0, 1.0)
    labels = fcluster(linkage(distance[np.triu_indices(size, 1)], "complete"), 1.0 - threshold + 1e-12, "distance")
    members: dict[int, list[int]] = {}
    for column, label in enumerate(labels):
        members.setdefault(int(label), []).append(column)
    return tuple(tuple(columns) for columns in members.values())


def group_names(names: Sequence[str], groups: Groups) -> tuple[str, ...]:
    """`a` for a column that is alone, `a + b` for two, `a + 3 more` for four."""

    def label(group: tuple[int, ...]) -> str:
        first, *others = (names[i] for i in group)
        if len(others) > 1:
            return f"{first} + {len(others)} more"
        return " + ".join([first, *others])

    return tuple(label(group) for group in groups)


def check_groups(groups: Groups, columns: int) -> Groups:
    """The groups.

    Raises:
        L2TError: a column is in no group or in two.
    """
    if sorted(i for group in groups for i in group) != list(range(columns)):
        raise L2TError(f"The groups {groups} must hold each of the {columns} columns once.")
    return groups


def resampled_sums(
    values: Float[ndarray, "sample k"], episode: Any = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Float[ndarray, "resample k+1"]:
    """Sums of the columns, and the number of samples last, over whole episodes drawn with replacement.

    Steps of one episode depend on each other, so an interval that resamples steps is too narrow. Without `episode` each
    sample is an episode of its own.
    """
    table = np.column_stack([values, np.ones(len(values))])
    kind = np.unique(episode_of(episode, len(values)), return_inverse=True)[1]
    count = int(kind.max()) + 1
    sums = np.zeros((count, table.shape[1]))
    np.add.at(sums, kind, table)
    draws = _draws(np.random.default_rng(seed), count, resamples)
    return np.concatenate([weights @ sums for weights in draws])


def mean_estimates(
    names: Sequence[str], values: Float[ndarray, "sample k"], episode: Any = None, *, seed: int = 0
) -> Estimates:
    """Means of the columns with 95 % percentile-bootstrap intervals over episodes (over samples without `episode`)."""
    sums = resampled_sums(values, episode, seed=seed)
    return estimates(names, values.mean(0), sums[:, :-1] / sums[:, -1:])


def estimates(
    names: Sequence[str], estimate: ndarray, replicates: Float[ndarray, "resample k"], *, between: bool = True
) -> Estimates:
    """Estimates with the middle 95 % of their bootstrap replicates.

    Args:
        names, estimate: of k quantities.
        replicates: the same of every resample.
        between: interpolate between two replicates; of infinite ones that would be NaN.
    """
    tails = [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0]
    if between:
        low, high = np.quantile(replicates, tails, axis=0)
    else:
        low = np.quantile(replicates, tails[0], axis=0, method="lower")
        high = np.quantile(replicates, tails[1], axis=0, method="higher")
    return Estimates(tuple(names), np.asarray(estimate, np.float64), low, high)


def episode_of(episode: Any, samples: int) -> Int[ndarray, " sample"]:
    """The episode that each sample is from; without one, each is from its own.

    Raises:
        L2TError: there is not one number per sample, or all are from one episode.
    """
    if episode is None:
        return np.arange(samples)
    number = np.asarray(episode)
    if number.shape != (samples,):
        raise L2TError(f"`episode` has shape {number.shape}; give one number for each of the {samples} samples.")
    if len(np.unique(number)) < 2:
        raise L2TError("All samples are from one episode, so no interval can be told; give several, or episode=None.")
    return number


def _draws(rng: np.random.Generator, count: int, resamples: int) -> Iterator[Float[ndarray, "part episode"]]:
    """How often each episode is drawn, some resamples at a time, so that a million samples need little memory."""
    part = max(1, min(resamples, 20_000_000 // count))
    for start in range(0, resamples, part):
        size = min(part, resamples - start)
        picks = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(picks.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def _first_repeated(names: Sequence[str]) -> str:
    return next(name for i, name in enumerate(names) if name in names[:i])
