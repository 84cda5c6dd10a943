"""Cassie on both engines: what may differ from simulation to simulation, and MuJoCo XLA against C MuJoCo."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie.model import GROUND_GEOMS, cassie_model
from envs.cassie.pose import standing_pose
from envs.cassie.sensors import columns, foot_force
from envs.physics.base import PhysicsState, Reads
from envs.physics.mjx import MjxEngine
from envs.physics.native import NativeEngine
from tests.envs.cassie.robots import random_states

READS = Reads(("qpos", "qvel", "qacc", "sensordata", "actuator_force"))
COUNT = 6
FACTORS = (
    "pair_friction",
    "body_mass",
    "body_ipos",
    "body_inertia",
    "dof_damping",
    "jnt_stiffness",
    "actuator_gainprm",
    "actuator_biasprm",
    "actuator_forcerange",
    "opt.gravity",
)
"""Fields that an episode draws; `geom_pos` and `geom_quat`, which follow the ground, come on top."""


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return cassie_model()


@pytest.fixture(scope="module")
def native(model) -> NativeEngine:
    return NativeEngine(model, READS, threads=1)


def grounds(model, count: int, seed: int, tilt: float = 0.1) -> dict[str, np.ndarray]:
    """Planes within 1 cm of where they are on flat ground, tilted."""
    generator = np.random.default_rng(seed)
    pos = np.tile(model.geom_pos, (count, 1, 1))
    quat = np.tile(model.geom_quat, (count, 1, 1))
    rows = list(GROUND_GEOMS)
    pos[:, rows] += generator.uniform(-0.01, 0.01, (count, len(rows), 3))
    quat[:, rows, 1:3] = tilt / 2 * generator.uniform(-1, 1, (count, len(rows), 2))
    quat /= np.linalg.norm(quat, axis=-1, keepdims=True)
    return {"geom_pos": pos.astype(np.float32), "geom_quat": quat.astype(np.float32)}


def drawn(model, engine, count: int, seed: int, names=FACTORS) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    changes = {}
    for name in names:
        value = engine.nominal(name)
        changes[name] = np.float32(value * generator.uniform(0.8, 1.2, (count, *(1,) * value.ndim)))
    return changes


def edited(model, changes, index: int) -> mujoco.MjModel:
    result = copy.copy(model)
    for name, values in changes.items():
        holder, field = (result.opt, name[4:]) if name.startswith("opt.") else (result, name)
        getattr(holder, field)[:] = values[index]
    mujoco.mj_setConst(result, mujoco.MjData(result))
    return result


def standing(count: int):
    pose = standing_pose()
    return (np.tile(x, (count, 1)).astype(np.float32) for x in (pose.qpos, np.zeros(32), pose.offset))


def test_everything_that_an_episode_draws_can_differ_on_the_native_engine(model, native):
    qpos, qvel, ctrl = standing(COUNT)
    changes = drawn(model, native, COUNT, seed=0)
    flat, hills = grounds(model, COUNT, seed=0, tilt=0.0), grounds(model, COUNT, seed=1)
    step = jax.vmap(lambda state, ctrl, changes: native.step(state, ctrl, changes, 8))
    # The reset is on flat ground: what the engine derives from the model there must not stick.
    states = [jax.vmap(native.init)(qpos, qvel, changes | flat)]
    for ground in (flat, hills, grounds(model, COUNT, seed=2)):
        states.append(step(states[-1], ctrl, changes | ground))
    for index in range(COUNT):
        data = None
        for ground, state in zip((flat, flat, hills, grounds(model, COUNT, seed=2)), states, strict=True):
            hand = edited(model, changes | ground, index)
            if data is None:
                data = mujoco.MjData(hand)
                data.qpos, data.qvel = qpos[index], qvel[index]
                mujoco.mj_forward(hand, data)
            else:
                data.ctrl = ctrl[index]
                mujoco.mj_step(hand, data, 8)
            for name in READS.fields:
                np.testing.assert_array_equal(state[name][index], np.float32(getattr(data, name)), err_msg=name)


@pytest.mark.parametrize("name", FACTORS)
def test_each_of_them_changes_the_motion(model, native, name):
    qpos, qvel, ctrl = standing(2)
    changes = drawn(model, native, 2, seed=3, names=(name,))
    if name == "actuator_forcerange":
        changes[name] = changes[name] * 0.1  # the start pose needs a fifth of the torque
    qvel[:, 0] = 0.5  # the feet slide
    start = jax.vmap(native.init)(qpos, qvel)
    step = jax.vmap(lambda state, ctrl, changes: native.step(state, ctrl, changes, 8))
    plain, changed = step(start, ctrl, {}), step(start, ctrl, changes)
    assert np.all(np.abs(plain["qvel"] - changed["qvel"]).max(axis=1) > 1e-4)


FOLLOWED = ("pair_friction", "dof_damping", "jnt_stiffness", "actuator_gainprm", "actuator_biasprm", "opt.gravity")
"""Drawn fields from which no constant is derived: MJX keeps those of the nominal model, so only these agree exactly."""


@pytest.fixture(scope="module")
def one_step(model, native):
    """(C, MJX) states one physics step after (qpos, qvel) of two simulations on hills; MJX is compiled once."""
    engine = MjxEngine(model, READS)
    blank = mujoco.mjx.make_data(engine.model)
    fields = {name: jnp.zeros(getattr(mujoco.MjData(model), name).shape) for name in READS.fields}
    changes = drawn(model, native, 2, seed=4, names=FOLLOWED) | grounds(model, 2, seed=4)

    def on_mjx(qpos, qvel, ctrl, changes):
        state = PhysicsState(blank.replace(qpos=qpos, qvel=qvel), fields, {}, jnp.asarray(False))
        return engine.step(state, ctrl, changes)

    def on_c(qpos, qvel, ctrl, changes):
        return native.step(native.init(qpos, qvel, changes), ctrl, changes)

    compiled = jax.jit(jax.vmap(on_mjx))
    return lambda *state: (jax.vmap(on_c)(*state, changes), compiled(*state, changes))


def differences(states, name: str) -> float:
    """Largest difference, relative to the largest magnitude."""
    expected, actual = (np.asarray(state[name], np.float64) for state in states)
    return np.abs(actual - expected).max() / np.abs(expected).max()


def test_mjx_computes_the_first_step_from_rest_as_c_does(model, one_step):
    qpos, qvel, ctrl = standing(2)
    states = one_step(qpos, qvel, ctrl + np.float32(0.1))
    assert differences(states, "qacc") < 1e-3
    assert differences(states, "qvel") < 1e-3
    assert differences(states, "actuator_force") < 1e-5
    c, mjx = (np.asarray(state["sensordata"]) for state in states)
    where, feet = columns(model), [name for name in columns(model) if name.endswith("-contact")]
    forces = [np.array([[foot_force(row[where[name]]) for name in feet] for row in rows]) for rows in (c, mjx)]
    assert np.abs(forces[0]).max() > 50
    np.testing.assert_allclose(forces[1], forces[0], atol=0.2)
    others = [i for name, place in where.items() if name not in feet for i in range(place.start, place.stop)]
    np.testing.assert_allclose(mjx[:, others], c[:, others], atol=1e-4)


def test_in_motion_mjx_leaves_out_how_the_loops_turn(one_step):
    # The acceleration of a loop's end that comes of turning (J' q') is in C's reference alone: 1 % at walking speeds.
    qpos, qvel, ctrl = (part.astype(np.float32) for part in random_states(2, height=0.0))
    states = one_step(qpos, qvel, ctrl)
    assert differences(states, "qacc") < 0.03
    assert differences(states, "qvel") < 0.03
