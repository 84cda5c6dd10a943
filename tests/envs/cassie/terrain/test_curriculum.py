"""The curriculum: what each outcome does, and where a walker of known skill ends up."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie.terrain.config import CurriculumConfig
from envs.cassie.terrain.curriculum import update

CONFIG = CurriculumConfig(step=0.1, early=0.5, enough=0.7)


@pytest.mark.parametrize(
    ("difficulty", "survived", "tracked", "expected"),
    [
        (0.4, 1.0, 0.9, 0.5),
        (0.4, 1.0, 0.7, 0.5),
        (0.4, 1.0, 0.6, 0.4),
        (0.4, 0.99, 1.0, 0.4),
        (0.4, 0.5, 1.0, 0.4),
        (0.4, 0.49, 1.0, 0.3),
        (0.05, 0.0, 0.0, 0.0),
        (0.9, 1.0, 1.0, 1.0),
    ],
)
def test_difficulty_rises_with_success_and_falls_with_early_ends(difficulty, survived, tracked, expected):
    after = update(jax.random.key(0), CONFIG, jnp.float32(difficulty), jnp.float32(survived), jnp.float32(tracked))
    assert float(after) == pytest.approx(expected)


def test_who_masters_the_top_is_spread_over_all_difficulties():
    keys = jax.random.split(jax.random.key(0), 2000)
    after = np.asarray(jax.vmap(lambda key: update(key, CONFIG, jnp.float32(1.0), 1.0, 1.0))(keys))
    counts, _ = np.histogram(after, bins=10, range=(0.0, 1.0))
    assert counts.sum() == 2000
    # Each bin within 4 standard deviations of its share.
    assert np.abs(counts - 200).max() < 4 * np.sqrt(2000 * 0.1 * 0.9)


def test_twenty_successes_of_the_default_step_reach_the_top_before_anything_is_spread():
    difficulty = jnp.float32(0.0)
    for success in range(20):
        difficulty = update(jax.random.key(success), CurriculumConfig(), difficulty, 1.0, 1.0)
        assert float(difficulty) == pytest.approx(0.05 * (success + 1), abs=1e-5)


@pytest.mark.parametrize("skill", [0.3, 0.7])
def test_a_walker_is_kept_where_its_skill_ends(skill):
    def episode(difficulty, key):
        success_key, key = jax.random.split(key)
        chance = jax.nn.sigmoid(20.0 * (skill - difficulty))
        survived = jax.random.bernoulli(success_key, chance).astype(jnp.float32)
        difficulty = update(key, CONFIG, difficulty, survived, survived)
        return difficulty, difficulty

    run = jax.vmap(lambda key: jax.lax.scan(episode, jnp.float32(0.0), jax.random.split(key, 200))[1])
    late = np.asarray(jax.jit(run)(jax.random.split(jax.random.key(0), 200)))[:, 50:]
    assert late.min() >= 0.0
    assert late.max() <= 1.0
    assert late.mean() == pytest.approx(skill, abs=0.05)
