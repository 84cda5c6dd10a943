"""Names of coordinates, from the names that the model file gives its joints and bodies: `back thigh velocity [rad/s]`.

`labels` says how a joint or a body is called where the file's own name, less `_joint` and underscores, does not read
well. Names are unique within an observation, and end with the unit in brackets where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

import mujoco
import numpy as np

Labels = Mapping[str, str]

AXES = ("x", "y", "z")
FREE, BALL, SLIDE, HINGE = (
    int(getattr(mujoco.mjtJoint, f"mjJNT_{kind}")) for kind in ("FREE", "BALL", "SLIDE", "HINGE")
)


@runtime_checkable
class NamesColumns(Protocol):
    """A memoryless task that names what it observes; one without this method has no names in its specification."""

    def observation_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of `observe`."""
        ...

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of the action."""
        ...


@runtime_checkable
class NamesGroups(Protocol):
    """The same for a `Task`, by observation group."""

    def observation_names(self, model: mujoco.MjModel) -> Mapping[str, tuple[str, ...]]:
        """One per coordinate of each group that is named."""
        ...

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """One per coordinate of the action."""
        ...


def positions(model: mujoco.MjModel, labels: Labels) -> tuple[str, ...]:
    """One per coordinate of qpos."""
    return tuple(name for joint in range(model.njnt) for name in _position(model, joint, labels))


def velocities(model: mujoco.MjModel, labels: Labels) -> tuple[str, ...]:
    """One per coordinate of qvel."""
    return tuple(name for joint in range(model.njnt) for name in _velocity(model, joint, labels))


def motors(model: mujoco.MjModel, labels: Labels) -> tuple[str, ...]:
    """One per actuator, after the joint that it drives. Controls have no unit: the gear turns them into torques."""
    return tuple(f"{joint_label(model, int(joint), labels)} motor" for joint in model.actuator_trnid[:, 0])


def motor_torques(model: mujoco.MjModel, labels: Labels) -> tuple[str, ...]:
    """One per coordinate of qfrc_actuator behind the root's."""
    joints = [int(joint) for joint in model.dof_jntid if model.jnt_type[joint] == HINGE]
    return tuple(f"{joint_label(model, joint, labels)} motor torque [N m]" for joint in joints)


def external_forces(model: mujoco.MjModel, labels: Labels) -> tuple[str, ...]:
    """One per coordinate of cfrc_ext but the world's: torques before forces, in the world's axes."""
    kinds = [f"external torque {axis} [N m]" for axis in AXES] + [f"external force {axis} [N]" for axis in AXES]
    return _of_bodies(model, labels, kinds)


def inertias(model: mujoco.MjModel, labels: Labels) -> tuple[str, ...]:
    """One per coordinate of cinert but the world's, about the centre of mass of the whole, in the world's axes."""
    moments = [f"inertia {pair} [kg m²]" for pair in ("xx", "yy", "zz", "xy", "xz", "yz")]
    return _of_bodies(model, labels, [*moments, *(f"mass times {axis} [kg m]" for axis in AXES), "mass [kg]"])


def body_velocities(model: mujoco.MjModel, labels: Labels) -> tuple[str, ...]:
    """One per coordinate of cvel but the world's: rotation before translation, the latter as if the body reached to the
    centre of mass of the whole."""
    kinds = [f"angular velocity {axis} [rad/s]" for axis in AXES] + [f"linear velocity {axis} [m/s]" for axis in AXES]
    return _of_bodies(model, labels, kinds)


def joint_label(model: mujoco.MjModel, joint: int, labels: Labels) -> str:
    """What a joint is called."""
    name = model.joint(joint).name
    return labels.get(name) or name.removesuffix("_joint").replace("_", " ")


def body_label(model: mujoco.MjModel, body: int, labels: Labels) -> str:
    """What a body is called; one without a name after the joint that moves it."""
    name = model.body(body).name
    if not name:
        return f"{joint_label(model, int(model.body_jntadr[body]), labels)} link"
    return labels.get(name) or name.replace("_", " ")


def _position(model: mujoco.MjModel, joint: int, labels: Labels) -> Iterable[str]:
    kind, body = int(model.jnt_type[joint]), body_label(model, int(model.jnt_bodyid[joint]), labels)
    if kind == FREE:
        return (f"{body} x position [m]", f"{body} y position [m]", f"{body} height [m]", *_quaternion(body))
    label = joint_label(model, joint, labels)
    if kind == BALL:
        return _quaternion(label)
    if kind == HINGE:
        return (f"{label} angle [rad]",)
    return (_height(model, joint, label) if _is_vertical(model, joint) else f"{label} position [m]",)


def _velocity(model: mujoco.MjModel, joint: int, labels: Labels) -> Iterable[str]:
    kind, body = int(model.jnt_type[joint]), body_label(model, int(model.jnt_bodyid[joint]), labels)
    if kind == FREE:
        along = (f"{body} {direction} velocity [m/s]" for direction in ("x", "y", "vertical"))
        return (*along, *(f"{body} {turn} rate [rad/s]" for turn in ("roll", "pitch", "yaw")))
    label = joint_label(model, joint, labels)
    if kind == BALL:
        return tuple(f"{label} {turn} rate [rad/s]" for turn in ("roll", "pitch", "yaw"))
    if kind == HINGE:
        return (f"{label} velocity [rad/s]",)
    return (f"{label} vertical velocity [m/s]" if _is_vertical(model, joint) else f"{label} velocity [m/s]",)


def _height(model: mujoco.MjModel, joint: int, label: str) -> str:
    """HalfCheetah's coordinate is zero where its torso rests, Hopper's is the height above the floor."""
    at_rest = model.body_pos[model.jnt_bodyid[joint], 2]
    is_height = np.isclose(model.qpos0[model.jnt_qposadr[joint]], at_rest)
    return f"{label} height [m]" if is_height else f"{label} height above rest [m]"


def _is_vertical(model: mujoco.MjModel, joint: int) -> bool:
    return bool(abs(model.jnt_axis[joint, 2]) > 0.99) and int(model.jnt_type[joint]) == SLIDE


def _quaternion(label: str) -> tuple[str, ...]:
    return tuple(f"{label} orientation {part}" for part in ("w", *AXES))


def _of_bodies(model: mujoco.MjModel, labels: Labels, kinds: Iterable[str]) -> tuple[str, ...]:
    kinds = tuple(kinds)
    return tuple(f"{body_label(model, body, labels)} {kind}" for body in range(1, model.nbody) for kind in kinds)
