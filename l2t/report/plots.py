"""Charts of metrics against environment steps, as PNG files or as SVG that follows the page's light or dark theme."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

from l2t.report.statistics import Curve, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f5a3c", "#7a7f87")
"""Okabe and Ito's palette, told apart under every common colour blindness; its yellow, invisible on white, left out."""

POINTS = 300
"""What a chart on a page can show of a long run."""

INK, GRID = "#24292f", "#d9dee3"
DASHES: dict[str, Any] = {"student": "-", "teacher": (0, (4, 1.6)), "": "-"}
OTHER_DASH = (0, (1, 1.2))

STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.axisbelow": True,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.borderaxespad": 0.0,
    "legend.handlelength": 1.8,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Line:
    """A curve to draw: its label chooses the colour, its role the dashes. The band may be NaN, and is then left out."""

    label: str
    curve: Curve
    role: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    lines: Sequence[Line]
    y_label: str = ""
    x_label: str = "environment steps"
    log: bool = False  # both axes


def draw(
    panels: Sequence[Panel],
    *,
    columns: int = 2,
    size: tuple[float, float] = (4.4, 2.7),
    labels: Sequence[str] | None = None,
) -> Figure:
    """One figure with a panel per task and one legend below them all.

    Args:
        panels: what to draw, row by row.
        columns: panels beside each other, at most.
        size: width and height of a panel in inches, the legend not counted.
        labels: every label in the order of the colours, where several figures must agree on them.
    """
    lines = [line for panel in panels for line in panel.lines]
    labels = labels or list(dict.fromkeys(line.label for line in lines))
    columns = max(1, min(columns, len(panels)))
    rows = math.ceil(len(panels) / columns)
    entries = _legend_entries(lines, labels)
    per_row = max(1, int(columns * size[0] * 10 / (8 + max((len(text) for text, _ in entries), default=0))))
    legend_rows = math.ceil(len(entries) / per_row)
    with style():
        figure = picture(columns * size[0], rows * size[1] + 0.2 * legend_rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, panel in zip(axes, panels, strict=False):
            _draw_panel(ax, panel, labels)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        if entries:
            handles = [handle for _, handle in entries]
            texts = [text for text, _ in entries]
            figure.legend(handles, texts, loc="outside lower left", ncols=per_row, columnspacing=1.4)
    return figure


class Picture(Figure):
    """A figure that a notebook shows where it is the last thing of a cell, whatever the back-end of pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with style():
            self.savefig(buffer, format="png", dpi=110, facecolor="white")
        return buffer.getvalue()


def picture(width: float, height: float) -> Picture:
    """An empty figure, sizes in inches, that belongs to no window; draw on it inside `style()`."""
    figure = Picture((width, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


def to_svg(figure: Figure, title: str) -> str:
    """The figure as an `<svg>` element for an HTML page.

    Colours become CSS variables (`--series-1`, ..., `--grid`) and `currentColor`, so that the page's theme decides.
    `title` is what a screen reader says; it also keeps the ids of two figures on one page apart.
    """
    buffer = io.StringIO()
    with style(), matplotlib.rc_context({"svg.hashsalt": title, "svg.id": None}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font-size: \1px", svg)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{_attribute(title)}"', 1)
    for index, colour in enumerate(COLOURS, start=1):
        svg = svg.replace(colour, f"var(--series-{index})")
    return svg.replace(INK, "currentColor").replace(GRID, "var(--grid)")


def save_png(figure: Figure, path: Path) -> Path:
    """Write the figure on white at 200 dots per inch."""
    with style():
        figure.savefig(path, dpi=200, facecolor="white")
    return path


@contextmanager
def style() -> Iterator[None]:
    """Figures that are made or written inside look like all others."""
    with matplotlib.rc_context(STYLE):
        yield


def thin(series: Series, points: int = POINTS) -> Curve:
    """At most `points` points: bucket means, with the bucket's extremes as a band, so that no spike is lost."""
    count = len(series.steps)
    if count <= points:
        unknown = np.full(count, np.nan)
        return Curve(series.steps, series.values, unknown, unknown, 1)
    buckets = np.array_split(np.arange(count), points)
    steps, values = series.steps, series.values
    return Curve(
        np.array([steps[bucket[-1]] for bucket in buckets]),
        np.array([values[bucket].mean() for bucket in buckets]),
        np.array([values[bucket].min() for bucket in buckets]),
        np.array([values[bucket].max() for bucket in buckets]),
        1,
    )


def _draw_panel(ax: Axes, panel: Panel, labels: Sequence[str]) -> None:
    for line in panel.lines:
        colour = _colour(line.label, labels)
        curve = line.curve
        alone = _marker(line.role, colour) if _alone(line) else {}
        ax.plot(curve.steps, curve.centre, color=colour, linestyle=_dash(line.role), **alone)
        if np.isfinite(curve.low).any():
            ax.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    ax.set_title(panel.title)
    ax.set_xlabel(panel.x_label)
    ax.set_ylabel(panel.y_label)
    ax.set_axisbelow(True)
    if panel.log:
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        low, high = ax.get_ylim()
        if high > 100.0 * low:  # with less than two decades their fractions are labelled too
            ax.yaxis.set_minor_formatter(NullFormatter())
        ax.tick_params(which="minor", length=0.0)
        return
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    values = np.concatenate([line.curve.centre for line in panel.lines] or [np.zeros(1)])
    if len(values) and np.abs(values).max() >= 1e4:
        ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    ax.margins(x=0.01)


def _legend_entries(lines: Sequence[Line], labels: Sequence[str]) -> list[tuple[str, Line2D]]:
    """An entry per label and one per role; where each label has its own role the two are one entry."""
    pairs = list(dict.fromkeys((line.label, line.role) for line in lines))
    present = sorted({label for label, _ in pairs if label}, key=list(labels).index)
    roles = list(dict.fromkeys(role for _, role in pairs if role))
    marked = any(map(_alone, lines))
    if len(pairs) < 2:
        return []
    if len(pairs) == len(present):
        named = dict(pairs)
        return [(label, _handle(_colour(label, labels), named[label], marked)) for label in present]
    entries = [(label, _handle(_colour(label, labels))) for label in present] if len(present) > 1 else []
    return entries + [(role, _handle(INK, role, marked)) for role in roles if len(roles) > 1]


def _handle(colour: str, role: str = "", marked: bool = False) -> Line2D:
    return Line2D([], [], color=colour, linestyle=_dash(role), **(_marker(role, colour) if marked else {}))


def _alone(line: Line) -> bool:
    """Whether it has one point, through which a line is invisible."""
    return len(line.curve.steps) == 1


def _marker(role: str, colour: str) -> dict[str, Any]:
    """Of a point: full where the role's line is solid, hollow where it is dashed."""
    return {"marker": "o", "ms": 4, "mfc": colour if _dash(role) == "-" else "none"}


def _colour(label: str, labels: Sequence[str]) -> str:
    return COLOURS[labels.index(label) % len(COLOURS)]


def _dash(role: str) -> Any:
    return DASHES.get(role, OTHER_DASH)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
