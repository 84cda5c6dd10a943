"""Terrains to look at: geometry for pictures and films, which nothing collides with."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from envs.cassie.terrain.config import KINDS
from envs.cassie.terrain.surface import height, nearest_step
from envs.cassie.terrain.terrain import Terrain

GROUP = 2
"""Geom group of all scenery; MuJoCo shows groups 0 to 2 unless told otherwise."""

PLATFORM = "terrain_platform"
"""Mocap body of the moving ground: put it at the displacement of `ground_motion`, and the robot too."""

SPACING = 0.05
"""Metres between the points of a height field."""

TEXELS = 80
"""Points of the painted ground per metre."""

EARTH = np.array([[104, 131, 101], [175, 168, 136], [220, 205, 175]], float)
"""Colours of low, middle and high ground."""


class Extent(NamedTuple):
    """The part of the world to show, in metres."""

    x: tuple[float, float] = (-3.0, 12.0)
    y: tuple[float, float] = (-4.0, 4.0)


EXTENT = Extent()


def add_scenery(spec: mujoco.MjSpec, terrain: Terrain, extent: Extent = EXTENT) -> None:
    """Add the terrain to a model: without collisions, in group 2, with a sun and a sky where the model has none.

    Slopes and uneven ground become a height field with square metres and lines of equal height, stairs boxes with true
    edges, moving ground a striped platform over a floor that stands still. A floor of the model's own goes out of
    sight, to group 3.

    Args:
        spec: is changed.
        terrain: one, not a batch.
        extent: what to show. What is outside is not there at all.
    """
    for geom in spec.worldbody.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:
            geom.group = GROUP + 1
    _add_light(spec)
    if np.isnan(spec.stat.extent):
        # Shadows are drawn over a multiple of this; by default it would be the size of the whole terrain.
        spec.stat.extent = 4.0
    kind = KINDS[int(terrain.kind)]
    if kind == "stairs":
        _add_stairs(spec, terrain, extent)
    elif kind == "moving":
        _add_platform(spec, extent)
    else:
        _add_field(spec, terrain, extent)
    if kind in ("slope", "moving"):
        _add_posts(spec, terrain, extent)


def heights(terrain: Terrain, x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "y x"]:
    """The height function on a grid."""
    return np.asarray(_heights(terrain, np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)), np.float64)


_heights = jax.jit(jax.vmap(jax.vmap(height, (None, 0)), (None, 0)))


def _add_light(spec: mujoco.MjSpec) -> None:
    if not spec.lights:
        robot = spec.worldbody.first_body()
        follows = mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM if robot else mujoco.mjtCamLight.mjCAMLIGHT_FIXED
        # Shadows are sharp near the light's position, so that of the sun goes with the robot.
        (robot or spec.worldbody).add_light(
            name="terrain_sun",
            mode=follows,
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            pos=[-2.4, -1.6, 4.0],
            dir=[0.6, 0.4, -1.0],
            diffuse=[0.6, 0.6, 0.55],
            castshadow=True,
        )
        spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
        spec.visual.headlight.diffuse = [0.2, 0.2, 0.2]
        spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    if all(texture.type != mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in spec.textures):
        spec.add_texture(
            name="terrain_sky",
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
            rgb1=[0.82, 0.89, 0.95],
            rgb2=[0.45, 0.58, 0.75],
            width=64,
            height=384,
        )


def _add_field(spec: mujoco.MjSpec, terrain: Terrain, extent: Extent) -> None:
    x, y = (np.linspace(*ends, round((ends[1] - ends[0]) / SPACING) + 1) for ends in extent)
    z = heights(terrain, x, y)
    low, relief = z.min(), max(float(np.ptp(z)), 1e-3)
    half = [0.5 * (ends[1] - ends[0]) for ends in extent]
    spec.add_hfield(
        name="terrain_field",
        nrow=len(y),
        ncol=len(x),
        size=[*half, relief, 0.1],
        userdata=((z - low) / relief).ravel().astype(np.float32),
    )
    fine_x, fine_y = ((np.arange(round((b - a) * TEXELS)) + 0.5) / TEXELS + a for a, b in extent)
    # Row 0 of a height field is at its lowest y, that of a picture at the top.
    _add_material(spec, "terrain_ground", painted(heights(terrain, fine_x, fine_y), fine_x, fine_y)[::-1])
    _add_geom(
        spec.worldbody,
        name="terrain_field",
        type=mujoco.mjtGeom.mjGEOM_HFIELD,
        hfieldname="terrain_field",
        pos=[sum(extent.x) / 2, sum(extent.y) / 2, low],
        material="terrain_ground",
    )


def painted(z: np.ndarray, x: np.ndarray, y: np.ndarray) -> UInt8[np.ndarray, "y x 3"]:
    """Colour by height, with a chequer of square metres and about sixteen lines of equal height."""
    relief = float(np.ptp(z))
    share = (z - z.min()) / relief if relief > 0.0 else np.full_like(z, 0.5)
    colour = np.stack([np.interp(share, np.linspace(0.0, 1.0, len(EARTH)), channel) for channel in EARTH.T], axis=-1)
    colour *= 1.0 - 0.12 * ((np.floor(x)[None, :] + np.floor(y)[:, None]) % 2)[..., None]
    if relief > 0.0:
        interval = min((0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0), key=lambda step: abs(np.log(relief / step / 16)))
        # Half an interval away from the level patch, which would be one broad line.
        above = np.abs((z / interval) % 1.0 - 0.5) * interval
        steepness = np.hypot(*np.gradient(z, y, x))
        line = np.clip(1.5 - TEXELS * above / np.maximum(steepness, 1e-6), 0.0, 1.0)
        colour *= 1.0 - 0.4 * line[..., None]
    return colour.astype(np.uint8)


def _add_stairs(spec: mujoco.MjSpec, terrain: Terrain, extent: Extent) -> None:
    x = np.arange(extent.x[0], extent.x[1], 0.5 * float(terrain.run), dtype=np.float32)
    edges = np.asarray(jax.vmap(lambda x: nearest_step(terrain, x).edge)(jnp.asarray(x)))
    inside = np.unique(np.round(edges[(edges > extent.x[0]) & (edges < extent.x[1])], 3))
    bounds = np.concatenate([[extent.x[0]], inside, [extent.x[1]]])
    middles = 0.5 * (bounds[1:] + bounds[:-1])
    levels = heights(terrain, middles, np.zeros(1))[0]
    bottom = levels.min() - 0.1
    for index, (start, end, level) in enumerate(zip(bounds[:-1], bounds[1:], levels, strict=True)):
        shade = 1.0 if index % 2 else 0.82
        _add_geom(
            spec.worldbody,
            name=f"terrain_stair_{index}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.5 * (end - start), 0.5 * (extent.y[1] - extent.y[0]), 0.5 * (level - bottom)],
            pos=[0.5 * (start + end), sum(extent.y) / 2, 0.5 * (level + bottom)],
            rgba=[*(shade * EARTH[1] / 255.0), 1.0],
        )


def _add_platform(spec: mujoco.MjSpec, extent: Extent) -> None:
    size = np.array([ends[1] - ends[0] for ends in extent])
    centre = np.array([sum(ends) / 2 for ends in extent])
    x, y = (np.arange(0.0, length, 1.0 / TEXELS) for length in size)
    stripe = np.floor((x[None, :] + y[:, None]) / 0.5) % 2
    colours = np.array([[222, 222, 214], [232, 178, 70]], np.uint8)
    _add_material(spec, "terrain_stripes", colours[stripe.astype(int)])
    platform = spec.worldbody.add_body(name=PLATFORM, mocap=True)
    _add_geom(
        platform,
        name="terrain_platform",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[*(size / 2), 0.05],
        pos=[*centre, -0.05],
        material="terrain_stripes",
    )
    _add_material(spec, "terrain_floor", painted(np.zeros((len(y), len(x))), x, y))
    _add_geom(
        spec.worldbody,
        name="terrain_floor",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[*(size / 2 + 1.5), 0.05],
        pos=[*centre, -0.55],
        material="terrain_floor",
    )


def _add_posts(spec: mujoco.MjSpec, terrain: Terrain, extent: Extent) -> None:
    """Two rows of plumb posts that stand still, to see an inclination or a motion against."""
    x = np.arange(extent.x[0], extent.x[1] + 0.5)
    for side, y in (("right", extent.y[0] - 0.3), ("left", extent.y[1] + 0.3)):
        for index, level in enumerate(heights(terrain, x, np.array([y]))[0]):
            _add_geom(
                spec.worldbody,
                name=f"terrain_post_{side}_{index}",
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                size=[0.03, 0.5, 0.0],
                pos=[x[index], y, level],
                rgba=[0.3, 0.35, 0.45, 1.0],
            )


def _add_material(spec: mujoco.MjSpec, name: str, image: np.ndarray) -> None:
    rows, columns, channels = image.shape
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=columns, height=rows, nchannel=channels
    )
    texture.data = image.tobytes()
    material = spec.add_material(name=name, specular=0.1, shininess=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB.value] = name


def _add_geom(body: mujoco.MjsBody, **properties: object) -> None:
    body.add_geom(group=GROUP, contype=0, conaffinity=0, **properties)
