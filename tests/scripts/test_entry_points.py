import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def call(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPTS / script, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("script", ["report.py", "evaluate.py", "render.py"])
def test_help_comes_at_once_and_shows_an_example(script):
    best = min(_timed(script) for _ in range(3))
    assert best < 1.0


def _timed(script: str) -> float:
    began = time.perf_counter()
    shown = call(script, "--help")
    assert f"python scripts/{script}" in shown.stdout
    assert shown.returncode == 0
    return time.perf_counter() - began


@pytest.mark.parametrize("script", ["report.py", "evaluate.py", "render.py"])
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
