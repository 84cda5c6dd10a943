"""Figures of the robot Cassie: lengths, masses, joints, motors.

They are those of the MuJoCo model that Agility Robotics published under the MIT licence, as it stands in MuJoCo
Menagerie (`agility_cassie`); the gains are a choice, that of published walking controllers. SI units, angles in degrees
where a name says so. In every body frame the hinge turns about +z.

The right leg is the left one reflected in the sagittal plane (`reflected`), but for one number of the source.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Triple = tuple[float, float, float]
Axes = tuple[Triple, Triple]
"""The x and the y axis of a frame, in the parent's frame; they need not be exactly normal."""

SIDES = ("left", "right")


@dataclass(frozen=True)
class Joint:
    """What lets a body move against its parent.

    Attributes:
        kind: `free`, `ball` or `hinge`.
        range_degrees: limits, None for none.
        reference_degrees: the angle that the configuration of the table is called.
        stiffness: Nm/rad, of a spring at rest at angle 0.
        damping: Nm s/rad.
        armature: kg m², the motor's inertia at the joint.
    """

    kind: str
    range_degrees: tuple[float, float] | None = None
    reference_degrees: float = 0.0
    stiffness: float = 0.0
    damping: float = 0.0
    armature: float = 0.0


@dataclass(frozen=True)
class Body:
    """A rigid body.

    Attributes:
        name, parent: without the side.
        position: of the frame in the parent's frame.
        axes: of the frame in the parent's frame.
        mass: kg.
        centre: of mass, in the frame.
        inertia: about the centre, in the frame's axes: xx, yy, zz, xy, xz, yz.
        joint: None for a body that is fixed to its parent.
        lateral: which axis of the frame, 0 to 2, points sideways out of the sagittal plane (either way).
    """

    name: str
    parent: str
    position: Triple
    axes: Axes
    mass: float
    centre: Triple
    inertia: tuple[float, float, float, float, float, float]
    joint: Joint | None
    lateral: int = 2


@dataclass(frozen=True)
class Motor:
    """A motor and its controller.

    Attributes:
        joint: that it turns.
        torque: limit at the joint, Nm.
        kp: Nm/rad.
        kd: Nm s/rad.
    """

    joint: str
    torque: float
    kp: float
    kd: float


PARALLEL: Axes = ((1, 0, 0), (0, 1, 0))

PELVIS = Body(
    "pelvis",
    "world",
    (0, 0, 1.1),
    PARALLEL,
    10.33,
    (0.05066, 0.000346, 0.02841),
    (0.085821, 0.049222, 0.08626, 1.276e-5, -1.6022e-4, -4.14e-4),
    Joint("free"),
    lateral=1,
)

LEFT_LEG = (
    Body(
        "hip-roll",
        "pelvis",
        (0.021, 0.135, 0),
        ((0, 0, -1), (0, 1, 0)),
        1.82,
        (-0.01793, 0.0001, -0.04428),
        (0.003431, 0.003793, 0.002135, -6.65e-7, -8.4e-4, 3.99e-6),
        Joint("hinge", (-15, 22.5), damping=1, armature=0.038125),
        lateral=1,
    ),
    Body(
        "hip-yaw",
        "hip-roll",
        (0, 0, -0.07),
        ((0, 0, 1), (0, 1, 0)),
        1.171,
        (0, -1e-5, -0.034277),
        (0.002443, 0.002803, 0.000842, -4e-8, 2.462e-7, -2.71e-8),
        Joint("hinge", (-22.5, 22.5), damping=1, armature=0.038125),
        lateral=1,
    ),
    Body(
        "hip-pitch",
        "hip-yaw",
        (0, 0, -0.09),
        ((0, 0, -1), (1, 0, 0)),
        5.52,
        (0.05946, 5e-5, -0.03581),
        (0.010898, 0.029714, 0.030257, -2.669e-4, -5.721e-5, 9.17e-6),
        Joint("hinge", (-50, 80), damping=1, armature=0.09344),
    ),
    Body(
        "achilles-rod",
        "hip-pitch",
        (0, 0, 0.045),
        ((0.7922, -0.60599, -0.072096), (0.60349, 0.79547, -0.054922)),
        0.1567,
        (0.24719, 0, 0),
        (3.754e-6, 0.004487, 0.004488, -3.74e-8, -1.61e-8, 0),
        Joint("ball", damping=0.01),
    ),
    Body(
        "knee",
        "hip-pitch",
        (0.12, 0, 0.0045),
        ((0.70711, -0.70711, 0), (0.70711, 0.70711, 0)),
        0.7578,
        (0.023, 0.03207, -0.002181),
        (0.001376, 0.0010335, 0.0021637, -3.9744e-4, -4.085e-5, -5.374e-5),
        Joint("hinge", (-164, -37), reference_degrees=-45, damping=1, armature=0.09344),
    ),
    Body(
        "knee-spring",
        "knee",
        (0.06068, 0.08241, 0),
        PARALLEL,
        0.186,
        (0.0836, 0.0034, 0),
        (5.215e-5, 4.1205e-4, 3.669e-4, 6.87e-6, 0, 0),
        None,
    ),
    Body(
        "shin",
        "knee",
        (0.06068, 0.04741, 0),
        PARALLEL,
        0.577,
        (0.18338, 0.001169, 0.0002123),
        (3.5939e-4, 0.014728, 0.014707, -2.0981e-4, 2.266e-5, -1.2e-7),
        Joint("hinge", (-20, 20), stiffness=1500, damping=0.1),
    ),
    Body(
        "tarsus",
        "shin",
        (0.43476, 0.02, 0),
        ((0.52992, 0.84805, 0), (-0.84805, 0.52992, 0)),
        0.782,
        (0.11046, -0.03058, -0.00131),
        (3.9238e-4, 0.013595, 0.013674, 2.3651e-4, -4.987e-5, -4.82e-6),
        Joint("hinge", (50, 170), reference_degrees=58, damping=0.1),
    ),
    Body(
        "heel-spring",
        "tarsus",
        (-0.01269, -0.03059, 0.00092),
        ((-0.91211, 0.40829, 0.036948), (-0.40992, -0.90952, -0.068841)),
        0.126,
        (0.081, 0.0022, 0),
        (2.959e-5, 2.2231e-4, 2.007e-4, 7.15e-6, -6e-7, 1e-7),
        Joint("hinge", stiffness=1250),
    ),
    Body(
        "foot-crank",
        "tarsus",
        (0.058, -0.034, 0.02275),
        PARALLEL,
        0.1261,
        (0.00493, 2e-5, -0.00215),
        (2.6941e-5, 4.9621e-5, 6.3362e-5, -2.1e-9, -3.9623e-6, -1.09e-8),
        Joint("hinge", (-140, -30), damping=1),
    ),
    Body(
        "plantar-rod",
        "foot-crank",
        (0.055, 0, -0.00791),
        PARALLEL,
        0.1186,
        (0.17792, 0, 0),
        (2.779e-6, 0.001774, 0.001775, -2.34e-8, -8.1e-9, 0),
        Joint("hinge"),
    ),
    Body(
        "foot",
        "tarsus",
        (0.408, -0.04, 0),
        PARALLEL,
        0.1498,
        (0.00474, 0.02748, -0.00014),
        (1.7388e-4, 1.6793e-4, 3.3261e-4, 1.1814e-4, 1.36e-6, -4e-7),
        Joint("hinge", (-140, -30), damping=1, armature=0.01225),
    ),
)

LOOPS = (("plantar-rod", "foot", 0.35012), ("achilles-rod", "heel-spring", 0.5012))
"""What closes the loops of a leg: the far end of a rod, so far along its x axis, is held at a point of another body."""

MOTORS = (
    Motor("hip-roll", 112.5, 80, 8),
    Motor("hip-yaw", 112.5, 80, 8),
    Motor("hip-pitch", 195.2, 110, 10),
    Motor("knee", 195.2, 110, 10),
    Motor("foot", 45, 50, 5),
)
"""Of a leg, in the order of its controls."""

MOTOR_QPOS = (7, 8, 9, 14, 20, 21, 22, 23, 28, 34)
MOTOR_QVEL = (6, 7, 8, 12, 18, 19, 20, 21, 25, 31)
"""Where the ten motors' angles and speeds are, left leg first."""
SPRING_QPOS = (15, 16, 29, 30)
SPRING_QVEL = (13, 14, 26, 27)
"""Where those of shin and tarsus are, left leg first: joints without a motor that the robot measures."""

HOME_QPOS = (
    *(0, 0, 1.00593, 1, 0, 0, 0),
    *(0.0045, 0, 0.497301, 0.97861, -0.01641, 0.017777, -0.204298, -1.1997, 0, 1.42671, 0, -1.52439, 1.50645, -1.59681),
    *(
        -0.0045,
        0,
        0.497301,
        0.97874,
        0.003869,
        -0.015157,
        -0.204509,
        -1.1997,
        0,
        1.42671,
        0,
        -1.52439,
        1.50645,
        -1.59681,
    ),
)
"""The source's standing pose. Its loops are open by 1.5 mm, and its springs carry nothing; see `pose`."""

IMU_POSITION: Triple = (0.03155, 0, -0.07996)
"""Of the inertial measurement unit, in the pelvis' frame and parallel to it."""

FOOT_RADIUS = 0.02
FOOT_ENDS: dict[str, Triple] = {"toe": (-0.052821, 0.092622, 0), "heel": (0.069746, -0.010224, 0)}
"""The centres of the ends of the foot, which is round below with that radius; in the foot's frame."""


def reflected(body: Body) -> Body:
    """The right leg's counterpart of a body of the left leg.

    A point or an axis changes sign along the lateral axis, a moment of inertia where it has that axis once. Both frames
    are right-handed, so that also the frame's own lateral axis turns round, and an angle about another axis than that
    changes sign. The source does all this but for one number: the centre of mass of the right hip-roll body is y = +0.1
    mm where a reflection has -0.1 mm.
    """
    across = PELVIS.lateral if body.parent == PELVIS.name else _lateral(body.parent)
    forward, second = (flipped(axis, across) for axis in body.axes)
    xx, yy, zz, xy, xz, yz = body.inertia
    joint = body.joint
    if body.lateral == 1:
        second = (-second[0], -second[1], -second[2])
        xy = -xy
        if joint is not None and joint.range_degrees is not None:
            low, high = joint.range_degrees
            joint = replace(joint, range_degrees=(-high, -low))
    else:
        xz = -xz
    return replace(
        body,
        position=flipped(body.position, across),
        axes=(forward, second),
        centre=body.centre if body.name == "hip-roll" else flipped(body.centre, body.lateral),
        inertia=(xx, yy, zz, xy, xz, -yz),
        joint=joint,
    )


def legs() -> dict[str, tuple[Body, ...]]:
    """The bodies of both legs, parents first."""
    return {"left": LEFT_LEG, "right": tuple(reflected(body) for body in LEFT_LEG)}


def _lateral(name: str) -> int:
    return next(body.lateral for body in LEFT_LEG if body.name == name)


def flipped(vector: Triple, axis: int) -> Triple:
    """The vector with one of its numbers negated."""
    x, y, z = (-value if index == axis else value for index, value in enumerate(vector))
    return x, y, z
