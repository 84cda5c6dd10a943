"""The pose in which Cassie stands, found by letting it settle.

The published pose carries no load: released from it with its own angles as targets the robot sinks by 4 cm and topples.
So it is put on the ground with the pelvis held upright and stiff motors, until nothing moves. Held by the feet alone it
would still topple, as its weight is not above where the ground pushes; so the targets of the two foot motors move until
holding the pelvis takes no moment, when the weight is. Then the robot stands by itself, on a knife's edge.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from envs.cassie import mirror
from envs.cassie.figures import HOME_QPOS, MOTOR_QPOS, MOTORS, PELVIS
from envs.cassie.model import cassie_model

SECONDS = 4.0
STIFFENED = 8.0
HOLD, DAMP = 3000.0, 300.0
"""Stiffness and damping that hold the pelvis: N/m and Ns/m, Nm/rad and Nms/rad."""
FOOT_RATE = 0.01
"""How fast the foot motors give way to the moment that holds the pelvis, rad/s per Nm."""


@dataclass(frozen=True)
class Pose:
    """A standing robot, at rest.

    Attributes:
        qpos: with the pelvis above the origin, the feet pressed into the ground z = 0 as far as they carry the robot.
        offset: the targets of the motors that hold it there: angle + torque / kp, rad.
    """

    qpos: Float[np.ndarray, "35"]
    offset: Float[np.ndarray, "10"]


@functools.cache
def standing_pose() -> Pose:
    """The standing pose, computed once a process, in 0.2 s. Its arrays cannot be written.

    Left and right are each other's reflections exactly, as the mean of the settled pose and its reflection.
    """
    qpos, torque = _settled()
    qpos[:2] = 0.0
    qpos = (qpos + mirror.QPOS(qpos)) / 2
    mujoco.mj_normalizeQuat(cassie_model(), qpos)
    torque = (torque + mirror.CONTROL(torque)) / 2
    offset = qpos[list(MOTOR_QPOS)] + torque / cassie_model().actuator_gainprm[:, 0]
    for array in (qpos, offset):
        array.setflags(write=False)
    return Pose(qpos, offset)


def _settled() -> tuple[np.ndarray, np.ndarray]:
    """Positions at rest, and the motors' torques."""
    model = cassie_model()
    model.actuator_gainprm[:, 0] *= STIFFENED
    model.actuator_biasprm[:, 1:3] *= STIFFENED
    data = mujoco.MjData(model)
    data.qpos[:] = HOME_QPOS
    data.ctrl[:] = data.qpos[list(MOTOR_QPOS)]
    pelvis = model.body(PELVIS.name).id
    feet = [i for i in range(model.nu) if MOTORS[i % len(MOTORS)].joint == "foot"]
    for _ in range(round(SECONDS / model.opt.timestep)):
        force, moment = _hold(data)
        data.xfrc_applied[pelvis] = (*force, *moment)
        data.ctrl[feet] += FOOT_RATE * moment[1] * model.opt.timestep
        mujoco.mj_step(model, data)
    return data.qpos.copy(), data.actuator_force.copy()


def _hold(data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
    """Force and moment on the pelvis that keep it upright and in the sagittal plane; up, down and along it is free."""
    tilt, spin = 2 * data.qpos[4:7], data.qvel[3:6]
    moment = -HOLD * tilt - DAMP * spin
    force = -DAMP * data.qvel[:3]
    force[1] -= HOLD * data.qpos[1]
    return force, moment
