"""Which of a study's cases are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from l2t.config import check_choice, check_names
from l2t.errors import ConfigurationError


def chosen(cases: Mapping[str, Any], only: Sequence[str]) -> dict[str, Any]:
    """The cases that `only` names, in the study's own order; all of them where it names none.

    Raises:
        ConfigurationError: there is none, or none of such a name.
    """
    if not cases:
        raise ConfigurationError("study.cases must name at least one.")
    check_names("study.only", only, next(iter(cases)))
    for name in only:
        check_choice("study.only", name, cases)
    return {label: case for label, case in cases.items() if not only or label in only}
