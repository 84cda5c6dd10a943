"""What an episode that ended hands on to the next: difficulty, and perhaps the body."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie import dynamics
from envs.cassie.settings import RandomisationConfig
from envs.cassie.terrain.config import CurriculumConfig, TerrainConfig
from l2t.errors import ConfigurationError
from l2t.rl.vector import VectorEnvironment
from tests.envs.cassie.robots import build


def test_where_a_curriculum_is_on_success_makes_the_next_terrain_harder():
    config = CurriculumConfig(step=0.25, early=0.5, enough=0.7)
    env = build(terrain=TerrainConfig("slope"), curriculum=True, progress=config, difficulty=0.5, episode_length=4)
    vector = VectorEnvironment(env, 3)
    state = vector.init(jax.random.key(0), staggered=False)
    memory = state.environment.extras["memory"]
    # The first walked all that it was asked for, the second stood about, the third is early to fall.
    memory = replace(memory, asked=jnp.full(3, 2.0), walked=jnp.array([2.0, 0.0, 2.0]))
    state = replace(state, environment=replace(state.environment, extras=state.environment.extras | {"memory": memory}))
    step = jax.jit(vector.step)
    for _ in range(4):
        state, outcome = step(state, jnp.zeros((3, 10)))
    assert outcome.truncated.all()
    np.testing.assert_allclose(state.environment.extras["memory"].terrain.difficulty, [0.75, 0.5, 0.75], atol=1e-6)
    np.testing.assert_array_equal(state.environment.extras["memory"].steps, 0)


def test_an_episode_whose_clock_began_late_has_survived_at_its_time_limit():
    config = CurriculumConfig(step=0.25, early=0.5, enough=0.7)
    env = build(terrain=TerrainConfig("slope"), curriculum=True, progress=config, difficulty=0.5, episode_length=40)
    state = env.reset(jax.random.key(0))
    memory = replace(state.extras["memory"], asked=jnp.float32(2.0), walked=jnp.float32(2.0), steps=jnp.int32(3))
    left = replace(state, extras=state.extras | {"memory": memory})
    restart = jax.jit(env.restart)

    def next_difficulty(terminated, truncated):
        ended = replace(left, terminated=jnp.asarray(terminated), truncated=jnp.asarray(truncated))
        return float(restart(jax.random.key(1), ended).extras["memory"].terrain.difficulty)

    assert next_difficulty(False, True) == pytest.approx(0.75)
    assert next_difficulty(True, False) == pytest.approx(0.25)
    assert next_difficulty(True, True) == pytest.approx(0.25)  # a fall at the time limit is a fall


def test_a_fall_in_the_last_step_of_a_whole_episode_is_no_success():
    config = CurriculumConfig(step=0.25, early=0.5, enough=0.7)
    env = build(terrain=TerrainConfig("slope"), curriculum=True, progress=config, difficulty=0.5, episode_length=40)
    state = env.reset(jax.random.key(0))
    memory = replace(state.extras["memory"], asked=jnp.float32(2.0), walked=jnp.float32(2.0), steps=jnp.int32(40))
    ended = replace(state, extras=state.extras | {"memory": memory}, truncated=jnp.asarray(True))
    fallen = replace(ended, terminated=jnp.asarray(True))
    found = [env.restart(jax.random.key(1), end).extras["memory"].terrain.difficulty for end in (ended, fallen)]
    np.testing.assert_allclose(found, [0.75, 0.5], atol=1e-6)


@pytest.mark.parametrize("curriculum", [False, True])
def test_a_curriculum_keeps_the_kind_of_ground_so_that_each_has_a_difficulty_of_its_own(curriculum):
    env = build(terrain=TerrainConfig("mixed"), curriculum=curriculum)
    ended = replace(env.reset(jax.random.key(0)), truncated=jnp.asarray(True))
    before = ended.extras["memory"].terrain
    fresh = jax.jit(jax.vmap(env.restart, (0, None)))(jax.random.split(jax.random.key(1), 40), ended)
    after = fresh.extras["memory"].terrain
    assert len(np.unique(after.kind)) == (1 if curriculum else 5)
    assert (after.kind == before.kind).all() == curriculum
    assert len(np.unique(after.seed)) == 40  # the ground is another one


@pytest.mark.parametrize("repeat", [0.0, 0.6])
def test_a_robot_that_fell_meets_the_same_dynamics_again_as_often_as_it_is_asked_to(repeat):
    env = build(randomisation=RandomisationConfig(repeat=repeat))
    last = dynamics.draw(jax.random.key(0), RandomisationConfig())
    keys = jax.random.split(jax.random.key(1), 500)

    def same(fell):
        redrawn = jax.vmap(lambda key: dynamics.redraw(key, env.task.randomisation, last, jnp.asarray(fell)))(keys)
        return np.array([getattr(redrawn, name) == getattr(last, name) for name in ("friction", "payload", "gains")])

    assert not same(fell=False).any()
    fallen = same(fell=True)
    assert (fallen == fallen[0]).all()  # all of it or nothing
    assert fallen[0].mean() == pytest.approx(repeat, abs=4 * np.sqrt(0.25 / 500) if repeat else 0.0)


def test_a_fall_is_met_again_with_the_whole_body_that_fell():
    env = build(randomisation=RandomisationConfig(repeat=1.0))
    state = env.reset(jax.random.key(0))
    restart = jax.jit(env.restart)
    for fell in (True, False):
        ended = replace(state, terminated=jnp.asarray(fell), truncated=jnp.asarray(not fell))
        fresh = restart(jax.random.key(1), ended)
        for name, field in state.extras["overrides"].items():
            assert np.array_equal(field, fresh.extras["overrides"][name]) == fell, name
        assert not np.array_equal(fresh.extras["memory"].phase, state.extras["memory"].phase)


def test_a_curriculum_on_flat_ground_is_refused():
    with pytest.raises(ConfigurationError, match=r"env\.curriculum=true would change nothing"):
        build(curriculum=True)


def test_who_has_mastered_the_hardest_ground_meets_easy_ground_of_any_friction():
    config = CurriculumConfig(step=0.25, early=0.5, enough=0.7)
    env = build(
        terrain=TerrainConfig("slope"),
        curriculum=True,
        progress=config,
        randomisation=RandomisationConfig(),
        episode_length=4,
    )
    state = env.reset(jax.random.key(0))
    memory = state.extras["memory"]
    top = replace(memory, terrain=replace(memory.terrain, difficulty=jnp.float32(1.0)), asked=jnp.float32(0.0))
    ended = replace(state, extras=state.extras | {"memory": top}, truncated=jnp.asarray(True))
    fresh = jax.jit(jax.vmap(env.restart, (0, None)))(jax.random.split(jax.random.key(1), 200), ended)
    after = fresh.extras["memory"]
    difficulty = np.asarray(after.terrain.difficulty)
    assert difficulty.std() > 0.2
    for drawn in jax.tree.leaves(after.dynamics):
        for column in np.asarray(drawn, float).reshape(200, -1).T:
            assert column.std() == 0.0 or abs(np.corrcoef(difficulty, column)[0, 1]) < 0.3


def test_beginnings_scatter_about_the_commanded_velocity_in_training_alone():
    env = build(start_scatter=0.4)

    def begin(task):
        return jax.vmap(lambda key: task.start(key, env.model).qvel)(jax.random.split(jax.random.key(0), 4096))

    scattered, steady = begin(env.task), begin(replace(env.task, start_scatter=0.0))
    added = np.asarray(scattered - steady)
    np.testing.assert_allclose(added[:, :2].std(axis=0), 0.4, rtol=0.05)
    assert np.abs(added[:, :2].mean(axis=0)).max() < 0.02
    assert abs(np.corrcoef(added[:, 0], np.asarray(steady)[:, 0])[0, 1]) < 0.05, "whatever the share of the command"
    np.testing.assert_array_equal(added[:, 2:], 0.0)
    np.testing.assert_array_equal(begin(env.task.undisturbed()), steady)
