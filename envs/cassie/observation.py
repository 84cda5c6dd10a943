"""What teacher and student see: blocks of numbers with names, and how each looks in a mirror."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Key

from envs.cassie import mirror
from envs.cassie.commands import Command
from envs.cassie.dynamics import Dynamics
from envs.cassie.figures import MOTOR_QPOS, MOTOR_QVEL, MOTORS, SIDES, SPRING_QPOS, SPRING_QVEL
from envs.cassie.memory import CassieMemory
from envs.cassie.mirror import Mirror
from envs.cassie.pose import standing_pose
from envs.cassie.quantities import Quantities
from envs.cassie.rotations import rotated_back, turned, wrapped, yaw_of
from envs.cassie.terrain.config import KINDS
from envs.cassie.terrain.motion import Motion
from envs.cassie.terrain.surface import scan, scan_points
from envs.cassie.terrain.terrain import one_hot
from envs.physics.base import PhysicsState

SPEED = 0.1
"""Joint speeds are shown in 10 rad/s."""
WEIGHT = 330.0
"""Forces are shown in multiples of the robot's weight, N."""
PUSH = 100.0
"""Pushes are shown in 100 N."""


class Block(NamedTuple):
    """Some coordinates of an observation."""

    names: tuple[str, ...]
    mirror: Mirror


def vector(what: str, unit: str, signs: tuple[int, ...] = mirror.WORLD_POINT) -> Block:
    """A block of x, y, z."""
    return Block(tuple(f"{what} {axis}{unit}" for axis in "xyz"), mirror.exchange(signs, ()))


def of_feet(what: str, unit: str) -> Block:
    """x, y, z of the left foot, then of the right one."""
    names = tuple(f"{side} {what} {axis}{unit}" for side in SIDES for axis in "xyz")
    return Block(names, mirror.exchange((), mirror.WORLD_POINT))


def of_motors(what: str, unit: str = "") -> Block:
    """One number a motor."""
    return Block(tuple(f"{side} {motor.joint} {what}{unit}" for side in SIDES for motor in MOTORS), mirror.CONTROL)


def of_springs(what: str, unit: str) -> Block:
    """Shin and tarsus of both legs."""
    return Block(tuple(f"{side} {joint} {what}{unit}" for side in SIDES for joint in ("shin", "tarsus")), mirror.SPRING)


def symmetric(*names: str) -> Block:
    """Numbers that a mirror does not change."""
    return Block(names, mirror.exchange((1,) * len(names), ()))


def of_sides(what: str, unit: str = "") -> Block:
    """One number a foot."""
    return Block(tuple(f"{side} {what}{unit}" for side in SIDES), mirror.exchange((), (1,)))


POINTS = scan_points()
ROWS = int((POINTS[:, 1] == POINTS[0, 1]).sum())
_SCAN_ORDER = np.arange(len(POINTS)).reshape(ROWS, -1)[:, ::-1].reshape(-1)

SENSED = (
    vector("gravity", ""),
    vector("turn rate", " [rad/s]", mirror.WORLD_AXIAL),
    of_motors("angle", " [rad]"),
    of_motors("speed", " [10 rad/s]"),
    of_springs("angle", " [rad]"),
    of_springs("speed", " [10 rad/s]"),
    Block(("heading error [rad]",), mirror.exchange((-1,), ())),
)
"""What sensors say: late and noisy for the student."""

KNOWN = (
    of_motors("last action"),
    Block(
        ("commanded forward velocity [m/s]", "commanded lateral velocity [m/s]", "commanded turn rate [rad/s]"),
        mirror.exchange((1, -1, -1), ()),
    ),
    Block(("clock sine", "clock cosine"), mirror.exchange((-1, -1), ())),
)
"""What the robot knows without sensors."""

PRIVILEGED = (
    # Less the command: whoever has learnt to keep one velocity can keep another.
    Block(
        ("forward velocity error [m/s]", "lateral velocity error [m/s]", "vertical velocity [m/s]"),
        mirror.exchange(mirror.WORLD_POINT, ()),
    ),
    symmetric("height over ground [m]"),
    of_sides("heel spring angle", " [rad]"),
    of_feet("foot position", " [m]"),
    of_feet("foot velocity", " [m/s]"),
    of_feet("foot force", " [330 N]"),
    of_sides("contact"),
    of_motors("torque / limit"),
    Block(
        tuple(f"ground at {x:+.1f}, {y:+.1f} [m]" for x, y in POINTS),
        Mirror(tuple(map(int, _SCAN_ORDER)), (1,) * len(POINTS)),
    ),
    of_feet("ground normal", ""),
    symmetric(*(f"terrain is {kind}" for kind in KINDS), "difficulty", "friction"),
    vector("ground velocity", " [m/s]"),
    vector("ground acceleration", " [m/s²]"),
    vector("push", " [100 N]"),
    symmetric("mass factor", "payload [kg]"),
    vector("centre of mass shift", " [cm]"),
    symmetric("damping factor", "stiffness factor", "gain factor", "strength factor", "action delay", "sensor delay"),
)
"""What only the teacher sees."""

STUDENT = SENSED + KNOWN
TEACHER = STUDENT + PRIVILEGED


def names(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    """Of all coordinates."""
    return tuple(name for block in blocks for name in block.names)


def reflection(blocks: tuple[Block, ...]) -> Mirror:
    """The mirror of the blocks one behind the other."""
    order: list[int] = []
    signs: list[int] = []
    for block in blocks:
        start = len(order)
        order += [start + index for index in block.mirror.order]
        signs += block.mirror.signs
    return Mirror(tuple(order), tuple(signs))


def sense(physics: PhysicsState, command: Command) -> Float[Array, "35"]:
    """`SENSED`, exactly."""
    qpos, qvel, pose = physics["qpos"], physics["qvel"], standing_pose()
    motors, springs = jnp.array(MOTOR_QPOS), jnp.array(SPRING_QPOS)
    return jnp.concatenate(
        [
            -rotated_back(qpos[3:7], jnp.array([0.0, 0.0, 1.0])),
            qvel[3:6],
            qpos[motors] - jnp.asarray(pose.offset, jnp.float32),
            SPEED * qvel[jnp.array(MOTOR_QVEL)],
            qpos[springs] - jnp.asarray(pose.qpos, jnp.float32)[springs],
            SPEED * qvel[jnp.array(SPRING_QVEL)],
            wrapped(yaw_of(qpos[3:7]) - command.heading)[None],
        ]
    )


def known(memory: CassieMemory) -> Float[Array, "15"]:
    """`KNOWN`; a robot that shall stand is shown no clock, which tells this from stepping in place."""
    angle = 2 * jnp.pi * memory.phase
    clock = memory.command.stepping * jnp.stack([jnp.sin(angle), jnp.cos(angle)])
    return jnp.concatenate([memory.action, memory.command.velocity, clock])


def privileged(
    now: Quantities, memory: CassieMemory, motion: Motion, heel_springs: Float[Array, "2"]
) -> Float[Array, " privileged"]:
    """`PRIVILEGED`; vectors in the axes of where the robot looks."""
    dynamics, terrain = memory.dynamics, memory.terrain

    def seen(vectors: Array) -> Array:
        return turned(vectors, -now.yaw).reshape(-1)

    ground = scan(terrain, now.position[:2], now.yaw, jnp.asarray(POINTS)) - (now.position[2] - now.clearance)
    return jnp.concatenate(
        [
            now.velocity[:2] - memory.command.velocity[:2],
            now.velocity[2:],
            now.clearance[None],
            heel_springs,
            seen(now.soles - now.position),
            seen(now.sole_velocities),
            seen(now.forces) / WEIGHT,
            (jnp.linalg.norm(now.forces, axis=-1) > 1.0).astype(jnp.float32),
            now.torques,
            ground,
            seen(now.ground_normals),
            one_hot(terrain),
            jnp.stack([terrain.difficulty, dynamics.friction]),
            seen(motion.velocity),
            seen(motion.acceleration),
            seen(memory.push.acting) / PUSH,
            jnp.stack([dynamics.mass, dynamics.payload]),
            100.0 * dynamics.centre,
            jnp.stack([dynamics.damping, dynamics.stiffness, dynamics.gains, dynamics.strength]),
            jnp.stack([dynamics.action_delay, dynamics.sensor_delay]).astype(jnp.float32),
        ]
    )


def encoder_bias(dynamics: Dynamics) -> Float[Array, "35"]:
    """Where in `SENSED` the encoders' errors show."""
    bias = dynamics.encoder_bias
    return jnp.zeros(35).at[6:16].set(bias[:10]).at[26:30].set(bias[10:])


def heel_spring_angles(qpos: Float[Array, " nq"], model: mujoco.MjModel) -> Float[Array, "2"]:
    """Of both legs, rad."""
    return jnp.stack([qpos[model.joint(f"{side}-heel-spring").qposadr[0]] for side in SIDES])


def noise(key: Key[Array, ""], scales: Float[np.ndarray, "35"]) -> Float[Array, "35"]:
    """Of the sensors, at one step."""
    return jnp.asarray(scales) * jax.random.normal(key, scales.shape)
