"""Pushes on tasks that know nothing of them: mechanics in closed form, and everything else as it was."""

from dataclasses import replace

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import envs.gymnasium  # noqa: F401  (registers the tasks)
from configs import compose, train
from configs.build import read_config
from configs.loading import load_run
from envs.cassie.config import CassieConfig
from envs.config import MujocoConfig
from envs.physics.config import PhysicsConfig
from envs.push import PushConfig
from l2t.errors import ConfigurationError
from l2t.rl.evaluation import evaluate
from l2t.rl.types import judged
from l2t.run.trainer import EVALUATION_SEED


def on_native(task, **changes):
    return MujocoConfig(task, **changes).build(PhysicsConfig("native"))


def velocities_in_the_air(env, steps):
    """Of HalfCheetah's centre of mass along x, which nothing but a push changes while it falls; and the forces."""
    mass = env.model.body_mass.sum()
    state = env.reset_to(jax.random.key(3), jnp.zeros(9).at[1].set(500.0), jnp.zeros(9))
    step = jax.jit(env.step)
    speeds, forces = [], []
    for _ in range(steps):
        forces.append(np.asarray(state.extras["memory"].acting))
        state = step(state, jnp.zeros(6))
        data = _data(env.model, state)
        speeds.append(data.subtree_linvel[1][0])
    return np.array(speeds), np.array(forces), mass


def _data(model, state):
    data = mujoco.MjData(model)
    data.qpos, data.qvel = np.asarray(state.physics["qpos"]), np.asarray(state.physics["qvel"])
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    return data


def test_a_push_gives_the_whole_robot_its_impulse():
    env = on_native("half_cheetah", push=PushConfig((20.0, 60.0), 0.1, (0.1, 0.2)))
    speeds, forces, mass = velocities_in_the_air(env, 20)
    assert set(np.linalg.norm(forces, axis=1) > 0.0) == {True, False}
    impulses = 0.05 * np.cumsum(forces[:, 0])
    np.testing.assert_allclose(speeds, impulses / mass, atol=0.02 * np.abs(impulses / mass).max())


def test_pushes_differ_between_episodes_and_are_those_that_were_asked_for():
    env = on_native("hopper", push=PushConfig((5.0, 10.0), 0.1, (0.3, 1.5)))
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 64))
    pauses = np.asarray(states.extras["memory"].pause)
    assert 0.3 <= pauses.min() < 0.4
    assert 1.4 < pauses.max() <= 1.5
    assert "push" not in states.observation


def test_nothing_that_is_seen_tells_of_the_first_push():
    env = on_native("hopper", push=PushConfig((5.0, 10.0), 0.1, (0.3, 1.5)))
    state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 200))
    pause = np.asarray(state.extras["memory"].pause)
    for column in np.asarray(state.observation["teacher"]).T:
        assert abs(np.corrcoef(column, pause)[0, 1]) < 0.3


def test_nobody_pushes_by_default_and_the_state_holds_nothing_of_it():
    quiet, pushed = on_native("hopper"), on_native("hopper", push=PushConfig((5.0, 10.0), 0.1, (5.0, 5.0)))
    assert quiet.reset(jax.random.key(0)).extras["memory"] == ()
    ends = []
    for env in (quiet, pushed):
        state, step = env.reset(jax.random.key(0)), jax.jit(env.step)
        for _ in range(5):
            state = step(state, jnp.full(3, 0.1))
        ends.append(state)
    # Before the first push everything is as without, to the last bit.
    for name in ("qpos", "qvel"):
        np.testing.assert_array_equal(ends[0].physics[name], ends[1].physics[name])


def test_pushes_for_training_only_are_gone_where_policies_are_judged():
    push = PushConfig((5.0, 10.0), 0.1, (0.3, 1.5), training_only=True)
    env, always = on_native("hopper", push=push), on_native("hopper", push=replace(push, training_only=False))
    quiet = judged(env)
    assert quiet.reset(jax.random.key(0)).extras["memory"] == ()
    assert quiet.engine is env.engine
    assert quiet.spec == env.spec
    assert judged(always).task == always.task
    cassie = CassieConfig(push=push).build(PhysicsConfig("native"))
    assert judged(cassie).task == replace(cassie.task, push=replace(push, force=(0.0, 0.0)))


def test_a_run_is_evaluated_and_read_back_without_the_pushes_that_it_was_trained_under(tmp_path):
    config = compose(
        [
            "env=hopper",
            "algorithm=spmd",
            "num_envs=4",
            "algorithm.num_steps=8",
            "algorithm.minibatches=1",
            "total_steps=32",
            "eval_episodes=4",
            "tracking.wandb.mode=disabled",
            "video=false",
            "report=false",
            "env.push.force=[400,400]",
            "env.push.pause=[0,0]",
            "env.push.training_only=true",
            f"run_dir={tmp_path / 'a'}",
        ]
    )
    run = train(config)

    def score(overrides):
        loaded = load_run(run.path, config=read_config(run.path, overrides))
        policy = loaded.algorithm.policy(loaded.state.learnt, "teacher")
        return float(evaluate(loaded.environment, policy, jax.random.key(EVALUATION_SEED), 4)["return_mean"])

    assert score([]) == pytest.approx(run.returns()[0], rel=1e-5)
    assert score(["env.push.training_only=false"]) < 0.7 * run.returns()[0]


def test_gymnasium_takes_pushes_as_a_mapping():
    def end(**options):
        env = gymnasium.make("l2t/HalfCheetah-v5", **options)
        env.reset(seed=0)
        for _ in range(10):
            observation = env.step(np.zeros(6, np.float32))[0]
        env.close()
        return observation

    push = {"force": (100.0, 100.0), "pause": (0.0, 0.0)}
    assert np.abs(end(push=push) - end()).max() > 0.1
    with pytest.raises(ConfigurationError, match="half_cheetah: push"):
        gymnasium.make("l2t/HalfCheetah-v5", push={"strength": 3.0})
    for task in ("HalfCheetah-v5", "CassieFlat-v0"):
        with pytest.raises(ConfigurationError, match=r"push.*training_only"):
            gymnasium.make(f"l2t/{task}", push={"force": (5.0, 20.0), "training_only": True})
    with pytest.raises(ConfigurationError, match="must map fields to values"):
        gymnasium.make("l2t/HalfCheetah-v5", push=3.0)


@pytest.mark.parametrize("wrong", [{"force": (-1.0, 5.0)}, {"force": (5.0, 1.0)}, {"duration": 0.0}, {"pause": (1.0,)}])
def test_a_wrong_push_is_refused_by_name(wrong):
    with pytest.raises(ConfigurationError, match=rf"env\.push\.{next(iter(wrong))}"):
        PushConfig(**wrong)
