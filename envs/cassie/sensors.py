"""What the model measures, and where it stands in `sensordata`.

| sensor | size | what |
|---|---|---|
| `<side>-<joint>-motor` | 1 | angle at the motor, five a leg |
| `<side>-<joint>-joint` | 1 | angle at the joint: shin, tarsus, foot |
| `imu-orientation` | 4 | quaternion of the pelvis |
| `imu-gyro`, `imu-velocity` | 3 | angular and linear velocity, in the pelvis' axes |
| `<side>-sole-position`, `<side>-sole-velocity` | 3 | middle of the sole, world frame |
| `<side>-sole-orientation` | 4 | quaternion: x to the toe, z the sole's normal, up when the robot stands |
| `<side>-heel-spring-position` | 3 | origin of the heel spring's frame, world frame |
| `<side>-<end>-position`, `<side>-<end>-velocity` | 3 | middle of a foot's sphere, toe or heel, world frame |
| `<side>-<end>-contact` | 18 | see `foot_force` |

After a step of an engine all of them are of one substep before: MuJoCo reads them, and then moves.

There is no accelerometer: MuJoCo's needs the forces between all bodies, at every physics step, and the last alone is
looked at. `imu_acceleration` computes what it reads from `qacc`.
"""

from __future__ import annotations

import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Float

from envs.cassie.figures import FOOT_ENDS, IMU_POSITION, MOTORS, SIDES
from envs.cassie.rotations import rotated_back

MEASURED_JOINTS = ("shin", "tarsus", "foot")

Sensor = mujoco.mjtSensor
Kind = mujoco.mjtObj
Contact = mujoco.mjtConDataField


def add_sensors(spec: mujoco.MjSpec) -> None:
    """Add the sensors of the table to a model that has the robot."""

    def add(name: str, sensor: mujoco.mjtSensor, kind: mujoco.mjtObj, of: str, **options: object) -> None:
        spec.add_sensor(name=name, type=sensor, objtype=kind, objname=of, **options)

    for side in SIDES:
        for motor in MOTORS:
            name = f"{side}-{motor.joint}"
            add(f"{name}-motor", Sensor.mjSENS_ACTUATORPOS, Kind.mjOBJ_ACTUATOR, name)
        for joint in MEASURED_JOINTS:
            add(f"{side}-{joint}-joint", Sensor.mjSENS_JOINTPOS, Kind.mjOBJ_JOINT, f"{side}-{joint}")
    add("imu-orientation", Sensor.mjSENS_FRAMEQUAT, Kind.mjOBJ_SITE, "imu")
    add("imu-gyro", Sensor.mjSENS_GYRO, Kind.mjOBJ_SITE, "imu")
    add("imu-velocity", Sensor.mjSENS_VELOCIMETER, Kind.mjOBJ_SITE, "imu")
    for side in SIDES:
        sole = f"{side}-sole"
        add(f"{sole}-position", Sensor.mjSENS_FRAMEPOS, Kind.mjOBJ_SITE, sole)
        add(f"{sole}-orientation", Sensor.mjSENS_FRAMEQUAT, Kind.mjOBJ_SITE, sole)
        add(f"{sole}-velocity", Sensor.mjSENS_FRAMELINVEL, Kind.mjOBJ_SITE, sole)
        add(f"{side}-heel-spring-position", Sensor.mjSENS_FRAMEPOS, Kind.mjOBJ_XBODY, f"{side}-heel-spring")
        for end in FOOT_ENDS:
            # MJX can neither sum contacts nor look for those of a body: one sensor a sphere, of its only contact.
            data = sum(1 << field.value for field in (Contact.mjCONDATA_FORCE, Contact.mjCONDATA_NORMAL))
            data |= 1 << Contact.mjCONDATA_TANGENT.value
            add(f"{side}-{end}-contact", Sensor.mjSENS_CONTACT, Kind.mjOBJ_GEOM, f"{side}-{end}", intprm=(data, 1, 2))
            add(f"{side}-{end}-position", Sensor.mjSENS_FRAMEPOS, Kind.mjOBJ_GEOM, f"{side}-{end}")
            add(f"{side}-{end}-velocity", Sensor.mjSENS_FRAMELINVEL, Kind.mjOBJ_GEOM, f"{side}-{end}")


def columns(model: mujoco.MjModel) -> dict[str, slice]:
    """Where each sensor's numbers are in `sensordata`, by its name."""
    starts, sizes = model.sensor_adr, model.sensor_dim
    return {model.sensor(i).name: slice(starts[i], starts[i] + sizes[i]) for i in range(model.nsensor)}


def foot_force(contacts: Float[Array, "18"]) -> Float[Array, "3"]:
    """The force of the ground on one sphere of a foot, N, world frame.

    Args:
        contacts: what its sensor says of up to two contacts, one behind the other: the force (f_n, f_t, f_u) of the
            sphere on the ground in the contact's frame, the normal n that points into the ground, and a tangent t. The
            force on the foot is the sum of -(f_n n + f_t t + f_u n×t), zero without contact.
    """
    force, normal, tangent = jnp.moveaxis(contacts.reshape(2, 3, 3), 1, 0)
    on_ground = force[:, :1] * normal + force[:, 1:2] * tangent + force[:, 2:] * jnp.cross(normal, tangent)
    return -on_ground.sum(axis=0)


def imu_acceleration(
    qpos: Float[Array, " nq"], qvel: Float[Array, " nv"], qacc: Float[Array, " nv"], gravity: Float[Array, "3"]
) -> Float[Array, "3"]:
    """What an accelerometer at the IMU reads, m/s², in the pelvis' axes: R'(dv/dt - g) + dω/dt × r + ω × (ω × r).

    Args:
        qpos, qvel, qacc: of one instant, or `qacc` of the last substep, which a step leaves one substep old.
        gravity: as the engine has it, with the moving ground's acceleration taken off where it moves.
    """
    arm, spin = jnp.asarray(IMU_POSITION), qvel[3:6]
    proper = rotated_back(qpos[3:7], qacc[:3] - gravity)
    return proper + jnp.cross(qacc[3:6], arm) + jnp.cross(spin, jnp.cross(spin, arm))
