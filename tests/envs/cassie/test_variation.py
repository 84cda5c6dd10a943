"""Robots that differ: in their bodies, their sensors and how late they act."""

import copy
from dataclasses import replace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie import dynamics, observation
from envs.cassie.settings import CommandConfig, NoiseConfig, RandomisationConfig
from envs.cassie.terrain.config import TerrainConfig
from tests.envs.cassie.robots import NOMINAL, SILENT, build, episode


@pytest.fixture(scope="module")
def varied():
    env = build(
        terrain=TerrainConfig("mixed"),
        randomisation=RandomisationConfig(),
        noise=NoiseConfig(),
        command=CommandConfig(),
    )
    return env, *episode(env, np.zeros((3, 10)), instances=64)


def edited(model, changes):
    result = copy.copy(model)
    for name, value in changes.items():
        getattr(result, name)[:] = value
    mujoco.mj_setConst(result, mujoco.MjData(result))
    return result


PARAMETERS = {
    "friction": "pair_friction",
    "mass": "body_mass",
    "payload": "body_mass",
    "centre": "body_ipos",
    "damping": "dof_damping",
    "stiffness": "jnt_stiffness",
    "gains": "actuator_gainprm",
    "strength": "actuator_forcerange",
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_parameter_varies_between_robots_and_changes_how_they_move(name, varied):
    env, start, _ = varied
    drawn = np.asarray(getattr(start.extras["memory"].dynamics, name)).reshape(64, -1)
    assert drawn.std(axis=0).min() > 0.0
    config = RandomisationConfig()
    low, high = (-config.centre, config.centre) if name == "centre" else getattr(config, name)
    assert low <= drawn.min() < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < drawn.max() <= high
    overrides = start.extras["overrides"]
    field = PARAMETERS[name]
    spread = np.asarray(overrides[field]).std(axis=0).max()
    assert spread > 0.0
    state = jax.tree.map(lambda leaf: leaf[0], start)
    nominal = {key: jnp.asarray(env.engine.nominal(key)) for key in overrides}
    ends = []
    for value in (low, high):
        changed = dict(nominal)
        altered = replace(
            jax.tree.map(lambda leaf: leaf[0], start.extras["memory"].dynamics),
            **{
                other: jnp.zeros(3) if other == "centre" else jnp.asarray(0.0 if other == "payload" else 1.0)
                for other in PARAMETERS
            },
        )
        altered = replace(altered, **{name: jnp.full(3, value) if name == "centre" else jnp.asarray(value)})
        changed |= dynamics.overrides(altered, env.model)
        qvel = jnp.asarray(state.physics["qvel"]).at[0].set(0.6)
        target = jnp.asarray(env.model.actuator_ctrlrange[:, 1], jnp.float32)  # the feet push as hard as they can
        data = mujoco.MjData(model := edited(env.model, changed))
        data.qpos, data.qvel, data.ctrl = np.asarray(state.physics["qpos"]), np.asarray(qvel), np.asarray(target)
        mujoco.mj_step(model, data, 24)
        ends.append(data.qpos.copy())
    assert np.abs(ends[0] - ends[1]).max() > 1e-4


def test_the_student_senses_with_noise_bias_and_delay(varied):
    _, start, _ = varied
    sensed = len(observation.names(observation.SENSED))
    memory = start.extras["memory"]
    flipped = np.asarray(memory.phase >= 0.5)
    back = observation.reflection(observation.STUDENT)
    teacher = np.asarray(start.observation["teacher"])[:, : len(observation.names(observation.STUDENT))]
    student = np.asarray(start.observation["student"])[:, :50]
    error = student - teacher
    error = np.where(flipped[:, None], back(error), error)
    bias = np.asarray(jax.vmap(observation.encoder_bias)(memory.dynamics))
    noise = error[:, :sensed] - bias
    config = NoiseConfig()
    for part, scale in ((slice(0, 3), config.gravity), (slice(3, 6), config.gyro), (slice(6, 16), config.position)):
        assert noise[:, part].std() == pytest.approx(scale, rel=0.25)
    np.testing.assert_array_equal(error[:, sensed:], 0.0)
    late = np.asarray(memory.dynamics.sensor_delay)
    assert 0.2 < late.mean() < 0.8
    quiet = build(noise=SILENT, randomisation=RandomisationConfig(encoder_bias=0.0), mirrored=False)
    begun, after = episode(quiet, 0.2 * np.ones((3, 10)), instances=16)
    late = np.asarray(begun.extras["memory"].dynamics.sensor_delay)
    shown = np.asarray(after.observation["student"])[:, :, :sensed]
    exact = np.asarray(after.observation["teacher"])[:, :, :sensed]
    np.testing.assert_allclose(shown[:, ~late], exact[:, ~late], atol=1e-6)
    np.testing.assert_allclose(shown[1:, late], exact[:-1, late], atol=1e-6)


def test_an_action_of_a_delayed_robot_comes_one_step_late():
    env = build(randomisation=replace(NOMINAL, amount=1.0, action_delay=1.0))
    state = jax.jit(env.reset)(jax.random.key(0))
    first = env.task.control(jnp.ones(10), state.physics, state.extras["memory"], env.model)
    none = env.task.control(jnp.zeros(10), state.physics, state.extras["memory"], env.model)
    np.testing.assert_array_equal(first, none)
    state = jax.jit(env.step)(state, jnp.ones(10))
    later = env.task.control(jnp.zeros(10), state.physics, state.extras["memory"], env.model)
    assert float(jnp.abs(later - none).max()) > 0.2
