"""Several runs side by side: final scores with intervals, curves over seeds, as a page, a picture and tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from l2t.errors import RunDirectoryError
from l2t.report.pages import charts, count, figure, number, page, section, table
from l2t.report.plots import Line, Panel, draw, save_png, to_svg
from l2t.report.runs import RunRecord, flatten, group_runs, is_option
from l2t.report.scores import Groups, Ratio, Score, group_series, ratios_of, score_of
from l2t.report.statistics import FEWEST, Interval, curve_with_band, interquartile_mean
from l2t.run.files import Cure, write_atomically, writing

METRICS = {
    "return_mean": "return per episode",
    "average_reward": "reward per step",
    "episode_length_mean": "steps per episode",
}
"""What can be compared, and its unit."""

HEADERS = ("environment", "label", "role", "seeds", "steps", "IQM", "IQM 95 %", "mean", "mean 95 %")
RATIO_HEADERS = ("environment", "label", "scores", "student / teacher (IQM)", "95 %", "mean student / mean teacher")


@dataclass(frozen=True)
class Comparison:
    """Everything that the outputs show."""

    metric: str
    groups: Groups
    scores: tuple[Score, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...]


def compare(
    runs: Sequence[RunRecord], *, metric: str = "return_mean", options: Sequence[str] | None = None
) -> Comparison:
    """Group the runs (see `group_runs`) and estimate the final scores of every role.

    A seed that was run twice counts once, by its longest run, of equal ones by the later path: copies are no evidence.

    Raises:
        RunDirectoryError: when none of the runs has been evaluated.
    """
    distinct, notes = _without_repetitions(runs)
    groups = dict(sorted(group_runs(distinct, options).items()))
    scores = tuple(
        score
        for (env, label), members in groups.items()
        for role in dict.fromkeys(role for run in members for role in run.roles)
        if (score := score_of(env, label, role, members, metric)) is not None
    )
    if not scores:
        raise RunDirectoryError("None of these runs has been evaluated yet, so there is nothing to compare.")
    for (env, label), members in groups.items():
        unfinished = sum(run.status != "finished" for run in members)
        if unfinished:
            notes.append(f"{env}, {label}: {unfinished} of {len(members)} runs are not finished.")
        notes += _unequal(env, label, members)
        for run in members:
            changed = ", ".join(f"{each['key']} at step {each['step']:,}" for each in run.changes)
            if changed:
                notes.append(f"{env}, {label}: {run.path.name} was resumed with other settings: {changed}.")
        without = sum(len(run.final("eval/student/return_mean")) - len(run.final_ratio()) for run in members)
        if without and all("teacher" in run.roles for run in members):
            notes.append(
                f"{env}, {label}: the teacher earns nothing in {without} of the seeds; the last column counts them."
            )
    return Comparison(metric, groups, scores, ratios_of(groups), tuple(notes))


def write_comparison(comparison: Comparison, folder: Path) -> dict[str, Path]:
    """Write `report.html`, `curves.png`, `table.md` and `table.csv`, and return their paths.

    Raises:
        RunDirectoryError: when the folder cannot be written.
    """
    cure = Cure("compare the runs again", "choose another --out")
    with writing(folder, cure):
        folder.mkdir(parents=True, exist_ok=True)
        picture = save_png(draw(list(_panels(comparison)), labels=_labels(comparison)), folder / "curves.png")
    return {
        "page": write_atomically(folder / "report.html", render_comparison(comparison), cure),
        "curves": picture,
        "markdown": write_atomically(folder / "table.md", markdown(comparison), cure),
        "csv": write_atomically(folder / "table.csv", comma_separated(comparison), cure),
    }


def render_comparison(comparison: Comparison) -> str:
    """The page as text."""
    unit, labels = METRICS[comparison.metric], _labels(comparison)
    figures = [
        figure(to_svg(draw([panel], size=(4.6, 3.0), labels=labels), panel.title)) for panel in _panels(comparison)
    ]
    runs = sum(len(members) for members in comparison.groups.values())
    environments = len({env for env, _ in comparison.groups})
    notes = "".join(f'<p class="small interrupted">{escape(note)}</p>' for note in comparison.notes)
    explanation = (
        f"Evaluation, {unit}. Lines are interquartile means over seeds; bands and intervals are 95 % percentile "
        f"bootstrap, seeds resampled with replacement; of fewer than {FEWEST} seeds they are the range."
    )
    return page(
        "Comparison of runs",
        [
            f'<header><h1>Comparison</h1><p class="quiet">{runs} runs, {environments} environments</p>{notes}</header>',
            section("Curves", f'<p class="quiet small">{explanation}</p>', charts(figures, wide=True)),
            section("Final scores", table(HEADERS, score_rows(comparison), text_columns=(0, 1, 2))),
            section("Student over teacher", table(RATIO_HEADERS, ratio_rows(comparison), text_columns=(0, 1)))
            if comparison.ratios
            else "",
        ],
    )


def score_rows(comparison: Comparison) -> list[list[str]]:
    """The cells of the table of scores."""
    return [
        [
            *(score.env, score.label, score.role, str(score.seeds), count(score.env_steps)),
            *(number(score.iqm.estimate), ends(score.iqm, score.seeds)),
            *(number(score.mean.estimate), ends(score.mean, score.seeds)),
        ]
        for score in comparison.scores
    ]


def ratio_rows(comparison: Comparison) -> list[list[str]]:
    """The cells of the table of ratios."""
    return [
        [
            *(ratio.env or "all", ratio.label, str(ratio.seeds), number(ratio.iqm.estimate, 3)),
            *(ends(ratio.iqm, ratio.seeds, 3), "–" if math.isnan(ratio.of_means) else number(ratio.of_means, 3)),
        ]
        for ratio in comparison.ratios
    ]


def markdown(comparison: Comparison) -> str:
    """The tables as GitHub markdown."""
    text = _markdown_table(HEADERS, score_rows(comparison), names=3)
    if comparison.ratios:
        text += "\n" + _markdown_table(RATIO_HEADERS, ratio_rows(comparison), names=2)
    return text


def comma_separated(comparison: Comparison) -> str:
    """The scores in full precision, one row each; an unknown end is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ends = ("estimate", "low", "high")
    writer.writerow(
        ["env", "label", "role", "metric", "seeds", "env_steps", *(f"{s}_{e}" for s in ("iqm", "mean") for e in ends)]
    )
    for score in comparison.scores:
        values = [
            value for interval in (score.iqm, score.mean) for value in (interval.estimate, interval.low, interval.high)
        ]
        numbers = ["" if math.isnan(value) else repr(value) for value in values]
        writer.writerow([score.env, score.label, score.role, comparison.metric, score.seeds, score.env_steps, *numbers])
    return buffer.getvalue()


def _without_repetitions(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], list[str]]:
    kept: dict[str, RunRecord] = {}
    notes: list[str] = []
    for run in runs:
        options = {key: value for key, value in flatten(run.config).items() if is_option(key)}
        # The first of a batch of seeds are those of a smaller batch, bit for bit; a single run has another stream.
        seeds = (run.seed, run.config.get("num_seeds", 1) > 1)
        identity = repr((run.env, run.algorithm, seeds, sorted(options.items(), key=lambda item: item[0])))
        if identity in kept:
            notes.append(
                f"{run.env}, {run.algorithm}: seed {run.seed} was run twice; the longer run counts, of equal ones the "
                "one whose path comes later."
            )
            run = max(run, kept[identity], key=lambda one: (one.env_steps, one.config.get("num_seeds", 1)))
        kept[identity] = run
    return list(kept.values()), notes


def _unequal(env: str, label: str, members: Sequence[RunRecord]) -> list[str]:
    """What to say of finished runs of different lengths."""
    ends = sorted({run.env_steps for run in members if run.status == "finished"})
    if len(ends) < 2:
        return []
    return [
        f"{env}, {label}: runs of {count(ends[0])} to {count(ends[-1])} steps; all are read where the shortest ends."
    ]


def _labels(comparison: Comparison) -> list[str]:
    return sorted({label for _, label in comparison.groups})


def _panels(comparison: Comparison) -> list[Panel]:
    panels = []
    for env in dict.fromkeys(env for env, _ in comparison.groups):
        lines = []
        for score in comparison.scores:
            if score.env == env:
                series = group_series(comparison.groups[env, score.label], f"eval/{score.role}/{comparison.metric}")
                lines.append(Line(score.label, curve_with_band(series, interquartile_mean), score.role))
        panels.append(Panel(env, lines, METRICS[comparison.metric]))
    return panels


def ends(interval: Interval, scores: int, digits: int = 4) -> str:
    """What is known of the spread of so many scores: an interval, their range, or a dash."""
    if math.isnan(interval.low):
        return "–"
    told = f"{number(interval.low, digits)} to {number(interval.high, digits)}"
    return told if scores >= FEWEST else f"range {told}"


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> str:
    rule = ["---" if index < names else "---:" for index in range(len(headers))]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (headers, rule, *rows))
