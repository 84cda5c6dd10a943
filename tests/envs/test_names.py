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
ANT = [
    f"{side} {joint}" for side in ("front left", "front right", "back left", "back right") for joint in ("hip", "ankle")
]
HUMANOID = [
    *("abdomen z", "abdomen y", "abdomen x"),
    *(f"{side} {part}" for side in ("right", "left") for part in ("hip x", "hip z", "hip y", "knee")),
    *(f"{side} {part}" for side in ("right", "left") for part in ("shoulder1", "shoulder2", "elbow")),
]
 if part}, (
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
