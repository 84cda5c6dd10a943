"""Names of observed coordinates: what moves when one coordinate of the physics is moved, against tables by hand."""

from __future__ import annotations

import functools

import jax
import mujoco
import numpy as np
import pytest

from envs.config import MUJOCO_TASKS, MujocoConfig
from envs.mujoco.environment import MujocoEnvironment, make_environment
from envs.physics.config import PhysicsConfig
from tests.envs.test_task import FollowTheCommand

TASKS = sorted(MUJOCO_TASKS)

# Per coordinate of qpos and of qvel, the column that is named after it; "" where the task does not show it.
CHEETAH = ("back thigh", "back shin", "back foot", "front thigh", "front shin", "front foot")
WALKER = ("right thigh", "right leg", "right foot", "left thigh", "left leg", "left foot")
LEGS = ("front left", "front right", "back left", "back right")
ANT = [f"{leg} {part}" for leg in LEGS for part in ("hip", "ankle")]
HUMANOID = [
    *("abdomen z", "abdomen y", "abdomen x"),
    *(f"{side} {part}" for side in ("right", "left") for part in ("hip x", "hip z", "hip y", "knee")),
    *(f"{side} {part}" for side in ("right", "left") for part in ("shoulder1", "shoulder2", "elbow")),
]
ARM = ("shoulder pan", "shoulder lift", "upper arm roll", "elbow flex", "forearm roll", "wrist flex", "wrist roll")


def angles(joints) -> list[str]:
    return [f"{joint} angle [rad]" for joint in joints]


def rates(joints) -> list[str]:
    return [f"{joint} velocity [rad/s]" for joint in joints]


def planar(height: str, joints) -> tuple[list[str], list[str]]:
    moves = ["torso x velocity [m/s]", "torso vertical velocity [m/s]"]
    return ["", height, *angles(["torso pitch", *joints])], [*moves, *rates(["torso pitch", *joints])]


def floating(joints) -> tuple[list[str], list[str]]:
    pose = ["", "", "torso height [m]", *(f"torso orientation {part}" for part in "wxyz")]
    moves = [f"torso {way} velocity [m/s]" for way in ("x", "y", "vertical")]
    turns = [f"torso {turn} rate [rad/s]" for turn in ("roll", "pitch", "yaw")]
    return [*pose, *angles(joints)], [*moves, *turns, *rates(joints)]


NAMED = {
    "half_cheetah": planar("torso height above rest [m]", CHEETAH),
    "hopper": planar("torso height [m]", ("thigh", "leg", "foot")),
    "walker2d": planar("torso height [m]", WALKER),
    "ant": floating(ANT),
    "humanoid": floating(HUMANOID),
    "humanoid_standup": floating(HUMANOID),
    "swimmer": (
        ["", "", *angles(["first link", "first rotor", "second rotor"])],
        [
            "front tip x velocity [m/s]",
            "front tip y velocity [m/s]",
            *rates(["first link", "first rotor", "second rotor"]),
        ],
    ),
    "inverted_pendulum": (
        ["cart position [m]", "pole angle [rad]"],
        ["cart velocity [m/s]", "pole velocity [rad/s]"],
    ),
    "inverted_double_pendulum": (
        [
            "cart position [m]",
            "sin of lower pole angle,cos of lower pole angle",
            "sin of upper pole angle,cos of upper pole angle",
        ],
        ["cart velocity [m/s]", "lower pole velocity [rad/s]", "upper pole velocity [rad/s]"],
    ),
    "reacher": (
        [
            "cos of first arm angle,sin of first arm angle",
            "cos of second arm angle,sin of second arm angle",
            "target x position [m]",
            "target y position [m]",
        ],
        ["first arm velocity [rad/s]", "second arm velocity [rad/s]", "", ""],
    ),
    "pusher": (
        [*angles(ARM), "object y position [m]", "object x position [m]", "goal y position [m]", "goal x position [m]"],
        [*rates(ARM), "", "", "", ""],
    ),
}
DERIVED = (
    "fingertip",
    "constraint force",
    "external",
    "inertia",
    "mass",
    "angular velocity",
    "linear velocity",
    "torque",
)
"""Columns that are functions of several coordinates; their names are checked by what they measure."""


@functools.cache
def environment(task: str) -> MujocoEnvironment:
    return MujocoConfig(task, student_noise=0.0).build(PhysicsConfig("native"))


@functools.cache
def reset_to(task: str):
    return jax.jit(environment(task).reset_to)


def observe(task: str, qpos, qvel) -> np.ndarray:
    return np.asarray(reset_to(task)(jax.random.key(0), qpos, qvel).observation["teacher"], np.float64)


def somewhere(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Near the rest state, off every symmetry."""
    model, rng = environment(task).model, np.random.default_rng(0)
    return (
        (model.qpos0 + rng.uniform(0.02, 0.06, model.nq)).astype(np.float32),
        rng.uniform(0.05, 0.1, model.nv).astype(np.float32),
    )


@pytest.mark.parametrize("task", TASKS)
def test_every_coordinate_has_a_name_of_its_own(task):
    spec = environment(task).spec
    names = spec.observation_names["teacher"]
    assert len(names) == len(set(names)) == spec.observation_sizes["teacher"]
    assert len(spec.action_names) == len(set(spec.action_names)) == spec.action_size


@pytest.mark.parametrize("task", TASKS)
def test_moving_one_coordinate_changes_exactly_the_columns_of_its_name(task):
    names = environment(task).spec.observation_names["teacher"]
    plain = [i for i, name in enumerate(names) if not any(word in name for word in DERIVED)]
    qpos, qvel = somewhere(task)
    before = observe(task, qpos, qvel)
    positions, velocities = NAMED[task]
    assert (len(positions), len(velocities)) == (len(qpos), len(qvel))
    quaternion = {names[i] for i in plain if "orientation" in names[i]}
    for which, expected in ((0, positions), (1, velocities)):
        for index, name in enumerate(expected):
            moved = [qpos.copy(), qvel.copy()]
            moved[which][index] += 0.01
            change = np.abs(observe(task, *moved) - before)
            changed = {names[i] for i in plain if change[i] > 1e-5}
            # A quaternion is normalised, so that its parts move together, the one that was moved the most.
            if name in quaternion:
                assert changed <= quaternion
                assert name in changed
            else:
                assert changed == {part for part in name.split(",") if part}, (
                    f"coordinate {index} of {('qpos', 'qvel')[which]}"
                )
    shown = {part for name in (*positions, *velocities) for part in name.split(",") if part}
    assert {names[i] for i in plain} - shown <= {"object z position [m]", "goal z position [m]"}


@pytest.mark.parametrize("task", ["humanoid", "humanoid_standup"])
def test_body_columns_of_the_humanoid_measure_what_they_are_called(task):
    """Masses, first moments and inertia from the model; velocities by `mj_objectVelocity`."""
    env = environment(task)
    model, names = env.model, env.spec.observation_names["teacher"]
    qpos, qvel = somewhere(task)
    seen = dict(zip(names, observe(task, qpos, qvel), strict=True))
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = qpos, qvel
    mujoco.mj_forward(model, data)
    com = data.subtree_com[1]
    for body in range(1, model.nbody):
        label = model.body(body).name.replace("_", " ").replace("lwaist", "lower waist")
        arm = data.xipos[body] - com
        assert seen[f"{label} mass [kg]"] == pytest.approx(model.body_mass[body], rel=1e-5)
        rotation = data.ximat[body].reshape(3, 3)
        inertia = rotation @ np.diag(model.body_inertia[body]) @ rotation.T
        inertia += model.body_mass[body] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0)
        at_com = velocity[3:] + np.cross(velocity[:3], com - data.xpos[body])
        for i, axis in enumerate("xyz"):
            assert seen[f"{label} mass times {axis} [kg m]"] == pytest.approx(model.body_mass[body] * arm[i], abs=1e-5)
            assert seen[f"{label} angular velocity {axis} [rad/s]"] == pytest.approx(velocity[i], abs=1e-5)
            assert seen[f"{label} linear velocity {axis} [m/s]"] == pytest.approx(at_com[i], abs=1e-4)
            for j, other in enumerate("xyz"[i:], i):
                assert seen[f"{label} inertia {axis}{other} [kg m²]"] == pytest.approx(inertia[i, j], abs=1e-4)


@pytest.mark.parametrize("task", ["ant", "humanoid"])
def test_a_robot_that_stands_is_carried_by_vertical_forces(task):
    """What lies on the floor is pressed upwards: only bodies that touch have a force along z, and it is positive."""
    env = environment(task)
    step = jax.jit(env.step)
    state = reset_to(task)(jax.random.key(0), *(env.model.qpos0.astype(np.float32), np.zeros(env.model.nv, np.float32)))
    for _ in range(40):
        state = step(state, np.zeros(env.spec.action_size, np.float32))
    forces = dict(zip(env.spec.observation_names["teacher"], state.observation["teacher"], strict=True))
    vertical = {n: float(v) for n, v in forces.items() if n.endswith("external force z [N]")}
    assert max(vertical.values()) > 0.5
    assert min(vertical.values()) > -1e-3
    assert vertical["torso external force z [N]"] == pytest.approx(0.0, abs=1e-3) or task == "humanoid"


@pytest.mark.parametrize("task", TASKS)
def test_an_action_is_named_after_the_joint_that_it_accelerates(task):
    env = environment(task)
    model, data = env.model, mujoco.MjData(env.model)
    data.qpos[:] = somewhere(task)[0]
    for index, name in enumerate(env.spec.action_names):
        data.ctrl[:] = 0.0
        data.ctrl[index] = 0.1
        mujoco.mj_forward(model, data)
        driven = NAMED[task][1][int(np.abs(data.qfrc_actuator).argmax())]
        assert driven.split(" velocity")[0] == name.removesuffix(" motor")


def test_motor_torques_of_the_humanoid_are_those_of_the_named_joint():
    env = environment("humanoid")
    names = env.spec.observation_names["teacher"]
    step = jax.jit(env.step)
    state = env.reset(jax.random.key(0))
    for index, name in enumerate(env.spec.action_names):
        action = np.zeros(17, np.float32)
        action[index] = 0.3
        seen = dict(zip(names, np.asarray(step(state, action).observation["teacher"]), strict=True))
        torques = {n: v for n, v in seen.items() if n.endswith("motor torque [N m]")}
        assert max(torques, key=lambda n: abs(torques[n])) == f"{name} torque [N m]"
        assert torques[f"{name} torque [N m]"] == pytest.approx(0.3 * env.model.actuator_gear[index, 0], rel=1e-5)


def test_a_task_without_names_has_none():
    spec = make_environment("follow", FollowTheCommand(), PhysicsConfig("native").factory()).spec
    assert (dict(spec.observation_names), spec.action_names) == ({}, ())
