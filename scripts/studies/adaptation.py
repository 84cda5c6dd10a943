"""What policies do that were trained under different rewards, judged alike: whether they stay up, follow, and walk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from l2t.config import check_count
from l2t.errors import ConfigurationError
from l2t.report.statistics import FEWEST, bootstrap_interval
from l2t.report.study import StudyContext, StudyResult, Table
from scripts.studies.gait import Walk, measure, played
from scripts.studies.walking import walker

SHOWN = {
    "survival": ("survival", 1.0, 3),
    "velocity error [m/s]": ("velocity_error", 1.0, 3),
    "heading error [rad]": ("heading_error", 1.0, 3),
    "walked [m]": ("walked", 1.0, 2),
    "foot clearance [cm]": ("clearance", 100.0, 1),
    "slip [m/s]": ("slip", 1.0, 3),
    "double support [%]": ("double_support", 100.0, 1),
    "at limit [%]": ("saturation", 100.0, 2),
}
"""Columns: the measure, the factor to its unit, digits."""


@dataclass(frozen=True)
class Adaptation:
    """Runs that differ in what they were paid for, in the same episodes.

    Attributes:
        runs: run directories by label, one for each seed.
        changes: to the environment of all of them, `key=value`.
        name: of the study.
        role: whose policy.
        episodes: of each run; the starts, bodies and ground are the same for all.
    """

    runs: Mapping[str, Sequence[str]]
    changes: Sequence[str] = ()
    name: str = "cassie_rewards"
    role: str = "teacher"
    episodes: int = 64

    def __post_init__(self) -> None:
        if not self.runs or not all(self.runs.values()):
            raise ConfigurationError(
                "study.runs has no run; give study.runs={naive: [<run directory>, ...], learned: [...]}."
            )
        check_count("study.episodes", self.episodes, 2)

    def run(self, context: StudyContext) -> StudyResult:
        """Play every run.

        Raises:
            L2TError: a run cannot be read, or its environment is not Cassie's.
        """
        rows = []
        for label, policies in self.runs.items():
            walks = []
            for policy_run in policies:
                context.notice(f"{label}, {policy_run}: {self.episodes} episodes ...")
                loaded = walker(context, policy_run, self.changes)
                walks.append(measure(played(loaded, self.role, self.episodes, context.seed)))
            rows.append((label, str(len(walks)), *(_cell(walks, *how) for how in SHOWN.values())))
        return StudyResult(
            curves=(),
            tables=(Table("Rewards compared", ("reward", "runs", *SHOWN), tuple(rows)),),
            x_label="",
            y_label="",
            notes=(
                f"{self.episodes} episodes a run, seed {context.seed}; mean actions. Interquartile means over runs, in "
                f"brackets their 95 % bootstrap interval, or the range of fewer than {FEWEST} runs.",
            ),
        )


def _cell(walks: Sequence[Walk], measure: str, factor: float, digits: int) -> str:
    values = [factor * value for walk in walks if not math.isnan(value := getattr(walk, measure))]
    if not values:
        return "–"
    interval = bootstrap_interval(values)
    if math.isnan(interval.low):
        return f"{interval.estimate:.{digits}f}"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
