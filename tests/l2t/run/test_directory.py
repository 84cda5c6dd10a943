import errno
import json
import math
import os

import numpy as np
import pytest

from l2t.errors import RunDirectoryError
from l2t.run.claim import check_new, check_resumable, check_writable
from l2t.run.directory import RunDirectory
from l2t.run.files import writing


def test_every_row_is_on_disk_as_soon_as_it_is_appended(tmp_path):
    run = RunDirectory(tmp_path)
    run.append_metrics([{"step": 1, "loss/a": np.float32(0.5)}])
    assert json.loads(run.metrics.read_text()) == {"step": 1, "loss/a": 0.5}
    run.append_metrics([{"step": 2, "seed": 0}, {"step": 2, "seed": 1}])
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 2]


def test_numbers_that_are_not_finite_become_null_because_json_has_none(tmp_path):
    run = RunDirectory(tmp_path)
    run.append_metrics([{"step": 1, "a": math.nan, "b": np.float32(math.inf)}])
    assert json.loads(run.metrics.read_text(), parse_constant=pytest.fail) == {"step": 1, "a": None, "b": None}


def test_rewinding_drops_later_rows_and_a_torn_line(tmp_path):
    run = RunDirectory(tmp_path)
    run.append_metrics([{"step": step} for step in (10, 20, 30)])
    with run.metrics.open("a") as file:
        file.write('{"step": 4')
    run.rewind_metrics(20)
    run.append_metrics([{"step": 30, "again": True}])
    assert run.metrics.read_text().splitlines() == ['{"step": 10}', '{"step": 20}', '{"step": 30, "again": true}']


def test_a_result_is_replaced_in_one_move_and_leaves_nothing_behind(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_result({"status": "running"})
    before = run.result.stat().st_ino
    run.write_result({"status": "finished"})
    assert run.read_result() == {"status": "finished"}
    assert run.result.stat().st_ino != before
    assert [child.name for child in tmp_path.iterdir()] == ["result.json"]


def test_a_failed_write_keeps_the_old_result(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path)
    run.write_result({"status": "running"})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunDirectoryError, match=r"No space left .* resume="):
        run.write_result({"status": "finished"})
    assert run.read_result() == {"status": "running"}
    assert [child.name for child in tmp_path.iterdir()] == ["result.json"]


def test_a_really_full_device_is_reported_with_the_cure():
    with pytest.raises(RunDirectoryError, match="No space left"), writing("metrics.jsonl"):  # noqa: SIM117
        with open("/dev/full", "w") as file:
            file.write("x")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR])
def test_a_place_that_cannot_be_written_is_reported_with_the_cure(code):
    with (
        pytest.raises(RunDirectoryError, match="hoose another place with run_dir="),
        writing("x"),
    ):
        raise OSError(code, os.strerror(code))


def test_a_new_run_may_start_where_nothing_is(tmp_path):
    check_new(tmp_path / "a" / "b")
    (tmp_path / "empty").mkdir()
    check_new(tmp_path / "empty")
    assert [child.name for child in tmp_path.iterdir()] == ["empty"]


def test_a_new_run_never_starts_over_an_existing_one(tmp_path):
    RunDirectory(tmp_path).write_result({"status": "finished"})
    with pytest.raises(RunDirectoryError, match=r"already holds a run \(status finished\).*resume="):
        check_new(tmp_path)


def test_a_new_run_never_starts_among_foreign_files(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunDirectoryError, match="holds no run"):
        check_new(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/run", "file/deep/run"])
def test_a_file_is_no_place_for_a_run(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match=r"file.*run_dir="):
        check_new(tmp_path / place)


@pytest.mark.parametrize("name", ["a*", "really?", "[1]/run"])
def test_a_name_that_would_spoil_the_checkpoints_is_refused(tmp_path, name):
    with pytest.raises(RunDirectoryError, match=r"takes for a pattern.*run_dir="):
        check_new(tmp_path / name)


def test_a_read_only_place_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunDirectoryError, match=r"cannot be written.*run_dir="):
        check_writable(tmp_path / "runs")


def test_only_a_run_directory_can_be_resumed(tmp_path):
    with pytest.raises(RunDirectoryError, match="does not exist"):
        check_resumable(tmp_path / "nowhere")
    with pytest.raises(RunDirectoryError, match="is not a run directory"):
        check_resumable(tmp_path)
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=1\n")
    RunDirectory(tmp_path).write_result({"status": "interrupted"})
    check_resumable(tmp_path)


def test_a_result_that_is_not_json_is_named(tmp_path):
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(RunDirectoryError, match=r"result\.json cannot be read"):
        RunDirectory(tmp_path).read_result()
