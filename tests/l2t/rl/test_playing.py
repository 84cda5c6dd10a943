"""Playing a policy that remembers and sees its previous action, against a loop in NumPy over one instance at a time."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from l2t.rl.acting import LoadedPolicy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.evaluation import evaluate
from l2t.rl.playing import begin, go_on, proceed
from l2t.rl.vector import VectorEnvironment
from tests.support.probes import Probe

LENGTH, END = 12, 1.4


def drifting() -> Probe:
    """x' = 0.9 x + 0.2 u, which pays x'; beyond 1.4 the episode ends. The task's actions are twice the policy's."""

    def advance(key, memory, action):
        after = 0.9 * memory + 0.2 * action
        return after, after[0], after[0] > END

    return Probe(lambda key: jax.random.uniform(key, (1,), minval=-1.0, maxval=1.0), advance, episode_length=LENGTH)


class Counting:
    """Its mode is 0.4 + 0.5 x - 0.3 (previous action) + 0.2 (steps of the episode): soon above 1."""

    def initial(self, instances):
        return jnp.zeros(instances)

    def step(self, memory, observation, first):
        count = jnp.where(first, 0.0, memory)
        mean = 0.4 + 0.5 * observation["teacher"] - 0.3 * observation["previous_action"] + 0.2 * count[:, None]
        return count + 1.0, DiagonalGaussian(mean, jnp.zeros(1))


def by_a_loop(start, steps):
    """States, and actions of the task, of one episode that nothing ends."""
    x, previous, states, actions = float(start), 0.0, [], []
    for count in range(steps):
        previous = min(1.0, max(-1.0, 0.4 + 0.5 * x - 0.3 * previous + 0.2 * count))
        x = 0.9 * x + 0.2 * 2.0 * previous
        states.append(x)
        actions.append(2.0 * previous)
    return np.array(states), np.array(actions)


def length_of(states):
    return int(np.argmax(states > END)) + 1 if (states > END).any() else len(states)


def test_steps_are_those_of_a_loop_also_after_the_end_of_an_episode():
    environment, policy = drifting(), Counting()
    playing = begin(environment, policy, jax.random.split(jax.random.key(0), 5))
    expected = [by_a_loop(start, LENGTH) for start in playing.state.observation["teacher"][:, 0]]
    assert len({length_of(states) for states, _ in expected}) > 1
    assert max(actions.max() for _, actions in expected) == 2.0
    for time in range(LENGTH):
        playing, taken = proceed(environment, policy, playing)
        for row, (states, actions) in enumerate(expected):
            np.testing.assert_allclose(playing.state.observation["teacher"][row, 0], states[time], rtol=1e-5)
            np.testing.assert_allclose(taken[row, 0], actions[time], rtol=1e-5)
    assert int(playing.time) == LENGTH


def test_another_choice_is_played_and_remembered():
    environment, policy = drifting(), Counting()
    playing = begin(environment, policy, jax.random.split(jax.random.key(0), 3))
    playing, taken = proceed(environment, policy, playing, lambda distribution: jnp.full((3, 1), -3.0))
    np.testing.assert_array_equal(taken, -2.0)
    np.testing.assert_array_equal(playing.action, -1.0)


def test_an_evaluation_counts_whole_episodes_and_no_more():
    environment, policy = drifting(), Counting()
    found = evaluate(environment, policy, jax.random.key(3), 6)
    keys = jax.random.split(jax.random.split(jax.random.key(3))[0], 6)
    starts = begin(environment, policy, keys).state.observation["teacher"][:, 0]
    episodes = [states[: length_of(states)] for states in (by_a_loop(start, LENGTH)[0] for start in starts)]
    np.testing.assert_allclose(found["return_mean"], np.mean([states.sum() for states in episodes]), rtol=1e-5)
    np.testing.assert_allclose(found["episode_length_mean"], np.mean([len(states) for states in episodes]))


def test_where_episodes_follow_one_another_each_begins_anew():
    environment, policy = drifting(), Counting()
    vector = VectorEnvironment(environment, 4)
    state, memory = vector.init(jax.random.key(1), staggered=False), policy.initial(4)
    starts, seen, ended = [np.asarray(state.observation["teacher"][:, 0])], [], []
    step = jax.jit(lambda state, memory: go_on(vector, policy, state, memory))
    for _ in range(3 * LENGTH):
        state, memory, outcome = step(state, memory)
        seen.append(outcome.successor["teacher"][:, 0])
        starts.append(np.asarray(state.observation["teacher"][:, 0]))
        ended.append(outcome.terminated | outcome.truncated)
    for row in range(4):
        bounds = [0, *(np.flatnonzero(np.array(ended)[:, row]) + 1)]
        assert len(bounds) > 3
        for at, end in pairwise(bounds):
            states, _ = by_a_loop(starts[at][row], LENGTH)
            assert end - at == length_of(states)
            np.testing.assert_allclose(np.array(seen)[at:end, row], states[: end - at], rtol=1e-5)


def test_a_policy_that_is_asked_from_python_acts_as_one_that_is_played():
    environment, policy = drifting(), Counting()
    loaded, start = LoadedPolicy(environment, policy, "teacher"), 0.3
    for _ in range(2):
        states, actions = by_a_loop(start, LENGTH)
        for x, action in zip([start, *states], actions, strict=False):
            np.testing.assert_allclose(loaded(np.array([x])), [action], rtol=1e-5)
        loaded.reset()
