"""The model: its totals, its symmetry, its contacts, motors and accuracy."""

from __future__ import annotations

import itertools
from collections import Counter

import mujoco
import numpy as np
import pytest

from envs.cassie import figures, mirror
from envs.cassie.model import FEET, GROUND_GEOMS, PLANES, cassie_model
from envs.cassie.pose import standing_pose
from envs.cassie.sensors import columns, foot_force
from tests.envs.cassie.robots import mass_matrix, random_states, simulation, symmetric_model

KINDS = mujoco.mjtJoint


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return cassie_model()


def test_the_totals_are_those_of_the_robot(model):
    assert (model.nq, model.nv, model.nu, model.nbody, model.neq) == (35, 32, 10, 26, 4)
    assert model.body_mass.sum() == pytest.approx(33.312, abs=1e-9)
    assert set(model.eq_type) == {mujoco.mjtEq.mjEQ_CONNECT.value}
    kinds = Counter(model.jnt_type.tolist())
    assert kinds == {KINDS.mjJNT_FREE.value: 1, KINDS.mjJNT_BALL.value: 2, KINDS.mjJNT_HINGE.value: 20}


def test_frames_have_the_orientations_that_were_published_as_quaternions(model):
    published = {
        "left-hip-roll": (0.707107, 0, 0.707107, 0),
        "left-hip-yaw": (0.707107, 0, -0.707107, 0),
        "left-hip-pitch": (-0.5, -0.5, -0.5, 0.5),
        "left-achilles-rod": (0.946514, -0.014507, 0.042981, -0.319458),
        "left-knee": (0.92388, 0, 0, -0.382683),
        "left-tarsus": (0.87462, 0, 0, 0.48481),
        "left-heel-spring": (0.209355, 0.010861, -0.037556, 0.977058),
        "right-hip-pitch": (-0.5, -0.5, -0.5, 0.5),
        "right-achilles-rod": (0.946514, 0.014507, -0.042981, -0.319458),
        "right-heel-spring": (0.209355, -0.010861, 0.037556, 0.977058),
    }
    for name, quaternion in published.items():
        assert abs(model.body(name).quat @ quaternion) == pytest.approx(1.0, abs=1e-5), name


def test_index_lists_find_motors_and_springs_by_name(model):
    motors = [f"{side}-{motor.joint}" for side in figures.SIDES for motor in figures.MOTORS]
    springs = [f"{side}-{joint}" for side in figures.SIDES for joint in ("shin", "tarsus")]
    assert [model.actuator(i).name for i in range(model.nu)] == motors
    for names, in_qpos, in_qvel in (
        (motors, figures.MOTOR_QPOS, figures.MOTOR_QVEL),
        (springs, figures.SPRING_QPOS, figures.SPRING_QVEL),
    ):
        assert tuple(model.joint(name).qposadr[0] for name in names) == in_qpos
        assert tuple(model.joint(name).dofadr[0] for name in names) == in_qvel


def test_the_right_leg_keeps_its_own_centre_of_the_hip_roll_body_and_its_own_ranges(model):
    np.testing.assert_array_equal(model.body("right-hip-roll").ipos, model.body("left-hip-roll").ipos)
    np.testing.assert_allclose(np.degrees(model.joint("right-hip-roll").range), (-22.5, 15))
    np.testing.assert_allclose(np.degrees(model.joint("right-hip-pitch").range), (-50, 80))


def test_accelerations_are_those_of_the_published_model(model):
    menagerie = pytest.importorskip("mujoco_menagerie")
    robot = menagerie.get("agility_cassie")
    if not menagerie.Cache().is_cached(robot):
        pytest.skip("the published model is not in mujoco_menagerie's cache")
    published = robot.model("cassie")
    published.actuator_ctrllimited[:] = 0
    for m in (model, published):
        m.opt.iterations, m.opt.disableflags, m.opt.timestep = 50, model.opt.disableflags, model.opt.timestep
    for qpos, qvel, ctrl in zip(*random_states(5), strict=True):
        qpos[2] = 2.0
        ours = simulation(model, qpos, qvel, ctrl)
        theirs = simulation(published, qpos, qvel, ours.actuator_force / published.actuator_gear[:, 0])
        np.testing.assert_allclose(ours.qacc, theirs.qacc, rtol=1e-10, atol=1e-7)


def reflected_matrix(matrix: np.ndarray) -> np.ndarray:
    order, signs = np.array(mirror.QVEL.order), np.array(mirror.QVEL.signs)
    return matrix[np.ix_(order, order)] * np.outer(signs, signs)


def test_the_mass_matrix_of_the_symmetric_robot_is_reflected_exactly():
    symmetric = symmetric_model()
    for qpos in random_states(5)[0]:
        here, there = simulation(symmetric, qpos), simulation(symmetric, mirror.QPOS(qpos))
        np.testing.assert_allclose(
            mass_matrix(symmetric, there), reflected_matrix(mass_matrix(symmetric, here)), rtol=0, atol=1e-13
        )


def test_the_robot_itself_is_symmetric_to_8_g_m(model):
    # Twice the pelvis' 10.33 kg times its 0.35 mm off the middle, and the hip's 0.1 mm.
    worst = 0.0
    for qpos in random_states(5)[0]:
        here, there = simulation(model, qpos), simulation(model, mirror.QPOS(qpos))
        difference = mass_matrix(model, there) - reflected_matrix(mass_matrix(model, here))
        worst = max(worst, np.abs(difference).max())
    assert worst == pytest.approx(2 * 10.33 * 0.000346, rel=0.2)


def test_each_sphere_stands_on_its_own_two_planes_alone(model):
    pose = standing_pose()
    for plane, ((side, end), kind) in zip(GROUND_GEOMS, itertools.product(FEET, PLANES), strict=True):
        assert model.geom(plane).name == f"{side}-{end}-{kind}"
        ground = cassie_model()
        ground.geom_pos[list(GROUND_GEOMS), 2] = -1.0
        ground.geom_pos[plane, 2] = 0.0
        data = simulation(ground, pose.qpos)
        assert [tuple(contact.geom) for contact in data.contact] == [(plane, ground.geom(f"{side}-{end}").id)]


def test_a_sphere_between_two_planes_is_pushed_by_both_and_the_sensor_adds_them_up(model):
    ground = cassie_model()
    step = GROUND_GEOMS[1]
    ground.geom_pos[step] = simulation(ground, standing_pose().qpos).geom("left-toe").xpos + np.array([0.015, 0, 0])
    ground.geom_quat[step] = np.array([1.0, 0.0, -1.0, 0.0]) / np.sqrt(2)  # its normal looks back, along -x
    data = simulation(ground, standing_pose().qpos)
    assert data.ncon == 5
    place = columns(ground)["left-toe-contact"]
    force = foot_force(data.sensordata[place])
    assert force[0] < -10.0
    assert force[2] > 10.0


def test_nothing_but_the_feet_touches_anything(model):
    qpos = standing_pose().qpos.copy()
    qpos[2] = 0.3
    data = simulation(model, qpos)
    assert data.ncon == 4


@pytest.mark.parametrize("friction", [0.1, 0.8])
def test_the_friction_of_the_pairs_decides_alone(friction):
    # The robot slides forward as a whole: every foot pushes back with the coefficient times what it carries.
    slippery = cassie_model()
    slippery.geom_friction[:] = 5.0
    slippery.pair_friction[:, :2] = friction
    data = simulation(slippery, standing_pose().qpos, np.eye(32)[0])
    assert data.ncon == 4
    for contact in range(4):
        force = np.zeros(6)
        mujoco.mj_contactForce(slippery, data, contact, force)
        assert np.abs(force[1:3]).sum() == pytest.approx(friction * force[0], rel=0.02)
        assert force[0] > 1.0


def test_no_torque_exceeds_its_motor(model):
    limits = {motor.joint: motor.torque for motor in figures.MOTORS}
    reached = np.zeros(model.nu)
    data = simulation(model, standing_pose().qpos)
    for sign in (1, -1, 1, -1):
        # Targets at the ends of the joints' ranges, and speeds far beyond what the motors reach.
        data.ctrl = model.actuator_ctrlrange[:, 1 if sign > 0 else 0]
        data.qvel[list(figures.MOTOR_QVEL)] = -sign * 30.0
        mujoco.mj_step(model, data, 3)
        reached = np.maximum(reached, np.abs(data.actuator_force))
    expected = [limits[name.split("-", 1)[1]] for name in (model.actuator(i).name for i in range(model.nu))]
    np.testing.assert_array_equal(reached, expected)


def test_torque_is_that_of_a_pd_controller(model):
    qpos, qvel, ctrl = (part[0] for part in random_states(1))
    data = simulation(model, qpos, qvel, ctrl)
    kp, kd = np.array([(motor.kp, motor.kd) for motor in figures.MOTORS] * 2).T
    angle, speed = qpos[list(figures.MOTOR_QPOS)], qvel[list(figures.MOTOR_QVEL)]
    target = np.clip(ctrl, *model.actuator_ctrlrange.T)
    np.testing.assert_allclose(data.actuator_force, kp * (target - angle) - kd * speed, rtol=1e-12)
    np.testing.assert_array_equal(model.actuator_ctrlrange, model.jnt_range[model.actuator_trnid[:, 0]])


def test_the_time_step_is_as_accurate_as_a_fifth_of_it():
    # 0.3 s with targets that change at random every 0.1 s: the pelvis is within a millimetre.
    pose = standing_pose()

    def path(timestep: float, seed: int) -> np.ndarray:
        model, generator = cassie_model(), np.random.default_rng(seed)
        model.opt.timestep = timestep
        data = simulation(model, pose.qpos)
        positions = []
        for step in range(15):
            if step % 5 == 0:
                data.ctrl = pose.offset + generator.uniform(-0.5, 0.5, model.nu)
            mujoco.mj_step(model, data, round(0.02 / timestep))
            positions.append(data.qpos[:3].copy())
        return np.array(positions)

    for seed in range(3):
        coarse, fine = path(0.0025, seed), path(0.0005, seed)
        assert np.ptp(fine, axis=0).max() > 0.01
        assert np.linalg.norm(coarse - fine, axis=1).max() < 1e-3


def test_four_iterations_from_anywhere_solve_the_constraints(model):
    exact = cassie_model()
    exact.opt.iterations, exact.opt.ls_iterations, exact.opt.tolerance = 200, 50, 1e-14
    touching = 0
    for qpos, qvel, ctrl in zip(*random_states(50, seed=1, height=0.01), strict=True):
        data = simulation(model, qpos, qvel, ctrl)
        touching += data.ncon > 0
        expected = simulation(exact, qpos, qvel, ctrl).qacc
        np.testing.assert_allclose(data.qacc, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert touching > 25


def test_what_is_only_drawn_changes_no_physics(model):
    drawn = cassie_model(visuals=True)
    assert [drawn.geom(i).name for i in range(model.ngeom)][:4] == [model.geom(i).name for i in range(4)]
    for qpos, qvel, ctrl in zip(*random_states(3), strict=True):
        plain, pretty = simulation(model, qpos, qvel, ctrl), simulation(drawn, qpos, qvel, ctrl)
        np.testing.assert_array_equal(plain.qacc, pretty.qacc)
    assert drawn.ngeom > 60


def test_models_are_the_callers_own():
    changed = cassie_model()
    changed.body_mass[:] = 1.0
    assert cassie_model().body_mass.sum() == pytest.approx(33.312)
