"""A value on the command line that makes no sense gets one line and leaves nothing behind; so do paths and sweeps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from configs.build import experiment_config
from configs.command_line import compose_config, prepare
from l2t.errors import ConfigurationError, L2TError
from scripts import studies

studies.register()
TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"

# What stands after the key, and a part of the answer; tried for each of the keys.
GROUPS = {
    "env": ["null", "3", "[a]", "[hopper,ant]", "{}", "true", "''"],
    "algorithm": ["null", "3", "{a:1}"],
    "physics": ["[a]", "null"],
    "network": ["5"],
    "tracking": ["null", "3"],
    "experiment": ["null", "[smoke,3]", "[smoke,nope]", "4"],
    "algorithm.teacher": ["null", "{_target_:builtins.dict}", "3"],
    "algorithm.student": ["{imitation:mse}", "null"],
    "algorithm.student.network": ["3", "{hidden:[3]}", "null"],
}

BAD = {
    "num_envs=0": "at least 1",
    "num_envs=-1": "at least 1",
    "num_envs=1.5": "whole number",
    "num_envs=true": "whole number",
    "num_envs=[8]": "whole number",
    "num_envs=": "whole number",
    "eval_every=inf": "whole number",
    "checkpoint_every=nan": "whole number",
    "seed=-1": "at least 0",
    "seed=4294967296": "below 2**32",
    "total_steps=1e13": "up to 10**12",
    "video=1": "true or false",
    "run_dir=": "must be the path of a directory",
    "run_dir=[a]": "holds a [, which the library that writes checkpoints takes for a pattern",
    "resume=": "must be the path of a directory",
    "resume={a:1}": "does not exist; name a run directory",
    "network.hidden=[64,a]": "each item is a whole number",
    "network.hidden=[64,null]": "each item is a whole number",
    "network.hidden=[64,[3]]": "each item is a whole number",
    "network.hidden=[1.5]": "each item is a whole number",
    "network.hidden=null": "must be a list",
    "network.hidden={a:1}": "does not fit what stands there",
    "network.activation=[tanh]": "must be text",
    "algorithm.teacher.num_steps=inf": "whole number",
    "algorithm.teacher.num_steps=false": "whole number",
    "algorithm.teacher.learning_rate=true": "must be a number",
    "algorithm.teacher.learning_rate=null": "must be a number",
    "tracking.wandb=3": "must be of the kind WandbConfig, with the keys mode, project",
    "tracking.wandb=null": "must be of the kind WandbConfig",
    "tracking.wandb.tags=a": "must be a list",
    "tracking.wandb.tags=[{a:1}]": "each item is text",
    "env.parameters=3": "must be a mapping",
    "env.parameters=null": "must be a mapping",
    "env.randomise=[1]": "does not fit what stands there",
    "physics.threads=1.5": "whole number",
    "seed=${foo}": "seed cannot be read: it is made of foo, which is not there",
    "num_envs=${seed}": "at least 1",
    "env=hopper env=ant": "chosen twice",
    "algorithm.teacher=ppo algorithm/teacher=spmd": "chosen twice",
    "~env": "give env=...",
    "~seed": "give seed=...",
    "~algorithm.teacher": "cannot be left out",
    "~tracking.wandb": "cannot be left out",
    "~foo": "does not exist",
    "+foo=1": "foo is not known",
    "++foo.bar=1": "foo is not known",
    "+seed=1": "seed",
    "+algorithm._partial_=true": "_partial_ is not known",
    "env@x=hopper": "env@x",
    "+env@x=hopper": "x is not known",
    "seed=ä": "cannot be read",
    "=": "cannot be read",
    "a.=1": "cannot be read",
    "env=glob(*)": "add -m",
    "-m env=glob(zzz)": "matches no configuration",
    "-m seed=glob(*)": "matches no configuration",
    "-m seed=interval(0,1)": "names no values to run",
    "-m seed=range(0,3,0)": "cannot be run",
    "-m seed=range(0.0,1.0,0.0)": "cannot be run",
    "-m seed=range(3,0)": "holds no value",
    "-m seed=range(0,1e9)": "more than 1000 runs",
    "-m seed=range(0,2,0.5)": "seed=0.5 must be a whole number",
    "-m seed=choice()": "cannot be read",
    "-m env=hopper,null": "env=null is not known",
    "-m network.hidden=[64],[a]": "each item is a whole number",
    "-m hydra.run.dir=a,b": "cannot be swept over",
    "hydra.foo=1": "hydra.foo",
    "hydra.run=3": "does not fit what stands there",
    "hydra.run.dir=": "must be the path of a directory",
    "hydra.mode=MULTIRUN": "-m asks for several runs",
    "hydra.output_subdir=null": "cannot be set",
    "hydra.job.chdir=true": "cannot be set",
    "hydra.searchpath=3": "must be a list of directories",
    "hydra.searchpath=[nowhere]": "nowhere is not a directory",
    "hydra.searchpath=[pkg://nowhere]": "nowhere is not a directory",
    "hydra/launcher=joblib": "basic",
    "--config-path=/tmp": "--config-dir",
    "--config-name=foo": "leave out --config-name=foo",
    "env=hopper env.task=walker2d": "write env=walker2d",
    "env=walker2d ++env.task=hopper": "write env=hopper",
    "-m env.task=half_cheetah,ant": "write env=ant",
    "algorithm=spmd algorithm._target_=algorithms.config.PPOConfig": "choose another algorithm=",
    "env=gymnasium env.id=Pendulum-v1 physics=mjx": "does nothing here: env.id='Pendulum-v1' brings its own physics",
    "-m env=gymnasium env.id=Pendulum-v1,MountainCarContinuous-v0 physics.engine=mjx": "mjx does nothing here",
    "env._target_=envs.config.GymnasiumConfig": "choose another env=",
    "algorithm.student._target_=builtins.dict": "choose another algorithm.student=",
    "study={a:1}": "gave a dict",
    "experiment=amdp_evaluation study.name=../x": "names a directory",
    "experiment=amdp_evaluation study.samples=inf": "whole number",
    "experiment=amdp_evaluation study.methods=3": "must be a mapping",
    "experiment=amdp_evaluation ~study.methods": "cannot be left out",
    "experiment=mujoco_evaluation study.policy_run=3": "must be text",
}


def _refused(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for heavy in ("jax", "mujoco"):
        monkeypatch.setitem(sys.modules, heavy, None)
    with pytest.raises(L2TError) as refused:
        prepare(arguments.split(" "))
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())
    return str(refused.value)


@pytest.mark.parametrize("arguments", BAD)
def test_a_bad_value_on_the_command_line_is_refused(arguments, tmp_path, monkeypatch):
    assert BAD[arguments] in _refused(arguments, tmp_path, monkeypatch)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_takes_the_name_of_a_choice_and_nothing_else(group, tmp_path, monkeypatch):
    for value in GROUPS[group]:
        assert "is not known; choose one of: " in _refused(f"{group}={value}", tmp_path, monkeypatch)


def test_of_two_values_for_a_key_the_last_one_holds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert experiment_config(compose_config(prepare(["seed=1", "seed=2"]))).seed == 2
    with pytest.raises(ConfigurationError, match="num_envs=0"):
        prepare(["num_envs=4", "num_envs=0"])


def test_numbers_may_be_written_as_people_write_them():
    overrides = ["num_envs=1e3", "algorithm.teacher.num_steps=1e2", "network.hidden=[1e2,32.0]", "physics.threads=2.0"]
    config = experiment_config(compose_config([*overrides, "total_steps=1e12", "tracking.wandb.tags=[2024,a]"]))
    found = (config.num_envs, config.algorithm.teacher.num_steps, *config.network.hidden, config.physics.threads)
    assert found == (1000, 100, 100, 32, 2)
    assert all(isinstance(value, int) for value in found)
    assert (config.total_steps, config.tracking.wandb.tags) == (10**12, ("2024", "a"))


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ("env=glob([h*,w*])", "env=half_cheetah,hopper,humanoid,humanoid_standup,walker2d"),
        ("env=glob(*,exclude=[h*,i*,a*,c*,g*,p*,s*])", "env=reacher,walker2d"),
        ("experiment=glob(amdp_sp*)", "experiment=amdp_speed"),
        ("algorithm.teacher=glob([p*,spmd])", "algorithm/teacher=ppo,spmd"),
        ("seed=range(0,3)", "seed=range(0,3)"),
        ("seed=choice(4,5)", "seed=choice(4,5)"),
    ],
)
def test_a_sweep_is_checked_and_its_names_are_spelled_out(given, changed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert prepare(["-m", given])[:2] == ["-m", changed]


@pytest.mark.parametrize(
    "arguments", ["env=null", "~seed", "-m seed=interval(0,1)", "num_envs=inf", "--cfg job env=foo"]
)
def test_the_command_answers_a_bad_value_in_one_line(arguments, tmp_path):
    command = [sys.executable, str(TRAIN), *arguments.split(" ")]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    assert answer.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())


SHOWN = ["algorithm=ipmd", "algorithm.demonstrations=x"]
POLICY = "experiment=mujoco_evaluation"


@pytest.mark.parametrize(
    ("typed", "key", "stored"),
    [
        (f"{POLICY} study.policy_run=runs/a", "study.policy_run", "{here}/runs/a"),
        (f"{POLICY} study.policy_run=~/a", "study.policy_run", "{home}/a"),
        (f"{POLICY} study.policy_run='~/a'", "study.policy_run", "{home}/a"),
        (f"{POLICY} study.policy_run=/a/b", "study.policy_run", "/a/b"),
        (f"-m {POLICY} study.policy_run=a,/b,~/c", "study.policy_run", "{here}/a"),
        ("run_dir=~/l2t-nowhere", "run_dir", "{home}/l2t-nowhere"),
        ("run_dir='~/l2t-nowhere'", "run_dir", "{home}/l2t-nowhere"),
        ("run_dir=here", "run_dir", "here"),
    ],
)
def test_a_path_is_meant_from_where_it_was_typed(typed, key, stored, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("configs.command_line.check_read", lambda *given: None)  # nothing is there
    arguments = prepare(typed.split(" "))
    if "-m" in arguments:
        assert f"{key}='{tmp_path}/a','/b','{home}/c'" in arguments
        return
    assert OmegaConf.select(compose_config(arguments), key) == stored.format(here=tmp_path, home=home)
    os.chdir("/")
    assert OmegaConf.select(compose_config(arguments), key) == stored.format(here=tmp_path, home=home)


def test_a_path_in_a_yaml_is_meant_from_where_the_command_was_typed(tmp_path, monkeypatch):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    text = "# @package _global_\ndefaults: [mujoco_evaluation, _self_]\nstudy: {policy_run: runs/a}\n"
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(text)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    arguments = prepare(["--config-dir", "conf", "experiment=mine"])
    assert f"study.policy_run='{tmp_path}/runs/a'" in arguments


def test_a_resumed_run_keeps_the_paths_it_was_started_with(tmp_path, monkeypatch):
    (tmp_path / "stranger_paths.py").write_text(
        "from dataclasses import dataclass, field\n"
        "@dataclass(frozen=True)\n"
        "class Config:\n"
        "    teacher: str = field(metadata={'path': True})\n"
        "    other: str = field(default='', metadata={'path': True})\n"
        "    name: str = 'paths'\n"
        "    def build(self, context): ...\n"
    )
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)
    (tmp_path / "conf" / "algorithm" / "paths.yaml").write_text("_target_: stranger_paths.Config\n")
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / "result.json").write_text("{}")
    # As a run of an earlier version has it: relative, and with Hydra's own kind of search path.
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text("[algorithm=paths, algorithm.teacher=runs/a]")
    search = f"hydra.searchpath=['file://{tmp_path}/conf']"
    stored = OmegaConf.create({"hydra": {"overrides": {"hydra": [search]}}})
    OmegaConf.save(stored, tmp_path / "run" / ".hydra" / "hydra.yaml")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    arguments = prepare(["resume=run", "algorithm.other=runs/b"])
    assert "algorithm.teacher=runs/a" in arguments
    assert f"algorithm.other='{tmp_path}/runs/b'" in arguments
    assert f"hydra.searchpath=['l2t://{tmp_path}/conf']" in arguments


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["algorithm=spmd", "algorithm.reset_rate=0.01"], "reset_rate=0.01 would change nothing"),
        (
            ["algorithm=spmd", "algorithm.step_schedule=constant", "algorithm.target_kl=0.1"],
            "target_kl=0.1 would change",
        ),
        (
            ["algorithm=spmd", "algorithm.step_schedule=sqrt", "algorithm.max_step_size=4"],
            "max_step_size=4 would change",
        ),
        (["algorithm=sac", "algorithm.network.initial_log_std=-2"], "initial_log_std=-2 would change nothing"),
        (["algorithm=l2t", "algorithm.student.rl_clip=0.1"], "rl_clip=0.1 would change nothing"),
        (["algorithm=spmd_replay", "algorithm.reset_cost_step=2"], "reset_cost_step=2.* would change nothing"),
        (["algorithm=sac", "algorithm.temperature=0.2", "algorithm.initial_temperature=1"], "temperature is fixed"),
        (["algorithm=spmd_replay", "algorithm.temperature=0"], "step_size is in units of 1/temperature"),
        (["algorithm=sac", "algorithm.critic=crossq", "algorithm.polyak=0.1"], "has no target networks"),
        (["algorithm=iq_learn", "algorithm.demonstrations=x", "algorithm.replay.n_step=3"], "would change nothing"),
        (
            [*SHOWN, "algorithm.held_out=0", "algorithm.reward.overfit=3"],
            "overfit=3 would change nothing: .*held_out=0",
        ),
        ([*SHOWN, "algorithm.held_out=0", "algorithm.split_seed=7"], "split_seed=7 would change nothing: all episodes"),
        ([*SHOWN, "algorithm.reward.network.initial_log_std=1"], "initial_log_std=1 would change .* is no policy"),
        (
            ["algorithm=iq_learn", "algorithm.demonstrations=x", "algorithm.replay.observation=student"],
            "no other group",
        ),
    ],
)
def test_what_has_no_effect_beside_another_choice_is_refused(given, told):
    with pytest.raises(ConfigurationError, match=told):
        experiment_config(compose_config(given))
