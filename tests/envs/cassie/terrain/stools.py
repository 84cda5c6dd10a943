"""Stools: small bodies on sphere feet, on planes that are placed step by step or on C MuJoCo's own geometry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import mujoco
import numpy as np

from envs.cassie.terrain.contact import contact_planes
from envs.cassie.terrain.terrain import Terrain

RADIUS = 0.02
TIMESTEP = 0.0025
SUBSTEPS = 8
DURATION = TIMESTEP * SUBSTEPS
LEGS = np.array([[0.12, 0.0, 0.0], [-0.06, 0.104, 0.0], [-0.06, -0.104, 0.0]])
"""Three feet, so that the stool stands on any ground without rocking."""

Ground = Callable[[mujoco.MjSpec], None]


def stool(ground: Ground | None, legs: np.ndarray = LEGS, friction: float = 0.8, free: bool = True) -> mujoco.MjModel:
    """A stool; on `ground`, or where that is None on two planes for each foot that are to be placed.

    Where not `free` it moves in the plane y = 0, its joints x, z and pitch held by springs, and its inertia is about
    that of Cassie's foot with what hangs on it.
    """
    spec = mujoco.MjSpec()
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    geom = spec.default.geom
    geom.solref, geom.friction = [0.005, 1.0], [friction, 0.005, 0.0001]
    geom.contype = geom.conaffinity = 0
    body = spec.worldbody.add_body(name="stool")
    body.mass, body.inertia, body.explicitinertial = 2.0, [0.008, 0.01, 0.012], True
    if free:
        body.add_freejoint()
    else:
        _hold(spec, body)
    for index, leg in enumerate(legs):
        bit = 1 if ground else 2**index
        body.add_geom(name=f"foot{index}", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[RADIUS, 0, 0], pos=leg, contype=bit)
        for role in () if ground else ("ground", "step"):
            spec.worldbody.add_geom(
                name=f"{role}{index}",
                type=mujoco.mjtGeom.mjGEOM_PLANE,
                size=[0, 0, 1],
                # Away from the body's frame, or the compiler marks the pose as the body's own.
                pos=[0, 0, -10],
                quat=[1, 0.1, 0, 0],
                conaffinity=bit,
            )
    if ground:
        spec.default.geom.conaffinity = 1
        ground(spec)
    return spec.compile()


def _hold(spec: mujoco.MjSpec, body: mujoco.MjsBody) -> None:
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for name, kind, axis, gain, limit in (
        ("x", slide, [1, 0, 0], 1500.0, 400.0),
        ("z", slide, [0, 0, 1], 1500.0, 400.0),
        ("pitch", hinge, [0, 1, 0], 50.0, 45.0),
    ):
        body.add_joint(name=name, type=kind, axis=axis)
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_position(kp=gain, kv=gain / 25.0)
        motor.forcelimited, motor.forcerange = True, [-limit, limit]


@partial(jax.jit, static_argnums=4)
def _planes(terrain: Terrain, centre, velocity, duration, radius):
    return jax.vmap(lambda c, v: contact_planes(terrain, c, v, duration, radius))(centre, velocity)


def place(model: mujoco.MjModel, data: mujoco.MjData, terrain: Terrain, duration: float = DURATION) -> None:
    """Move the planes to where the feet will be; the feet's kinematics are those of `data` now."""
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    feet = [geom.id for geom in (model.geom(i) for i in range(model.ngeom)) if geom.name.startswith("foot")]
    jacobian = np.zeros((len(feet), 3, model.nv))
    for row, foot in zip(jacobian, feet, strict=True):
        mujoco.mj_jacGeom(model, data, row, None, foot)
    centre, velocity = data.geom_xpos[feet], jacobian @ data.qvel
    planes = _planes(terrain, np.float32(centre), np.float32(velocity), np.float32(duration), RADIUS)
    for index in range(len(feet)):
        for which, role in enumerate(("ground", "step")):
            geom = model.geom(f"{role}{index}")
            geom.pos, geom.quat = planes.position[index, which], planes.orientation[index, which]


def simulate(
    model: mujoco.MjModel,
    qpos: np.ndarray,
    steps: int,
    terrain: Terrain | None = None,
    target: Callable[[float], np.ndarray] | None = None,
) -> tuple[np.ndarray, mujoco.MjData]:
    """The states (qpos, qvel) after each physics step, and the data at the end.

    Args:
        model: of `stool`.
        qpos: where it starts, at rest.
        steps: of the environment.
        terrain: under the stool, whose planes are placed at the beginning of every step; None on real ground.
        target: the positions that the springs pull to, by time.
    """
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    rows = []
    for _ in range(steps):
        if terrain is not None:
            place(model, data, terrain)
        for _ in range(SUBSTEPS):
            if target is not None:
                data.ctrl[:] = target(data.time)
            mujoco.mj_step(model, data)
            rows.append(np.concatenate([data.qpos, data.qvel]))
    return np.array(rows), data
