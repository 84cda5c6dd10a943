"""What a student is shown of what it remembers, and would have been shown of a recording."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from envs.cassie import observation
from envs.cassie.settings import RandomisationConfig
from envs.observation import History, StudentView
from tests.envs.cassie.robots import SILENT, build, episode


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
