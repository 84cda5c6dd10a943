"""The training command as a user meets it, with a learner and a task from a stranger's package."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stranger")
    for name, content in {
        "algorithm/drift.yaml": "_target_: tests.support.toys.DriftConfig\ndiverge_at: 0\npause: 0.0\n",
        "env/toy.yaml": "_target_: tests.support.toys.ToyConfig\n",
    }.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(content)
    return folder


def start(stranger, cwd, *arguments):
    resumes = any(argument.startswith("resume=") for argument in arguments)
    chosen = [] if resumes else [f"--config-dir={stranger}", *_CHOICES]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *chosen, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


_CHOICES = [
    "algorithm=drift",
    "env=toy",
    "tracking.wandb.mode=disabled",
    "total_steps=60",
    "eval_every=30",
    "video=false",
]


def train(stranger, cwd, *arguments):
    process = start(stranger, cwd, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def result(run):
    return json.loads((run / "result.json").read_text())


def test_a_run_leaves_what_the_contract_says_and_ends_with_a_table(stranger, tmp_path):
    code, out, err = train(stranger, tmp_path, "seed=4")
    assert code == 0, err
    assert err == ""
    (run,) = tmp_path.glob("runs/*/*")
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-drift-toy-s4", str(run.relative_to(tmp_path)))
    assert {child.name for child in run.iterdir()} == {
        *(".hydra", "metrics.jsonl", "result.json", "checkpoints", "report.html")
    }
    assert result(run)["status"] == "finished"
    assert (result(run)["algorithm"], result(run)["env"], result(run)["seed"]) == ("drift", "toy", 4)
    assert "eval student" in out
    assert re.search(r"teacher +│ +-?[\d.]+ │", out)
    for part in (
        "student / teacher:",
        "environment steps/s",
        f"run directory: {run.relative_to(tmp_path)}",
        "Report: ",
    ):
        assert part in out


def test_a_sweep_goes_on_after_a_run_that_diverges_and_then_reports_it(stranger, tmp_path):
    code, out, err = train(stranger, tmp_path, "-m", "algorithm.diverge_at=0,3,0", "report=false", "run_dir=sweep")
    assert code == 1
    assert "loss/actor became nan in iteration 3" in err
    assert "Traceback" not in out + err
    statuses = {run.name: result(run)["status"] for run in (tmp_path / "sweep").iterdir() if run.is_dir()}
    assert statuses == {"0-drift-toy-s0": "finished", "1-drift-toy-s0": "failed", "2-drift-toy-s0": "finished"}


def test_a_diverged_run_says_so_in_one_line(stranger, tmp_path):
    code, out, err = train(stranger, tmp_path, "algorithm.diverge_at=3", "run_dir=run")
    assert code == 1
    assert err.startswith("error: loss/actor became nan in iteration 3")
    assert "Traceback" not in out + err
    assert result(tmp_path / "run")["status"] == "failed"
    assert (tmp_path / "run" / "nan" / "step-30.npz").is_file()


def test_a_finished_run_is_not_overwritten_but_can_be_prolonged(stranger, tmp_path):
    assert train(stranger, tmp_path, "run_dir=run", "report=false")[0] == 0
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    code, _, err = train(stranger, tmp_path, "run_dir=run")
    assert code == 1
    assert "run already holds a run (status finished). Continue it with resume=run" in err
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == before
    # The stranger's configurations are found again without naming their folder.
    code, out, err = train(stranger, tmp_path, "resume=run", "total_steps=90")
    assert code == 0, err
    assert "Resuming at step 60" in out
    assert result(tmp_path / "run")["env_steps"] == 90
    # The new value stays for whoever reads or resumes the run next.
    assert "total_steps: 90" in (tmp_path / "run" / ".hydra" / "config.yaml").read_text()
    assert "total_steps=90" in (tmp_path / "run" / ".hydra" / "overrides.yaml").read_text()
    assert (tmp_path / "run" / "metrics.jsonl").read_text().startswith(before)


def test_resuming_with_another_seed_is_refused_and_harms_nothing(stranger, tmp_path):
    assert train(stranger, tmp_path, "run_dir=run", "report=false")[0] == 0
    before = (tmp_path / "run" / "result.json").read_text()
    description = {path.name: path.read_text() for path in (tmp_path / "run" / ".hydra").iterdir()}
    code, _, err = train(stranger, tmp_path, "resume=run", "seed=5")
    assert code == 1
    assert "belong to another configuration: seed was 0, now 5" in err
    assert (tmp_path / "run" / "result.json").read_text() == before
    assert {path.name: path.read_text() for path in (tmp_path / "run" / ".hydra").iterdir()} == description


def test_a_termination_stops_a_whole_sweep(stranger, tmp_path):
    process = start(stranger, tmp_path, "-m", "seed=0,1", "algorithm.pause=0.05", "total_steps=1e6", "run_dir=sweep")
    metrics = tmp_path / "sweep" / "0-drift-toy-s0" / "metrics.jsonl"
    limit = time.monotonic() + 60
    while not metrics.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "Continue with resume=sweep/0-drift-toy-s0" in out
    assert [path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()] == ["0-drift-toy-s0"]
    assert result(metrics.parent)["status"] == "interrupted"


def test_the_installed_command_works_from_any_directory(tmp_path):
    command = Path(sys.executable).with_name("l2t-train")
    if not command.exists():
        pytest.skip("l2t is not installed as a package here")
    answer = subprocess.run([command, "env=foo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "half_cheetah" in answer.stderr
