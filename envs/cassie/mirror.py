"""Reflection in the sagittal plane: left and right change places.

A reflected state under a reflected action moves to the reflected successor. That holds as far as the ground and the
robot are symmetric. The robot's pelvis has its centre of mass 0.3 mm off the middle, and one hip is 0.1 mm off
(`figures.reflected`): after 20 ms of a violent motion speeds differ by up to 0.01 rad/s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np

from envs.cassie.figures import LEFT_LEG, MOTORS, PELVIS


def point(lateral: int) -> tuple[int, int, int]:
    """Signs of a position, velocity or force, in a frame of which this axis points sideways."""
    x, y, z = (-1 if axis == lateral else 1 for axis in range(3))
    return x, y, z


def axial(lateral: int) -> tuple[int, int, int]:
    """Signs of an angular velocity or a torque, and of the vector part of a rotation's quaternion."""
    x, y, z = (1 if axis == lateral else -1 for axis in range(3))
    return x, y, z


Numbers = TypeVar("Numbers", jax.Array, np.ndarray)


@dataclass(frozen=True)
class Mirror:
    """A linear reflection of vectors of one kind: x -> signs * x[order]. It is its own inverse.

    Attributes:
        order: where each number comes from.
        signs: what it is multiplied by.
    """

    order: tuple[int, ...]
    signs: tuple[int, ...]

    def __call__(self, x: Numbers) -> Numbers:
        """The reflection of `x`, `[..., n]`, in its last axis."""
        return x[..., np.array(self.order)] * np.array(self.signs, np.float32)


def exchange(centre: tuple[int, ...], leg: tuple[int, ...]) -> Mirror:
    """The reflection of numbers of the trunk, then of the left leg, then of the right leg.

    Args:
        centre: signs of the trunk's numbers.
        leg: signs of a leg's.
    """
    trunk, size = len(centre), len(leg)
    left, right = range(trunk, trunk + size), range(trunk + size, trunk + 2 * size)
    return Mirror((*range(trunk), *right, *left), centre + 2 * leg)


def _leg(quaternion: bool) -> tuple[int, ...]:
    """Signs of the positions of a leg's joints, or of their velocities; hinges turn about z."""
    signs: list[int] = []
    for body in LEFT_LEG:
        turn = axial(body.lateral)
        if body.joint is not None:
            ball = (1, *turn) if quaternion else turn
            signs.extend(ball if body.joint.kind == "ball" else turn[2:])
    return tuple(signs)


WORLD_POINT, WORLD_AXIAL = point(PELVIS.lateral), axial(PELVIS.lateral)
"""Signs of vectors in the world's or the pelvis' frame: y points sideways."""

QPOS = exchange((*WORLD_POINT, 1, *WORLD_AXIAL), _leg(quaternion=True))
QVEL = exchange((*WORLD_POINT, *WORLD_AXIAL), _leg(quaternion=False))
CONTROL = exchange(
    (), tuple(axial(body.lateral)[2] for motor in MOTORS for body in LEFT_LEG if body.name == motor.joint)
)
"""Of the ten target angles, and of anything else that there is one of per motor: angles, speeds, torques, actions."""
SPRING = exchange((), (1, 1))
"""Of shin and tarsus of both legs."""
