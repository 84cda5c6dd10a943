"""A change to a saved run may choose from a group, as the command line of training may."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from configs.build import experiment_config, read_config
from configs.changed_runs import changed_config
from configs.command_line import compose_config
from l2t.errors import ConfigurationError
from l2t.report.study import StudyContext
from scripts import studies
from scripts.cassie_pictures import CLIMB, FOLLOW, WALK
from scripts.studies.walking import EVERYWHERE, Walking

ROOT = Path(__file__).parents[2]
studies.register()


def _run(folder: Path, *overrides: str) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(compose_config(overrides), folder / ".hydra" / "config.yaml")
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        ["env.terrain=slope"],
        ["env.terrain=moving", "env.difficulty=0.2"],
        ["env.command=forward", "env.terrain=stairs"],
        ["env.rewards=naive", "env.rewards.forward=0.3"],
    ],
    ids=" ".join,
)
def test_a_changed_run_is_what_training_with_the_same_choices_is(changes, tmp_path):
    run = _run(tmp_path / "a", "env=cassie", "env/terrain=uneven")
    spelled = [
        change.replace(".", "/", 1) if change.count("=") and _is_choice(change) else change for change in changes
    ]
    terrain = [] if any("terrain" in change for change in changes) else ["env/terrain=uneven"]
    expected = experiment_config(compose_config(["env=cassie", *terrain, *spelled])).env
    assert changed_config(run, changes).env == expected


def _is_choice(change: str) -> bool:
    return change.partition("=")[0] in ("env.terrain", "env.command", "env.rewards")


def test_nothing_of_the_choice_before_is_left(tmp_path):
    run = _run(tmp_path / "a", "env=cassie", "env/command=forward")
    changed, fresh = read_config(run, ["env.command=any"]).env, experiment_config(compose_config(["env=cassie"])).env
    assert dataclasses.asdict(changed.command) == dataclasses.asdict(fresh.command)


def test_a_choice_that_is_none_lists_those_that_are(tmp_path):
    run = _run(tmp_path / "a", "env=cassie")
    with pytest.raises(ConfigurationError, match=r"env\.terrain=mud is not known; choose one of: flat, mixed, moving"):
        read_config(run, ["env.terrain=mud"])
    with pytest.raises(ConfigurationError, match=r"Did you mean env\.terrain=slope"):
        read_config(run, ["env.terrain=slop"])
    hopper = _run(tmp_path / "b", "env=hopper")
    with pytest.raises(ConfigurationError, match=r"env\.terrain is not known"):
        read_config(hopper, ["env.terrain=slope"])


def test_a_study_of_cassie_says_so_of_a_run_of_another_robot(tmp_path):
    run = _run(tmp_path / "a", "env=hopper")
    (tmp_path / "a" / "metrics.jsonl").touch()
    study = Walking(str(run), {"slope": ["env.terrain=slope"]})
    context = StudyContext(0, lambda line: None, lambda run_dir, overrides: pytest.fail("changed before it was known"))
    with pytest.raises(ConfigurationError, match="is a run on hopper, not on cassie"):
        study.run(context)


JOB = """
import hydra
from configs.build import read_config

@hydra.main(version_base="1.3", config_path="pkg://configs", config_name="train")
def job(config):
    print(read_config(config.start_from, ["env.terrain=slope"]).env.terrain.kind)

job()
"""


def test_a_study_that_is_a_job_of_hydra_may_choose_too(tmp_path):
    run = _run(tmp_path / "a", "env=cassie")
    (tmp_path / "job.py").write_text(JOB)
    command = [sys.executable, "job.py", f"start_from={run}", f"hydra.run.dir={tmp_path / 'out'}"]
    answer = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout) == (0, "slope\n"), answer.stderr


def _cases():
    for name in ("cassie_walking", "cassie_ground"):
        cases = compose_config([f"experiment={name}", "study.policy_run=somewhere"]).study.cases
        yield from ((f"{name}: {label}", [*EVERYWHERE, *changes]) for label, changes in cases.items())
    yield from (("WALK", WALK), ("FOLLOW", FOLLOW), ("CLIMB", CLIMB))


@pytest.mark.parametrize("changes", [pytest.param(changes, id=label) for label, changes in _cases()])
def test_whoever_trained_on_a_weighted_mixture_with_a_curriculum_is_played_in_every_case(changes, tmp_path):
    weights = "env.terrain.weights={flat:1,slope:1,stairs:4,uneven:1,moving:1}"
    run = _run(tmp_path / "a", "experiment=cassie_terrains", weights)
    environment = read_config(run, changes).env
    asked = [change.partition("=")[2] for change in changes if change.startswith("env.terrain")]
    assert [environment.terrain.kind] == (asked or ["mixed"])


def test_one_text_in_place_of_a_list_of_changes_is_answered(tmp_path):
    with pytest.raises(ConfigurationError, match=r"Give a list of overrides, such as \['env.slope=2'\]"):
        changed_config(_run(tmp_path / "a", "env=hopper"), "env.slope=2")
