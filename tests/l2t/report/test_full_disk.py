"""A page that does not fit on the disk: what is told then works, also for a run that has ended."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from l2t.errors import RunDirectoryError
from l2t.report.comparison import compare, write_comparison
from l2t.report.film import open_film
from l2t.report.run_page import write_report
from l2t.report.runs import read_runs
from l2t.report.study import StudyResult
from l2t.report.study_page import write_study
from tests.support.synthetic_runs import write_run


@pytest.fixture
def run(tmp_path) -> Path:
    write_run(tmp_path / "a")
    return tmp_path / "a"


def _film(run: Path) -> None:
    with open_film(run / "videos" / "teacher.mp4", 25.0) as add:
        add(np.zeros((16, 16, 3), np.uint8))


WRITERS = {
    "run": (write_report, r"Free some, then write the page with scripts/report\.py \S*a\.$"),
    "comparison": (
        lambda run: write_comparison(compare(read_runs([run])), run / "out"),
        r"Free some, then compare the runs again\.$",
    ),
    "study": (
        lambda run: write_study("tiny", StudyResult((), (), "x", "y"), run / "study", {}, "run me"),
        r"Free some, then compute the study again in a new directory\.$",
    ),
    "film": (_film, r"Free some, then render it with scripts/render\.py\.$"),
}


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_names_the_command_that_writes_it_again(what, run, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write, told = WRITERS[what]
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr("l2t.report.film._writer", full)
    with pytest.raises(RunDirectoryError, match=told) as error:
        write(run)
    assert "resume=" not in str(error.value)
