import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from l2t_commands import ROOMS
from scripts.command_line import exit_code, progress
from tests.support.processes import processor_seconds
from tests.support.synthetic_runs import write_run

SCRIPTS = Path(__file__).parents[2] / "scripts"


def call(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPTS / script, *arguments], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("script", ["report.py", "evaluate.py", "render.py", "collect.py", "watch.py"])
def test_help_comes_at_once_and_shows_an_example(script):
    best = min(_timed(script) for _ in range(3))
    assert 0.01 < best < 1.0


def _timed(script: str) -> float:
    before = processor_seconds()
    shown = call(script, "--help")
    assert f"python scripts/{script}" in shown.stdout
    assert shown.returncode == 0
    return processor_seconds() - before


@pytest.mark.parametrize("script", ["report.py", "evaluate.py", "render.py", "watch.py"])
def test_a_missing_folder_is_one_line_and_exit_code_1(script, tmp_path):
    done = call(script, str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "nowhere is not a folder" in done.stderr


@pytest.mark.parametrize("script", ["evaluate.py", "render.py"])
def test_a_folder_that_is_no_run_is_one_line_and_exit_code_1(script, tmp_path):
    done = call(script, str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is not a run directory" in done.stderr


@pytest.mark.parametrize("script", ["report.py", "evaluate.py", "render.py"])
def test_a_study_is_told_from_a_run(script, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "result.json").write_text(json.dumps({"study": "amdp_speed", "status": "finished"}))
    done = call(script, str(study))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is a study (amdp_speed), not a training run" in done.stderr
    assert "report.html" in done.stderr


def test_studies_and_an_earlier_comparison_among_runs_are_passed_over(tmp_path):
    write_run(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "study").mkdir()
    (tmp_path / "runs" / "study" / "result.json").write_text(json.dumps({"study": "amdp_speed"}))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, SCRIPTS / "report.py", "runs"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "comparison" / "report.html").is_file()
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a", "study"]


def test_a_command_whose_reader_has_gone_ends_well(tmp_path):
    write_run(tmp_path / "a")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, SCRIPTS / "report.py", "a", "--out", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "report.html").is_file()


def test_what_takes_long_shows_that_it_goes_on():
    lines: list[str] = []
    with progress(lines.append, every=0.01) as say:
        say("began")
        limit = time.monotonic() + 300
        while len(lines) < 3 and time.monotonic() < limit:
            time.sleep(0.01)
    said = len(lines)
    time.sleep(0.05)
    assert lines[0] == "began"
    assert all(line.startswith("still at work after ") for line in lines[1:])
    assert said == len(lines) >= 3


@pytest.mark.parametrize("content", [None, "raise ImportError('not yours')"])
def test_a_users_own_folders_of_the_same_names_do_not_break_the_commands(tmp_path, content):
    for room in ROOMS:
        (tmp_path / room).mkdir()
        if content is not None:
            (tmp_path / room / "__init__.py").write_text(content)
    # As in an installed command, and with the user's folders first on the path.
    program = "import sys; sys.argv[0] = 'l2t'; from l2t_commands import {}; sys.exit({}())"
    for command, arguments, code, told in (
        ("train", ["env=foo"], 1, "half_cheetah"),
        ("evaluate", ["nowhere"], 1, "nowhere is not a folder"),
        ("report", ["--help"], 0, "--group-by"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program.format(command, command), *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(SCRIPTS.parent)])},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert told in done.stdout + done.stderr


def test_a_warning_is_one_line_once_and_others_are_as_they_were(capsys):
    class PeriodWarning(UserWarning):
        pass

    def command():
        for _ in range(3):
            warnings.warn("the expert is poor", PeriodWarning, stacklevel=1)
            warnings.warn("the horizon varies", PeriodWarning, stacklevel=1)
        warnings.warn("not for users", RuntimeWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        usual = warnings.showwarning
        assert exit_code(command) == 0
        assert warnings.showwarning is usual
    assert [str(w.message) for w in recorded] == ["not for users"]
    assert capsys.readouterr().err == "warning: the expert is poor\nwarning: the horizon varies\n"
