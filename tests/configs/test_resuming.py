"""A run goes on as it was, but for what is asked for now: from overrides, from dataclasses, from either side."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from configs import compose, train
from configs.build import read_config
from configs.command_line import compose_config, prepare
from configs.loading import env_steps
from configs.resuming import resume_overrides
from l2t.errors import ConfigurationError, L2TError, RunDirectoryError
from scripts.train import main
from tests.support.toys import DriftConfig

TOY = {
    "algorithm/drift.yaml": "_target_: tests.support.toys.DriftConfig\ndiverge_at: 0\npause: 0.0\n",
    "env/toy.yaml": "_target_: tests.support.toys.ToyConfig\n",
}
SHORT = ["algorithm=drift", "env=toy", "tracking.wandb.mode=disabled", "total_steps=20", "eval_every=20"]
QUIET = ["video=false", "report=false"]


@pytest.fixture
def search(tmp_path) -> str:
    """Where a stranger's learner and task are found."""
    for name, content in TOY.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True)
        (tmp_path / "conf" / name).write_text(content)
    return f"hydra.searchpath=['{tmp_path}/conf']"


def _command(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    main()


def _result(path: Path) -> dict:
    return json.loads((path / "result.json").read_text())


def test_python_goes_on_with_what_a_run_of_the_command_line_was_started_with(search, tmp_path, monkeypatch):
    run = tmp_path / "run"
    _command(monkeypatch, *SHORT, *QUIET, "seed=3", search, f"run_dir={run}")
    assert (compose([f"resume={run}"]).total_steps, compose([f"resume={run}"]).seed) == (20, 3)
    again = train([f"resume={run}"])
    assert (again.path, again.result["env_steps"]) == (run, 20)
    more = train([f"resume={run}", "total_steps=30"])
    assert more.result["env_steps"] == 30
    # ... and what Python has changed stays, for Python and for the command line.
    assert (read_config(run).total_steps, compose([f"resume={run}"]).total_steps) == (30, 30)
    _command(monkeypatch, f"resume={run}", "eval_every=10", "total_steps=40")
    assert (_result(run)["env_steps"], [each["now"] for each in _result(run)["changes"]]) == (40, [30, 40])
    assert compose([f"resume={run}"]).eval_every == 10


def test_the_command_line_goes_on_with_what_a_run_of_python_was_started_with(search, tmp_path, monkeypatch):
    run = train([*SHORT, search, "seed=3"], tmp_path / "run").path
    _command(monkeypatch, f"resume={run}", *QUIET, "total_steps=30")
    assert (_result(run)["seed"], _result(run)["env_steps"]) == (3, 30)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["run_dir=elsewhere"], r"leave out run_dir="),
        (["start_from=elsewhere"], r"leave out start_from= and start_roles="),
        (["algorithm.learning_rat=3"], r"algorithm\.learning_rat is not known"),
        (["~algorithm.learning_rate"], r"cannot be left out"),
        (["env=foo"], r"env=foo is not known"),
    ],
)
def test_python_is_told_what_the_command_line_is_told(more, told, tmp_path):
    run = _started(tmp_path / "run", "algorithm=spmd", "env=hopper")
    for ask in (compose, train, prepare):
        with pytest.raises(ConfigurationError, match=told):
            ask([f"resume={run}", *more])


def test_python_is_told_that_an_experiment_sets_what_a_choice_does_not_have():
    with pytest.raises(
        ConfigurationError, match=r"^experiment=l2t_hopper sets algorithm\.teacher, which algorithm=spmd"
    ):
        compose(["experiment=l2t_hopper", "algorithm=spmd"])


def test_python_refuses_another_directory_for_a_run_that_goes_on(tmp_path):
    run = _started(tmp_path / "run", "algorithm=spmd")
    with pytest.raises(ConfigurationError, match="continues a run where it is: leave out run_dir"):
        train([f"resume={run}"], tmp_path / "other")
    with pytest.raises(RunDirectoryError, match="resume=nowhere does not exist"):
        compose(["resume=nowhere"])


def test_a_preset_is_sent_to_the_learner_of_the_run_that_goes_on(tmp_path):
    run = _started(tmp_path / "run", "algorithm=l2t", "algorithm/teacher=sac", "preset/teacher=fast")
    new = [f"resume={run}", "preset=sample"]
    assert resume_overrides(run, new, compose_config)[:4] == [
        *("algorithm=l2t", "algorithm/teacher=sac", f"resume={run}", "preset/teacher=sample")
    ]
    assert compose(new).algorithm.teacher.updates_per_step == 1.0  # pyright: ignore


def test_what_a_run_began_with_may_be_said_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = _started(tmp_path / "run", "algorithm=spmd", f"start_from='{tmp_path}/first'", "start_roles=[teacher]")
    prepare([f"resume={run}", "start_from=first", "start_roles=[teacher]"])
    with pytest.raises(ConfigurationError, match="leave out start_from"):
        prepare([f"resume={run}", "start_from=second"])


def _started(run: Path, *overrides: str) -> Path:
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    (run / "result.json").write_text('{"status": "interrupted"}')
    return run


def test_a_run_of_dataclasses_goes_on_from_its_stored_configuration(search, tmp_path):
    config = replace(compose([*SHORT, search, "seed=3"]), algorithm=DriftConfig(pause=0.001))
    run = train(config, tmp_path / "run").path
    assert train([f"resume={run}"]).result["env_steps"] == 20
    more = train([f"resume={run}", "total_steps=30", "algorithm.pause=0.002"])
    assert (more.result["seed"], more.result["env_steps"]) == (3, 30)
    assert read_config(run).algorithm == DriftConfig(pause=0.002)
    assert compose([f"resume={run}"]).total_steps == 30
    # A configuration of Python's own goes on, too.
    assert train(replace(config, resume=str(run), total_steps=40)).result["env_steps"] == 40
    assert compose([f"resume={run}"]).total_steps == 40


def test_choices_that_such_a_run_has_made_may_be_said_again_and_keys_be_changed(tmp_path):
    config = compose(["algorithm=l2t", "algorithm.teacher=ppo", "algorithm.teacher.num_steps=8", "env=hopper"])
    run = _of_dataclasses(tmp_path / "run", config)
    same = ["algorithm=l2t", "algorithm.teacher=ppo", "env=hopper", "env.student_noise=0.3", f"resume={run}"]
    now = compose(same)
    assert now.algorithm == config.algorithm
    assert now.env == replace(config.env, student_noise=0.3)  # pyright: ignore
    assert compose([f"resume={run}", "algorithm=spmd"]).algorithm.name == "spmd"  # which its checkpoint refuses
    with pytest.raises(ConfigurationError, match=r"experiment=l2t_hopper stands for several keys.*replace\("):
        compose([f"resume={run}", "experiment=l2t_hopper"])
    with pytest.raises(ConfigurationError, match=r"algorithm\.teacher\.num_step is not known"):
        compose([f"resume={run}", "algorithm.teacher.num_step=3"])
    with pytest.raises(ConfigurationError, match="leave out run_dir="):
        compose([f"resume={run}", "run_dir=elsewhere"])


def _of_dataclasses(run: Path, config) -> Path:
    from configs.description import describe
    from configs.record import described

    run.mkdir()
    describe(run, described(config), [])
    (run / "result.json").write_text('{"status": "interrupted"}')
    return run


def test_the_command_line_names_the_call_that_continues_a_run_of_dataclasses(tmp_path):
    run = _of_dataclasses(tmp_path / "run", compose(["algorithm=spmd"]))
    with pytest.raises(RunDirectoryError, match=r"Python made that run of dataclasses.*train\(\[\"resume="):
        prepare([f"resume={run}"])


def test_a_configuration_that_cannot_be_made_again_names_the_call_that_works(search, tmp_path):
    config = compose([*SHORT, search])
    run = train(config, tmp_path / "run").path
    description = run / ".hydra" / "config.yaml"
    description.write_text(description.read_text().replace("tests.support.toys.DriftConfig", "notebook.Config"))
    with pytest.raises(
        L2TError, match=r"cannot be made again.*train\(dataclasses\.replace\(config, resume='.*run'\)\)"
    ):
        train([f"resume={run}", "total_steps=30"])
    assert train(replace(config, resume=str(run), total_steps=30)).result["env_steps"] == 30


@pytest.mark.parametrize("damage", ["{", "[1]", "\x00\x00", None])
@pytest.mark.parametrize("total", [20, 30])
def test_a_run_whose_result_is_damaged_goes_on_from_its_checkpoint(damage, total, search, tmp_path):
    whole = train([*SHORT, search, "seed=3"], tmp_path / "run")
    file = whole.path / "result.json"
    if damage is None:
        file.unlink()
    else:
        file.write_text(damage)
    again = train([f"resume={whole.path}", f"total_steps={total}"]).result
    assert (again["status"], again["env_steps"], again["seed"]) == ("finished", total, 3)
    assert again["role_steps"]["teacher"] == whole.result["role_steps"]["teacher"] * total / 20
    assert _result(whole.path) == again
    if total == 20:
        assert again["evaluation"] == whole.result["evaluation"]


def test_who_reads_a_damaged_result_is_told_what_mends_it(search, tmp_path):
    run = train([*SHORT, search], tmp_path / "run").path
    (run / "result.json").write_text("{")
    with pytest.raises(
        RunDirectoryError, match=r"not valid JSON.*resume=\S+ writes it anew from the newest checkpoint"
    ):
        env_steps(run)
    with pytest.raises(RunDirectoryError, match=r"already holds a run \(status unknown\)"):
        train([*SHORT, search], run)
