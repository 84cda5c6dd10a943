"""The clock of the gait and the command, as policies are shown them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie import observation
from envs.cassie.settings import CommandConfig
from envs.cassie.student import turned_along
from tests.envs.cassie.robots import build

NAMES = list(observation.names(observation.TEACHER))
CLOCK = [NAMES.index("clock sine"), NAMES.index("clock cosine")]
STOP_AND_GO = CommandConfig((-0.1, 0.1), (0.0, 0.0), (0.0, 0.0), stand=0.5, duration=(0.8, 1.6))


@pytest.fixture(scope="module")
def stop_and_go():
    """States `[time, instance]` of robots that are told to step and to stand in turn; most fall."""
    env = build(command=STOP_AND_GO)

    def step(state, _):
        return jax.vmap(env.step)(state, jnp.zeros((16, 10))), state

    start = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(1), 16))
    return env, jax.device_get(jax.jit(lambda s: jax.lax.scan(step, s, None, 250)[1])(start))


def test_who_shall_stand_sees_no_clock_and_finds_it_where_it_was(stop_and_go):
    _, states = stop_and_go
    memory = states.extras["memory"]
    stepping = memory.command.stepping > 0.0
    shown = states.observation["teacher"][..., CLOCK]
    np.testing.assert_allclose(np.linalg.norm(shown, axis=-1), stepping, atol=1e-5)
    stands = stepping.sum(axis=0) < len(stepping)
    assert stands.sum() > 8
    stood = ~stepping[1:]
    np.testing.assert_array_equal(memory.phase[1:][stood], memory.phase[:-1][stood])
    simulated = memory.steps[1:] > memory.steps[:-1]  # until the physics of one that lies fails
    on = np.mod(memory.phase[1:] - memory.phase[:-1], 1.0)[~stood & simulated]
    np.testing.assert_allclose(on, 0.02 / 0.7, atol=1e-5)
    stops = stepping[:-1] & ~stepping[1:] & simulated
    assert stops.sum() > 8
    assert np.mod(2 * memory.phase[1:][stops], 1.0).max() < 2 * 0.02 / 0.7 + 1e-5  # both feet have just set down


def test_a_recording_tells_when_the_mirror_comes_and_goes(stop_and_go):
    env, states = stop_and_go
    memory, exact = states.extras["memory"], states.observation["teacher"]
    truth = np.asarray(env.task.turned(jax.tree.map(lambda x: x[:-1], memory), jax.tree.map(lambda x: x[1:], memory)))
    assert truth.sum() > 100
    first = np.zeros(len(exact), bool)
    first[0] = True
    for index in range(exact.shape[1]):
        np.testing.assert_array_equal(turned_along(exact[:, index], first)[1:], truth[:, index])


def test_an_episode_that_begins_standing_knows_nothing_of_the_one_before(stop_and_go):
    exact = np.zeros((4, len(NAMES)), np.float32)
    exact[0, CLOCK] = np.sin(2.5), np.cos(2.5)  # late in a half cycle
    exact[2, CLOCK] = np.sin(0.3), np.cos(0.3)  # the next episode stands for a step and then walks
    exact[3, CLOCK] = np.sin(0.1), np.cos(0.1)  # and begins a new half cycle
    first = np.array([True, True, False, False])
    np.testing.assert_array_equal(turned_along(exact, first), [False, False, False, True])


def test_the_teacher_sees_its_velocity_less_the_command(stop_and_go):
    _, states = stop_and_go
    command = states.extras["memory"].command.velocity
    error = states.observation["teacher"][..., NAMES.index("forward velocity error [m/s]")]
    np.testing.assert_allclose(error[1:], (states.metrics["x_velocity"] - command[..., 0])[1:], atol=1e-4)
