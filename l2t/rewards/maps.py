"""Curves and maps of a reward: the surrogate's curves, two columns at a time, a gait's phase portrait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter

from l2t.errors import L2TError
from l2t.report.plots import COLOURS, GRID, INK, picture, style
from l2t.rewards.phase import Portrait
from l2t.rewards.plots import plain_bar
from l2t.rewards.samples import as_column
from l2t.rewards.surrogate import Surrogate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREY = COLOURS[0], COLOURS[1], COLOURS[7]


def surrogate_curves(
    surrogate: Surrogate, samples: Any, *, title: str, columns: int = 3, top: int = 9, unit: str = "reward"
) -> Figure:
    """The largest curves on one common scale, each with its band and, along the bottom, where the samples are.

    Args:
        surrogate: what to draw.
        samples: x, for the densities.
        title: of the figure; the held-out R² is added.
        columns: beside each other.
        top: how many curves, by their standard deviation over the samples.
        unit: of the reward.
    """
    x = np.asarray(samples, np.float64)
    spread = surrogate.terms(x).std(0)
    order = np.argsort(-spread, kind="stable")[:top]
    shown = [surrogate.components[i] for i in order]
    low, high = min(c.low.min() for c in shown), max(c.high.max() for c in shown)
    floor = low - 0.30 * (high - low)
    with style():
        figure, grid = _grid(len(shown), columns, (2.35, 1.9), sharey=True)
        for ax, i, component in zip(grid, order, shown, strict=False):
            _density(ax, x[:, i], component.grid[0], component.grid[-1], floor, 0.24 * (high - low))
            ax.fill_between(component.grid, component.low, component.high, color=BLUE, alpha=0.2, linewidth=0)
            ax.plot(component.grid, component.value, color=BLUE)
            ax.axhline(0.0, color=INK, linewidth=0.5)
            ax.set_xlabel(component.name)
            ax.set_ylim(floor, high + 0.05 * (high - low))
            ax.margins(x=0.0)
            ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        score = surrogate.r_squared
        known = f" [{score.low:.2f}, {score.high:.2f}]" if np.isfinite(score.low) else ""
        figure.suptitle(
            f"{title}: R² {score.estimate:.2f}{known} on held-out samples", x=0.01, ha="left", weight="bold", size=10.0
        )
        figure.supylabel(f"contribution f [{unit}]", size=9.0)
        left_out = len(spread) - len(shown)
        remark = f"; {left_out} smaller not shown" if left_out else ""
        figure.supxlabel(f"band: 95 % interval, grey: where the samples are{remark}", x=0.01, ha="left", size=7.5)
    return figure


def heat_map(
    x: Any, y: Any, reward: Any, *, x_label: str, y_label: str, title: str, unit: str = "reward", bins: int = 25
) -> Figure:
    """Mean reward of the samples in each cell of two columns, blank with fewer than three, and contours of density.

    A mean over samples that exist, whatever the other columns are there: no value of the reward at made-up inputs.
    Contours hold 50 % and 90 % of the samples. Axes show the middle 99 % of either column.

    Raises:
        L2TError: lengths differ, or a column is constant.
    """
    first = as_column("x", x, len(np.atleast_1d(x)))
    second, r = as_column("y", y, len(first)), as_column("The reward", reward, len(first))
    ranges = [tuple(np.quantile(column, [0.005, 0.995])) for column in (first, second)]
    if any(high <= low for low, high in ranges):
        raise L2TError("A map needs two columns that vary; choose others.")
    count, x_edges, y_edges = np.histogram2d(first, second, bins, ranges)
    total = np.histogram2d(first, second, bins, ranges, weights=r)[0]
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count >= 3)
    with style():
        figure = picture(4.6, 3.5)
        ax = figure.subplots()
        image = ax.pcolormesh(x_edges, y_edges, mean.T, cmap="viridis", rasterized=True)
        smooth = gaussian_filter(count, 1.2)
        centres = [(edges[1:] + edges[:-1]) / 2.0 for edges in (x_edges, y_edges)]
        levels = _holding(smooth, (0.9, 0.5))
        ax.contour(*centres, smooth.T, levels=levels, colors="white", linewidths=2.4)
        ax.contour(*centres, smooth.T, levels=levels, colors=INK, linewidths=(0.8, 1.4))
        ax.set(xlabel=x_label, ylabel=y_label)
        ax.set_title(title, loc="left")
        ax.grid(False)
        bar = figure.colorbar(image, ax=ax, label=f"mean {unit} of the samples in a cell", aspect=24)
        plain_bar(bar)
        figure.supxlabel("contours: 50 % (thick) and 90 % of the samples", x=0.01, ha="left", size=7.5)
    return figure


def phase_portraits(
    portraits: Sequence[Portrait], *, x_label: str, y_label: str, title: str, unit: str = "reward"
) -> Figure:
    """Gaits side by side on common axes, coloured by reward; below, the reward along the cycle with its quartiles."""
    if not portraits:
        raise L2TError("There is no portrait to draw; give at least one.")
    rewards = np.concatenate([one.reward for one in portraits])
    low, high = np.quantile(rewards, [0.01, 0.99])
    count = len(portraits)
    with style():
        figure = picture(3.0 * count + 0.9, 4.5)
        grid = figure.subplots(2, count, squeeze=False, sharey="row", sharex="row", height_ratios=(2.2, 1.0))
        image = None
        for (upper, lower), one in zip(grid.T, portraits, strict=True):
            image = upper.scatter(
                one.position, one.velocity, c=one.reward, s=5.0, cmap="viridis", vmin=low, vmax=high, linewidths=0.0
            )
            closed = [np.append(c, c[0]) for c in (one.cycle_position, one.cycle_velocity)]
            upper.plot(*closed, color="white", linewidth=2.6)
            upper.plot(*closed, color=INK, linewidth=1.0)
            upper.set_title(one.title, loc="left")
            upper.set_xlabel(x_label)
            middle = (np.arange(len(one.cycle_reward)) + 0.5) / len(one.cycle_reward)
            lower.fill_between(middle, one.cycle_low, one.cycle_high, color=BLUE, alpha=0.2, linewidth=0)
            lower.plot(middle, one.cycle_reward, color=BLUE)
            lower.set_xlim(0.0, 1.0)
            lower.set_xlabel("phase of the cycle")
        grid[0, 0].set_ylabel(y_label)
        grid[1, 0].set_ylabel(unit)
        assert image is not None
        plain_bar(figure.colorbar(image, ax=grid[0].tolist(), label=unit, aspect=20))
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10.0)
        figure.supxlabel("line: mean of the cycle, band: quartiles", x=0.01, ha="left", size=7.5)
    return figure


def _grid(count: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, list[Axes]]:
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    figure = picture(columns * size[0] + 0.4, rows * size[1] + 0.5)
    grid = list(figure.subplots(rows, columns, squeeze=False, **options).ravel())
    for ax in grid[count:]:
        ax.set_axis_off()
    return figure, grid


def _density(ax: Axes, column: Any, low: float, high: float, floor: float, height: float) -> None:
    """A histogram along the bottom, without a scale of its own."""
    share, edges = np.histogram(column, 40, (low, high))
    top = max(int(share.max()), 1)
    ax.stairs(floor + height * share / top, edges, baseline=floor, fill=True, color=GRID)


def _holding(density: Any, shares: Sequence[float]) -> list[float]:
    """The levels above which those shares of the mass lie, rising."""
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    levels = [float(ordered[np.searchsorted(mass, share)]) for share in shares]
    return levels if levels[0] < levels[1] else [levels[1] * 0.999, levels[1]]
