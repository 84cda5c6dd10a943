"""What a run is to read must be there when the command is typed: the answer must not wait for JAX and a build."""

from __future__ import annotations

import sys

import pytest

from configs.command_line import prepare
from configs.library import compose, train
from l2t.errors import ConfigurationError
from scripts import studies

studies.register()

READ = {
    "start_from": ["algorithm=spmd"],
    "env.reward": ["algorithm=spmd", "env=hopper"],
    "algorithm.demonstrations": ["algorithm=ipmd"],
    "algorithm.teacher.demonstrations": ["algorithm=l2t", "algorithm.teacher=ipmd"],
    "algorithm.teacher_run": ["algorithm=distillation"],
    "algorithm.expert_run": ["algorithm=dagger"],
    "study.policy_run": ["experiment=mujoco_evaluation"],
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for heavy in ("jax", "mujoco"):
        monkeypatch.setitem(sys.modules, heavy, None)


@pytest.mark.parametrize("key", READ)
def test_a_path_at_which_nothing_is_gets_one_line(key, tmp_path):
    with pytest.raises(ConfigurationError, match=rf"^{key}=runs/nowhere does not exist: name (a|the) ") as told:
        prepare([*READ[key], f"{key}=runs/nowhere"])
    assert "\n" not in str(told.value)
    (tmp_path / "runs" / "nowhere").mkdir(parents=True)
    (tmp_path / "home" / "a").mkdir(parents=True)
    for there in ("runs/nowhere", str(tmp_path / "runs" / "nowhere"), "~/a"):
        prepare([*READ[key], f"{key}={there}"])


@pytest.mark.parametrize("key", [key for key in READ if not key.startswith("study.")])
def test_python_is_told_as_early(key, tmp_path):
    overrides = [*READ[key], f"{key}=runs/nowhere", "total_steps=1_000"]
    for given in (overrides, compose(overrides)):
        with pytest.raises(ConfigurationError, match=rf"^{key}=\S*runs/nowhere does not exist: name (a|the) "):
            train(given, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_each_path_of_a_sweep_is_looked_for(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigurationError, match=r"algorithm\.teacher_run=b does not exist"):
        prepare(["-m", "algorithm=distillation", "algorithm.teacher_run=a,b"])
    with pytest.raises(ConfigurationError, match=r"env\.reward=b does not exist"):
        prepare(["-m", "algorithm=spmd", "env.reward='',a,b"])


@pytest.mark.parametrize("place", ["run_dir", "hydra.sweep.dir"])
def test_what_an_earlier_job_of_the_sweep_may_make_is_not_looked_for(place):
    sweep = ["-m", "seed=0,1", "algorithm=spmd", f"{place}=sweep"]
    prepare([*sweep, "start_from=sweep/0-spmd-hopper-s0"])
    with pytest.raises(ConfigurationError, match=r"start_from=elsewhere/0 does not exist"):
        prepare([*sweep, "start_from=elsewhere/0"])
    with pytest.raises(ConfigurationError, match=r"start_from=sweep/0 does not exist"):
        prepare(["algorithm=spmd", "run_dir=sweep", "start_from=sweep/0"])


def test_a_path_that_a_yaml_names_is_looked_for_too():
    with pytest.raises(ConfigurationError, match="demonstrations=demonstrations/half_cheetah-expert does not exist"):
        prepare(["experiment=irl_mujoco"])


def test_a_resumed_run_needs_nothing_of_what_it_was_made_from(tmp_path):
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / "result.json").write_text("{}")
    stored = "[algorithm=distillation, algorithm.teacher_run=/nowhere/teacher]"
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text(stored)
    prepare(["resume=run", "total_steps=3_000_000"])
