"""What ends an episode: a fall, and not a tilt with the ground or a heel over the treads behind."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie.quantities import measure
from envs.cassie.terrain.config import KINDS
from envs.cassie.terrain.surface import height
from tests.envs.cassie.robots import build


@pytest.fixture(scope="module")
def standing():
    """The task, and a robot on flat ground at the start of an episode."""
    env = build()
    return env, jax.jit(env.reset)(jax.random.key(0))


def test_a_heel_over_the_treads_behind_is_no_fall(standing):
    env, one = standing
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


def test_falls_end_the_episode_and_standing_does_not(standing):
    env, one = standing
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
