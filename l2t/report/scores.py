"""Final scores and ratios of groups of runs, with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2t.report.runs import RunRecord
from l2t.report.statistics import Interval, Series, bootstrap_interval

Groups = dict[tuple[str, str], list[RunRecord]]
"""Runs by environment and label."""

ROLES = ("student", "teacher")
"""Whose ratio is told, in this order."""


@dataclass(frozen=True)
class Score:
    """The final evaluations of one role in one group of runs.

    Attributes:
        env, label, role: whose they are.
        seeds: how many there are.
        env_steps: at which step the evaluations were made: the last one that all runs have come to.
        iqm, mean: interquartile mean and mean over seeds with their 95 % bootstrap intervals.
    """

    env: str
    label: str
    role: str
    seeds: int
    env_steps: int
    iqm: Interval
    mean: Interval


@dataclass(frozen=True)
class Ratio:
    """Student return over teacher return, seed by seed, at the last step that all seeds of a group have come to.

    Attributes:
        env, label: whose; `env` is empty for the average over environments.
        seeds: how many of them have a ratio: those whose teacher has earned something.
        iqm: over those.
        of_means: the student's mean return over the teacher's, all seeds counted; NaN over environments, and where the
            teachers' mean is not positive.
    """

    env: str
    label: str
    seeds: int
    iqm: Interval
    of_means: float


def score_of(env: str, label: str, role: str, members: Sequence[RunRecord], metric: str) -> Score | None:
    """The metric of a role at the last evaluation that all runs of a group have come to; `None` where there is none."""
    series = group_series(members, f"eval/{role}/{metric}")
    if not series:
        return None
    end = _common_end(series)
    finals = [value for run in members for value in run.final(f"eval/{role}/{metric}", end).values()]
    return Score(
        env=env,
        label=label,
        role=role,
        seeds=len(finals),
        env_steps=int(end),
        iqm=bootstrap_interval(finals),
        mean=bootstrap_interval(finals, np.mean),
    )


def ratios_of(groups: Groups) -> tuple[Ratio, ...]:
    """Of every group with a student and a teacher, then of labels over their environments."""
    found: dict[str, dict[str, list[float]]] = {}
    of_means: dict[tuple[str, str], float] = {}
    for (env, label), members in groups.items():
        both = [one for role in ROLES for one in group_series(members, f"eval/{role}/return_mean")]
        end = _common_end(both) if both else math.nan
        values = [value for run in members for value in run.final_ratio(end).values()]
        if values:
            found.setdefault(label, {})[env] = values
            of_means[env, label] = _of_means(members, end)
    ratios = [
        Ratio(env, label, len(values), bootstrap_interval(values), of_means[env, label])
        for label, by_env in found.items()
        for env, values in by_env.items()
    ]
    ratios += [
        Ratio("", label, sum(map(len, by_env.values())), bootstrap_interval(list(by_env.values())), math.nan)
        for label, by_env in found.items()
        if len(by_env) > 1
    ]
    return tuple(sorted(ratios, key=lambda ratio: (ratio.env == "", ratio.env, ratio.label)))


def _of_means(members: Sequence[RunRecord], end: float) -> float:
    student, teacher = (
        np.mean([value for run in members for value in run.final(f"eval/{role}/return_mean", end).values()])
        for role in ROLES
    )
    return float(student / teacher) if teacher > 0.0 else math.nan


def _common_end(series: Sequence[Series]) -> float:
    """The last step that all of them have come to."""
    return float(min(one.steps[-1] for one in series))


def group_series(members: Sequence[RunRecord], metric: str) -> list[Series]:
    """The metric of every seed of a group."""
    return [series for run in members for series in run.series(metric).values()]
