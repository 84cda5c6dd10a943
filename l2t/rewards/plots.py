"""Bars, dots and tables of an analysis, in the look of the project's other charts. `save_png` writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from l2t.report.plots import COLOURS, INK, picture, style
from l2t.report.statistics import FEWEST, Interval
from l2t.rewards.decomposition import Gap
from l2t.rewards.ensemble import Ensemble
from l2t.rewards.regret import RegretMatrix
from l2t.rewards.samples import Estimates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREY = COLOURS[0], COLOURS[1], COLOURS[7]
ROW = 0.24
"""Height of a row in inches."""


def ranking(values: Estimates, *, title: str, x_label: str, top: int = 15) -> Figure:
    """Bars with intervals, the largest first; a remark says how many are not shown.

    Args:
        values: signed or not; the sign chooses the colour.
        title, x_label: what is shown, and in which unit.
        top: how many.
    """
    shown = values.ranked()
    names, count = shown.names[:top], min(top, len(shown.names))
    with style():
        figure, ax = _figure(6.2, 0.95 + ROW * count)
        estimate, rows = shown.estimate[:count], np.arange(count)
        ax.barh(rows, estimate, height=0.66, color=[BLUE if value >= 0.0 else ORANGE for value in estimate])
        _whiskers(ax, shown.low[:count], shown.high[:count], rows)
        _rows(ax, names)
        _zero_line(ax, values.low, values.high)
        left_out = len(shown.names) - count
        remark = f"; {left_out} smaller not shown" if left_out else ""
        ax.set(title=title, xlabel=f"{x_label} (95 % interval{remark})")
    return figure


def waterfall(gap: Gap, *, title: str, x_label: str, top: int = 10) -> Figure:
    """From 0 to E_E r - E_π r, term by term, the largest first; terms beyond `top` are summed in one row.

    Bars are exact summands, each starting where the one above ends; whiskers are the interval of a summand alone.
    """
    shown = gap.terms.ranked()
    count = min(top, len(shown.names))
    rows: list[tuple[str, float, float, float]] = [
        (shown.names[i], shown.estimate[i], shown.low[i], shown.high[i]) for i in range(count)
    ]
    if len(shown.names) > count:
        rest = float(shown.estimate[count:].sum())
        rows.append((f"{len(shown.names) - count} others", rest, np.nan, np.nan))
    rows.append(("residual", gap.residual.estimate, gap.residual.low, gap.residual.high))
    size = np.array([row[1] for row in rows])
    start = np.concatenate([[0.0], np.cumsum(size)[:-1]])
    colours = [BLUE if value >= 0.0 else ORANGE for value in size[:-1]] + [GREY]
    total = gap.total
    with style():
        figure, ax = _figure(6.2, 1.05 + ROW * (len(rows) + 1))
        at = np.arange(len(rows))
        ax.barh(at, size, left=start, height=0.62, color=colours)
        ax.barh([len(rows)], [total.estimate], height=0.62, color=INK)
        low, high = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
        _whiskers(ax, start + low, start + high, at)
        _whiskers(ax, np.array([total.low]), np.array([total.high]), np.array([len(rows)]), ink=GREY)
        ends = np.append(start + size, total.estimate)
        for row, end in enumerate(ends[:-1]):
            ax.plot([end, end], [row + 0.31, row + 0.69], color=INK, linewidth=0.7)
        _rows(ax, [row[0] for row in rows] + ["expert − policy"])
        for row, value in enumerate([*size, total.estimate]):
            text = _number(value, 0.1 * max(float(np.abs(size).max()), 1e-12))
            ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8.0)
        ax.axvline(0.0, color=INK, linewidth=0.6)
        ax.set(title=title, xlabel=f"{x_label} (95 % interval of each summand)")
    return figure


def regret_table(regret: RegretMatrix, *, title: str, unit: str) -> Figure:
    """The matrix with its numbers in the cells and intervals below them; colour is regret on a scale from 0.

    Regret below zero, which training noise can give, is coloured as zero: the number says what it is.
    """
    rows, columns = regret.regret.shape
    top = max(float(regret.regret.max()), 1e-12)
    width = max((len(name) for name in regret.rewards), default=0)
    with style():
        figure, ax = _figure(1.35 + 0.075 * width + 1.15 * columns, 1.2 + 0.52 * rows)
        image = ax.imshow(np.maximum(regret.regret, 0.0), cmap="Blues", vmin=0.0, vmax=top, aspect="auto")
        for i in range(rows):
            for j in range(columns):
                value, low, high = regret.regret[i, j], regret.low[i, j], regret.high[i, j]
                ink = "white" if value > 0.6 * top else INK
                known = bool(np.isfinite(low)) and low != high
                ax.text(j, i - 0.16 * known, _number(value, top), ha="center", va="center", color=ink, weight="bold")
                if known:
                    ends = f"[{_number(low, top)}, {_number(high, top)}]"
                    ax.text(j, i + 0.22, ends, ha="center", va="center", color=ink, fontsize=7.0)
        ax.set_xticks(range(columns), regret.dynamics)
        ax.set_yticks(range(rows), regret.rewards)
        ax.grid(False)
        ax.spines[:].set_visible(False)
        ax.set(xlabel="dynamics", ylabel="reward that was optimised")
        ax.set_title(title, loc="left")
        bar = figure.colorbar(image, ax=ax, label=f"regret [{unit}]", aspect=14)
        plain_bar(bar)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        if np.isfinite(regret.low).any():
            seeds = regret.returns.shape[-1]
            doubt = "" if seeds >= FEWEST else ", too few to rely on"
            _footer(figure, f"in brackets: 95 % bootstrap over {seeds} seed{'s' * (seeds != 1)}{doubt}")
    return figure


def ensemble_dots(ensemble: Ensemble, *, title: str, top: int = 15) -> Figure:
    """Every seed's signed effect per column, with mean and interval; columns without a stable sign are pale."""
    order = np.argsort(-np.abs(ensemble.mean_slope.estimate), kind="stable")[:top]
    with style():
        figure, ax = _figure(6.2, 1.3 + ROW * len(order))
        for row, column in enumerate(order):
            ink = BLUE if ensemble.stable[column] else GREY
            seeds = ensemble.slope[:, column]
            mean = ensemble.mean_slope
            ax.plot([mean.low[column], mean.high[column]], [row, row], color=ink, linewidth=1.4)
            ax.plot(mean.estimate[column], row, "|", color=ink, markersize=9.0, markeredgewidth=2.0)
            ax.plot(seeds, np.full(len(seeds), row), "o", color=ink, markersize=4.0, alpha=0.45, markeredgewidth=0.0)
        ax.axvline(0.0, color=INK, linewidth=0.6)
        _rows(ax, [ensemble.names[column] for column in order])
        ax.set_title(title, loc="left")
        ax.set_xlabel("effect per standard deviation [deviations of the reward]")
        _footer(
            figure,
            "dots: seeds, lines: 95 % interval of their mean; blue: the sign is stable, grey: it is not\n"
            f"rank correlation of two seeds: columns {_interval(ensemble.ranking_agreement)}, "
            f"samples {_interval(ensemble.reward_agreement)}",
        )
    return figure


def plain_bar(bar: Any) -> None:
    """A colour bar without frame, with few ticks."""
    bar.outline.set_visible(False)
    bar.ax.grid(False)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = picture(width, height)
    return figure, figure.subplots()


def _footer(figure: Figure, text: str) -> None:
    figure.supxlabel(text, x=0.01, ha="left", size=7.5, color=INK)


def _rows(ax: Axes, names: Any) -> None:
    """Names on the left, the first on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def _whiskers(ax: Axes, low: Any, high: Any, rows: Any, ink: str = INK) -> None:
    known = np.isfinite(low) & np.isfinite(high)
    if known.any():
        ax.hlines(rows[known], low[known], high[known], color=ink, linewidth=1.1)
        for end in (low, high):
            ax.plot(end[known], rows[known], "|", color=ink, markersize=4.0, markeredgewidth=1.1)


def _zero_line(ax: Axes, low: Any, high: Any) -> None:
    """Bars start at zero, so zero is on the axis, and drawn where they go both ways."""
    if np.nanmin(low) < 0.0 < np.nanmax(high):
        ax.axvline(0.0, color=INK, linewidth=0.6)


def _number(value: float, scale: float) -> str:
    """Two digits behind the leading one of `scale`."""
    digits = int(np.clip(1 - np.floor(np.log10(scale)), 0, 6))
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def _interval(value: Interval) -> str:
    ends = f" [{value.low:.2f}, {value.high:.2f}]" if np.isfinite(value.low) else ""
    return f"{value.estimate:.2f}{ends}"
