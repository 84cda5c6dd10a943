"""The standing pose: it carries the robot, and it is at rest."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from envs.cassie import figures, mirror
from envs.cassie.model import FEET, cassie_model
from envs.cassie.pose import standing_pose
from envs.cassie.sensors import columns, foot_force
from tests.envs.cassie.robots import simulation

BELOW_THE_SHIN_JOINT = ("shin", "tarsus", "heel-spring", "foot-crank", "plantar-rod", "foot")
WEIGHT = 33.312 * 9.81


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return cassie_model()


@pytest.fixture(scope="module")
def standing(model) -> mujoco.MjData:
    return simulation(model, standing_pose().qpos)


def contact_forces(model, data) -> dict[str, np.ndarray]:
    """Force of the ground on each sphere, from the contacts themselves."""
    forces = {}
    for index, contact in enumerate(data.contact):
        local = np.zeros(6)
        mujoco.mj_contactForce(model, data, index, local)
        # The contact's axes are rows; its normal leads from the plane to the sphere.
        forces[model.geom(contact.geom[1]).name] = contact.frame.reshape(3, 3).T @ local[:3]
    return forces


def test_it_is_upright_over_the_origin_and_its_own_reflection():
    pose = standing_pose()
    np.testing.assert_array_equal(pose.qpos[[0, 1]], 0.0)
    np.testing.assert_allclose(pose.qpos[3:7], (1, 0, 0, 0), atol=1e-5)
    np.testing.assert_allclose(mirror.QPOS(pose.qpos), pose.qpos, rtol=0, atol=1e-15)
    np.testing.assert_allclose(mirror.CONTROL(pose.offset), pose.offset, rtol=0, atol=1e-15)


def test_it_is_computed_once_and_cannot_be_written():
    assert standing_pose() is standing_pose()
    with pytest.raises(ValueError, match="read-only"):
        standing_pose().offset[0] = 1.0


def test_all_four_spheres_share_the_weight(model, standing):
    forces = contact_forces(model, standing)
    assert set(forces) == {f"{side}-{end}" for side, end in FEET}
    np.testing.assert_allclose(sum(forces.values()), (0, 0, WEIGHT), atol=0.2)
    assert all(force[2] > 0.15 * WEIGHT for force in forces.values())


def test_the_sensors_say_the_force_of_every_contact(model, standing):
    where = columns(model)
    for name, force in contact_forces(model, standing).items():
        np.testing.assert_allclose(foot_force(standing.sensordata[where[f"{name}-contact"]]), force, atol=1e-3)


def test_the_weight_is_above_where_the_ground_pushes(model, standing):
    forces = contact_forces(model, standing)
    pushed = sum(force[2] * standing.geom(name).xpos[:2] for name, force in forces.items()) / WEIGHT
    np.testing.assert_allclose(pushed, standing.subtree_com[0, :2], atol=1e-3)


def test_targets_at_the_offset_hold_it_for_a_second_and_a_half(model, standing):
    # Errors grow threefold in 0.4 s: what begins as rounding and a slight asymmetry throws the robot over after 3 s.
    start = standing.qpos.copy()
    data = simulation(model, start)
    for _ in range(15):
        mujoco.mj_step(model, data, 40)
        assert data.ncon == 4
        assert np.abs(data.qpos - start).max() < 0.01
        assert np.abs(data.qvel).max() < 0.05
    mujoco.mj_step(model, data, 640)
    assert data.qpos[2] < 0.8


def test_published_angles_as_targets_do_not_hold_it(model):
    home = np.array(figures.HOME_QPOS)
    data = simulation(model, home, ctrl=home[list(figures.MOTOR_QPOS)])
    mujoco.mj_step(model, data, 240)
    assert data.qpos[2] < 0.9
    assert np.abs(data.qvel).max() > 0.5


def test_unloaded_loops_are_closed_and_the_loaded_one_gives_way_by_three_millimetres(model, standing):
    # A connection is a stiff spring: the Achilles rod pulls at its own with 390 N.
    gaps = np.linalg.norm(standing.efc_pos[:12].reshape(4, 3), axis=1)
    loads = np.linalg.norm(standing.efc_force[:12].reshape(4, 3), axis=1)
    plantar, achilles = [0, 2], [1, 3]
    assert gaps[plantar].max() < 1e-4
    assert gaps[achilles].max() < 3e-3
    assert loads[achilles].min() > 350
    floating = cassie_model()
    floating.opt.gravity[:] = 0.0
    qpos = standing.qpos.copy()
    qpos[2] = 2.0
    data = simulation(floating, qpos)
    mujoco.mj_step(floating, data, 1200)
    assert np.linalg.norm(data.efc_pos[:12].reshape(4, 3), axis=1).max() < 1e-4


@pytest.mark.parametrize("side", figures.SIDES)
def test_springs_are_bent_as_far_as_statics_say(model, standing, side):
    """Free bodies, by hand: the heel spring gives the rod's force, and that, weight and ground the shin's spring."""

    def moment(of: str, force: np.ndarray, at: np.ndarray) -> float:
        joint = standing.joint(f"{side}-{of}")
        return np.cross(at - joint.xanchor, force) @ joint.xaxis

    def weight(body: str) -> tuple[np.ndarray, np.ndarray]:
        name = f"{side}-{body}"
        return np.array([0, 0, -9.81 * model.body(name).mass[0]]), standing.body(name).xipos

    rod = standing.body(f"{side}-achilles-rod")
    end = rod.xpos + 0.5012 * rod.xmat.reshape(3, 3)[:, 0]
    pull = (rod.xpos - end) / np.linalg.norm(end - rod.xpos)
    # The rod hangs between its ends, and each carries half of it.
    half_rod = weight("achilles-rod")[0] / 2
    heel_spring = 1250 * standing.joint(f"{side}-heel-spring").qpos[0]
    rest = moment("heel-spring", *weight("heel-spring")) + moment("heel-spring", half_rod, end)
    tension = (heel_spring - rest) / moment("heel-spring", pull, end)
    assert tension == pytest.approx(390, rel=0.02)
    total = moment("shin", tension * pull + half_rod, end)
    total += sum(moment("shin", *weight(body)) for body in BELOW_THE_SHIN_JOINT)
    for name, force in contact_forces(model, standing).items():
        if name.startswith(side):
            total += moment("shin", force, standing.geom(name).xpos - np.array([0, 0, figures.FOOT_RADIUS]))
    assert total / 1500 == pytest.approx(standing.joint(f"{side}-shin").qpos[0], rel=0.02)
    assert total / 1500 == pytest.approx(-0.039, abs=0.002)


def test_the_offset_is_the_angle_plus_what_the_torque_takes(standing):
    pose = standing_pose()
    kp = np.array([motor.kp for motor in figures.MOTORS] * 2)
    expected = pose.qpos[list(figures.MOTOR_QPOS)] + standing.actuator_force / kp
    np.testing.assert_allclose(pose.offset, expected, atol=1e-12)
