"""Strangers' Gymnasium environments inside jitted programs."""

from __future__ import annotations

import copy
import pickle

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.spaces import Box, Sequence

from envs.config import GymnasiumConfig
from envs.gymnasium.adapter import INSTANCES_KEPT, GymnasiumEnvironment
from envs.physics.config import PhysicsConfig
from l2t.errors import ConfigurationError, DivergenceError, ForeignEnvironmentError
from l2t.rl.types import EnvironmentSpec
from l2t.rl.vector import VectorEnvironment, scale_action
from l2t.run.guard import device_errors


def build(identifier="Pendulum-v1", **options) -> GymnasiumEnvironment:
    return GymnasiumConfig(identifier, **options).build(PhysicsConfig("native"))


def play_directly(seed, actions, identifier="Pendulum-v1"):
    """Observations and rewards of the environment itself."""
    env = gymnasium.make(identifier)
    observations, rewards = [env.reset(seed=int(seed[0] >> 1))[0]], [0.0]
    for action in np.asarray(actions):
        observation, reward, *_ = env.step(action)
        observations.append(observation)
        rewards.append(reward)
    return np.array(observations, np.float32), np.array(rewards, np.float32)


def roll(env, state, actions):
    def step(state, action):
        state = env.step(state, action)
        return state, state

    return jax.lax.scan(step, state, actions)[1]


class BoxProbe(gymnasium.Env):
    """Pays 1 for every action that its space contains; ends the program otherwise."""

    def __init__(self, box=None, space=None, seen=2, broken=False):
        if broken:
            raise RuntimeError("it is broken\nand here is why at length")
        self.action_space = Box(-1, 1, (1,)) if box is None else box
        self.observation_space = Box(-1, 1, (2,)) if space is None else space
        self.seen = seen

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.seen, np.float32), {}

    def step(self, action):
        assert isinstance(action, np.ndarray)
        assert self.action_space.contains(action), f"{action!r} is outside of {self.action_space}"
        return np.zeros(self.seen, np.float32), float(np.mean(action)), False, False, {}


class Fragile(BoxProbe):
    """Fails in the third step of an episode, in the way that it is told to, or at its second reset."""

    def __init__(self, way="raises"):
        super().__init__()
        self.way, self.steps, self.resets = way, 0, 0

    def reset(self, *, seed=None, options=None):
        self.steps, self.resets = 0, self.resets + 1
        if self.way == "reset" and self.resets > 1:
            raise OSError
        return super().reset(seed=seed)

    def step(self, action):
        self.steps += 1
        observation, reward, terminated, truncated, info = super().step(action)
        if self.steps == 3 and self.way == "raises":
            raise KeyError("no such joint\nand more of it")
        if self.steps == 3 and self.way == "grows":
            observation = np.zeros(3, np.float32)
        if self.steps == 3 and self.way == "pays nobody":
            reward = None
        if self.steps == 3 and self.way == "pays nan":
            reward = float("nan")
        if self.steps == 3 and self.way == "shows inf":
            observation = np.array([0.0, np.inf], np.float32)
        return observation, reward, terminated, truncated, info


gymnasium.register("BoxProbe-v0", BoxProbe, max_episode_steps=100)
gymnasium.register("Fragile-v0", Fragile, max_episode_steps=100)

ACTIONS = np.random.default_rng(0).uniform(-2, 2, (30, 1)).astype(np.float32)


def test_episodes_are_those_of_the_environment_itself():
    env = build()
    start = env.reset(jax.random.key(0))
    states = jax.jit(lambda s: roll(env, s, ACTIONS))(start)
    observations, rewards = play_directly(start.physics["seed"], ACTIONS)
    np.testing.assert_array_equal(start.observation["teacher"], observations[0])
    np.testing.assert_array_equal(states.observation["teacher"], observations[1:])
    np.testing.assert_allclose(states.reward, rewards[1:], rtol=1e-6)
    np.testing.assert_array_equal(states.metrics["reward_task"], states.reward)


def test_each_instance_of_a_batch_of_batches_lives_its_own_episode():
    env = build()
    actions = np.random.default_rng(1).uniform(-2, 2, (2, 3, 10, 1)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), (2, 3))

    def episode(key, actions):
        start = env.reset(key)
        return start, roll(env, start, actions)

    start, states = jax.jit(jax.vmap(jax.vmap(episode)))(keys, actions)
    for row in np.ndindex(2, 3):
        observations, _ = play_directly(start.physics["seed"][row], actions[row])
        np.testing.assert_array_equal(states.observation["teacher"][row], observations[1:])


def test_two_roles_that_start_from_one_reset_do_not_disturb_each_other():
    env = build()

    @jax.jit
    def both(key):
        first, second = env.reset(key), env.reset(key)
        return first.physics["seed"], roll(env, first, ACTIONS), roll(env, second, -ACTIONS), roll(env, first, ACTIONS)

    seed, one, two, again = both(jax.random.key(3))
    np.testing.assert_array_equal(one.observation["teacher"], play_directly(seed, ACTIONS)[0][1:])
    np.testing.assert_array_equal(two.observation["teacher"], play_directly(seed, -ACTIONS)[0][1:])
    np.testing.assert_array_equal(again.observation["teacher"], one.observation["teacher"])


def test_the_same_key_gives_the_same_numbers_in_another_run():
    first, second = (roll(env, env.reset(jax.random.key(4)), ACTIONS) for env in (build(), build()))
    jax.tree.map(np.testing.assert_array_equal, first.replace(key=None), second.replace(key=None))


def test_automatic_resets_begin_new_episodes_and_only_where_they_are_due():
    vector = VectorEnvironment(build(episode_length=7), 5)

    @jax.jit
    def run(key):
        state = vector.init(key, staggered=True)

        def step(state, _):
            state, outcome = vector.step(state, jnp.zeros((5, 1)))
            return state, (outcome, state.environment.observation["teacher"])

        return jax.lax.scan(step, state, None, 30)[1]

    outcome, observation = run(jax.random.key(0))
    truncated = np.asarray(outcome.truncated)
    assert not np.asarray(outcome.terminated).any()
    for column in truncated.T:
        ends = np.flatnonzero(column)
        assert ends[0] < 7
        np.testing.assert_array_equal(np.diff(ends), 7)
    successor = np.asarray(outcome.successor["teacher"])
    np.testing.assert_array_equal(successor[~truncated], np.asarray(observation)[~truncated])
    assert np.all(np.any(successor[truncated] != np.asarray(observation)[truncated], axis=1))


def test_terminations_are_told_from_time_limits_and_an_ended_episode_stays_as_it_is():
    env = build("MountainCarContinuous-v0")
    state = env.reset(jax.random.key(0))
    step = jax.jit(env.step)
    while not (state.terminated | state.truncated):
        previous, state = state, step(state, jnp.sign(state.observation["teacher"][1:]))
    assert bool(state.terminated)
    assert not bool(state.truncated)
    assert int(state.step) < env.spec.episode_length
    assert float(state.reward) > 50.0
    assert not bool(previous.terminated)
    after = step(state, jnp.ones(1))
    assert bool(after.terminated)
    assert float(after.reward) == 0.0
    np.testing.assert_array_equal(after.observation["teacher"], state.observation["teacher"])


def test_only_needed_rows_are_reset():
    env = build()
    keys = jax.random.split(jax.random.key(0), 3)
    whole = jax.vmap(env.reset)(keys)
    part = jax.vmap(env.reset)(keys, jnp.array([True, False, True]))
    np.testing.assert_array_equal(part.observation["teacher"][::2], whole.observation["teacher"][::2])
    assert not np.any(part.observation["teacher"][1])


def test_a_state_of_another_process_is_truncated_and_begins_anew():
    state = build().reset(jax.random.key(0))
    there = build()
    # The start itself can be had again from its seed.
    assert not bool(there.step(state, jnp.ones(1)).truncated)
    old = build()
    state = old.step(old.reset(jax.random.key(0)), jnp.ones(1))
    lost = build().step(state, jnp.ones(1))
    assert bool(lost.truncated)
    assert not bool(lost.terminated)
    assert float(lost.reward) == 0.0
    assert np.hypot(*lost.observation["teacher"][:2]) == pytest.approx(1.0, abs=1e-5)


def test_abandoned_episodes_do_not_pile_up(monkeypatch):
    made = []
    make = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", lambda *args, **options: made.append(1) or make(*args, **options))
    env = build()
    reset, step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
    training = reset(jax.random.split(jax.random.key(0), 2))
    for seed in range(50):
        evaluation = reset(jax.random.split(jax.random.key(seed + 1), 2))
        step(evaluation, jnp.ones((2, 1)))
        training = step(training, jnp.ones((2, 1)))
        assert not training.truncated.any()
    assert len(made) <= INSTANCES_KEPT * 2 + 2


def test_the_student_sees_noise_and_a_stack():
    env = build(student_noise=0.3, student_stack=2)
    assert env.spec.observation_sizes == {"teacher": 3, "student": 6}
    state = env.step(env.reset(jax.random.key(0)), jnp.ones(1))
    exact, noisy = np.asarray(state.observation["teacher"]), np.asarray(state.observation["student"][:3])
    assert np.all(noisy != exact)
    assert np.all(np.abs(noisy - exact) <= 0.3 * np.abs(exact) + 1e-6)


def test_facts_come_from_the_environment_and_the_configuration():
    spec = build(reset_cost=2.0).spec
    assert (spec.name, spec.action_low, spec.action_high) == ("Pendulum-v1", (-2.0,), (2.0,))
    assert (spec.episode_length, spec.reset_cost, spec.timestep) == (200, 2.0, 0.05)
    assert build(episode_length=9).spec.episode_length == 9
    assert GymnasiumConfig("some/Thing-v0").name == "some-Thing-v0"


RAGGED = Box(np.array([-1.1, 0.1, -0.2]), np.array([0.3, 0.4, 0.9]), dtype=np.float64)
"""Of the first and the last, low + (high - low) is above high in float32."""


@pytest.mark.parametrize(
    "box",
    [
        Box(-0.1, 0.1, (2,), np.float64),
        Box(np.array([0.1, -0.7]), np.array([0.7, -0.1]), dtype=np.float64),
        Box(-1.1, 0.3, (1,), np.float32),
        RAGGED,
        Box(RAGGED.low.astype(np.float32), RAGGED.high.astype(np.float32)),
        Box(-0.1, 0.3, (3,), np.float16),
        Box(-0.7, 0.2, (), np.float64),
        Box(-1.1, 0.3, (2, 1, 3), np.float32),
        Box(0.1, 0.1, (1,), np.float64),
        Box(-1e30, 1e30, (1,), np.float64),
    ],
    ids=str,
)
def test_every_action_that_arrives_is_in_the_box(box):
    vector = VectorEnvironment(build("BoxProbe-v0", parameters={"box": box}), 6)
    size = int(np.prod(box.shape))
    assert len(vector.spec.action_low) == size
    state = vector.init(jax.random.key(0), staggered=False)
    step = jax.jit(vector.step)
    corners = np.array([-1.0, 1.0, -np.inf, np.inf, 1.0 - 2.0**-24, 0.0], np.float32)
    middle = (box.low.astype(np.float64) + box.high) / 2
    expected = [np.mean(x) for x in (box.low, box.high, box.low, box.high, box.high, middle)]
    _, outcome = step(state, np.tile(corners[:, None], (1, size)))
    np.testing.assert_allclose(outcome.reward, expected, rtol=1e-3 if box.dtype == np.float16 else 1e-5, atol=1e-7)
    for seed in range(3):
        state, _ = step(state, jax.random.normal(jax.random.key(seed), (6, size)))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.4, 0.4), (-3.0, 3.0), (-2.0, 2.0), (0.0, 1.0)])
def test_the_last_clip_changes_nothing_where_float32_holds_the_bounds(low, high):
    spec = EnvironmentSpec("box", {"teacher": 1}, (low,), (high,), 10)
    action = np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
    low, high, one, half = np.float32(low), np.float32(high), np.float32(1.0), np.float32(0.5)
    expected = low + half * (np.clip(action, -one, one) + one) * (high - low)
    np.testing.assert_array_equal(scale_action(spec, jnp.asarray(action)), expected)


def test_scaled_actions_never_leave_the_bounds_as_float32_has_them():
    low, high = RAGGED.low, RAGGED.high
    spec = EnvironmentSpec("box", {"teacher": 1}, tuple(low.tolist()), tuple(high.tolist()), 10)
    beyond = np.float32(low) + (np.float32(high) - np.float32(low)) > np.float32(high)
    assert beyond.any(), "the bounds were chosen so that rounding oversteps"
    np.testing.assert_array_equal(scale_action(spec, jnp.ones(3)), np.float32(high))
    np.testing.assert_array_equal(scale_action(spec, -jnp.ones(3)), np.float32(low))


def test_an_action_that_is_no_number_stops_the_program_with_one_line():
    env = build()
    state = env.reset(jax.random.key(0))
    with pytest.raises(DivergenceError, match="The policy's action is not a number") as found, device_errors(step=7):
        jax.block_until_ready(jax.jit(env.step)(state, jnp.full(1, jnp.nan)))
    assert "(after environment step 7)" in str(found.value)


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("raises", r"in step 3 of an episode: KeyError: 'no such joint\\nand more of it'"),
        ("grows", r"in step 3 of an episode: ValueError: its observation holds 3 numbers, its observation space 2\."),
        ("pays nan", r"in step 3 of an episode: ValueError: its reward is nan\."),
        ("shows inf", r"in step 3 of an episode: ValueError: its observation holds inf\."),
        ("pays nobody", "in step 3 of an episode: TypeError: .*NoneType.*"),
        ("reset", r"at reset\(seed=\d+\): OSError"),
    ],
)
def test_a_failure_of_the_environment_is_one_line_with_its_name_the_step_and_the_cause(way, told, capfd):
    env = build("Fragile-v0", parameters={"way": way})

    @jax.jit
    def run(key):
        return roll(env, env.reset(key), jnp.zeros((5, 1))).reward

    expected = rf"^env\.id='Fragile-v0' failed {told} \(after environment step 4,096\)$"
    with pytest.raises(ForeignEnvironmentError, match=expected) as found, device_errors(4096):
        jax.block_until_ready(run(jax.random.key(0)))
    assert "\n" not in str(found.value)
    # The place in the stranger's code is kept, and not printed.
    assert "Traceback" in found.value.details
    assert way != "raises" or 'raise KeyError("no such joint' in found.value.details
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
def test_a_copy_lives_the_same_episodes_from_a_reset_on_and_none_of_those_under_way(copied):
    env = build(student_noise=0.3, student_stack=2, reset_cost=2.0, episode_length=20, parameters={"g": 5.0})
    under_way = env.step(env.reset(jax.random.key(0)), jnp.ones(1))
    twin = copied(env)
    assert (twin.spec, twin.view) == (env.spec, env.view)
    assert bool(twin.step(under_way, jnp.ones(1)).truncated)
    assert not bool(env.step(under_way, jnp.ones(1)).truncated)
    first, second = (roll(each, each.reset(jax.random.key(4)), ACTIONS[:10]) for each in (env, twin))
    jax.tree.map(np.testing.assert_array_equal, first.replace(key=None), second.replace(key=None))


def test_the_time_limit_is_checked_in_python_too():
    for wrong in (0, -1, 2.5):
        with pytest.raises(ConfigurationError, match="episode_length"):
            GymnasiumEnvironment("Pendulum-v1", episode_length=wrong)


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"identifier": "Pendulun-v1"}, "Pendulun-v1"),
        ({"identifier": "CartPole-v1"}, "bounded Box"),
        ({"identifier": "phys2d/Pendulum-v0"}, "JAX"),
        ({"identifier": "no_such_module:Thing-v0"}, "no_such_module"),
        ({"parameters": {"gravitas": 3}}, "gravitas"),
        ({"parameters": {"g": "strong"}}, "g='strong' fails at its first step"),
        ({"parameters": {"render_mode": 3}}, "render_mode=3 cannot be made"),
        ({"parameters": {"id": "Ant-v5"}}, "id='Ant-v5' cannot be made"),
        ({"parameters": {"max_episode_steps": 5}}, r"env\.episode_length"),
        ({"identifier": "l2t/RiverSwim-v0"}, "finitely many"),
        ({"identifier": "l2t/InvertedPendulum-v5"}, "env=half_cheetah"),
        ({"identifier": "l2t/InvertedPendulum-v5", "parameters": {"task": "hopper"}}, "'task' is not known"),
        ({"identifier": "BoxProbe-v0", "parameters": {"box": Box(0, 3, (2,), np.int64)}}, "whole-numbered"),
        ({"identifier": "BoxProbe-v0", "parameters": {"box": Box(0, 255, (1,), np.uint8)}}, "whole-numbered"),
        ({"identifier": "BoxProbe-v0", "parameters": {"box": Box(-np.inf, 1, (1,))}}, "bounded Box"),
        ({"identifier": "BoxProbe-v0", "parameters": {"box": Box(-1e300, 1e300, (1,), np.float64)}}, "extent"),
        ({"identifier": "BoxProbe-v0", "parameters": {"box": Box(-1, 1, (0,))}}, "at least one coordinate"),
        ({"identifier": "BoxProbe-v0", "parameters": {"seen": 3}}, "holds 3 numbers, its observation space 2"),
        ({"identifier": "BoxProbe-v0", "parameters": {"space": Sequence(Box(0, 1))}}, "no fixed length"),
        ({"identifier": "BoxProbe-v0", "parameters": {"broken": True}}, "cannot be made: it is broken"),
        ({"identifier": ""}, r"env\.id"),
        ({"episode_length": 0}, "episode_length"),
        ({"student_noise": -1.0}, "student_noise"),
    ],
)
def test_wrong_configurations_are_answered_with_the_cause(wrong, answer):
    with pytest.raises(ConfigurationError, match=answer):
        build(**wrong)
