"""The training command as a user meets it, with a learner and a task from a stranger's package."""

import hashlib
import json
import os
import re
import shlex
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
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


_ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}

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
    out, err = process.communicate(timeout=300)
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
    assert out.index("Compiling the training program") < out.index("step 30 of 60") < out.index("eval student")
    assert re.search(r"teacher +│ +-?[\d.]+ │", out)
    for part in (
        "student / teacher:",
        "environment steps/s while training; 0 min",
        "in all, compiling and evaluation included",
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
    assert "total_steps was 60 and is 90 from here on." in out
    assert result(tmp_path / "run")["env_steps"] == 90
    assert [change["key"] for change in result(tmp_path / "run")["changes"]] == ["total_steps"]
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
    assert "belong to another configuration: seed was 0, now 5. Resume with what the run was" in err
    assert (tmp_path / "run" / "result.json").read_text() == before
    assert {path.name: path.read_text() for path in (tmp_path / "run" / ".hydra").iterdir()} == description


def contents(folder):
    """Every file with what is in it; the lock comes and goes."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def steps(run):
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def begun(run, process, rows=1):
    """Wait until the run has written that many rows."""
    limit = time.monotonic() + 300
    while not (run / "metrics.jsonl").exists() or len(steps(run)) < rows:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)


SHORT = ("report=false", "total_steps=20", "eval_every=20")
LONG = ("algorithm.pause=0.05", "total_steps=1e6", "report=false")


def test_runs_that_start_together_get_directories_of_their_own(stranger, tmp_path):
    processes = [start(stranger, tmp_path, *SHORT) for _ in range(3)]
    for process in processes:
        assert process.communicate(timeout=300)[1] == ""
    runs = list(tmp_path.glob("runs/*/*"))
    assert len(runs) == 3
    for run in runs:
        assert steps(run) == [10, 20]
        assert {"config.yaml", "hydra.yaml", "overrides.yaml"} == {path.name for path in (run / ".hydra").iterdir()}
        assert str(run) in (run / ".hydra" / "hydra.yaml").read_text() or run.name[-2] == "-"


def test_of_runs_with_one_name_that_start_together_one_trains(stranger, tmp_path):
    processes = [start(stranger, tmp_path, *SHORT, f"seed={seed}", "run_dir=run") for seed in range(3)]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1, 1]
    assert all(re.match(r"error: \S*run (is being written by process|already holds a run)", e) for e in errors if e)
    assert steps(tmp_path / "run") == [10, 20]
    (winner,) = [seed for seed, process in enumerate(processes) if process.returncode == 0]
    assert result(tmp_path / "run")["seed"] == winner
    assert f"seed: {winner}\n" in (tmp_path / "run" / ".hydra" / "config.yaml").read_text()


def test_while_a_run_trains_nobody_else_gets_in_and_everybody_may_look(stranger, tmp_path):
    process = start(stranger, tmp_path, *LONG, "checkpoint_every=10", "keep_checkpoints=1", "run_dir=run")
    begun(tmp_path / "run", process)
    described = contents(tmp_path / "run" / ".hydra")
    for arguments in (["run_dir=run"], ["resume=run"], ["-m", "seed=0,1", "run_dir=run"]):
        code, _, err = train(stranger, tmp_path, *arguments)
        assert code == 1
        assert re.match(rf"error: run is being written by process {process.pid} on \S+ since ", err)
        assert err.count("\n") == 1
    looks = [  # one after the other: reading a live run while it saves after every iteration
        subprocess.run([sys.executable, ROOT / "scripts" / script, "run", *options], cwd=tmp_path, env=_ENVIRONMENT)
        for script, options in (("evaluate.py", ["--episodes=2"]), ("report.py", ["--out=out"]))
    ]
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert looks[0].returncode == 0
    assert contents(tmp_path / "run" / ".hydra") == described
    written = steps(tmp_path / "run")
    assert written == list(range(10, written[-1] + 1, 10))


def test_runs_of_a_sweep_that_name_one_directory_do_not_mix(stranger, tmp_path):
    code, out, err = train(stranger, tmp_path, "-m", "seed=0,1", *SHORT, "run_dir=sweep", "hydra.sweep.subdir=same")
    assert code == 1
    assert "Traceback" not in out + err
    assert re.search(r"same already holds a run \(status finished\)", err)
    assert (steps(tmp_path / "sweep" / "same"), result(tmp_path / "sweep" / "same")["seed"]) == ([10, 20], 0)


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_whatever_asks_a_run_to_end_it_saves_first_and_can_go_on(stranger, tmp_path, signum):
    run = tmp_path / "a run"
    process = start(stranger, tmp_path, *LONG, "run_dir=a run")
    begun(run, process, 3)
    process.send_signal(signum)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signum, err
    assert f"Continue with {shlex.quote('resume=a run')}" in out
    assert (result(run)["status"], result(run)["signal"]) == ("interrupted", signum)
    done = steps(run)[-1]
    assert [path.name for path in (run / "checkpoints").iterdir()] == [str(done)]
    code, out, err = train(stranger, tmp_path, "resume=a run", f"total_steps={done + 10}", "algorithm.pause=0")
    assert code == 0, err
    assert steps(run) == list(range(10, done + 11, 10))


def test_a_run_under_nohup_outlives_its_terminal(stranger, tmp_path):
    process = subprocess.Popen(
        ["nohup", sys.executable, ROOT / "scripts" / "train.py", f"--config-dir={stranger}", *_CHOICES, "run_dir=run"],
        cwd=tmp_path,
        env=_ENVIRONMENT,
    )
    begun(tmp_path / "run", process)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
    assert result(tmp_path / "run")["status"] == "finished"


@pytest.mark.parametrize("closed", [("stdout",), ("stdout", "stderr")])
def test_a_run_finishes_when_nobody_reads_its_output_any_more(stranger, tmp_path, closed):
    process = start(stranger, tmp_path, "algorithm.pause=0.02", "run_dir=run")
    assert process.stdout is not None
    assert process.stderr is not None
    assert "drift on toy" in process.stdout.readline()
    for name in closed:
        getattr(process, name).close()
    if "stderr" not in closed:
        assert process.stderr.read() == ""
    assert process.wait(120) == 0
    assert result(tmp_path / "run")["status"] == "finished"
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("name", ["runs/it's my run=ü", "x_${seed}_${hydra:runtime.choices.env}"])
def test_a_directory_of_any_name_is_trained_reported_and_resumed(stranger, tmp_path, name):
    code, out, err = train(stranger, tmp_path, *SHORT[1:], "seed=3", f"run_dir={name}")
    assert (code, err) == (0, "")
    assert "Report: " in out
    path = name.replace("${seed}", "3").replace("${hydra:runtime.choices.env}", "toy")
    run = tmp_path / path
    assert (run / "report.html").is_file()
    code, _, err = train(stranger, tmp_path, f"resume={path}", "total_steps=40")
    assert (code, err) == (0, "")
    assert steps(run) == [10, 20, 30, 40]
    looked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "evaluate.py", path, "--episodes=1", "--json"],
        cwd=tmp_path,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert json.loads(looked.stdout)["run"] == path


def test_a_value_made_of_another_one_is_read_and_resumed(stranger, tmp_path):
    assert train(stranger, tmp_path, "run_dir=run", "total_steps=${eval_every}")[0] == 0
    assert result(tmp_path / "run")["env_steps"] == 30
    assert "total_steps=${eval_every}" in (tmp_path / "run" / "report.html").read_text()
    assert train(stranger, tmp_path, "resume=run", "eval_every=50", "report=false")[0] == 0
    assert result(tmp_path / "run")["env_steps"] == 50


@pytest.mark.parametrize("total", [60, 30])
def test_resuming_what_is_done_says_that_there_is_nothing_to_do(stranger, tmp_path, total):
    assert train(stranger, tmp_path, "run_dir=run", "report=false")[0] == 0
    code, out, _ = train(stranger, tmp_path, "resume=run", f"total_steps={total}")
    assert code == 0
    assert f"Resuming at step 60, and total_steps={total} asks for no more: a larger one trains on." in out
    assert steps(tmp_path / "run")[-1] == 60


def _files(run):
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file() and path.name != ".lock"}


def test_a_resume_that_has_nothing_to_do_leaves_everything_as_it_was(stranger, tmp_path):
    assert train(stranger, tmp_path, "run_dir=run", "report=false")[0] == 0
    before = _files(tmp_path / "run")
    for arguments in ([], ["total_steps=30"], ["total_steps=30", "report=true", "eval_every=10"]):
        code, out, err = train(stranger, tmp_path, "resume=run", *arguments)
        assert (code, err) == (0, "")
        assert "finished" in out
        assert _files(tmp_path / "run") == before


def test_a_run_that_was_killed_after_its_last_step_is_finished_by_a_resume(stranger, tmp_path):
    assert train(stranger, tmp_path, "run_dir=run", "report=false")[0] == 0
    killed = result(tmp_path / "run") | {"status": "running"}
    (tmp_path / "run" / "result.json").write_text(json.dumps(killed))
    assert train(stranger, tmp_path, "resume=run")[0] == 0
    assert result(tmp_path / "run")["status"] == "finished"


def test_fewer_steps_than_a_stopped_run_has_done_change_nothing(stranger, tmp_path):
    assert train(stranger, tmp_path, "run_dir=run", "report=false")[0] == 0
    stopped = result(tmp_path / "run") | {"status": "interrupted", "signal": 2}
    (tmp_path / "run" / "result.json").write_text(json.dumps(stopped))
    before = _files(tmp_path / "run")
    code, out, _ = train(stranger, tmp_path, "resume=run", "total_steps=30")
    assert (code, _files(tmp_path / "run")) == (0, before)
    assert "asks for no more" in out


def test_a_termination_stops_a_whole_sweep(stranger, tmp_path):
    process = start(stranger, tmp_path, "-m", "seed=0,1", "algorithm.pause=0.05", "total_steps=1e6", "run_dir=sweep")
    metrics = tmp_path / "sweep" / "0-drift-toy-s0" / "metrics.jsonl"
    limit = time.monotonic() + 300
    while not metrics.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
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
