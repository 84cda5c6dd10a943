"""Keys of the environment that were typed, and that nobody in a run would look at.

What an experiment or a run that is read back has is not asked about, nor is a learner or a task of somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.config import SPMDConfig, SPMDVRTDConfig
from algorithms.inverse.config import InverseConfig
from algorithms.replay.config import AverageRewardReplayConfig
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from configs.parts import ours, parts_of
from configs.schema import ExperimentConfig
from l2t.errors import ConfigurationError

_CHARGED = SPMDConfig | SPMDVRTDConfig | AverageRewardReplayConfig
_KEYS = r"\+{0,2}(env\.(?:(reset_cost)|student_\w+|noise(?:\.\w+)?)=.*)"

_UNCHARGED = "no learner of {} is charged for a reset, as those of an average reward are: leave it out."
_UNSEEN = (
    "nobody in {} looks at the observation group student: leave it out, or let a learner look at it, such as the "
    "student of algorithm=l2t."
)


def unread(config: ExperimentConfig, typed: Sequence[str]) -> dict[str, str]:
    """Of a run, by key: what to tell of an override without effect. A run that is resumed has none, nor has a study.

    Args:
        config: of the run.
        typed: the overrides that it was composed from.
    """
    if config.study is not None or config.resume is not None:
        return {}
    parts = dict(parts_of("algorithm", config.algorithm))
    if not ours(config.env) or not all(map(ours, parts.values())):
        return {}
    charged, shown = _charged(parts), _shown(parts)
    found = {}
    for match in filter(None, (re.fullmatch(_KEYS, text, re.S) for text in typed)):
        text, cost = match[1], match[2] is not None
        if not (charged if cost else shown):
            why = _UNCHARGED if cost else _UNSEEN
            found[text.partition("=")[0]] = f"{text} would change nothing: {why.format(config.algorithm.name)}"
    return found


def check_read_somewhere(jobs: Sequence[Mapping[str, str]]) -> None:
    """Raise where an override has no effect in any job of a sweep, or in the only job; `jobs` are as `unread` has them.

    A sweep over algorithms may set what one of them looks at.

    Raises:
        ConfigurationError: the first such.
    """
    for key, told in jobs[0].items() if jobs else ():
        if all(key in job for job in jobs):
            raise ConfigurationError(told)


def _charged(parts: Mapping[str, Any]) -> bool:
    """Whether some learner is charged for a reset: one of the average reward, or a student with a reward of its own."""
    own = any(
        isinstance(part, LearnToTeachConfig)
        and isinstance(part.teacher, InverseConfig)
        and part.student.rl_coefficient > 0.0
        for part in parts.values()
    )
    return own or any(isinstance(part, _CHARGED) for part in parts.values())


def _shown(parts: Mapping[str, Any]) -> bool:
    """Whether somebody looks at the group `student`."""
    named = (getattr(part, name, "") for part in parts.values() for name in ("observation", "critic_observation"))
    return any(isinstance(part, StudentConfig) for part in parts.values()) or "student" in named
