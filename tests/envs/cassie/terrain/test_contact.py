"""Planes that are placed step by step, against real ground of C MuJoCo."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie.terrain.config import PATCH, RISER, TerrainConfig
from envs.cassie.terrain.contact import contact_planes, upright
from envs.cassie.terrain.scenery import heights
from envs.cassie.terrain.surface import BLEND
from envs.cassie.terrain.terrain import Terrain, draw
from tests.envs.cassie.terrain.stools import LEGS, RADIUS, simulate, stool

SOLE = np.array([[0.08, 0.0, 0.0], [-0.08, 0.0, 0.0]])
"""Toe and heel of one foot, in the plane of the walk."""


def terrain_of(kind: str, difficulty: float = 1.0, seed: int = 0, **changes) -> Terrain:
    drawn = draw(jax.random.key(seed), TerrainConfig(kind=kind), jnp.float32(difficulty))
    return drawn.replace(**{name: jnp.float32(value) for name, value in changes.items()})


def normals(quaternion: np.ndarray) -> np.ndarray:
    """Where MuJoCo turns z to."""
    result = np.zeros((len(quaternion), 3))
    for row, turned in zip(np.asarray(quaternion, np.float64), result, strict=True):
        mujoco.mju_rotVecQuat(turned, np.array([0.0, 0.0, 1.0]), row)
    return result


def test_what_stands_upright_on_a_slope_has_its_normal_for_z():
    upward = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    upward[:, 2] = np.abs(upward[:, 2])
    upward /= np.linalg.norm(upward, axis=1, keepdims=True)
    orientation = jax.vmap(upright)(upward)
    np.testing.assert_allclose(normals(orientation), upward, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(orientation, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("friction", [0.05, 0.8], ids=["slides", "stands"])
def test_a_stool_on_a_slope_moves_as_on_a_real_tilted_plane(friction):
    terrain = terrain_of("slope", seed=3)
    direction, steep = np.asarray(terrain.direction, np.float64), float(terrain.slope)
    along = np.array([*direction, steep]) / np.hypot(1.0, steep)
    upward = np.array([*(-steep * direction), 1.0]) / np.hypot(1.0, steep)
    # Beyond the bench and its bend the ground is the plane z = slope (s - PATCH - BLEND / 2).
    origin = np.array([*(direction * (PATCH + BLEND / 2)), 0.0])
    quaternion = np.zeros(4)
    mujoco.mju_quatZ2Vec(quaternion, upward)

    def plane(spec):
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], pos=origin, quat=quaternion)

    start = np.concatenate([origin + 4.0 * along + (RADIUS + 0.01) * upward, quaternion])
    real, _ = simulate(stool(plane, friction=friction), start, 20)
    ours, _ = simulate(stool(None, friction=friction), start, 20, terrain)
    assert (np.linalg.norm(real[-1, :3] - start[:3]) > 0.15) == (friction < steep)
    np.testing.assert_allclose(ours[:, :7], real[:, :7], atol=1e-6)


def boxes(terrain: Terrain):
    """The first flight in both directions as boxes with true edges, in the middle of the smooth risers."""
    rise, run, landing = float(terrain.rise), float(terrain.run), float(terrain.landing)

    def add(spec):
        levels = [(-landing / 2 - RISER / 2, landing / 2 + RISER / 2, 0.0)]
        for stair in range(int(terrain.steps)):
            near = landing / 2 + RISER / 2 + stair * run
            far = near + (run if stair + 1 < int(terrain.steps) else landing)
            levels += [(near, far, (stair + 1) * rise), (-far, -near, (stair + 1) * rise)]
        for low, high, level in levels:
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[(high - low) / 2, 2.0, 2.0],
                pos=[(high + low) / 2, 0.0, level - 2.0],
            )

    return add


@pytest.mark.parametrize("rise", [0.17, -0.17, 0.05])
def test_a_foot_dropped_onto_stairs_comes_to_rest_as_on_real_boxes(rise):
    terrain = terrain_of("stairs", rise=rise, run=0.3, landing=1.0, steps=4.0)
    real, ours = stool(boxes(terrain), SOLE, free=False), stool(None, SOLE, free=False)
    edges = 0.5 + RISER / 2 + 0.3 * np.arange(4)
    for x in np.linspace(-1.55, 1.55, 24):
        # The springs let the foot down, from above the stairs to below the highest tread that it can meet.
        highest = heights(terrain, x + np.array([-0.1, 0.0, 0.1]), np.zeros(1)).max()
        start, target = np.array([x, highest + 0.06, 0.0]), np.array([x, highest - 0.03, 0.0])
        rest, _ = simulate(real, start, 25, target=lambda _, target=target: target)
        placed, _ = simulate(ours, start, 25, terrain, lambda _, target=target: target)
        toes = x + SOLE[:, 0]
        near = np.abs(np.abs(toes)[:, None] - edges).min() < RISER / 2 + RADIUS
        assert np.abs(rest[-1, 3:]).max() < 0.02
        np.testing.assert_allclose(placed[-1, :3], rest[-1, :3], atol=5e-3 if near else 1e-5, err_msg=f"x = {x}")


@pytest.mark.parametrize("way", [1.0, -1.0])
@pytest.mark.parametrize(("speed", "lift"), [(1.5, -0.05), (3.0, 0.1)], ids=["slides loaded", "swings fast"])
def test_a_foot_that_runs_into_a_riser_is_stopped_as_by_a_real_box(way, speed, lift):
    terrain = terrain_of("stairs", rise=0.17, run=0.3, landing=1.0, steps=4.0)
    start = np.array([way * 0.2, max(lift, 0.0) + RADIUS, 0.0])

    def target(time):
        return np.array([way * (0.2 + min(speed * time, 0.6)), lift, 0.0])

    real, _ = simulate(stool(boxes(terrain), SOLE, free=False), start, 50, target=target)
    ours, _ = simulate(stool(None, SOLE, free=False), start, 50, terrain, target)
    # The toe is 0.08 m ahead of the body, and the edge half a riser behind its foot.
    np.testing.assert_allclose(way * real[-1, 0], 0.5 + RISER / 2 - 0.08 - RADIUS, atol=2e-3)
    np.testing.assert_allclose(ours[:, :3], real[:, :3], atol=1e-3)


def test_a_foot_that_is_thrown_about_on_stairs_gains_no_energy_that_real_boxes_would_not_give_it():
    terrain = terrain_of("stairs", rise=0.17, run=0.25, landing=1.0, steps=6.0)
    real, ours = stool(boxes(terrain), SOLE, free=False), stool(None, SOLE, free=False)
    generator = np.random.default_rng(0)
    times, deviation = np.linspace(0.0, 1.2, 6), []
    for x in generator.uniform(-1.6, 1.6, 15):
        highest = heights(terrain, x + np.linspace(-0.12, 0.12, 9), np.zeros(1)).max()
        goals = [x, highest, 0.0] + generator.uniform(-1.0, 1.0, (6, 3)) * [0.5, 0.25, 0.4]

        def target(time, goals=goals):
            return np.array([np.interp(time, times, goal) for goal in goals.T])

        start = np.array([x, highest + 0.1, 0.0])
        on_boxes, _ = simulate(real, start, 60, target=target)
        placed, _ = simulate(ours, start, 60, terrain, target)
        first, second = ((rows[:, 3:5] ** 2).sum(axis=1).max() for rows in (on_boxes, placed))
        assert second < 1.15 * first
        deviation.append(np.abs(placed[:, :2] - on_boxes[:, :2]).max())
    # Where a foot balances on an edge, a hair decides to which side it falls.
    assert np.median(deviation) < 5e-3


def test_a_stool_on_uneven_ground_stands_as_on_a_fine_height_field():
    terrain = terrain_of("uneven", wavelength=0.4)
    half, spacing = 2.5, 0.01
    grid = np.linspace(-half, half, round(2 * half / spacing) + 1)
    z = heights(terrain, grid, grid)
    low, relief = z.min(), np.ptp(z)

    def field(spec):
        spec.add_hfield(
            name="field",
            nrow=len(grid),
            ncol=len(grid),
            size=[half, half, relief, 0.5],
            userdata=((z - low) / relief).ravel(),
        )
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname="field", pos=[0, 0, low])

    real, ours = stool(field, friction=2.0), stool(None, friction=2.0)
    drift, angle = [], []
    for x, y in np.random.default_rng(0).uniform(-2.0, 2.0, (12, 2)):
        highest = heights(terrain, x + np.linspace(-0.1, 0.15, 9), y + np.linspace(-0.12, 0.12, 9)).max()
        start = np.array([x, y, highest + 0.03, 1, 0, 0, 0])
        rest, on_field = simulate(real, start, 30)
        placed, on_planes = simulate(ours, start, 30, terrain)
        drift.append(np.abs(placed[-1, :3] - rest[-1, :3]))
        cosine = (support(on_field) * support(on_planes)).sum(axis=1)
        angle.append(np.degrees(np.arccos(np.minimum(cosine, 1.0))))
    # The stool lands on its feet one after the other and turns a little: a little differently, too.
    np.testing.assert_array_less(np.max(drift, axis=0), [2e-3, 2e-3, 5e-4])
    assert np.max(angle) < 3.0


def support(data: mujoco.MjData) -> np.ndarray:
    """Unit normal of the ground at each foot, of its contacts weighted by their normal forces."""
    normals = np.zeros((len(LEGS), 3))
    for index, contact in enumerate(data.contact):
        force = np.zeros(6)
        mujoco.mj_contactForce(data.model, data, index, force)
        # The ground is the first geom of each contact, so that normals point from it to the foot.
        normals[int(data.model.geom(contact.geom2).name.removeprefix("foot"))] += force[0] * contact.frame[:3]
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def test_only_stairs_have_a_second_plane_and_a_moving_foot_is_met_in_the_middle_of_its_step():
    planes = jax.jit(contact_planes)
    ground, step = np.arange(2)
    on_slope = planes(terrain_of("slope"), jnp.array([1.5, 0.3, 0.1]), jnp.array([2.0, -1.0, 0.5]), 0.02, RADIUS)
    assert on_slope.position[step, 2] < -100.0
    # The tangent is that where the sphere will touch: below its centre, and uphill by its radius.
    touched = np.array([1.52, 0.29]) - RADIUS * normals(on_slope.orientation)[ground, :2]
    np.testing.assert_allclose(on_slope.position[ground, :2], touched, atol=1e-6)
    stairs = terrain_of("stairs", rise=0.1, run=0.3, landing=1.0, steps=4.0)
    before = planes(stairs, jnp.array([0.4, 0.0, 0.02]), jnp.zeros(3), 0.02, RADIUS)
    np.testing.assert_allclose(normals(before.orientation), [[0, 0, 1], [-1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(before.position[:, 2], [0.0, 0.1], atol=1e-6)
    assert float(before.position[step, 0]) == pytest.approx(0.52)
