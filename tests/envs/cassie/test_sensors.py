"""What is measured, against MuJoCo's own kinematics."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from envs.cassie import figures
from envs.cassie.model import cassie_model, cassie_spec
from envs.cassie.pose import standing_pose
from envs.cassie.sensors import columns, imu_acceleration
from tests.envs.cassie.robots import random_states, simulation


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return cassie_model()


@pytest.fixture(scope="module")
def moving(model) -> mujoco.MjData:
    return simulation(model, *(part[0] for part in random_states(1)))


def test_the_columns_name_every_number_once(model):
    taken = [i for place in columns(model).values() for i in range(place.start, place.stop)]
    assert sorted(taken) == list(range(model.nsensordata))


def test_the_computed_acceleration_is_that_of_an_accelerometer():
    spec = cassie_spec()
    spec.add_sensor(
        name="accelerometer",
        type=mujoco.mjtSensor.mjSENS_ACCELEROMETER,
        objtype=mujoco.mjtObj.mjOBJ_SITE,
        objname="imu",
    )
    model = spec.compile()
    for state in zip(*random_states(5), strict=True):
        data = simulation(model, *state)
        ours = imu_acceleration(data.qpos, data.qvel, data.qacc, model.opt.gravity)
        theirs = data.sensor("accelerometer").data
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)  # float32


def test_standing_still_it_reads_gravity_upwards(model):
    data = simulation(model, standing_pose().qpos)
    reads = imu_acceleration(data.qpos, data.qvel, data.qacc, model.opt.gravity)
    np.testing.assert_allclose(reads, (0, 0, 9.81), atol=0.02)


def test_the_soles_point_forward_and_up_and_lie_on_the_ground(model):
    data = simulation(model, standing_pose().qpos)
    for side in figures.SIDES:
        axes = data.site(f"{side}-sole").xmat.reshape(3, 3)
        np.testing.assert_allclose(axes[:, 0], (1, 0, 0), atol=0.02)
        np.testing.assert_allclose(axes[:, 2], (0, 0, 1), atol=0.02)
        position = data.sensordata[columns(model)[f"{side}-sole-position"]]
        assert abs(position[2]) < 1e-3
        middle = (data.geom(f"{side}-toe").xpos + data.geom(f"{side}-heel").xpos) / 2
        np.testing.assert_allclose(position, middle - figures.FOOT_RADIUS * axes[:, 2], atol=1e-12)


def test_velocities_are_differences_of_positions(model):
    step = 1e-6
    qpos, qvel, _ = (part[0] for part in random_states(1))
    later = qpos.copy()
    mujoco.mj_integratePos(model, later, qvel, step)
    here, there = simulation(model, qpos, qvel), simulation(model, later, qvel)
    for side in figures.SIDES:
        place, speed = columns(model)[f"{side}-sole-position"], columns(model)[f"{side}-sole-velocity"]
        moved = (there.sensordata[place] - here.sensordata[place]) / step
        np.testing.assert_allclose(here.sensordata[speed], moved, atol=1e-4)
    moved = (there.site("imu").xpos - here.site("imu").xpos) / step
    rotation = here.site("imu").xmat.reshape(3, 3)
    np.testing.assert_allclose(here.sensordata[columns(model)["imu-velocity"]], rotation.T @ moved, atol=1e-4)


def test_angles_are_those_of_the_state(model, moving):
    where = columns(model)
    names = [f"{side}-{motor.joint}-motor" for side in figures.SIDES for motor in figures.MOTORS]
    measured = np.concatenate([moving.sensordata[where[name]] for name in names])
    np.testing.assert_array_equal(measured, moving.qpos[list(figures.MOTOR_QPOS)])
    names = [f"{side}-{joint}-joint" for side in figures.SIDES for joint in ("shin", "tarsus")]
    measured = np.concatenate([moving.sensordata[where[name]] for name in names])
    np.testing.assert_array_equal(measured, moving.qpos[list(figures.SPRING_QPOS)])
    np.testing.assert_allclose(moving.sensordata[where["imu-gyro"]], moving.qvel[3:6], atol=1e-12)
    np.testing.assert_allclose(abs(moving.sensordata[where["imu-orientation"]] @ moving.qpos[3:7]), 1.0)
