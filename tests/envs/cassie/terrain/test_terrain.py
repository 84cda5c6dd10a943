"""Draws of terrains, and the checks of their configuration."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie.terrain.config import KINDS, CurriculumConfig, TerrainConfig
from envs.cassie.terrain.contact import contact_planes
from envs.cassie.terrain.motion import ground_motion
from envs.cassie.terrain.surface import gradient, height
from envs.cassie.terrain.terrain import Terrain, draw, one_hot
from l2t.errors import ConfigurationError

COUNT = 512


def draws(config: TerrainConfig, difficulty: float | np.ndarray, count: int = COUNT, seed: int = 0) -> Terrain:
    """Terrains `[count]`, or `[difficulty, count]`; the same keys for every difficulty."""
    keys = jax.random.split(jax.random.key(seed), count)
    many = jax.vmap(lambda key, difficulty: draw(key, config, difficulty), (0, None))
    if np.ndim(difficulty):
        many = jax.vmap(many, (None, 0))
    return jax.jit(many)(keys, jnp.asarray(difficulty, jnp.float32))


@pytest.fixture(scope="module")
def mixed() -> Terrain:
    """At difficulties .1, .3 and .9."""
    return draws(TerrainConfig(), np.array([0.1, 0.3, 0.9]))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_own_features_at_its_difficulty_and_no_others(kind):
    difficulty = np.linspace(0.0, 1.0, 5)[:, None]
    terrain = draws(TerrainConfig(kind=kind), difficulty[:, 0])
    assert np.all(terrain.kind == KINDS.index(kind))
    magnitudes = {
        "slope": (np.arctan(terrain.slope), 0.05 + 0.25 * difficulty),
        "stairs": (np.abs(terrain.rise), 0.05 + 0.12 * difficulty),
        "uneven": (terrain.roughness, 0.02 + 0.06 * difficulty),
        "moving": (terrain.amplitude[..., 0], 0.02 + 0.08 * difficulty),
    }
    for name, (drawn, stated) in magnitudes.items():
        np.testing.assert_allclose(drawn, np.tile(stated if name == kind else 0.0 * stated, COUNT), atol=1e-6)


def test_what_is_drawn_uniformly_fills_its_range_and_stays_in_it(mixed):
    terrain = jax.tree.map(lambda leaf: leaf[1], mixed)
    angles = np.arctan2(*np.asarray(terrain.direction).T)
    frequency = np.asarray(terrain.frequency) / (2 * np.pi)
    for drawn, low, high in (
        (terrain.run, 0.25, 0.4),
        (terrain.landing, 1.0, 2.0),
        (terrain.wavelength, 0.4, 1.5),
        (angles, -np.pi, np.pi),
        (terrain.phase, 0.0, 2 * np.pi),
        (frequency, 0.2, min(1.2, (3.0 / 3**0.5 / 0.044) ** 0.5 / (2 * np.pi))),
    ):
        drawn = np.asarray(drawn)
        assert low - 1e-5 <= drawn.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < drawn.max() <= high + 1e-5
    assert set(np.asarray(terrain.steps)) == set(range(4, 13))
    np.testing.assert_allclose(np.linalg.norm(terrain.direction, axis=1), 1.0, atol=1e-6)
    stairs = draws(TerrainConfig(kind="stairs"), 0.3)
    assert 0.4 < np.mean(np.asarray(stairs.rise) > 0.0) < 0.6


def test_pitch_and_roll_of_slopes_take_both_signs_within_the_limit():
    terrain = draws(TerrainConfig(kind="slope"), 1.0)
    angles = np.arctan(np.asarray(terrain.slope)[:, None] * np.asarray(terrain.direction))
    assert np.abs(angles).max() <= 0.3 + 1e-6
    assert np.all(angles.max(axis=0) > 0.29)
    assert np.all(angles.min(axis=0) < -0.29)


def test_every_key_draws_another_terrain_and_difficulty_changes_nothing_but_magnitudes(mixed):
    first, harder = (jax.tree.map(lambda leaf, index=index: leaf[index], mixed) for index in (0, 2))
    assert len(np.unique(first.seed)) == COUNT
    assert len(np.unique(first.run)) > 0.99 * COUNT
    for name in ("kind", "direction", "run", "landing", "steps", "wavelength", "seed", "phase"):
        np.testing.assert_array_equal(getattr(first, name), getattr(harder, name))
    np.testing.assert_array_equal(np.sign(first.rise), np.sign(harder.rise))


def test_a_mixture_draws_kinds_by_their_weights():
    weights = {"stairs": 3.0, "uneven": 1.0}
    kinds = np.bincount(draws(TerrainConfig(weights=weights), 0.5, 4000).kind, minlength=5) / 4000
    np.testing.assert_allclose(kinds, [0.0, 0.0, 0.75, 0.25, 0.0], atol=0.03)
    even = np.bincount(draws(TerrainConfig(), 0.5, 4000).kind, minlength=5) / 4000
    np.testing.assert_allclose(even, 0.2, atol=0.03)


def test_the_one_hot_marks_the_kind():
    terrain = draws(TerrainConfig(), 0.5, 50)
    np.testing.assert_array_equal(jax.vmap(one_hot)(terrain), np.eye(5)[np.asarray(terrain.kind)])


def test_all_kinds_in_one_compiled_batch_are_as_one_by_one():
    terrain = draws(TerrainConfig(), 0.8, 25)
    assert len(np.unique(terrain.kind)) == 5

    def everything(one):
        xy = jnp.array([1.7, -0.6])
        planes = contact_planes(one, jnp.array([1.7, -0.6, 0.1]), jnp.array([1.0, 0.2, -0.3]), 0.02, 0.02)
        return height(one, xy), gradient(one, xy), planes, ground_motion(one, jnp.float32(2.3))

    together = jax.jit(jax.vmap(everything))(terrain)
    alone = jax.jit(everything)
    for index in range(25):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], (terrain, together))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), alone(one[0]), one[1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "stair"}, "Did you mean 'stairs'"),
        ({"slope": (0.3, 0.05)}, "env.terrain.slope"),
        ({"slope": (0.0, 1.6)}, "env.terrain.slope"),
        ({"rise": 0.1}, "env.terrain.rise"),
        ({"run": (0.01, 0.4)}, "env.terrain.run"),
        ({"landing": (0.5, 2.0)}, "env.terrain.landing"),
        ({"steps": (4, 5.5)}, "env.terrain.steps"),
        ({"steps": (0, 4)}, "env.terrain.steps"),
        ({"wavelength": (0.0, 1.0)}, "env.terrain.wavelength"),
        ({"acceleration": 0.0}, "env.terrain.acceleration"),
        ({"weights": {"stair": 1.0}}, "Did you mean 'stairs'"),
        ({"weights": {"stairs": -1.0}}, "env.terrain.weights.stairs"),
        ({"weights": {"stairs": 0.0}}, "all zero"),
        ({"weights": [1, 2]}, "must be a mapping"),
        ({"kind": "stairs", "weights": {"stairs": 1.0}}, "would change nothing"),
    ],
)
def test_a_wrong_value_is_refused_by_name(fields, message):
    with pytest.raises(ConfigurationError, match=message):
        TerrainConfig(**fields)


def test_a_wrong_curriculum_is_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"env\.progress\.step"):
        CurriculumConfig(step=1.5)
