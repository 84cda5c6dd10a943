"""The page on extensions says what works: its files are written down as they stand, and train."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import load_policy, train
from envs.config import MujocoConfig
from envs.mujoco.memoryless import Pushed
from envs.mujoco.task import load_model
from envs.physics.config import PhysicsConfig
from envs.push import PushConfig
from l2t.errors import ConfigurationError

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
MODULES = ("quiet_hopper", "arm", "hill")
SMALL = [
    *("physics=native", "num_envs=4", "total_steps=512", "eval_every=512", "eval_episodes=2", "report=false"),
    *("video=false", "tracking.wandb.mode=disabled"),
]
SPMD = ["algorithm=spmd", "algorithm.num_steps=16", "algorithm.minibatches=2", *SMALL]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page's files, in a directory where Python finds them."""
    folder = tmp_path_factory.mktemp("mine")
    for name, text in re.findall(r"```(?:python|xml)\n(?:# |<!-- )([\w.]+)(?: -->)?\n(.*?)```", PAGE, flags=re.S):
        (folder / name).write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in MODULES:
        sys.modules.pop(name, None)


def test_the_page_has_the_files(written):
    assert {file.name for file in written.iterdir()} >= {"quiet_hopper.py", "arm.xml", "arm.py", "hill.py"}


def test_a_subclass_of_a_task_keeps_what_its_environment_has(written):
    names: dict = {}
    (block,) = re.findall(r"```python\n(from envs\.config.*?)```", PAGE, flags=re.S)
    exec(compile(block, "docs/extending.md", "exec"), names)
    environment, spec = names["environment"], names["environment"].spec
    assert (spec.name, spec.reset_cost, spec.observation_sizes) == (
        "QuietHopper",
        100.0,
        {"teacher": 11, "student": 44},
    )
    state = jax.jit(environment.reset)(jax.random.key(0))
    after = jax.jit(environment.step)(state, np.zeros(3, np.float32))
    told = {name: float(value) for name, value in after.metrics.items()}
    assert told["reward_forward"] == pytest.approx(np.exp(-((told["x_velocity"] - 2.0) ** 2)), rel=1e-5)
    assert told["reward_quiet"] == pytest.approx(-1e-3 * float((after.physics["qvel"][3:] ** 2).sum()), rel=1e-4)
    assert float(after.reward) == pytest.approx(sum(v for k, v in told.items() if k.startswith("reward_")), abs=1e-6)
    assert not np.array_equal(after.observation["student"][:11], after.observation["teacher"])


def test_it_can_be_pushed_and_trained_on_and_is_read_back(written, tmp_path):
    pushed = MujocoConfig("quiet_hopper.QuietHopper", push=PushConfig((2.0, 5.0)))
    assert isinstance(pushed.build(PhysicsConfig("native")).task, Pushed)
    run = train([*SPMD, "env=hopper", "env.task=quiet_hopper.QuietHopper", "env.parameters.speed=2"], tmp_path / "a")
    row = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"reward/quiet", "reward/forward", "env/x_velocity"} <= set(row)
    assert load_policy(run.path)(np.zeros(11, np.float32)).shape == (3,)


def test_a_robot_from_a_file_of_ones_own_trains(written, tmp_path):
    run = train([*SPMD, "env=half_cheetah", "env.task=arm.Arm"], tmp_path / "a")
    assert run.result["env"] == "Arm"
    environment = load_policy(run.path).environment
    assert environment.spec.reset_cost == 0.0
    assert environment.spec.action_high == (5.0,)
    arm = importlib.import_module("arm").Arm
    assert Path(arm().xml) == written / "arm.xml"


def test_the_commands_for_an_algorithm_of_ones_own_run_as_they_stand(written, tmp_path):
    (commands,) = re.findall(r"```sh\n(mkdir .*?)```", PAGE, flags=re.S)
    make, command = commands.strip().splitlines()
    subprocess.run(["sh", "-c", make], cwd=written, check=True)
    search, program, *arguments = shlex.split(command)
    assert (search, program) == ("PYTHONPATH=.", "l2t-train")
    script = [sys.executable, str(ROOT / "scripts" / "train.py")]
    done = subprocess.run(
        [*script, *arguments, *SMALL, "total_steps=2560", "num_seeds=2", f"run_dir={tmp_path / 'a'}"],
        cwd=written,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([".", str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    for seed in range(2):
        scores = [row["train/score"] for row in rows if row["seed"] == seed]
        assert scores == sorted(scores)
        assert len(scores) == 10


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("nowhere.Task", r"env.task=nowhere.Task cannot be imported: .*PYTHONPATH=\."),
        ("quiet_hopper.LoudHopper", "quiet_hopper has no dataclass LoudHopper"),
        ("hill.Memoryless2", "hill has no dataclass Memoryless2"),
    ],
)
def test_a_task_that_cannot_be_had_is_one_clear_message(written, task, message):
    with pytest.raises(ConfigurationError, match=message):
        MujocoConfig(task).build(PhysicsConfig("native"))


def test_a_model_file_that_is_not_there_is_one_clear_message():
    with pytest.raises(ConfigurationError, match=r"There is no model file .*/nowhere.xml\. .* absolute path"):
        load_model("nowhere.xml")


def test_a_task_with_a_memory_is_taken_as_it_is_and_cannot_be_pushed():
    task = "tests.envs.test_task.FollowTheCommand"
    environment = MujocoConfig(task, student_stack=2).build(PhysicsConfig("native"))
    assert type(environment.task).__name__ == environment.spec.name == "FollowTheCommand"
    with pytest.raises(ConfigurationError, match=r"which env\.push cannot reach"):
        MujocoConfig(task, push=PushConfig((2.0, 5.0))).build(PhysicsConfig("native"))
