"""Commands, which are drawn, approached and followed, and the steps of the gait that goes with them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie import commands, gait
from envs.cassie.settings import CommandConfig
from tests.envs.cassie.robots import DT, FORWARD


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
