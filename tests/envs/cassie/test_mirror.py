"""Reflection: of vectors, of states, and of what becomes of them."""

from __future__ import annotations

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie import figures, mirror
from envs.cassie.model import cassie_model
from envs.cassie.sensors import columns, foot_force
from tests.envs.cassie.robots import random_states, simulation, symmetric_model

ACROSS = np.array([1, -1, 1])


def reflected_run(model, qpos, qvel, ctrl, steps=8):
    """The state after some steps, reflected, and where the reflected state came to."""
    here = simulation(model, qpos, qvel, ctrl)
    there = simulation(model, mirror.QPOS(qpos), mirror.QVEL(qvel), mirror.CONTROL(ctrl))
    mujoco.mj_step(model, here, steps)
    mujoco.mj_step(model, there, steps)
    return (mirror.QPOS(here.qpos), mirror.QVEL(here.qvel)), (there.qpos, there.qvel)


@pytest.mark.parametrize("reflection", [mirror.QPOS, mirror.QVEL, mirror.CONTROL, mirror.SPRING])
def test_reflected_twice_is_as_before(reflection):
    x = np.random.default_rng(0).normal(size=(3, len(reflection.order)))
    np.testing.assert_array_equal(reflection(reflection(x)), x)
    assert reflection(jnp.asarray(x, jnp.float32)).dtype == jnp.float32


def test_a_reflected_state_under_a_reflected_action_moves_to_the_reflected_successor():
    symmetric, touching = symmetric_model(), 0
    for state in zip(*random_states(10, height=0.02), strict=True):
        touching += simulation(symmetric, *state).ncon > 0
        (qpos, qvel), (reflected_qpos, reflected_qvel) = reflected_run(symmetric, *state)
        np.testing.assert_allclose(reflected_qpos, qpos, rtol=0, atol=1e-10)
        np.testing.assert_allclose(reflected_qvel, qvel, rtol=0, atol=1e-8)
    assert touching > 2


def test_the_robot_itself_does_so_to_a_hundredth_in_speed():
    model = cassie_model()
    for state in zip(*random_states(10), strict=True):
        (qpos, qvel), (reflected_qpos, reflected_qvel) = reflected_run(model, *state)
        np.testing.assert_allclose(reflected_qpos, qpos, rtol=0, atol=2e-4)
        np.testing.assert_allclose(reflected_qvel, qvel, rtol=0, atol=2e-2)


def test_feet_change_places_in_the_world():
    model = cassie_model()
    where = columns(model)
    qpos, qvel, ctrl = (part[0] for part in random_states(1))
    qpos[2] -= 0.1
    here = simulation(symmetric_model(), qpos, qvel, ctrl).sensordata
    there = simulation(symmetric_model(), mirror.QPOS(qpos), mirror.QVEL(qvel), mirror.CONTROL(ctrl)).sensordata
    for side, other in (("left", "right"), ("right", "left")):
        for name in ("sole-position", "sole-velocity", "heel-spring-position"):
            a, b = here[where[f"{side}-{name}"]], there[where[f"{other}-{name}"]]
            np.testing.assert_allclose(b, ACROSS * a, rtol=0, atol=1e-12)
        for end in figures.FOOT_ENDS:
            a, b = here[where[f"{side}-{end}-contact"]], there[where[f"{other}-{end}-contact"]]
            assert np.abs(a).max() > 10
            np.testing.assert_allclose(foot_force(b), ACROSS * foot_force(a), rtol=1e-4)
    for name, signs in (("imu-gyro", mirror.WORLD_AXIAL), ("imu-velocity", mirror.WORLD_POINT)):
        np.testing.assert_allclose(there[where[name]], np.array(signs) * here[where[name]], rtol=0, atol=1e-12)


def test_springs_are_reflected_as_positions_are():
    qpos = random_states(1)[0][0]
    springs = list(figures.SPRING_QPOS)
    np.testing.assert_array_equal(mirror.QPOS(qpos)[springs], mirror.SPRING(qpos[springs]))
    motors = list(figures.MOTOR_QPOS)
    np.testing.assert_array_equal(mirror.QPOS(qpos)[motors], mirror.CONTROL(qpos[motors]))
    qvel = random_states(1)[1][0]
    np.testing.assert_array_equal(
        mirror.QVEL(qvel)[list(figures.MOTOR_QVEL)], mirror.CONTROL(qvel[list(figures.MOTOR_QVEL)])
    )
