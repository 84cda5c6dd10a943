"""The height function against independent constructions of the same ground."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie.terrain.config import PATCH, RISER, TerrainConfig
from envs.cassie.terrain.surface import (
    BLEND,
    gradient,
    height,
    nearest_step,
    scan,
    scan_points,
    support_normal,
)
from envs.cassie.terrain.terrain import Terrain, draw

heights = jax.jit(jax.vmap(height, (None, 0)))
gradients = jax.jit(jax.vmap(gradient, (None, 0)))
support_normals = jax.jit(jax.vmap(support_normal, (None, 0)))
edges_near = jax.jit(jax.vmap(nearest_step, (None, 0)))


def terrain_of(kind: str, seed: int = 0, **changes) -> Terrain:
    drawn = draw(jax.random.key(seed), TerrainConfig(kind=kind), jnp.float32(1.0))
    return drawn.replace(**{name: jnp.float32(value) for name, value in changes.items()})


def points(count: int, reach: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-reach, reach, (count, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "step", "tolerance"), [("slope", 1e-3, 1e-3), ("uneven", 1e-3, 1e-3), ("stairs", 2e-4, 0.05)]
)
def test_the_gradient_is_that_of_finite_differences(kind, step, tolerance):
    terrain, xy = terrain_of(kind), points(4000, 4.0)
    for axis in (0, 1):
        shift = np.eye(2, dtype=np.float32)[axis] * np.float32(step)
        # What float32 leaves of the step.
        width = ((xy + shift) - (xy - shift))[:, axis]
        expected = (heights(terrain, xy + shift) - heights(terrain, xy - shift)) / width
        # The ends of a riser, which is as steep as 6.4, have a curvature of 6 rise / RISER² = 640 per metre.
        np.testing.assert_allclose(gradients(terrain, xy)[:, axis], expected, atol=tolerance)


@pytest.mark.parametrize("kind", ["flat", "slope", "stairs", "uneven", "moving"])
def test_every_episode_starts_on_a_level_patch_at_height_zero(kind):
    angle = np.linspace(0.0, 2 * np.pi, 60)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    disc = np.concatenate([np.zeros((1, 2)), *(r * PATCH * circle for r in (0.3, 0.7, 0.999))]).astype(np.float32)
    for seed in range(4):
        terrain = terrain_of(kind, seed)
        assert not np.any(heights(terrain, disc))
        assert not np.any(gradients(terrain, disc))


def test_a_slope_is_level_across_the_start_and_a_plane_beyond():
    terrain = terrain_of("slope", seed=1)
    direction = np.asarray(terrain.direction, np.float64)
    assert float(terrain.slope) == pytest.approx(np.tan(0.3), rel=1e-6)
    xy = points(4000, 40.0)
    along = xy @ direction
    outside = np.abs(along) > PATCH + BLEND
    plane = np.tan(0.3) * np.sign(along) * (np.abs(along) - PATCH - BLEND / 2)
    np.testing.assert_allclose(heights(terrain, xy)[outside], plane[outside], atol=1e-5)
    np.testing.assert_allclose(
        gradients(terrain, xy)[outside], np.tile(np.tan(0.3) * direction, (outside.sum(), 1)), atol=1e-6
    )
    # No bend is steeper than the slope itself.
    near = gradients(terrain, points(2000, 1.5)) @ direction
    assert near.min() >= 0.0
    assert near.max() <= np.tan(0.3) + 1e-6


def treads(terrain: Terrain, reach: float) -> list[tuple[float, float, float]]:
    """(start, end, level) of the level ground along x >= 0, by walking: landing, flight up, landing, flight back."""
    rise, run, landing = (float(x) for x in (terrain.rise, terrain.run, terrain.landing))
    found, x, level, way = [(0.0, landing / 2, 0.0)], landing / 2, 0.0, 1.0
    while x < reach:
        for stair in range(int(terrain.steps)):
            level += way * rise
            last = stair + 1 == int(terrain.steps)
            end = x + RISER + landing if last else x + run
            found.append((x + RISER, end, level))
            x = end
        way = -way
    return found


@pytest.mark.parametrize("seed", range(6))
def test_stairs_are_level_treads_one_rise_apart_for_tens_of_metres(seed):
    terrain = terrain_of("stairs", seed)
    assert abs(float(terrain.rise)) == pytest.approx(0.17)
    expected = treads(terrain, 40.0)
    for start, end, level in expected:
        # Ends are sums of float64 here and of float32 there.
        x = np.linspace(start + 1e-4, end - 1e-4, 5)
        for side in (1.0, -1.0):
            xy = np.stack([side * x, np.linspace(-3.0, 3.0, 5)], axis=1).astype(np.float32)
            np.testing.assert_allclose(heights(terrain, xy), level, atol=1e-5)


def test_risers_are_monotone_and_bend_without_a_kink():
    terrain = terrain_of("stairs", rise=0.1, run=0.3, landing=1.0, steps=5.0)
    x = np.linspace(0.4, 2.5, 4201, dtype=np.float32)
    xy = np.stack([x, 0 * x], axis=1)
    slope = np.asarray(gradients(terrain, xy))[:, 0]
    assert slope.min() >= 0.0
    assert slope.max() == pytest.approx(1.5 * 0.1 / RISER, rel=1e-3)
    # A jump of the gradient would not shrink with the spacing; its derivative is at most 6 rise / RISER².
    assert np.abs(np.diff(slope)).max() < 1.2 * 6 * 0.1 / RISER**2 * (x[1] - x[0])


def test_the_nearest_edge_separates_the_treads_beside_it():
    for seed in range(4):
        terrain = terrain_of("stairs", seed)
        x = np.linspace(-20.0, 20.0, 701, dtype=np.float32)
        step = edges_near(terrain, x)
        beside = [heights(terrain, np.stack([step.edge + s * step.ascent * RISER, 0 * x], axis=1)) for s in (-1, 1)]
        np.testing.assert_allclose(beside[0], step.lower, atol=1e-5)
        np.testing.assert_allclose(beside[1], step.upper, atol=1e-5)
        np.testing.assert_allclose(step.upper - step.lower, 0.17, atol=1e-5)
        distance = np.abs(x[:, None] - np.unique(np.round(step.edge, 3))).min(axis=1)
        np.testing.assert_allclose(np.abs(x - step.edge), distance, atol=2e-3)


def test_uneven_ground_interpolates_independent_heights_on_a_lattice():
    terrain = terrain_of("uneven", wavelength=0.5, roughness=0.08)
    # Exactly between the lattice's points float32 rounds nothing: cells of 0.5 m, from 2 m to 52 m away.
    low, cells = np.array([2.0, -52.0]), 100
    columns, rows = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
    corners = low + 0.5 * np.stack([columns, rows], axis=-1)
    level = np.asarray(heights(terrain, corners.reshape(-1, 2).astype(np.float32)), np.float64).reshape(cells, cells)
    scaled = level / 0.08
    # Uniform on [-1, 1]: mean 0, variance 1/3, no correlation between neighbours; each within 4 standard errors.
    assert abs(scaled.mean()) < 4 * np.sqrt(1 / 3) / cells
    assert abs(scaled.var() - 1 / 3) < 4 * np.sqrt(4 / 45) / cells
    for first, second in (
        (scaled[1:], scaled[:-1]),
        (scaled[:, 1:], scaled[:, :-1]),
        (scaled[1:, 1:], scaled[:-1, :-1]),
    ):
        assert abs((first * second).mean()) < 4 / 3 / cells
    assert 0.99 < np.abs(scaled).max() <= 1.0
    # In between, in float64: s = 3t² - 2t³ on each axis.
    generator = np.random.default_rng(0)
    i, j = generator.integers(0, cells - 1, (2, 500))
    t = generator.uniform(size=(500, 2))
    s = t**2 * (3 - 2 * t)
    expected = (
        level[i, j] * (1 - s[:, 0]) * (1 - s[:, 1])
        + level[i + 1, j] * s[:, 0] * (1 - s[:, 1])
        + level[i, j + 1] * (1 - s[:, 0]) * s[:, 1]
        + level[i + 1, j + 1] * s[:, 0] * s[:, 1]
    )
    actual = heights(terrain, (low + 0.5 * (np.stack([i, j], axis=1) + t)).astype(np.float32))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_the_gradient_of_uneven_ground_is_continuous_across_the_lattice():
    terrain = terrain_of("uneven", wavelength=0.4)
    x = np.linspace(-3.0, 3.0, 12001, dtype=np.float32)
    slope = np.asarray(gradients(terrain, np.stack([x, 0.37 * x], axis=1)))
    # 6 |difference| / wavelength² bounds the curvature on each axis, plus what the fade adds.
    assert np.abs(np.diff(slope, axis=0)).max() < 3 * 6 * 0.16 / 0.4**2 * (x[1] - x[0])


def test_other_seeds_give_other_ground():
    first, second = (terrain_of("uneven", seed, wavelength=0.5) for seed in (0, 1))
    xy = points(2000, 20.0)
    assert abs(np.corrcoef(heights(first, xy), heights(second, xy))[0, 1]) < 0.1


def test_a_sole_s_normal_is_perpendicular_to_the_ground_and_ignores_risers():
    uneven, stairs, xy = terrain_of("uneven"), terrain_of("stairs"), points(200, 4.0)
    upward = support_normals(uneven, xy)
    slope = gradients(uneven, xy)
    np.testing.assert_allclose(np.linalg.norm(upward, axis=1), 1.0, atol=1e-6)
    for axis in (0, 1):
        tangent = np.insert(np.eye(2)[axis][None].repeat(200, 0), 2, slope[:, axis], axis=1)
        np.testing.assert_allclose((upward * tangent).sum(axis=1), 0.0, atol=1e-6)
    assert np.all(upward[:, 2] > 0.0)
    np.testing.assert_array_equal(support_normals(stairs, xy), np.tile([0.0, 0.0, 1.0], (200, 1)))


def test_a_scan_reads_the_heights_ahead_in_the_robot_s_heading():
    terrain = terrain_of("uneven")
    grid = scan_points()
    assert grid.shape == (77, 2)
    np.testing.assert_allclose([grid.min(axis=0), grid.max(axis=0)], [[-0.4, -0.3], [0.6, 0.3]])
    origin, heading = np.array([2.0, -1.0]), 0.7
    ahead, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    around = [origin + x * ahead + y * left for x in np.linspace(-0.4, 0.6, 11) for y in np.linspace(-0.3, 0.3, 7)]
    expected = heights(terrain, np.float32(around))
    actual = jax.jit(scan)(terrain, jnp.asarray(origin, jnp.float32), jnp.float32(heading), jnp.asarray(grid))
    np.testing.assert_allclose(actual, expected, atol=1e-6)
