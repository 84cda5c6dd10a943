"""The report of one run: a page with curves, final table, video, configuration and versions."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np

from l2t.report.pages import charts, count, duration, figure, folded, number, page, section, table, tiles
from l2t.report.plots import POINTS, Line, Panel, draw, thin, to_svg
from l2t.report.runs import RunRecord, flatten, read_run
from l2t.report.statistics import FEWEST, Curve, Series, bootstrap_interval, curve_with_band
from l2t.run.files import Cure, write_atomically

EMBEDDED_VIDEO_BYTES = 12_000_000
"""Videos beyond this total are linked instead, or the page would no longer open on a phone."""

TITLES = {
    "return_mean": ("Return in evaluation", "return per episode"),
    "average_reward": ("Average reward in evaluation", "reward per step"),
    "episode_length_mean": ("Episode length in evaluation", "steps per episode"),
    "train/episode_return": ("Return in training", "return per episode"),
    "train/episode_length": ("Episode length in training", "steps per episode"),
    "perf/steps_per_second": ("Speed", "steps per second"),
}
WIDE, SMALL = (4.6, 3.0), (3.7, 2.2)
ACRONYMS = {"kl": "KL", "rl": "RL", "rms": "RMS", "r2": "R²"}
PLACES = ("run_dir", "resume")
EVALUATION = ("return_mean", "average_reward", "episode_length_mean")


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run directory, and return its path.

    The page stands alone: curves are inline SVG, videos are embedded while they are small. It can be written at any
    time: a run without an evaluation yet shows what it has.

    Raises:
        RunDirectoryError: when `run_dir` is not a run directory, or cannot be written.
    """
    # The run may have ended: then there is nothing to resume.
    cure = Cure(
        f"write the page with scripts/report.py {shlex.quote(str(run_dir))}", "copy the run to a place where it can"
    )
    return write_atomically(run_dir / "report.html", render_page(read_run(run_dir)), cure)


def render_page(run: RunRecord) -> str:
    """The page as text."""
    title = f"{run.algorithm} on {run.env}"
    videos = _videos(run)
    shown = {f"eval/{role}/{name}" for role in run.roles for name in EVALUATION}
    # Beside a video the returns get the larger chart.
    evaluation = [
        _evaluation_chart(run, name, WIDE if videos and name == "return_mean" else SMALL) for name in EVALUATION
    ]
    rest = sorted((metric for metric in run.metrics if metric not in shown), key=lambda metric: metric not in TITLES)
    training = [metric for metric in rest if metric.startswith("train/")]
    losses = [metric for metric in rest if metric.startswith("loss/")]
    speed = [metric for metric in rest if metric.startswith("perf/")]
    other = [metric for metric in rest if metric not in {*training, *losses, *speed}]
    return page(
        title,
        [
            f"<header>\n<h1>{escape(title)}</h1>\n{_summary(run)}\n{tiles(_headline(run))}\n</header>",
            section(
                "Evaluation",
                charts([*videos, evaluation[0]], wide=True) if videos else "",
                charts(evaluation[1:] if videos else evaluation),
                _band_note(run),
                _final_table(run),
            )
            if run.roles
            else section(
                "Evaluation", '<p class="quiet">No evaluation has been made yet.</p>', charts(videos, wide=True)
            ),
            section("Training", _thin_note(run), charts([_chart(run, metric) for metric in [*training, *speed]])),
            section("Losses", charts([_chart(run, metric) for metric in losses])),
            section("More", folded(f"{len(other)} other metrics", charts([_chart(run, m) for m in other])))
            if other
            else "",
            section("Configuration", _configuration(run)),
            section("Versions", _versions(run)),
        ],
    )


def _summary(run: RunRecord) -> str:
    seeds = run.config.get("num_seeds", 1)
    seed = f"seed {run.seed}" if seeds == 1 else f"{seeds} seeds from {run.seed}"
    facts = [seed, f"{count(run.env_steps)} environment steps"]
    total = run.config.get("total_steps")
    if isinstance(total, int | float) and run.env_steps < total:
        facts[-1] += f" of {count(total)}"
    if "wall_seconds" in run.result:
        facts.append(duration(run.result["wall_seconds"]))
    if "steps_per_second" in run.result:
        facts.append(f"{count(run.result['steps_per_second'])} steps per second while training")
    if resumed := run.result.get("resumed_at"):
        facts.append(f"resumed at {', '.join(map(count, resumed))}")
    status = f'<span class="status {escape(run.status)}">{escape(run.status)}</span>'
    return f'<p class="quiet">{status} · {escape(" · ".join(facts))}</p>'


def _headline(run: RunRecord) -> dict[str, str]:
    numbers = {
        f"{role} return": number(float(np.mean(list(final.values()))))
        for role in run.roles
        if (final := run.final(f"eval/{role}/return_mean"))
    }
    if ratio := run.final_ratio():
        numbers["student / teacher"] = f"{np.mean(list(ratio.values())):.0%}"
    for role in run.roles:
        if steps := run.final(f"env_steps/{role}"):
            numbers[f"steps driven by the {role}"] = count(max(steps.values()))
    return numbers


def _evaluation_chart(run: RunRecord, name: str, size: tuple[float, float]) -> str:
    title, unit = TITLES[name]
    lines = []
    for role in run.roles:
        if series := run.series(f"eval/{role}/{name}"):
            spread = run.series(f"eval/{role}/return_std") if name == "return_mean" else {}
            curve = _with_spread(_seed_curve(list(series.values())), list(spread.values()))
            lines.append(Line(role, curve, role))
    return figure(to_svg(draw([Panel(title, lines, unit)], size=size), title)) if lines else ""


def _band_note(run: RunRecord) -> str:
    seeds = max((len(run.series(f"eval/{role}/return_mean")) for role in run.roles), default=0)
    band = (
        "The band around the return is one standard deviation over the evaluation episodes."
        if seeds == 1
        else f"Lines are interquartile means over {seeds} seeds; bands are {_ends(seeds)}s."
    )
    return f'<p class="quiet small">{band} Policies are evaluated with their mean actions.</p>'


def _ends(seeds: int) -> str:
    return "95 % bootstrap interval" if seeds >= FEWEST else "range"


def _thin_note(run: RunRecord) -> str:
    if len(run.rows) <= POINTS or run.config.get("num_seeds", 1) > 1:
        return ""
    return '<p class="quiet small">Lines average neighbouring log points; the band spans their extremes.</p>'


def _seed_curve(series: Sequence[Series]) -> Curve:
    return curve_with_band(series) if len(series) > 1 else thin(series[0])


def _with_spread(curve: Curve, spread: Sequence[Series]) -> Curve:
    """With one seed the band shows the episodes' spread; with several it already shows the seeds'."""
    if curve.seeds > 1 or len(spread) != 1 or not np.array_equal(spread[0].steps, curve.steps):
        return curve
    deviation = spread[0].values
    return replace(curve, low=curve.centre - deviation, high=curve.centre + deviation)


def _words(metric: str) -> str:
    name = metric.split("/", 1)[-1].replace("/", ", ")
    words = " ".join(ACRONYMS.get(word, word) for word in name.split("_"))
    return words[:1].upper() + words[1:]


def _chart(run: RunRecord, metric: str) -> str:
    series = list(run.series(metric).values())
    if not series:
        return ""
    title, unit = TITLES.get(metric, (_words(metric), ""))
    return figure(to_svg(draw([Panel(title, [Line("", _seed_curve(series))], unit)], size=SMALL), metric))


def _final_table(run: RunRecord) -> str:
    rows = []
    for role in run.roles:
        finals = {
            name: list(run.final(f"eval/{role}/{name}").values()) for name in (*EVALUATION, "return_std", "episodes")
        }
        returns = finals["return_mean"]
        if not returns:
            continue
        if len(returns) > 1:
            interval = bootstrap_interval(returns, np.mean)
            spread = f"{number(interval.low)} to {number(interval.high)}"
        else:
            spread = f"± {number(finals['return_std'][0])}" if finals["return_std"] else "–"
        driven = run.final(f"env_steps/{role}")
        rows.append(
            [
                role,
                number(float(np.mean(returns))),
                spread,
                *(number(float(np.mean(values)) if (values := finals[name]) else None) for name in EVALUATION[1:]),
                number(finals["episodes"][0], 10) if finals["episodes"] else "–",
                count(max(driven.values())) if driven else "–",
            ]
        )
    if not rows:
        return ""
    seeds = max(len(run.series(f"eval/{role}/return_mean")) for role in run.roles)
    spread = "standard deviation" if seeds == 1 else _ends(seeds)
    headers = ["role", "return", spread, "reward per step", "episode length", "episodes", "environment steps driven"]
    return table(headers, rows)


def _videos(run: RunRecord) -> list[str]:
    files = sorted(
        (run.path / "videos").glob("*.mp4"), key=lambda file: (not file.stem.startswith("student"), file.name)
    )
    left, found = EMBEDDED_VIDEO_BYTES, []
    for file in files:
        source = f"videos/{file.name}"
        if file.stat().st_size <= left:
            left -= file.stat().st_size
            source = "data:video/mp4;base64," + base64.b64encode(file.read_bytes()).decode("ascii")
        content = f'<video controls loop muted playsinline preload="metadata" src="{escape(source)}"></video>'
        found.append(figure(content, file.stem.replace("_", " ")))
    return found


def _configuration(run: RunRecord) -> str:
    if not run.config:
        return '<p class="quiet">No composed configuration was found beside this run.</p>'
    flat = flatten(run.config)
    top = [
        [key, json.dumps(value)]
        for key, value in flat.items()
        if "." not in key and value is not None and key not in PLACES
    ]
    groups = [
        folded(name, table(["key", "value"], _pairs({name: group}), text_columns=(0, 1)))
        for name, group in run.config.items()
        if isinstance(group, dict) and group
    ]
    # Where the run was written is nobody else's business, and a second run must go elsewhere anyway.
    overrides = [override for override in run.overrides if not override.startswith(PLACES)]
    command = shlex.join(["python", "scripts/train.py", *overrides])
    shown = f"<pre>{escape(command)}</pre>" + _changes(run)
    return shown + table(["key", "value"], top, text_columns=(0, 1)) + "".join(groups)


def _changes(run: RunRecord) -> str:
    """What was another setting before the run was resumed."""
    rows = [
        [change["key"], count(change["step"]), *map(json.dumps, (change["before"], change["now"]))]
        for change in run.changes
    ]
    if not rows:
        return ""
    told = "The command and the tables say how the run went on. Until the steps below it had other settings."
    changed = table(["changed on the way", "at step", "before", "since"], rows, text_columns=(0, 2, 3))
    return f'<p class="small interrupted">{told}</p>' + changed


def _pairs(config: dict) -> list[list[str]]:
    return [[key, json.dumps(value)] for key, value in flatten(config).items()]


def _versions(run: RunRecord) -> str:
    versions = run.result.get("versions") or {}
    return (
        table(["", "version"], [[name, str(v)] for name, v in versions.items()], text_columns=(0, 1))
        if versions
        else ""
    )
