"""The files of a study.

`result.json` holds the tables and the versions, `curves.jsonl` every number of every curve, a line each; `table.md`,
`curves.png` and `report.html` are for people.
"""

from __future__ import annotations

import json
import math
from html import escape
from pathlib import Path
from typing import Any

from l2t.report.pages import charts, duration, figure, page, section, table
from l2t.report.plots import Line, Panel, draw, save_png, to_svg
from l2t.report.statistics import FEWEST, Curve
from l2t.report.study import StudyResult, markdown, mean_with_band
from l2t.run.directory import RunDirectory
from l2t.run.files import Cure, write_atomically, writing

_CURE = Cure("compute the study again in a new directory")
"""A study is not resumed."""


def write_study(name: str, result: StudyResult, directory: Path, facts: dict[str, Any], command: str) -> list[Path]:
    """Write the files of a study; see the module's docstring.

    Args:
        name: of the study.
        result: what it found.
        directory: where; made if need be.
        facts: what `result.json` holds besides, such as seed, seconds and versions.
        command: how to run it again.

    Raises:
        RunDirectoryError: the directory cannot be written.
    """
    with writing(directory, _CURE):
        directory.mkdir(parents=True, exist_ok=True)
    rows = [
        {"problem": c.problem, "method": c.method, "x": c.x.tolist(), "y": [_known(row) for row in c.y.tolist()]}
        for c in result.curves
    ]
    written = [  # the numbers first: no picture is worth losing them
        write_atomically(directory / "curves.jsonl", "".join(json.dumps(row) + "\n" for row in rows), _CURE),
        write_atomically(directory / "table.md", "\n\n".join(map(markdown, result.tables)) + "\n", _CURE),
        write_atomically(directory / "report.html", _page(name, result, facts, command), _CURE),
    ]
    if result.curves:
        with writing(directory, _CURE):
            written.append(save_png(draw(_panels(result), columns=2), directory / "curves.png"))
    tables = {t.title: [dict(zip(t.headers, row, strict=True)) for row in t.rows] for t in result.tables}
    RunDirectory(directory).write_result(
        {"study": name, **facts, "status": "finished", "tables": tables, "notes": list(result.notes)}, _CURE
    )
    return written


def _known(row: list[float]) -> list[float | None]:
    """JSON has no NaN."""
    return [value if math.isfinite(value) else None for value in row]


def _panels(result: StudyResult) -> list[Panel]:
    problems = dict.fromkeys(curve.problem for curve in result.curves)
    return [
        Panel(
            problem,
            [
                Line(c.method, Curve(c.x, *mean_with_band(c.y), seeds=len(c.y)))
                for c in result.curves
                if c.problem == problem
            ],
            result.y_label,
            result.x_label,
            result.log,
        )
        for problem in problems
    ]


def _page(name: str, result: StudyResult, facts: dict[str, Any], command: str) -> str:
    labels = list(dict.fromkeys(curve.method for curve in result.curves))
    figures = [
        figure(to_svg(draw([panel], size=(4.6, 3.2), labels=labels), f"{name}: {panel.title}"))
        for panel in _panels(result)
    ]
    notes = "".join(f'<p class="small interrupted">{escape(note)}</p>' for note in result.notes)
    seconds = facts.get("wall_seconds")
    summary = f"seed {facts.get('seed')}" + (f" · {duration(seconds)}" if seconds is not None else "")
    versions = [[key, str(value)] for key, value in (facts.get("versions") or {}).items()]
    explanation = (
        "Lines are means over seeds; bands are 95 % bootstrap intervals of the mean, seeds resampled; of fewer "
        f"than {FEWEST} seeds they say little more than the range."
    )
    return page(
        name,
        [
            f'<header><h1>{escape(name)}</h1><p class="quiet">{escape(summary)}</p>{notes}</header>',
            *(section(t.title, table(t.headers, t.rows, text_columns=range(t.names))) for t in result.tables),
            section("Curves", f'<p class="quiet small">{explanation}</p>', charts(figures, wide=True))
            if figures
            else "",
            section("Command", f"<pre>{escape(command)}</pre>"),
            section("Versions", table(["", "version"], versions, text_columns=(0, 1))),
        ],
    )
