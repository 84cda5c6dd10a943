"""Strangers' Gymnasium environments inside jitted programs."""

from __future__ import annotations

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.config import GymnasiumConfig
from envs.gymnasium.adapter import INSTANCES_KEPT, GymnasiumEnvironment
from envs.physics.config import PhysicsConfig
from l2t.errors import ConfigurationError
from l2t.rl.vector import VectorEnvironment


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


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"identifier": "Pendulun-v1"}, "Pendulun-v1"),
        ({"identifier": "CartPole-v1"}, "bounded Box"),
        ({"identifier": "phys2d/Pendulum-v0"}, "JAX"),
        ({"identifier": "no_such_module:Thing-v0"}, "no_such_module"),
        ({"parameters": {"gravitas": 3}}, "gravitas"),
        ({"identifier": ""}, r"env\.id"),
        ({"episode_length": 0}, "episode_length"),
        ({"student_noise": -1.0}, "student_noise"),
    ],
)
def test_wrong_configurations_are_answered_with_the_cause(wrong, answer):
    with pytest.raises(ConfigurationError, match=answer):
        build(**wrong)
