"""What of Cassie is only drawn: shells, motors, tubes, rods and springs, a floor, lights and a camera.

Geoms of group 2 without mass or contacts. Shapes are simple solids placed by eye on the joints; the right leg's are
those of the left, reflected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np

from envs.cassie.figures import LEFT_LEG, PELVIS, SIDES, Triple, flipped

MATERIALS = {
    "shell": ((0.10, 0.45, 0.50, 1.0), 0.6),
    "motor": ((0.15, 0.16, 0.18, 1.0), 0.4),
    "metal": ((0.72, 0.74, 0.77, 1.0), 0.8),
    "tube": ((0.30, 0.32, 0.35, 1.0), 0.5),
    "spring": ((0.95, 0.50, 0.12, 1.0), 0.4),
    "rubber": ((0.09, 0.09, 0.10, 1.0), 0.1),
}
"""Colours, and how much each reflects of a light."""

SHAPES = {
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "box": mujoco.mjtGeom.mjGEOM_BOX,
}


@dataclass(frozen=True)
class Solid:
    """A solid of revolution, or a box, from a point to another.

    Attributes:
        body: that carries it, without the side.
        shape: one of `SHAPES`.
        start, end: in the left leg's frame; of a capsule, the centres of its ends.
        material: one of `MATERIALS`.
        width: half of it, along the frame's lateral axis; the radius of a capsule or cylinder.
        thickness: half of it, across both the line and the width; None for as wide.
    """

    body: str
    shape: str
    start: Triple
    end: Triple
    material: str
    width: float
    thickness: float | None = None


TORSO = (
    Solid("pelvis", "ellipsoid", (-0.12, 0, 0.06), (0.16, 0, 0.045), "shell", 0.145, 0.095),
    Solid("pelvis", "box", (0.03, -0.135, 0.0), (0.03, 0.135, 0.0), "motor", 0.06, 0.05),
    Solid("pelvis", "box", (-0.125, 0, 0.035), (-0.05, 0, 0.035), "motor", 0.085, 0.065),
    Solid("pelvis", "box", (0.0, 0, -0.065), (0.07, 0, -0.065), "tube", 0.045, 0.025),
)

LEG = (
    Solid("pelvis", "cylinder", (-0.03, 0.135, 0), (0.09, 0.135, 0), "motor", 0.078),
    Solid("pelvis", "cylinder", (0.09, 0.135, 0), (0.105, 0.135, 0), "shell", 0.06),
    Solid("hip-roll", "cylinder", (-0.07, 0, -0.07), (0.035, 0, -0.07), "motor", 0.056),
    Solid("hip-roll", "cylinder", (-0.085, 0, -0.07), (-0.07, 0, -0.07), "shell", 0.042),
    Solid("hip-yaw", "cylinder", (0, 0, -0.055), (0, 0, -0.035), "metal", 0.05),
    Solid("hip-yaw", "box", (0, 0, -0.10), (0, 0, -0.05), "motor", 0.03, 0.045),
    Solid("hip-pitch", "cylinder", (0, 0, -0.085), (0, 0, 0.02), "motor", 0.07),
    Solid("hip-pitch", "cylinder", (0, 0, -0.10), (0, 0, -0.085), "shell", 0.052),
    Solid("hip-pitch", "box", (0, 0, -0.045), (0.12, 0, -0.045), "shell", 0.036, 0.052),
    Solid("hip-pitch", "cylinder", (0.12, 0, -0.085), (0.12, 0, -0.005), "motor", 0.066),
    Solid("hip-pitch", "cylinder", (0.12, 0, -0.10), (0.12, 0, -0.085), "shell", 0.048),
    Solid("hip-pitch", "cylinder", (0, 0, 0.02), (0, 0, 0.055), "metal", 0.018),
    Solid("achilles-rod", "capsule", (0, 0, 0), (0.5012, 0, 0), "metal", 0.008),
    Solid("knee", "cylinder", (0, 0, -0.012), (0, 0, 0.025), "metal", 0.05),
    Solid("knee", "capsule", (0, 0, 0), (0.06068, 0.04741, 0), "metal", 0.026),
    Solid("knee", "capsule", (0.06068, 0.04741, 0), (0.06068, 0.08241, 0), "metal", 0.02),
    Solid("knee-spring", "box", (-0.01, 0, 0), (0.17, 0.006, 0), "spring", 0.02, 0.005),
    Solid("shin", "capsule", (0, 0, 0), (0.17, 0, 0), "shell", 0.034),
    Solid("shin", "capsule", (0.16, 0, 0), (0.42, 0.018, 0), "tube", 0.024),
    Solid("shin", "cylinder", (0.43476, 0.02, -0.03), (0.43476, 0.02, 0.03), "metal", 0.03),
    Solid("tarsus", "capsule", (0, 0, 0), (0.07, -0.038, 0), "shell", 0.026),
    Solid("tarsus", "capsule", (0.07, -0.038, 0), (0.22, -0.042, 0), "shell", 0.03),
    Solid("tarsus", "capsule", (0.20, -0.041, 0), (0.408, -0.04, 0), "tube", 0.018),
    Solid("tarsus", "cylinder", (0.058, -0.034, -0.045), (0.058, -0.034, 0.018), "motor", 0.04),
    Solid("tarsus", "cylinder", (0.408, -0.04, -0.022), (0.408, -0.04, 0.022), "metal", 0.022),
    Solid("heel-spring", "box", (0, 0, 0), (0.11943, -0.00866, -0.00157), "spring", 0.018, 0.005),
    Solid("heel-spring", "cylinder", (0.11943, -0.00866, -0.017), (0.11943, -0.00866, 0.014), "metal", 0.013),
    Solid("foot-crank", "capsule", (0, 0, 0), (0.055, 0, -0.00791), "metal", 0.012),
    Solid("plantar-rod", "capsule", (0, 0, 0), (0.35012, 0, 0), "metal", 0.007),
    Solid("foot", "capsule", (0, 0, 0), (0.034, 0.02, 0), "metal", 0.014),
    Solid("foot", "capsule", (0, 0, 0), (-0.02, 0.065, 0), "metal", 0.012),
    Solid("foot", "capsule", (0.034, 0.02, 0), (0.05512, 0.006, 0.01484), "metal", 0.01),
    Solid("foot", "capsule", (-0.052821, 0.092622, 0), (0.069746, -0.010224, 0), "rubber", 0.02),
)


def add_visuals(spec: mujoco.MjSpec) -> None:
    """Add the robot's appearance, a floor at z = 0, lights, a sky and the camera `track`."""
    for name, (colour, gloss) in MATERIALS.items():
        spec.add_material(name=name, rgba=colour, specular=gloss, shininess=0.6)
    for solid in TORSO:
        _draw(spec, solid, solid.body, 1)
    lateral = {body.name: body.lateral for body in (PELVIS, *LEFT_LEG)}
    for side in SIDES:
        for solid in LEG:
            axis = lateral[solid.body]
            if side == "right":
                shown = replace(solid, start=flipped(solid.start, axis), end=flipped(solid.end, axis))
            else:
                shown = solid
            _draw(spec, shown, solid.body if solid.body == PELVIS.name else f"{side}-{solid.body}", axis)
    _add_surroundings(spec)


def _draw(spec: mujoco.MjSpec, solid: Solid, body: str, lateral: int) -> None:
    start, end = np.array(solid.start, float), np.array(solid.end, float)
    length = np.linalg.norm(end - start)
    along = (end - start) / length
    # Across the line: the frame's lateral axis, or where the line itself is lateral, the next one.
    across = np.eye(3)[lateral if abs(along[lateral]) < 0.9 else (lateral + 1) % 3]
    across = across - along * (along @ across)
    across /= np.linalg.norm(across)
    thickness = solid.width if solid.thickness is None else solid.thickness
    round_ = solid.shape in ("capsule", "cylinder")
    size = (solid.width, length / 2, 0) if round_ else (thickness, solid.width, length / 2)
    geom = spec.body(body).add_geom(
        type=SHAPES[solid.shape],
        pos=(start + end) / 2,
        size=size,
        material=solid.material,
        contype=0,
        conaffinity=0,
        mass=0,
        group=2,
    )
    geom.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    geom.alt.xyaxes = (*np.cross(across, along), *across)


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    texture = mujoco.mjtTexture
    gradient = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
    spec.add_texture(
        name="sky",
        type=texture.mjTEXTURE_SKYBOX,
        builtin=gradient,
        rgb1=(0.62, 0.75, 0.87),
        rgb2=(0.93, 0.95, 0.97),
        width=256,
        height=1536,
    )
    spec.add_texture(
        name="floor",
        type=texture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=(0.70, 0.72, 0.73),
        rgb2=(0.60, 0.63, 0.65),
        mark=mujoco.mjtMark.mjMARK_EDGE,
        markrgb=(0.5, 0.53, 0.55),
        width=300,
        height=300,
    )
    floor = spec.add_material(name="floor", texuniform=True, texrepeat=(2, 2), reflectance=0.05)
    floor.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(0, 0, 0.05),
        material="floor",
        contype=0,
        conaffinity=0,
    )
    spec.visual.headlight.ambient = (0.35, 0.35, 0.35)
    spec.visual.headlight.diffuse = (0.35, 0.35, 0.35)
    pelvis = spec.body(PELVIS.name)
    for name, kind, position, strength in (
        ("sun", mujoco.mjtLightType.mjLIGHT_SPOT, (0.8, 1.4, 3.2), 0.6),
        ("sky", mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, (-1.5, -1, 3), 0.25),
    ):
        pelvis.add_light(
            name=name,
            type=kind,
            mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
            pos=position,
            dir=-np.array(position),
            diffuse=(strength,) * 3,
            specular=(0.3 * strength,) * 3,
            castshadow=kind == mujoco.mjtLightType.mjLIGHT_SPOT,
            cutoff=50,
            exponent=2,
        )
    position, target = np.array([1.3, 1.5, 0.05]), np.array([0, 0, -0.42])
    camera = pelvis.add_camera(name="track", mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK, pos=position, fovy=42)
    camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    right = np.cross((0, 0, 1), position - target)
    camera.alt.xyaxes = (*right, *np.cross(position - target, right))
