"""Physics that fails, on purpose: by motors a hundred times too strong, by speeds and controls that are no numbers."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.config import MujocoConfig
from envs.mujoco.environment import MujocoEnvironment
from envs.mujoco.task import load_model
from envs.physics.base import MAX_SPEED, Reads
from envs.physics.config import PhysicsConfig
from envs.physics.native import NativeEngine
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.evaluation import evaluate
from l2t.rl.policy import Memoryless
from l2t.rl.rollout import collect
from l2t.rl.vector import VectorEnvironment

ROOT = Path(__file__).parents[2]
TOO_STRONG = {"actuator_gear": [100.0, 100.0]}
"""Motors of half_cheetah and swimmer that throw the robot beyond every limit within a few steps."""


@functools.cache
def exploding(task: str) -> MujocoEnvironment:
    return MujocoConfig(task, randomise=TOO_STRONG, student_previous_action=True).build(PhysicsConfig("native"))


@Memoryless
def full_speed(observation) -> DiagonalGaussian:
    """Almost every draw lies beyond the bounds."""
    return DiagonalGaussian(jnp.zeros((observation["teacher"].shape[0], 6)), jnp.full(6, 8.0))


def test_a_failed_step_ends_the_episode_unpaid_and_shows_the_last_state_again():
    env = exploding("half_cheetah")
    step, state = jax.jit(env.step), env.reset(jax.random.key(0))
    for key in jax.random.split(jax.random.key(1), 100):
        before, state = state, step(state, jnp.sign(jax.random.normal(key, (6,))))
        if state.unstable:
            break
        assert not state.terminated  # half_cheetah never ends by itself
    assert state.unstable
    assert state.terminated
    assert not state.truncated
    assert state.reward == 0.0
    assert all(value == 0.0 for name, value in state.metrics.items() if name.startswith("reward_"))
    assert state.metrics["x_velocity"] == 0.0
    np.testing.assert_array_equal(state.observation["teacher"], before.observation["teacher"])
    np.testing.assert_array_equal(state.physics.engine, before.physics.engine)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.observation, state.metrics)))


def by_hand(model: mujoco.MjModel, qpos, qvel, ctrl, substeps: int) -> bool:
    """Whether C MuJoCo warns in these steps, or leaves a speed that nothing has."""
    data = mujoco.MjData(model)
    data.qpos, data.qvel, data.ctrl = qpos, qvel, ctrl
    for _ in range(substeps):
        mujoco.mj_step(model, data)
    warned = any(warning.number for warning in data.warning)
    return warned or not bool((np.abs(data.qvel) <= MAX_SPEED).all())


def test_the_flag_is_c_mujocos_own_warning_row_by_row():
    model = load_model("hopper.xml")
    engine = NativeEngine(model, Reads(("qpos", "qvel")))
    generator = np.random.default_rng(0)
    scale = 10.0 ** generator.uniform(0.0, 5.0, (40, 1))
    qpos = np.tile(np.float32(model.qpos0), (40, 1))
    qvel = np.float32(scale * generator.normal(size=(40, model.nv)))
    qvel[0, 2], qpos[1, 0] = np.nan, np.inf
    ctrl = np.float32(generator.uniform(-1, 1, (40, model.nu)))
    ctrl[2, 1] = np.nan
    start = jax.vmap(engine.init)(qpos, qvel)
    after = jax.vmap(lambda s, c: engine.step(s, c, None, 4))(start, ctrl)
    expected = [by_hand(model, *row, 4) for row in zip(qpos, qvel, ctrl, strict=True)]
    assert 5 < sum(expected) < 35
    np.testing.assert_array_equal(after.unstable, expected)
    assert np.flatnonzero(start.unstable).tolist() == [0, 1]  # what cannot even begin fails at its first step
    bad = np.asarray(after.unstable)
    np.testing.assert_array_equal(after.engine[bad], start.engine[bad])
    assert (after.engine[~bad] != start.engine[~bad]).any(axis=1).all()


def test_failures_leave_the_simulations_beside_them_and_the_later_ones_alone():
    model = load_model("ant.xml")
    engine = NativeEngine(model, Reads(("qpos", "qvel", "cfrc_ext"), precise=("qpos",)))
    qpos = np.tile(np.float32(model.qpos0), (4, 1))
    qvel = np.zeros((4, model.nv), np.float32)
    ctrl = np.linspace(-1, 1, 4 * model.nu, dtype=np.float32).reshape(4, -1)
    step = jax.vmap(lambda s, c: engine.step(s, c, None, 5))
    expected = step(jax.vmap(engine.init)(qpos, qvel), ctrl)
    qvel[1] = 1e9
    mixed = step(jax.vmap(engine.init)(qpos, qvel), ctrl)
    assert mixed.unstable.tolist() == [False, True, False, False]
    good = np.array([0, 2, 3])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[good], b[good]), mixed, expected)
    qvel[1] = 0.0
    again = step(jax.vmap(engine.init)(qpos, qvel), ctrl)
    jax.tree.map(np.testing.assert_array_equal, again, expected)


def test_a_full_constraint_buffer_is_a_failure():
    box = '<body pos="{} 0 .05"><freejoint/><geom type="box" size=".06 .06 .06"/></body>'
    world = "".join(box.format(0.1 * i) for i in range(6)) + '<geom type="plane" size="5 5 .1"/>'
    for memory, full in (("100K", True), ("10M", False)):
        model = mujoco.MjModel.from_xml_string(
            f'<mujoco><size memory="{memory}"/><worldbody>{world}</worldbody></mujoco>'
        )
        engine = NativeEngine(model, Reads(("qpos",)))
        start = engine.init(np.float32(model.qpos0), np.zeros(model.nv, np.float32))
        assert (bool(start.unstable), bool(engine.step(start, np.zeros(0, np.float32)).unstable)) == (full, full)


def test_collecting_counts_failures_and_goes_on_with_new_episodes():
    vector = VectorEnvironment(exploding("half_cheetah"), 8)
    state = vector.init(jax.random.key(0), staggered=False)
    state, trajectory, metrics = jax.jit(lambda s: collect(vector, full_speed, s, jax.random.key(1), 40))(state)
    failed = np.asarray(trajectory.terminated)
    assert failed.sum() >= 8
    assert float(metrics["train/unstable"]) == pytest.approx(failed.mean())
    np.testing.assert_array_equal(trajectory.reward[failed], 0.0)
    np.testing.assert_array_equal(trajectory.successor["teacher"][failed], trajectory.observation["teacher"][failed])
    following = np.asarray(trajectory.observation["teacher"])[1:][failed[:-1]]
    assert np.abs(following).max() < 1.0  # a new episode: the start distribution is narrow
    measured = {name: value for name, value in metrics.items() if name.startswith(("env/", "reward/"))}
    assert float(measured["env/x_velocity"]) == pytest.approx(float(measured["reward/forward"]), rel=1e-5)
    assert all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves((trajectory, metrics["train/mean_reward"], measured))
    )


def test_evaluation_counts_what_was_earned_before_the_failure():
    env = exploding("half_cheetah")

    @Memoryless
    def policy(observation):
        return DiagonalGaussian(jnp.sign(jnp.sin(100.0 * observation["teacher"][:, :6])), jnp.zeros(6))

    found = jax.jit(lambda key: evaluate(env, policy, key, 4))(jax.random.key(0))
    assert all(np.isfinite(value) for value in found.values())
    assert 1 <= found["episode_length_mean"] < env.spec.episode_length


def test_a_run_whose_physics_keeps_failing_stops_with_one_line_and_leaves_nothing_elsewhere(tmp_path):
    working = tmp_path / "elsewhere"
    working.mkdir()
    arguments = ["env=half_cheetah", "env.randomise.actuator_gear=[100,100]", "algorithm=ppo", "physics=native"]
    arguments += ["num_seeds=2", "num_envs=8", "total_steps=4096", "eval_episodes=1", "video=false", "report=false"]
    arguments += ["tracking.wandb.mode=disabled", "run_dir=" + str(tmp_path / "run")]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=working, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert "The physics failed in " in lines[0]
    assert "% of the transitions of iteration 1 (environment step 512, seeds 0 and 1)" in lines[0]
    assert not list(working.iterdir())
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "failed"


def test_a_handler_of_the_programs_own_is_left_in_place():
    seen: list[str] = []
    before = mujoco.get_mju_user_warning()
    try:
        mujoco.set_mju_user_warning(seen.append)
        engine = NativeEngine(load_model("hopper.xml"), Reads(("qpos",)))
        start = engine.init(jnp.full(6, 1e12), jnp.zeros(6))
        assert engine.step(start, jnp.zeros(3)).unstable
    finally:
        mujoco.set_mju_user_warning(before)
    assert any("QPOS" in message for message in seen)
