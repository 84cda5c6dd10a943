"""What a physics engine is: two pure functions over a state pytree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import mujoco
from flax import struct
from jaxtyping import Array, Bool, Float, PyTree

ModelOverrides = dict[str, Array]
"""Model fields that differ from environment to environment, named as in `MjModel` (`opt.` prefix for options)."""


AFTER_CONSTRAINT = frozenset({"cacc", "cfrc_int", "cfrc_ext"})
"""Fields that only `mj_rnePostConstraint` fills in; a step does not call it, so engines do after the last substep."""


@struct.dataclass
class PhysicsState:
    """A simulation: what the engine needs to continue, and the derived fields that the environment reads.

    Attributes:
        engine: opaque to everyone but the engine that made it.
        fields: the requested `MjData` fields, float32.
        residuals: for fields read in high precision, what rounding to float32 took away (float32; absent or zero in
            engines that compute in float32).
    """

    engine: PyTree
    fields: dict[str, Array]
    residuals: dict[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.fields[name]


def displacement(before: PhysicsState, after: PhysicsState, name: str) -> Array:
    """`after[name] - before[name]` without float32 cancellation where the engine knows better.

    A robot 100 m from the origin moves 5 cm in a step; the difference of two float32 positions would be wrong in the
    fourth digit, and every forward reward is such a difference.
    """
    difference = after.fields[name] - before.fields[name]
    if name in after.residuals:
        difference = difference + (after.residuals[name] - before.residuals[name])
    return difference


@dataclass(frozen=True)
class Reads:
    """The `MjData` fields an environment reads.

    Attributes:
        fields: names as in `MjData`; those of `AFTER_CONSTRAINT` are zero after a reset, as in Gymnasium.
        precise: those of `fields` whose displacement over a step is needed in high precision.
    """

    fields: tuple[str, ...]
    precise: tuple[str, ...] = ()


class PhysicsEngine(Protocol):
    """Two pure functions, written per instance and vmapped by the caller."""

    name: str
    model: mujoco.MjModel

    def init(
        self,
        qpos: Float[Array, " nq"],
        qvel: Float[Array, " nv"],
        overrides: ModelOverrides | None = None,
        needed: Bool[Array, ""] | bool = True,
    ) -> PhysicsState:
        """The simulation at (qpos, qvel), kinematics and dynamics computed.

        Where `needed` is False the caller discards the result, which may hold anything.
        """
        ...

    def step(
        self,
        state: PhysicsState,
        ctrl: Float[Array, " nu"],
        overrides: ModelOverrides | None = None,
        substeps: int = 1,
    ) -> PhysicsState:
        """Hold `ctrl` for `substeps` physics steps.

        Derived fields are those of the last substep, as after `mj_step`.
        """
        ...


EngineFactory = Any
"""`(model: mujoco.MjModel, reads: Reads) -> PhysicsEngine`."""
