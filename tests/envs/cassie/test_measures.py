"""What is measured of a walk: torque limits, distance, heights of feet, and how it ended."""

import copy
from dataclasses import replace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie.figures import MOTOR_QVEL, SIDES
from envs.cassie.pose import standing_pose
from envs.cassie.settings import CommandConfig
from envs.cassie.task import ENDINGS
from envs.cassie.terrain.config import KINDS
from envs.mujoco.task import Transition
from tests.envs.cassie.robots import build

DT = 0.02


@pytest.fixture(scope="module")
def standing():
    env = build()
    return env, jax.jit(env.reset)(jax.random.key(0))


@pytest.mark.parametrize("strength", [0.9, 1.0])
def test_a_motor_is_at_its_limit_when_mujoco_clips_its_torque(standing, strength):
    env, state = standing
    model = copy.copy(env.model)
    model.actuator_forcerange[:] *= strength
    data = mujoco.MjData(model)
    data.qpos, data.ctrl = np.asarray(state.physics["qpos"]), standing_pose().offset
    # Joints that turn so fast that kd times their speed is beyond the limit of some motors and not of others.
    data.qvel[list(MOTOR_QVEL)] = np.linspace(-25.0, 25.0, 10)
    mujoco.mj_forward(model, data)
    clipped = np.abs(data.actuator_force) >= model.actuator_forcerange[:, 1]
    assert 0.0 < clipped.mean() < 1.0
    physics = replace(state.physics, fields=state.physics.fields | {"actuator_force": jnp.asarray(data.actuator_force)})
    memory = state.extras["memory"]
    memory = replace(memory, dynamics=replace(memory.dynamics, strength=jnp.asarray(strength)))
    told = env.task.information(Transition(physics, physics, jnp.zeros(10), memory), env.model)
    assert float(told["saturation"]) == pytest.approx(clipped.mean(), abs=1e-6)


@pytest.mark.parametrize(("told", "heading"), [((1.0, 0.0), 0.0), ((0.5, 0.5), 0.0), ((1.0, 0.0), np.pi / 2)])
def test_walked_is_what_the_pelvis_moves_in_the_world_along_where_it_was_told_to_go(told, heading):
    env = build()
    state = jax.jit(env.reset)(jax.random.key(0))
    memory = state.extras["memory"]
    command = memory.command.replace(velocity=jnp.array([*told, 0.0]), heading=jnp.asarray(heading))
    # It looks aside by 90 degrees, which changes nothing about where it was told to go.
    qpos = np.asarray(state.physics["qpos"]).copy()
    qpos[3:7] = np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)
    physics = env.engine.init(jnp.asarray(qpos), jnp.zeros(env.model.nv).at[:2].set(jnp.array([0.3, -0.4])))
    begun = replace(state, physics=physics, extras=state.extras | {"memory": replace(memory, command=command)})
    after = jax.jit(env.step)(begun, jnp.zeros(10))
    moved = np.asarray(after.physics["qpos"])[:2] - qpos[:2]
    towards = np.exp(1j * heading) * complex(*told) / abs(complex(*told))
    expected = (complex(*moved) * towards.conjugate()).real / DT
    assert float(after.metrics["speed_along"]) == pytest.approx(expected, abs=1e-3)
    assert float(after.metrics["speed_asked"]) == pytest.approx(abs(complex(*told)), abs=1e-6)


def test_who_is_told_to_stand_is_asked_for_no_metre():
    env = build(command=CommandConfig(stand=1.0))
    after = jax.jit(env.step)(jax.jit(env.reset)(jax.random.key(0)), jnp.zeros(10))
    assert float(after.metrics["speed_along"]) == float(after.metrics["speed_asked"]) == 0.0


def test_each_foot_has_a_height_of_its_own_and_none_while_it_stands():
    env = build()
    state = jax.jit(env.reset)(jax.random.key(0))
    step, seen = jax.jit(env.step), []
    for _ in range(60):
        state = step(state, jnp.zeros(10))
        seen.append([float(state.metrics[f"{side}_{what}"]) for what in ("clearance", "contact") for side in SIDES])
    height, contact = np.split(np.array(seen), 2, axis=1)
    assert (height[contact > 0.0] == 0.0).all()
    assert (height.max(axis=0) > 0.01).all()
    assert (height[:, 0] != height[:, 1]).any()


@pytest.mark.parametrize(
    ("ground", "sunk", "degrees", "speed", "expected"),
    [
        ("flat", 0.0, 0.0, 0.0, set()),
        ("flat", 0.0, 22.0, 0.0, {"tilted"}),
        ("slope", 0.0, 22.0, 0.0, set()),
        ("slope", 0.0, 37.0, 0.0, {"tilted"}),
        ("flat", 0.0, 0.0, 61.0, {"fast"}),
        ("flat", 0.35, 0.0, 0.0, {"low", "heel"}),
        ("stairs", 0.35, 0.0, 0.0, {"heel"}),
        ("flat", 0.0, 0.0, float("nan"), {"fast"}),
    ],
)
def test_an_end_says_which_criteria_it_met(standing, ground, sunk, degrees, speed, expected):
    env, state = standing
    memory, qpos = state.extras["memory"], np.asarray(state.physics["qpos"]).copy()
    qpos[2] += 0.3 * (degrees != 0.0) - sunk
    half = np.deg2rad(degrees) / 2
    qpos[3:7] = np.cos(half), 0.0, np.sin(half), 0.0
    physics = env.engine.init(jnp.asarray(qpos), jnp.zeros(env.model.nv))
    physics = replace(physics, fields=physics.fields | {"qvel": physics["qvel"].at[6].set(speed)})
    there = replace(memory, terrain=replace(memory.terrain, kind=jnp.asarray(KINDS.index(ground))))
    endings = env.task.endings(physics, there, env.model)
    met = {name for name, ends in endings.items() if bool(ends)}
    assert tuple(endings) == ENDINGS
    assert met == expected
    assert bool(env.task.terminated(physics, there, env.model)) == bool(met)
