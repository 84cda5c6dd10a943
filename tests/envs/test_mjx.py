"""MuJoCo XLA against C MuJoCo: one environment step from the same states, float32 against float64.

Stated tolerances. Two differences are known and concern few states: C and MJX choose other tangents where a capsule is
within 30 degrees of the plane's normal, and count box-plane contacts differently. Ant stands on such capsules, so there
only the median over states is held to float32 accuracy.
"""

from __future__ import annotations

import copy
import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.config import MujocoConfig
from envs.mujoco.environment import MujocoEnvironment
from envs.mujoco.task import load_model
from envs.physics.base import Reads
from envs.physics.config import PhysicsConfig
from envs.physics.mjx import MjxEngine
from envs.physics.native import NativeEngine
from l2t.errors import ConfigurationError

STATES = 16
MJX = PhysicsConfig("mjx", allow_cpu=True)


def visited_states(env: MujocoEnvironment, steps: int = 30):
    """States after some random steps on the native engine, and the actions to try there."""
    step = jax.jit(jax.vmap(env.step))
    state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), STATES))
    keys = jax.random.split(jax.random.key(1), steps + 1)
    actions = jax.vmap(lambda key: jax.random.uniform(key, (STATES, env.model.nu), minval=-1.0, maxval=1.0))(keys)
    actions = actions * env.model.actuator_ctrlrange[:, 1]
    for action in actions[:-1]:
        state = step(state, action)
    return state.physics["qpos"], state.physics["qvel"], actions[-1]


def one_step(env: MujocoEnvironment, qpos, qvel, action):
    def run(qpos, qvel, action):
        start = env.reset_to(jax.random.key(0), qpos, qvel)
        return start, env.step(start, action)

    return jax.jit(jax.vmap(run))(qpos, qvel, action)


@functools.cache
def outcomes(task: str):
    """(C, MJX) states after a reset and after one step."""
    native = MujocoConfig(task).build(PhysicsConfig("native"))
    if native.model.opt.solver == mujoco.mjtSolver.mjSOL_PGS:
        native.model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
        native = MujocoEnvironment(task, native.task, NativeEngine(native.model, native.task.reads))
    states = visited_states(native)
    return one_step(native, *states), one_step(MujocoConfig(task).build(MJX), *states)


def errors(actual, expected) -> np.ndarray:
    """Largest error of each state, relative to the largest magnitude where that exceeds one."""
    actual, expected = (np.asarray(x, np.float64).reshape(STATES, -1) for x in (actual, expected))
    return np.abs(actual - expected).max(axis=1) / max(1.0, np.abs(expected).max())


TASKS = [
    "inverted_pendulum",
    "half_cheetah",
    "ant",
    pytest.param("hopper", marks=pytest.mark.slow),
    pytest.param("humanoid", marks=pytest.mark.slow),
]
"""Each costs up to a minute of compilation, once."""
EVERY_STATE = {"inverted_pendulum": 1e-5, "half_cheetah": 1e-4, "hopper": 1e-5}


@pytest.mark.parametrize("task", TASKS)
def test_one_step_equals_c_mujoco(task):
    (start, after), (mjx_start, mjx_after) = outcomes(task)
    assert errors(mjx_start.observation["teacher"], start.observation["teacher"]).max() < 1e-5
    for name in after.physics.fields:
        error = errors(mjx_after.physics[name], after.physics[name])
        assert np.median(error) < 1e-4, name
        assert error.max() < EVERY_STATE.get(task, 0.2), name
    assert np.median(errors(mjx_after.reward, after.reward)) < 1e-4
    assert set(mjx_after.metrics) == set(after.metrics)
    agree = np.mean(np.asarray(mjx_after.terminated) == np.asarray(after.terminated))
    assert agree == 1.0 or task not in EVERY_STATE


@pytest.mark.parametrize(
    "task",
    [
        "inverted_double_pendulum",
        "pusher",
        "reacher",
        "swimmer",
        "walker2d",
        pytest.param("humanoid_standup", marks=pytest.mark.slow),
    ],
)
def test_every_other_task_traces_with_the_same_state_types_from_step_to_step(task):
    env = MujocoConfig(task).build(MJX)
    start = jax.eval_shape(env.reset, jax.random.key(0))
    after = jax.eval_shape(env.step, start, jnp.zeros(env.model.nu))
    facts = [[(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(state)] for state in (start, after)]
    assert jax.tree.structure(start) == jax.tree.structure(after)
    assert facts[0] == facts[1]


def test_the_solver_that_mjx_lacks_is_replaced_in_its_own_copy_of_the_model():
    model = load_model("humanoid.xml")
    assert model.opt.solver == mujoco.mjtSolver.mjSOL_PGS
    engine = MjxEngine(model, Reads(("qpos",)))
    assert engine.model.opt.solver == mujoco.mjtSolver.mjSOL_NEWTON
    assert model.opt.solver == mujoco.mjtSolver.mjSOL_PGS


def test_overrides_equal_c_mujoco_with_those_fields_edited():
    env = MujocoConfig("half_cheetah").build(MJX)
    model = env.model
    qpos, qvel, ctrl = visited_states(MujocoConfig("half_cheetah").build(PhysicsConfig("native")))
    generator = np.random.default_rng(0)
    changes = {
        "body_mass": np.float32(model.body_mass * generator.uniform(0.5, 2.0, (STATES, 1))),
        "geom_friction": np.float32(model.geom_friction * generator.uniform(0.1, 2.0, (STATES, 1, 1))),
    }

    def run(qpos, qvel, ctrl, changes):
        return env.engine.step(env.engine.init(qpos, qvel, changes), ctrl, changes, 5)["qvel"]

    actual = jax.jit(jax.vmap(run))(qpos, qvel, ctrl, changes)
    expected = {True: [], False: []}
    for edit in expected:
        for index in range(STATES):
            edited = copy.copy(model)
            if edit:
                edited.body_mass[:] = changes["body_mass"][index]
                edited.geom_friction[:] = changes["geom_friction"][index]
            data = mujoco.MjData(edited)
            data.qpos, data.qvel, data.ctrl = qpos[index], qvel[index], ctrl[index]
            mujoco.mj_forward(edited, data)
            mujoco.mj_step(edited, data, 5)
            expected[edit].append(data.qvel)
    assert errors(actual, np.array(expected[True])).max() < 1e-4
    assert np.median(errors(actual, np.array(expected[False]))) > 1e-2


def test_forces_on_bodies_act_for_one_step_and_equal_c_mujoco():
    model = load_model("inverted_pendulum.xml")
    forces = np.zeros((2, model.nbody, 6), np.float32)
    forces[0, -1, :3] = 3.0, 0.0, -2.0
    forces[1, -1, 4] = 1.0  # a torque about y

    def run(engine):
        state = jax.jit(jax.vmap(engine.init))(np.tile(np.float32([0.1, 0.2]), (2, 1)), np.zeros((2, 2), np.float32))
        step = jax.jit(jax.vmap(lambda state, force: engine.step(state, jnp.zeros(1), None, 2, force)))
        pushed = step(state, forces)
        return np.stack([pushed["qvel"], step(pushed, np.zeros_like(forces))["qvel"]], axis=1)

    reads = Reads(("qpos", "qvel"))
    actual, expected = (run(engine(model, reads)) for engine in (MjxEngine, NativeEngine))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected[0, 0] - expected[0, 1]).min() > 1e-3  # each force does something of its own


def test_a_failed_step_is_noticed_undone_and_goes_on_failing():
    model = load_model("inverted_pendulum.xml")
    engine = MjxEngine(model, Reads(("qpos", "qvel")))
    qvel = np.float32([[0.0, 0.5], [0.0, np.nan], [1e9, 0.0], [0.0, np.inf]])
    start = jax.jit(jax.vmap(engine.init))(np.zeros((4, 2), np.float32), qvel)
    assert start.unstable.tolist() == [False, True, True, True]
    step = jax.jit(jax.vmap(lambda s, c: engine.step(s, c, None, 2)))
    fine = start.replace(unstable=np.zeros(4, bool))
    ctrl = np.zeros((4, 1), np.float32)
    for after in (step(fine, ctrl), step(step(start, ctrl), ctrl)):
        assert after.unstable.tolist() == [False, True, True, True]
        for name in ("qpos", "qvel"):
            np.testing.assert_array_equal(after[name][1:], start[name][1:])
            np.testing.assert_array_equal(getattr(after.engine, name)[1:], start[name][1:])
    assert step(fine, np.full((4, 1), np.nan, np.float32)).unstable.all()


def test_fields_that_mjx_does_not_know_cannot_be_randomised():
    with pytest.raises(ConfigurationError, match="actuator_damping"):
        MujocoConfig("half_cheetah", randomise={"actuator_damping": [0.5, 1.5]}).build(MJX)
