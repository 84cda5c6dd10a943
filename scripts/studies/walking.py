"""How well a saved policy makes Cassie walk: whether it stays up, follows its commands, and moves like a walker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l2t.config import check_count, read_from
from l2t.errors import ConfigurationError
from l2t.report.runs import read_run
from l2t.report.study import StudyContext, StudyResult, Table
from scripts.studies.gait import Walk, measure, played

EVERYWHERE = ("env.episode_length=1000", "env.curriculum=false")
"""Changes of every case before its own: an episode lasts 20 s, however long those of the training were, on ground of
the difficulty that the case asks for."""


@dataclass(frozen=True)
class Walking:
    """One saved policy in several cases.

    Attributes:
        policy_run: run directory of the policy.
        cases: changes to the environment, `key=value`, by label.
        name: of the study.
        roles: whose policies; those that the run has.
        episodes: of each case, each with a seed of its own.
    """

    policy_run: str = field(metadata=read_from("the run directory of a policy"))
    cases: Mapping[str, Sequence[str]]
    name: str = "cassie_walking"
    roles: Sequence[str] = ("teacher", "student")
    episodes: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.policy_run, str) or not self.policy_run:
            raise ConfigurationError("study.policy_run is empty; give study.policy_run=<run directory of a policy>.")
        if not self.cases:
            raise ConfigurationError("study.cases must name at least one.")
        check_count("study.episodes", self.episodes, 2)

    def run(self, context: StudyContext) -> StudyResult:
        """Play every case.

        Raises:
            L2TError: the run cannot be read, or its environment is not Cassie's.
        """
        rows, gaits = [], []
        for label, changes in self.cases.items():
            run = walker(context, self.policy_run, changes)
            for role in (role for role in run.algorithm.roles if role in self.roles):
                context.notice(f"{label}, {role}: {self.episodes} episodes ...")
                walk = measure(played(run, role, self.episodes, context.seed))
                rows.append((label, role, *_follows(walk)))
                gaits.append((label, role, *_walks(walk)))
        errors = ("velocity error [m/s]", "heading error [rad]")
        followed = ("case", "role", "survival", *errors, "fall after [s]", "pushes recovered from")
        gait = ("foot clearance [m]", "slip [m/s]", "double support [%]", "flight [%]", "steps / s", "at limit [%]")
        return StudyResult(
            curves=(),
            tables=(
                Table("Following commands", followed, tuple(rows)),
                Table("Gait", ("case", "role", *gait), tuple(gaits)),
            ),
            x_label="",
            y_label="",
            notes=(f"{self.episodes} episodes a row, seed {context.seed}; mean actions.",),
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
        f"{walk.survival:.3f}",
        _cell(walk.velocity_error, 3),
        _cell(walk.heading_error, 3),
        _cell(walk.fall_after, 1),
        f"{walk.recovered:.3f} of {walk.pushes}" if walk.pushes else "–",
    )


def _walks(walk: Walk) -> tuple[str, ...]:
    return (
        _cell(walk.clearance, 3),
        _cell(walk.slip, 3),
        _cell(100.0 * walk.double_support, 1),
        _cell(100.0 * walk.flight, 1),
        _cell(walk.step_rate, 2),
        _cell(100.0 * walk.saturation, 2),
    )


def _cell(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
