"""The eleven tasks against Gymnasium itself, native engine: the same numbers from the same states and actions."""

from __future__ import annotations

import functools

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy import stats

from envs.config import MUJOCO_TASKS, MujocoConfig
from envs.mujoco.environment import MujocoEnvironment
from envs.physics.config import PhysicsConfig

TASKS = sorted(MUJOCO_TASKS)
STEPS = 200
UNNAMED_BY_GYMNASIUM = {"humanoid_standup": {"reward_survive"}}
RENAMED = {"inverted_double_pendulum": {"reward_distance", "reward_velocity"}}


def build(task: str, **options) -> MujocoEnvironment:
    return MujocoConfig(task, **options).build(PhysicsConfig("native"))


@functools.cache
def environment(task: str) -> MujocoEnvironment:
    return build(task)


@functools.cache
def reference(task: str):
    return gymnasium.make(f"{MUJOCO_TASKS[task]}-v5").unwrapped


@functools.cache
def programs(task: str):
    env = environment(task)
    return jax.jit(env.reset_to), jax.jit(env.step)


def hand_over(task: str, seed: int):
    """Both implementations at one of Gymnasium's start states, rounded to float32."""
    gym = reference(task)
    gym.reset(seed=seed)
    qpos, qvel = gym.data.qpos.astype(np.float32), gym.data.qvel.astype(np.float32)
    mujoco.mj_resetData(gym.model, gym.data)
    gym.set_state(qpos.astype(np.float64), qvel.astype(np.float64))
    return programs(task)[0](jax.random.key(seed), qpos, qvel), gym._get_obs()


def integration_state(gym) -> np.ndarray:
    """With the controls, all that decides a step: no applied forces, which are zero here."""
    bits = ("TIME", "QPOS", "QVEL", "ACT", "HISTORY", "WARMSTART", "EQ_ACTIVE", "MOCAP_POS", "MOCAP_QUAT", "USERDATA")
    spec = sum(int(getattr(mujoco.mjtState, f"mjSTATE_{bit}")) for bit in (*bits, "PLUGIN"))
    row = np.empty(mujoco.mj_stateSize(gym.model, spec))
    mujoco.mj_getState(gym.model, gym.data, row, spec)
    return row


def assert_close(actual, expected, scale=0.0, name=""):
    """1e-5 relative to the number, or to `scale` where the number is a difference of larger ones."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    allowed = 1e-5 * np.maximum(np.abs(expected), scale) + 1e-6
    np.testing.assert_array_less(np.abs(actual - expected), allowed, err_msg=name)


@pytest.mark.parametrize("task", TASKS)
def test_two_hundred_random_steps_equal_gymnasium(task):
    gym, (_, step) = reference(task), programs(task)
    limit = environment(task).spec.episode_length
    generator = np.random.default_rng(1)
    seed, age, ends = 0, 0, 0
    state, observation = hand_over(task, seed)
    assert_close(state.observation["teacher"], observation, name="observation after reset")
    for _ in range(STEPS):
        action = generator.uniform(gym.action_space.low, gym.action_space.high).astype(np.float32)
        state = step(state, action)
        observation, reward, terminated, _, info = gym.step(action)
        age += 1
        np.testing.assert_array_equal(np.asarray(state.physics.engine).view(np.float64), integration_state(gym))
        assert_close(state.observation["teacher"], observation, name="observation")
        terms = {name: float(value) for name, value in state.metrics.items() if name.startswith("reward_")}
        assert_close(state.reward, reward, scale=sum(map(abs, terms.values())), name="reward")
        shared = {name: value for name, value in info.items() if np.ndim(value) == 0}
        for name, value in shared.items():
            assert_close(state.metrics[name], value, name=name)
        assert set(terms) - set(shared) == UNNAMED_BY_GYMNASIUM.get(task, set()) | RENAMED.get(task, set())
        assert bool(state.terminated) == bool(terminated)
        if terminated or age == limit:
            seed, age, ends = seed + 1, 0, ends + bool(terminated)
            state, observation = hand_over(task, seed)
            assert_close(state.observation["teacher"], observation, name="observation after reset")
    assert ends > 0 or task in ("half_cheetah", "humanoid_standup", "pusher", "reacher", "swimmer")


@pytest.mark.parametrize("task", TASKS)
def test_sizes_bounds_and_limits_are_gymnasiums(task):
    gym, spec = reference(task), environment(task).spec
    assert spec.observation_sizes["teacher"] == gym.observation_space.shape[0]
    np.testing.assert_allclose(spec.action_low, gym.action_space.low, rtol=1e-6)
    np.testing.assert_allclose(spec.action_high, gym.action_space.high, rtol=1e-6)
    assert spec.episode_length == gymnasium.spec(f"{MUJOCO_TASKS[task]}-v5").max_episode_steps
    assert spec.timestep == pytest.approx(gym.dt)


@pytest.mark.parametrize("task", TASKS)
def test_start_distribution_is_gymnasiums(task):
    gym, env = reference(task), environment(task)
    expected = []
    for seed in range(800):
        gym.reset(seed=seed)
        expected.append(np.concatenate([gym.data.qpos, gym.data.qvel]))
    expected = with_radius(np.array(expected), gym.model.nq)
    keys = jax.random.split(jax.random.key(3), 4000)
    qpos, qvel, *_ = jax.jit(jax.vmap(lambda key: env.task.start(key, env.model)))(keys)
    actual = with_radius(np.concatenate([qpos, qvel], axis=1), gym.model.nq)
    for index in range(expected.shape[1]):
        ours, theirs = actual[:, index], expected[:, index]
        if np.ptp(theirs) == 0.0:
            np.testing.assert_allclose(ours, theirs[0], atol=1e-7)
        else:
            # Some 300 comparisons over all tasks, so the level of each must be small.
            assert stats.ks_2samp(ours, theirs).pvalue > 1e-6, f"coordinate {index}"
            assert ours.std() == pytest.approx(theirs.std(), rel=0.12), f"coordinate {index}"


def with_radius(start: np.ndarray, nq: int) -> np.ndarray:
    """Coordinates and the radius of the two points that Reacher and Pusher draw, where the marginals hide a shape."""
    return np.column_stack(
        [start, np.hypot(start[:, nq - 2], start[:, nq - 1]), np.hypot(start[:, nq - 4], start[:, nq - 3])]
    )


def test_reachers_target_lies_in_the_disc_and_pushers_object_clears_the_goal():
    keys = jax.random.split(jax.random.key(0), 20000)
    reacher, pusher = environment("reacher"), environment("pusher")
    target = jax.vmap(lambda key: reacher.task.start(key, reacher.model)[0][-2:])(keys)
    assert float(jnp.linalg.norm(target, axis=1).max()) <= 0.2
    cylinder = jax.vmap(lambda key: pusher.task.start(key, pusher.model)[0][-4:-2])(keys)
    assert float(jnp.linalg.norm(cylinder, axis=1).min()) > 0.17
    assert float(cylinder[:, 0].min()) >= -0.3
    assert float(cylinder[:, 0].max()) <= 0.0
    assert float(jnp.abs(cylinder[:, 1]).max()) <= 0.2


def test_a_time_limit_truncates_and_neither_terminates_nor_stops_the_physics():
    env = build("half_cheetah", parameters={"episode_length": 3})
    state = env.reset(jax.random.key(0))
    step = jax.jit(env.step)
    seen = []
    for _ in range(4):
        before = state
        state = step(state, jnp.ones(6))
        seen.append((bool(state.truncated), bool(state.terminated)))
        assert float(jnp.abs(state.physics["qpos"] - before.physics["qpos"]).max()) > 0.0
    assert seen == [(False, False), (False, False), (True, False), (True, False)]


def test_unhealthy_states_end_the_episode_only_if_asked():
    env, lenient = environment("hopper"), build("hopper", parameters={"terminate_when_unhealthy": False})
    lying = np.zeros(6, np.float32)
    lying[2] = 1.0
    for candidate, expected in ((env, True), (lenient, False)):
        state = candidate.step(candidate.reset_to(jax.random.key(0), lying, np.zeros(6, np.float32)), jnp.zeros(3))
        assert bool(state.terminated) is expected
        assert float(state.metrics["reward_survive"]) == 0.0


def test_contact_forces_are_zero_after_a_reset():
    state = environment("ant").reset(jax.random.key(0))
    assert not np.any(state.physics["cfrc_ext"])
    np.testing.assert_array_equal(state.observation["teacher"][-78:], 0.0)


def test_every_reset_is_an_independent_draw():
    env = environment("inverted_pendulum")
    reset = jax.jit(jax.vmap(env.reset))
    state = reset(jax.random.split(jax.random.key(0), 512))
    first = np.asarray(state.observation["teacher"])
    assert len(np.unique(first[:, 0])) == 512
    assert np.abs(np.corrcoef(first.T) - np.eye(4)).max() < 0.2
    second = np.asarray(reset(jax.vmap(lambda key: jax.random.split(key)[0])(state.key)).observation["teacher"])
    assert abs(np.corrcoef(first[:, 1], second[:, 1])[0, 1]) < 0.2


@pytest.fixture(scope="module")
def noisy_episode():
    env = build("inverted_pendulum", student_noise=0.4, student_stack=1, parameters={"healthy_angle": 100.0})

    def roll(key):
        def step(state, _):
            state = env.step(state, jnp.ones(1))
            return state, state.observation

        return jax.lax.scan(step, env.reset(key), None, 50)[1]

    seen = jax.jit(jax.vmap(roll))(jax.random.split(jax.random.key(0), 32))
    return np.asarray(seen["teacher"], np.float64), np.asarray(seen["student"], np.float64)


def test_student_noise_is_bounded_by_sigma_times_the_state(noisy_episode):
    exact, noisy = noisy_episode
    assert np.all(np.abs(noisy - exact) <= 0.4 * np.abs(exact) * (1 + 1e-5))
    relative = (noisy - exact) / np.abs(exact)
    assert relative.max() > 0.39
    assert relative.min() < -0.39
    assert relative.std() == pytest.approx(0.4 / np.sqrt(3), rel=0.05)


def test_student_noise_is_fresh_at_each_step_in_each_coordinate_and_instance(noisy_episode):
    exact, noisy = noisy_episode
    relative = (noisy - exact) / np.abs(exact)
    for ours, other in (
        (relative[:, 1:], relative[:, :-1]),
        (relative[1:], relative[:-1]),
        (relative[..., 1:], relative[..., :-1]),
    ):
        assert abs(np.corrcoef(ours.ravel(), other.ravel())[0, 1]) < 0.05


def test_the_teacher_sees_the_state_exactly_whatever_the_noise(noisy_episode):
    env = build("inverted_pendulum", student_noise=0.0, student_stack=1)
    state = env.reset(jax.random.key(0))
    np.testing.assert_array_equal(state.observation["teacher"], state.observation["student"])
    np.testing.assert_array_equal(
        state.observation["teacher"], jnp.concatenate([state.physics["qpos"], state.physics["qvel"]])
    )
    loud = build("inverted_pendulum", student_noise=2.0, student_stack=1).reset(jax.random.key(0))
    np.testing.assert_array_equal(loud.observation["teacher"], state.observation["teacher"])
    assert np.any(loud.observation["student"] != loud.observation["teacher"])


def test_gaussian_noise_has_the_standard_deviation_sigma_times_the_state():
    env = build("inverted_pendulum", student_noise=0.1, student_noise_kind="gaussian", student_stack=1)
    seen = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 4096)).observation
    relative = (seen["student"] - seen["teacher"]) / jnp.abs(seen["teacher"])
    assert float(relative.std()) == pytest.approx(0.1, rel=0.05)
    assert float(jnp.abs(relative).max()) > 0.3


def test_the_student_sees_a_stack_of_its_last_observations_newest_first():
    env = build("inverted_pendulum", student_stack=3, student_noise=0.4)
    state = env.reset(jax.random.key(0))
    stack = [np.asarray(state.observation["student"]).reshape(3, 4)]
    np.testing.assert_array_equal(stack[0], np.repeat(stack[0][:1], 3, axis=0))
    for _ in range(4):
        state = env.step(state, jnp.ones(1))
        stack.append(np.asarray(state.observation["student"]).reshape(3, 4))
        np.testing.assert_array_equal(stack[-1][1:], stack[-2][:2])
        assert np.any(stack[-1][0] != stack[-1][1])
    assert env.spec.observation_sizes == {"teacher": 4, "student": 12}


def test_a_programs_state_keeps_its_types_from_step_to_step():
    env = environment("hopper")
    start = jax.eval_shape(env.reset, jax.random.key(0))
    after = jax.eval_shape(env.step, start, jnp.zeros(3))
    facts = [[(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(s)] for s in (start, after)]
    assert jax.tree.structure(start) == jax.tree.structure(after)
    assert facts[0] == facts[1]
    assert not any(weak for _, _, weak in facts[0])
