"""Cassie as a MuJoCo model, built from the figures.

Feet alone touch anything: each foot is two spheres, and each sphere collides with two planes of its own and with
nothing else. Flat ground is the first plane of each in one place and the second out of reach; any other ground is
those planes moved, the first to the tangent of the ground under its sphere, the second to the face or the edge of a
stair, by overriding `geom_pos` and `geom_quat` (rows `GROUND_GEOMS`) from simulation to simulation. Friction is that of
the pairs: `pair_friction`, one row per pair, decides alone, whatever the geoms' own friction is.
"""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import mujoco
import numpy as np

from envs.cassie.figures import (
    FOOT_ENDS,
    FOOT_RADIUS,
    IMU_POSITION,
    LOOPS,
    MOTORS,
    PELVIS,
    SIDES,
    Body,
    Joint,
    Triple,
    legs,
)
from envs.cassie.sensors import add_sensors
from envs.cassie.terrain.config import AWAY
from envs.cassie.visuals import add_visuals

TIMESTEP = 0.0025
"""Seconds, and the longest that the constraints allow: their time constant may not be less than two time steps."""

SOLREF = (0.005, 1.0)
"""Time constant, s, and damping ratio of the loops and of the contacts."""

FRICTION = 1.0
"""Sliding friction of the feet, so that a factor on `pair_friction` is the coefficient itself."""

FEET = tuple((side, end) for side in SIDES for end in FOOT_ENDS)
"""The spheres under the feet, in the order of their pairs and of their planes."""

PLANES = ("ground", "step")
"""What each sphere may touch; see `envs.cassie.terrain.contact`."""

GROUND_GEOMS = tuple(range(len(FEET) * len(PLANES)))
"""Those planes, sphere by sphere: they are the first geoms of the model, with or without what is only drawn."""

XYAXES = mujoco.mjtOrientation.mjORIENTATION_XYAXES
KINDS = {
    "free": mujoco.mjtJoint.mjJNT_FREE,
    "ball": mujoco.mjtJoint.mjJNT_BALL,
    "hinge": mujoco.mjtJoint.mjJNT_HINGE,
}


def cassie_model(visuals: bool = False) -> mujoco.MjModel:
    """The compiled `cassie_spec`, the caller's own copy."""
    return copy.copy(_compiled(visuals))


def cassie_spec(visuals: bool = False) -> mujoco.MjSpec:
    """Cassie on flat ground, z = 0.

    Controls are the ten motors' target angles, rad, left leg first. A motor's torque is kp (target - angle) - kd speed,
    within its limit, computed in the engine at every physics step.

    Two options differ from MuJoCo's defaults for speed. Newton's method starts from the unconstrained acceleration
    rather than from the last solution, which brings it to rounding error within its four iterations from any state,
    and constraints are not sorted into islands, of which one robot has one.

    Args:
        visuals: with what is only drawn: a robot, a floor, lights and a camera that follows. They leave motion and
            `qpos` as they are, but cost time at every physics step, and arrays of geoms are longer.
    """
    spec = mujoco.MjSpec()
    spec.modelname = "cassie"
    _set_options(spec.option)
    # Of the robot: what is seen would be cut off by the size of a world with planes out of reach.
    spec.stat.center, spec.stat.extent = (0, 0, 0.7), 2.0
    for side, end in FEET:
        _add_plane(spec, f"{side}-{end}-ground", 0.0)
        _add_plane(spec, f"{side}-{end}-step", AWAY)
    bodies = {PELVIS.name: _add_body(spec.worldbody, PELVIS, PELVIS.name)}
    bodies[PELVIS.name].add_site(name="imu", pos=IMU_POSITION)
    for side, leg in legs().items():
        for body in leg:
            parent = bodies.get(body.parent) or bodies[f"{side}-{body.parent}"]
            bodies[f"{side}-{body.name}"] = _add_body(parent, body, f"{side}-{body.name}")
    for side in SIDES:
        _add_foot(spec, bodies[f"{side}-foot"], side)
        _add_loops(spec, side)
        _add_motors(spec, side)
    add_sensors(spec)
    if visuals:
        add_visuals(spec)
    return spec


@functools.cache
def _compiled(visuals: bool) -> mujoco.MjModel:
    model = cassie_spec(visuals).compile()
    # The compiler notes that these stand at the world's origin, and MuJoCo would then not look where they are moved to.
    model.geom_sameframe[list(GROUND_GEOMS)] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
    return model


def _set_options(option: Any) -> None:
    option.timestep = TIMESTEP
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.iterations, option.ls_iterations = 4, 8
    option.disableflags = mujoco.mjtDisableBit.mjDSBL_WARMSTART | mujoco.mjtDisableBit.mjDSBL_ISLAND


def _add_plane(spec: mujoco.MjSpec, name: str, level: float) -> None:
    # The spheres' own pairs make contacts; these geoms shall make none by themselves.
    plane = spec.worldbody.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), pos=(0, 0, level))
    plane.contype, plane.conaffinity, plane.group, plane.solref = 0, 0, 3, SOLREF


def _add_body(parent: Any, body: Body, name: str) -> Any:
    added = parent.add_body(name=name, pos=body.position, mass=body.mass, ipos=body.centre, fullinertia=body.inertia)
    added.explicitinertial = True
    added.alt.type, added.alt.xyaxes = XYAXES, (*body.axes[0], *body.axes[1])
    if body.joint is not None:
        _add_joint(added, body.joint, name)
    return added


def _add_joint(body: Any, joint: Joint, name: str) -> None:
    added = body.add_joint(name=name, type=KINDS[joint.kind], armature=joint.armature, ref=joint.reference_degrees)
    # Both may be polynomials of the deflection; the first coefficient is the linear law.
    added.stiffness[0], added.damping[0] = joint.stiffness, joint.damping
    if joint.range_degrees is not None:
        added.range, added.limited = joint.range_degrees, True


def _add_foot(spec: mujoco.MjSpec, foot: Any, side: str) -> None:
    toe, heel = (np.array(FOOT_ENDS[end]) for end in ("toe", "heel"))
    forward = (toe - heel) / np.linalg.norm(toe - heel)
    left = np.array([0.0, 0.0, -1.0])
    site = foot.add_site(name=f"{side}-sole", pos=(toe + heel) / 2 - FOOT_RADIUS * np.cross(forward, left))
    site.alt.type, site.alt.xyaxes = XYAXES, (*forward, *left)
    for end, position in FOOT_ENDS.items():
        _add_sphere(spec, foot, f"{side}-{end}", position)


def _add_sphere(spec: mujoco.MjSpec, foot: Any, name: str, position: Triple) -> None:
    sphere = foot.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=(FOOT_RADIUS, 0, 0),
        pos=position,
        contype=0,
        conaffinity=0,
        group=3,
        solref=SOLREF,
    )
    for plane in PLANES:
        touching = f"{name}-{plane}"
        pair = spec.add_pair(name=touching, geomname1=touching, geomname2=sphere.name, condim=3, solref=SOLREF)
        pair.friction[:2] = FRICTION


def _add_loops(spec: mujoco.MjSpec, side: str) -> None:
    for rod, other, length in LOOPS:
        loop = spec.add_equality(
            name=f"{side}-{rod}",
            type=mujoco.mjtEq.mjEQ_CONNECT,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            name1=f"{side}-{rod}",
            name2=f"{side}-{other}",
            solref=SOLREF,
        )
        loop.data[:3] = (length, 0, 0)


def _add_motors(spec: mujoco.MjSpec, side: str) -> None:
    for motor in MOTORS:
        name = f"{side}-{motor.joint}"
        added = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        added.gaintype, added.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        added.gainprm[0] = motor.kp
        added.biasprm[:3] = (0, -motor.kp, -motor.kd)
        added.forcerange, added.forcelimited = (-motor.torque, motor.torque), True
        added.ctrlrange, added.ctrllimited = [math.radians(limit) for limit in spec.joint(name).range], True
