"""How well a saved policy makes Cassie walk: whether it stays up, follows its commands, and moves like a walker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l2t.config import check_count, read_from
from l2t.errors import ConfigurationError
from l2t.report.runs import read_run
from l2t.report.statistics import wilson_interval
from l2t.report.study import StudyContext, StudyResult, Table, interval_text
from scripts.studies.cases import chosen
from scripts.studies.gait import Walk, measure, played

EVERYWHERE = ("env.episode_length=1000", "env.curriculum=false")
"""Changes of every case before its own: an episode lasts 20 s, however long those of the training were, on ground of
the difficulty that the case asks for."""

FOLLOWED = (
    *("survival", "velocity error [m/s]", "heading error [rad]", "fall after [s]"),
    "pushes recovered from",
)
COVERED = ("walked [m]", "asked [m]", "walked / asked")
GAIT = (
    *("foot clearance [m]", "its 10 % [m]", "slip [m/s]", "double support [%]"),
    *("flight [%]", "steps / s", "at limit [%]"),
)
FALLS = ("falls", "low", "tilted", "heel", "fast")
"""Columns of the tables, after the case and the role."""

EXPLAINED = (
    "Metres are of the pelvis in the world along the commanded direction, and those asked for, up to the end or the "
    "fall. Clearance is the highest point of a swing, of the foot that lifts less: mean and 10th percentile of its "
    "swings. A fall may meet several criteria; how far a pelvis may sink and tilt differs by ground."
)


@dataclass(frozen=True)
class Walking:
    """One saved policy in several cases, in episodes that the study's seed draws.

    Attributes:
        policy_run: run directory of the policy.
        cases: changes to the environment, `key=value`, by label.
        name: of the study.
        roles: whose policies; those that the run has.
        episodes: of each case, each with a seed of its own.
        changes: to the environment in every case, after the case's own.
        only: labels of the cases to compute; none for all.
    """

    policy_run: str = field(metadata=read_from("the run directory of a policy"))
    cases: Mapping[str, Sequence[str]]
    name: str = "cassie_walking"
    roles: Sequence[str] = ("teacher", "student")
    episodes: int = 256
    changes: Sequence[str] = ()
    only: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.policy_run, str) or not self.policy_run:
            raise ConfigurationError("study.policy_run is empty; give study.policy_run=<run directory of a policy>.")
        chosen(self.cases, self.only)
        check_count("study.episodes", self.episodes, 2)

    def run(self, context: StudyContext) -> StudyResult:
        """Play every case.

        Raises:
            L2TError: the run cannot be read, or its environment is not Cassie's.
        """
        rows, ground, gaits, falls = [], [], [], []
        for label, changes in chosen(self.cases, self.only).items():
            run = walker(context, self.policy_run, [*changes, *self.changes])
            for role in (role for role in run.algorithm.roles if role in self.roles):
                context.notice(f"{label}, {role}: {self.episodes} episodes ...")
                walk = measure(played(run, role, self.episodes, context.seed))
                rows.append((label, role, *_follows(walk)))
                ground.append((label, role, *_covers(walk)))
                gaits.append((label, role, *_walks(walk)))
                falls.append((label, role, *_falls(walk)))
        return StudyResult(
            curves=(),
            tables=(
                Table("Following commands", ("case", "role", *FOLLOWED), tuple(rows)),
                Table("Ground covered", ("case", "role", *COVERED), tuple(ground)),
                Table("Gait", ("case", "role", *GAIT), tuple(gaits)),
                Table("Falls, by the criteria met at the end", ("case", "role", *FALLS), tuple(falls)),
            ),
            x_label="",
            y_label="",
            notes=(
                f"{self.episodes} episodes a row, seed {context.seed}; mean actions; 95 % Wilson intervals.",
                EXPLAINED,
            ),
        )


def walker(context: StudyContext, policy_run: str, changes: Sequence[str]) -> Any:
    """A saved policy on Cassie, in episodes of 20 s.

    Raises:
        L2TError: the run cannot be read, or its environment is not Cassie's.
    """
    name = read_run(policy_run).env  # before the changes, which no other robot's environment would know
    if name != "cassie":
        raise ConfigurationError(f"{policy_run} is a run on {name}, not on cassie.")
    return context.load_run(policy_run, [*EVERYWHERE, *changes])


def _follows(walk: Walk) -> tuple[str, ...]:
    return (
        interval_text(wilson_interval(round(walk.survival * walk.episodes), walk.episodes), 3),
        _cell(walk.velocity_error, 3),
        _cell(walk.heading_error, 3),
        _cell(walk.fall_after, 1),
        f"{walk.recovered:.3f} of {walk.pushes}" if walk.pushes else "–",
    )


def _covers(walk: Walk) -> tuple[str, ...]:
    share = walk.walked / walk.asked if walk.asked > 0.0 else float("nan")
    return f"{walk.walked:.2f}", f"{walk.asked:.2f}", _cell(share, 3)


def _falls(walk: Walk) -> tuple[str, ...]:
    fallen = round((1.0 - walk.survival) * walk.episodes)
    return str(fallen), *(str(walk.endings[name]) for name in FALLS[1:])


def _walks(walk: Walk) -> tuple[str, ...]:
    return (
        _cell(walk.clearance, 3),
        _cell(walk.lowest_clearance, 3),
        _cell(walk.slip, 3),
        _cell(100.0 * walk.double_support, 1),
        _cell(100.0 * walk.flight, 1),
        _cell(walk.step_rate, 2),
        _cell(100.0 * walk.saturation, 2),
    )


def _cell(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
