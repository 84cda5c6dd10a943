import copy
from dataclasses import replace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie import commands, dynamics, gait, mirror, observation
from envs.cassie.config import CassieConfig
from envs.cassie.figures import PELVIS
from envs.cassie.pose import standing_pose
from envs.cassie.quantities import measure
from envs.cassie.sensors import columns
from envs.cassie.settings import CommandConfig, NoiseConfig, RandomisationConfig
from envs.cassie.terrain.config import KINDS, TerrainConfig
from envs.cassie.terrain.surface import height
from envs.mujoco import pushes
from envs.observation import History, StudentView
from envs.push import PushConfig
from l2t.errors import ConfigurationError
from l2t.rl.vector import VectorEnvironment
from tests.envs.cassie.robots import FORWARD, NOMINAL, SILENT, build, simulation

DT = 0.02


def episode(env, actions, seed=0, instances=1):
    """States of every step, `[time, instance]`, under the same actions for all instances."""
    start = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(seed), instances))

    def step(state, action):
        state = jax.vmap(env.step, in_axes=(0, None))(state, action)
        return state, state

    return start, jax.jit(lambda s, a: jax.lax.scan(step, s, a)[1])(start, jnp.asarray(actions, jnp.float32))


@pytest.fixture(scope="module")
def plain():
    env = build()
    actions = 0.3 * np.random.default_rng(0).uniform(-1, 1, (15, 10))
    return env, actions, *episode(env, actions)


@pytest.fixture(scope="module")
def varied():
    env = build(
        terrain=TerrainConfig("mixed"),
        randomisation=RandomisationConfig(),
        noise=NoiseConfig(),
        command=CommandConfig(),
    )
    return env, *episode(env, np.zeros((3, 10)), instances=64)


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


def test_swing_and_stance_alternate_and_nobody_steps_who_shall_stand():
    phases = jnp.linspace(0.0, 1.0, 201)[:-1]
    both = jax.vmap(gait.swinging, in_axes=(0, None))(phases, jnp.ones(()))
    np.testing.assert_allclose(both[:, 1], np.roll(both[:, 0], -100), atol=1e-5)
    np.testing.assert_allclose(both.sum(axis=1), 1.0, atol=1e-5)
    assert both[50, 0] > 0.99
    assert float(jnp.abs(gait.swinging(jnp.array(0.2), jnp.zeros(()))).max()) == 0.0
    assert float(jnp.abs(gait.prior(jnp.array(0.2), jnp.array([0.0, 0.0, 0.0]), jnp.zeros(()))).max()) == 0.0
    lifted = jax.vmap(gait.prior, in_axes=(0, None, None))(phases, jnp.array([1.0, 0.0, 0.0]), jnp.ones(()))
    np.testing.assert_allclose(lifted[:, 5:], np.roll(lifted[:, :5], -100, axis=0), atol=1e-5)
    assert float(lifted[50, 3]) == pytest.approx(-3.25 * gait.LIFT)


def test_commands_are_drawn_from_their_intervals_and_last_as_long_as_they_say():
    config = CommandConfig(stand=0.25)
    drawn = jax.vmap(lambda key: commands.draw(key, config))(jax.random.split(jax.random.key(0), 4000))
    moving = np.asarray(drawn.velocity)[np.asarray(drawn.stepping) > 0]
    assert abs(len(moving) / 4000 - 0.75) < 0.03
    np.testing.assert_allclose(moving.min(axis=0), [-0.3, -0.3, -0.4], atol=0.01)
    np.testing.assert_allclose(moving.max(axis=0), [1.5, 0.3, 0.4], atol=0.01)
    begun = commands.draw(jax.random.key(0), FORWARD).replace(velocity=jnp.array([1.0, 0.0, 0.5]))
    command = begun.replace(aim=begun.velocity, left=jnp.asarray(0.05))
    for index in range(3):
        command = commands.follow(jax.random.key(index), command, FORWARD, DT, jnp.zeros(()))
        assert float(command.heading) == pytest.approx(0.01 * (index + 1), abs=1e-6)
    assert float(command.left) > 0.9  # the third step ended it
    assert float(command.aim[2]) == 0.0


@pytest.mark.parametrize("begun", [0.0, 0.2, 0.47, 0.81])
def test_a_command_is_approached_gradually_and_last_steps_are_made_until_both_feet_stand(begun):
    config = CommandConfig(stand=1.0, duration=(100.0, 100.0), acceleration=2.0)
    command = commands.draw(jax.random.key(0), config).replace(velocity=jnp.array([1.0, -0.3, 0.5]))
    velocities, stepping, phase = [], [], jnp.asarray(begun)
    for index in range(100):
        onward = gait.advance(phase, DT)
        command = commands.follow(jax.random.key(index), command, config, DT, onward)
        phase = jnp.where(command.stepping > 0, onward, phase)
        velocities.append(np.asarray(command.velocity))
        stepping.append(float(command.stepping))
    time = DT * np.arange(1, 101)[:, None]
    expected = np.sign([1.0, -0.3, 0.5]) * np.maximum(np.abs([1.0, -0.3, 0.5]) - 2.0 * time, 0.0)
    np.testing.assert_allclose(velocities, expected, atol=1e-5)
    assert 0.5 + gait.PERIOD / 2 - DT <= DT * sum(stepping) <= 0.5 + gait.PERIOD + 2 * DT
    assert stepping == sorted(stepping, reverse=True)
    assert float(jnp.abs(gait.prior(phase, jnp.zeros(3), jnp.ones(()))).max()) < 0.04  # rad: it ends without a jump
    jumping = replace(config, acceleration=float("inf"))
    moving = command.replace(velocity=jnp.array([1.0, -0.3, 0.5]))
    np.testing.assert_array_equal(commands.follow(jax.random.key(0), moving, jumping, DT, phase).velocity, 0.0)


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


def test_a_student_sees_what_it_remembers_in_the_mirror_of_now():
    # Without actions a robot does the same whether it is shown in a mirror or not.
    reflect, size = observation.reflection(observation.STUDENT), len(observation.names(observation.STUDENT))
    _, mirrored = episode(build(), np.zeros((40, 10)))
    _, plainly = episode(build(mirrored=False), np.zeros((40, 10)))
    flipped = np.asarray(mirrored.extras["memory"].phase >= 0.5)
    assert 0.2 < flipped.mean() < 0.8
    stacks = np.asarray(plainly.observation["student"]).reshape(40, 1, 5, size)
    expected = np.where(flipped[..., None, None], reflect(stacks), stacks)
    seen = np.asarray(mirrored.observation["student"]).reshape(40, 1, 5, size)
    np.testing.assert_allclose(seen, expected, atol=1e-4)


def test_what_a_student_would_have_seen_of_a_recording_is_what_it_saw():
    # Without noise and biases, all robots late: nothing is left to chance, and the mirror turns twice in 40 steps.
    late = RandomisationConfig(encoder_bias=0.0, sensor_delay=1.0)
    env = replace(build(noise=SILENT, randomisation=late), view=StudentView(history=History(2)))
    begun, states = episode(env, 0.1 * np.ones((40, 10)))
    seen = {
        name: np.concatenate([np.asarray(begun.observation[name]), np.asarray(states.observation[name])[:-1, 0]])
        for name in ("teacher", "student")
    }
    first = jnp.zeros(40, bool).at[0].set(True)
    told = jax.jit(env.as_student)(jax.random.key(0), jnp.asarray(seen["teacher"]), 0.1 * jnp.ones((40, 10)), first)
    np.testing.assert_allclose(told, seen["student"], atol=1e-5)
    exact = np.asarray(seen["teacher"])[:, : seen["student"].shape[1] // 2]
    assert np.abs(np.asarray(told)[1:, :35] - exact[1:, :35]).max() > 0.01  # it was late


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


def test_an_action_of_a_delayed_robot_comes_one_step_late():
    env = build(randomisation=replace(NOMINAL, amount=1.0, action_delay=1.0))
    state = jax.jit(env.reset)(jax.random.key(0))
    first = env.task.control(jnp.ones(10), state.physics, state.extras["memory"], env.model)
    none = env.task.control(jnp.zeros(10), state.physics, state.extras["memory"], env.model)
    np.testing.assert_array_equal(first, none)
    state = jax.jit(env.step)(state, jnp.ones(10))
    later = env.task.control(jnp.zeros(10), state.physics, state.extras["memory"], env.model)
    assert float(jnp.abs(later - none).max()) > 0.2


def test_a_heel_over_the_treads_behind_is_no_fall(plain):
    env, _, start, _ = plain
    one = jax.tree.map(lambda leaf: leaf[0], start)
    flat, qpos = one.extras["memory"].terrain, np.asarray(one.physics["qpos"])
    down = replace(flat, kind=jnp.asarray(KINDS.index("stairs")), rise=jnp.asarray(-0.17), run=jnp.asarray(0.25))
    down = replace(down, landing=jnp.asarray(1.0), steps=jnp.asarray(8.0))

    def at(x):
        moved = qpos.copy()
        moved[0] += x
        sole = measure(env.engine.init(jnp.asarray(moved), jnp.zeros(env.model.nv)), down, env.model).soles[0]
        moved[2] += float(height(down, sole[:2]))
        return env.engine.init(jnp.asarray(moved), jnp.zeros(env.model.nv))

    behind = []
    for x in np.arange(1.0, 2.5, 0.1):
        physics = at(x)
        sole = measure(physics, down, env.model).soles[0]
        behind.append(float(height(down, sole[:2] - jnp.array([0.31, 0.0])) - height(down, sole[:2])))
        assert not bool(env.task.terminated(physics, replace(one.extras["memory"], terrain=down), env.model))
    assert max(behind) > 0.33  # two treads


def test_falls_end_the_episode_and_standing_does_not(plain):
    env, _, start, _ = plain
    one = jax.tree.map(lambda leaf: leaf[0], start)
    memory, qpos = one.extras["memory"], np.asarray(one.physics["qpos"])

    def ends(change, terrain="flat"):
        moved = qpos.copy()
        change(moved)
        kind = replace(memory.terrain, kind=jnp.asarray(KINDS.index(terrain)))
        physics = env.engine.init(jnp.asarray(moved), jnp.zeros(env.model.nv))
        return bool(env.task.terminated(physics, replace(memory, terrain=kind), env.model))

    def tilt(degrees):
        half = np.deg2rad(degrees) / 2

        def change(moved):
            moved[2] += 0.3
            moved[3:7] = np.cos(half), 0.0, np.sin(half), 0.0

        return change

    def sink(moved):
        moved[2] = 0.6

    assert not ends(lambda moved: None)
    assert ends(sink)
    assert not ends(tilt(18))
    assert ends(tilt(22))
    assert not ends(tilt(22), "slope")
    assert ends(tilt(37), "slope")
