"""Cassie's task against C MuJoCo: what is shown, what an action does, the mirror, and a push."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie import gait, mirror, observation
from envs.cassie.config import CassieConfig
from envs.cassie.figures import PELVIS
from envs.cassie.pose import standing_pose
from envs.cassie.sensors import columns
from envs.cassie.terrain.config import TerrainConfig
from envs.mujoco import pushes
from envs.push import PushConfig
from l2t.errors import ConfigurationError
from l2t.rl.vector import VectorEnvironment
from tests.envs.cassie.robots import DT, NOMINAL, build, episode, simulation


@pytest.fixture(scope="module")
def plain():
    env = build()
    actions = 0.3 * np.random.default_rng(0).uniform(-1, 1, (15, 10))
    return env, actions, *episode(env, actions)


def test_groups_have_the_names_and_sizes_of_their_blocks(plain):
    env, _, start, _ = plain
    teacher, student = observation.names(observation.TEACHER), observation.names(observation.STUDENT)
    assert len(set(teacher)) == len(teacher) == env.spec.observation_sizes["teacher"]
    assert env.spec.observation_sizes["student"] == 5 * len(student)
    assert env.spec.observation_names == {"teacher": teacher}
    assert len(env.spec.action_names) == env.spec.action_size == 10
    shown = dict(zip(teacher, np.asarray(start.observation["teacher"])[0], strict=True))
    assert shown["gravity z"] == pytest.approx(-1.0, abs=1e-3)
    assert 0.8 < shown["height over ground [m]"] < 1.1
    assert shown["commanded forward velocity [m/s]"] == 1.0
    assert shown["terrain is flat"] == shown["mass factor"] == shown["friction"] == 1.0


def test_feet_are_told_of_as_they_were_a_substep_ago(plain):
    env, _, _, states = plain
    for index in range(5, 15):
        qpos, qvel, told = (np.asarray(states.physics[name])[index, 0] for name in ("qpos", "qvel", "sensordata"))
        now = simulation(env.model, qpos, qvel).sensordata
        for side in ("left", "right"):
            place, speed = (columns(env.model)[f"{side}-sole-{what}"] for what in ("position", "velocity"))
            moved = 0.5 * env.model.opt.timestep * (told[speed] + now[speed])
            assert np.linalg.norm(now[place] - told[place] - moved) < 0.2 * np.linalg.norm(moved) + 1e-4


def test_a_specification_may_be_asked_for_while_a_program_is_traced():
    env = build()
    jax.eval_shape(VectorEnvironment(env, 2).init, jax.random.key(0))
    assert env.spec.action_low == (-1.0,) * 10


def test_the_controller_follows_c_mujoco_with_targets_of_offset_prior_and_action(plain):
    env, actions, start, states = plain
    model = env.model
    data = mujoco.MjData(model)
    data.qpos, data.qvel = np.asarray(start.physics["qpos"])[0], np.asarray(start.physics["qvel"])[0]
    phase = float(start.extras["memory"].phase[0])
    mujoco.mj_forward(model, data)
    for index, action in enumerate(actions):
        own = np.asarray(mirror.CONTROL(jnp.asarray(action))) if phase >= 0.5 else action
        step = np.asarray(gait.prior(jnp.asarray((phase + 0.5 * DT / gait.PERIOD) % 1.0), jnp.array([1.0, 0, 0]), 1.0))
        target = standing_pose().offset + step + 0.5 * own
        data.ctrl = np.clip(target, *model.actuator_ctrlrange.T)
        mujoco.mj_step(model, data, 8)
        phase = (phase + DT / gait.PERIOD) % 1.0
        np.testing.assert_allclose(np.asarray(states.physics["qpos"])[index, 0], data.qpos, atol=2e-5)


def test_a_mirrored_robot_half_a_cycle_later_sees_the_same_and_does_the_same(plain):
    env, actions, start, states = plain
    memory = start.extras["memory"]
    reflected = replace(memory, phase=jnp.mod(memory.phase + 0.5, 1.0))
    qpos, qvel = mirror.QPOS(start.physics["qpos"]), mirror.QVEL(start.physics["qvel"])
    physics = jax.vmap(env.engine.init)(qpos, qvel)
    other = replace(start, physics=physics, extras=start.extras | {"memory": reflected})

    def step(state, action):
        state = jax.vmap(env.step, in_axes=(0, None))(state, action)
        return state, state.observation["teacher"]

    seen = jax.lax.scan(step, other, jnp.asarray(actions, jnp.float32))[1]
    # The pelvis and one hip are not quite symmetric, so the two drift apart slowly.
    expected = np.asarray(states.observation["teacher"])
    assert np.abs(np.asarray(seen)[:3] - expected[:3]).max() < 0.02
    without = build(mirrored=False)
    same = jax.vmap(without.task.observe, in_axes=(0, 0, None))(start.physics, memory, env.model)["teacher"]
    assert (np.abs(np.asarray(same - start.observation["teacher"])) > 0.1).any() == bool(memory.phase[0] >= 0.5)


def test_reflecting_an_observation_twice_gives_it_back():
    for blocks in (observation.TEACHER, observation.STUDENT):
        twice = observation.reflection(blocks)
        x = np.random.default_rng(0).normal(size=len(observation.names(blocks))).astype(np.float32)
        np.testing.assert_array_equal(twice(twice(x)), x)
        for name, value in zip(observation.names(blocks), twice(np.ones(x.size, np.float32)), strict=True):
            lateral = "lateral" in name or name.endswith((" y", " y [m]", " y [m/s]"))
            assert value == (-1.0 if lateral and "turn" not in name else value)


def test_an_action_moves_the_targets_by_the_reach():
    env = build(randomisation=NOMINAL)
    state = jax.jit(env.reset)(jax.random.key(0))
    physics, memory = state.physics, state.extras["memory"]
    for reach in (0.5, 0.8):
        task = replace(env.task, reach=reach, mirrored=False)
        moved = task.control(0.1 * jnp.ones(10), physics, memory, env.model)
        held = task.control(jnp.zeros(10), physics, memory, env.model)
        np.testing.assert_allclose(moved - held, 0.1 * reach, atol=1e-6)
    with pytest.raises(ConfigurationError, match=r"env.reach=0.0 is out of range"):
        CassieConfig(reach=0.0)


def test_a_push_moves_the_robot_as_its_impulse_says():
    config = PushConfig((100.0, 100.0), 0.2, (0.1, 0.1))
    push, forces = pushes.draw(jax.random.key(0), config), []
    for index in range(60):
        push = pushes.follow(jax.random.key(index), push, config, DT)
        forces.append(np.asarray(push.acting))
    sizes = np.linalg.norm(forces, axis=1)
    assert set(np.round(sizes, 3)) == {0.0, 100.0}
    assert sizes.sum() * DT == pytest.approx(60 * DT * 100.0 * 0.2 / 0.3, rel=0.2)
    env = build(terrain=TerrainConfig("flat"))
    state = jax.jit(env.reset)(jax.random.key(0))
    up = jnp.zeros((env.model.nbody, 6)).at[env.model.body(PELVIS.name).id, :3].set(jnp.array([60.0, -80.0, 0.0]))
    still, shoved = (
        env.engine.step(state.physics, jnp.asarray(standing_pose().offset), {}, 8, force)["qvel"]
        for force in (None, up)
    )
    momentum = [momentum_of(env, state, qvel) for qvel in (still, shoved)]
    np.testing.assert_allclose((momentum[1] - momentum[0])[:2], np.array([60.0, -80.0]) * DT, rtol=0.25)


def momentum_of(env, state, qvel):
    data = mujoco.MjData(env.model)
    data.qpos, data.qvel = np.asarray(state.physics["qpos"]), np.asarray(qvel)
    mujoco.mj_forward(env.model, data)
    mujoco.mj_subtreeVel(env.model, data)
    return data.subtree_linvel[0] * env.model.body_mass.sum()
