"""Scenery stands where the ground is, and nothing collides with it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie.terrain.config import KINDS, RISER, TerrainConfig
from envs.cassie.terrain.scenery import GROUP, PLATFORM, SPACING, Extent, add_scenery, heights
from envs.cassie.terrain.surface import nearest_step
from envs.cassie.terrain.terrain import Terrain, draw
from envs.rendering import Renderer, rendering_available

EXTENT = Extent((-2.0, 4.0), (-1.0, 2.0))

needs_opengl = pytest.mark.skipif(rendering_available() is not None, reason=str(rendering_available()))


def terrain_of(kind: str, seed: int = 0) -> Terrain:
    return draw(jax.random.key(seed), TerrainConfig(kind=kind), jnp.float32(1.0))


def scene(terrain: Terrain, camera: dict | None = None) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="ball", pos=[0, 0, 0.3])
    body.add_freejoint()
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0, 0])
    add_scenery(spec, terrain, EXTENT)
    if camera:
        spec.worldbody.add_camera(name="track", **camera)
    return spec.compile()


@pytest.mark.parametrize("kind", KINDS)
def test_a_ray_from_above_meets_the_scenery_at_the_height_of_the_ground(kind):
    terrain = terrain_of(kind)
    model = scene(terrain)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    ball = model.body("ball").id
    generator = np.random.default_rng(0)
    for x, y in generator.uniform([-1.9, -0.9], [3.9, 1.9], (100, 2)):
        if kind == "stairs" and abs(x - float(nearest_step(terrain, jnp.float32(x)).edge)) < RISER / 2 + 1e-3:
            continue
        met = np.zeros(1, np.int32)
        distance = mujoco.mj_ray(model, data, np.array([x, y, 5.0]), np.array([0.0, 0.0, -1.0]), None, 1, ball, met)
        # A height field is linear between its points, with a curvature below 6 · 0.16 / 0.4².
        bend = 0.0 if kind in ("flat", "moving", "stairs") else 6 * 0.16 / 0.4**2 * SPACING**2 / 4
        assert 5.0 - distance == pytest.approx(heights(terrain, np.array([x]), np.array([y]))[0, 0], abs=bend + 1e-5)
        assert model.geom_group[met[0]] == GROUP


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_collides_with_scenery(kind):
    model = scene(terrain_of(kind))
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 500)
    assert data.ncon == 0
    np.testing.assert_allclose(data.qvel[:3], model.opt.gravity * data.time)


def test_the_platform_follows_its_mocap_body_and_the_surroundings_stay():
    model = scene(terrain_of("moving"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    before = data.geom_xpos.copy()
    data.mocap_pos[model.body(PLATFORM).mocapid] = [0.05, -0.02, 0.03]
    mujoco.mj_forward(model, data)
    moved = np.flatnonzero(np.abs(data.geom_xpos - before).max(axis=1))
    assert [model.geom(index).bodyid[0] for index in moved] == [model.body(PLATFORM).id]
    np.testing.assert_allclose((data.geom_xpos - before)[moved], [[0.05, -0.02, 0.03]])


def test_a_model_s_own_light_and_sky_are_kept_and_its_floor_is_hidden():
    floor = '<geom name="floor" type="plane" size="0 0 1"/>'
    sky = '<texture type="skybox" builtin="flat" width="8" height="8"/>'
    spec = mujoco.MjSpec.from_string(
        f'<mujoco><asset>{sky}</asset><worldbody><light pos="0 0 3"/>{floor}</worldbody></mujoco>'
    )
    add_scenery(spec, terrain_of("flat"), EXTENT)
    model = spec.compile()
    assert model.geom("floor").group > GROUP
    assert model.nlight == 1
    assert np.sum(model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX) == 1


@needs_opengl
def test_high_ground_is_painted_lighter_than_low_ground_where_it_is():
    terrain = terrain_of("uneven", seed=5)
    # Straight down on the whole of it; x to the right and y up.
    view = {"pos": [1.0, 0.5, 6.0], "xyaxes": [1, 0, 0, 0, 1, 0], "fovy": 36.0}
    model = scene(terrain, view)
    renderer = Renderer(model, 400, 200)
    frame = renderer.frame(np.array([0.0, 0.0, -5.0, 1.0, 0.0, 0.0, 0.0])).astype(float)
    renderer.close()
    # At a distance of 6 m, 36 degrees are 3.9 m high.
    scale = 200 / (2 * 6.0 * np.tan(np.radians(18.0)))
    x, y = np.linspace(-1.8, 3.8, 57), np.linspace(-0.8, 1.8, 27)
    z = heights(terrain, x, y)
    column, row = (200 + (x - 1.0) * scale).astype(int), (100 - (y - 0.5) * scale).astype(int)
    painted = frame[np.ix_(row, column)]
    # Low ground is green, high ground is sand: the share of red tells them apart whatever the light.
    redness = painted[..., 0] / painted[..., 1]
    assert np.corrcoef(redness.ravel(), z.ravel())[0, 1] > 0.85
