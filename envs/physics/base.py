"""What a physics engine is: two pure functions over a state pytree."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, PyTree

from l2t.errors import ConfigurationError

Tree = TypeVar("Tree")

ModelOverrides = dict[str, Array]
"""Model fields that differ from environment to environment, named as in `MjModel` (`opt.` prefix for options)."""


AFTER_CONSTRAINT = frozenset({"cacc", "cfrc_int", "cfrc_ext"})
"""Fields that only `mj_rnePostConstraint` fills in; a step does not call it, so engines do after the last substep."""

MAX_VALUE = 1e10
"""MuJoCo's own limit on positions, velocities and accelerations (`mjMAXVAL`)."""

MAX_SPEED = 1e4
"""Limit on velocities, rad/s or m/s. A simulation that explodes passes it some steps before MuJoCo's own limit, and is
paid for every one of them; nothing that is meant to move comes near it."""


@struct.dataclass
class PhysicsState:
    """A simulation: what the engine needs to continue, and the derived fields that the environment reads.

    Attributes:
        engine: opaque to everyone but the engine that made it.
        fields: the requested `MjData` fields, float32.
        residuals: for fields read in high precision, what rounding to float32 took away (float32; absent or zero in
            engines that compute in float32).
        unstable: whether the simulation failed: MuJoCo warned (a bad position, velocity, acceleration or control, a
            singular inertia, a full contact or constraint buffer), or a limit above was passed. A step that fails
            leaves everything else as it was before it, and what has failed fails until it begins anew.
    """

    engine: PyTree
    fields: dict[str, Array]
    residuals: dict[str, Array]
    unstable: Bool[Array, ""]

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

    def nominal(self, field: str) -> np.ndarray:
        """The model's own value of a field that `overrides` may change, float32.

        Raises:
            ConfigurationError: it is no real-valued array field, or the engine cannot change it.
        """
        ...

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
        forces: Float[Array, "nbody 6"] | None = None,
    ) -> PhysicsState:
        """Hold `ctrl` for `substeps` physics steps.

        `forces` act on the bodies meanwhile, as `MjData.xfrc_applied` has them: force (N) and torque (N m) at each
        body's centre of mass, in the world's axes.

        Derived fields are those of the last substep, as after `mj_step`. See `PhysicsState.unstable` for failures.
        """
        ...


EngineFactory = Any
"""`(model: mujoco.MjModel, reads: Reads) -> PhysicsEngine`."""


def keep(unchanged: Bool[Array, ""], before: Tree, after: Tree) -> Tree:
    """`before` where `unchanged`, otherwise `after`, leaf by leaf."""
    kept = jax.tree.map(lambda old, new: jnp.where(unchanged, old, new), before, after)
    # Compiled into one loop with the choice, what is computed from it would come out different in the last bit.
    return jax.lax.optimization_barrier(kept)


def model_field(model: Any, name: str) -> np.ndarray:
    """A real-valued array field of `MjModel`, named as in `ModelOverrides`, float32.

    Args:
        model: an `MjModel`.
        name: of the field.

    Raises:
        ConfigurationError: there is none of that name.
    """
    holder, attribute = (model.opt, name[4:]) if name.startswith("opt.") else (model, name)
    value = getattr(holder, attribute, None)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise ConfigurationError(f"{name!r} is not a real-valued array field of MjModel, such as body_mass.")
    return value.astype(np.float32)


def divert_warnings() -> None:
    """Send MuJoCo's warnings to Python's logger `mujoco`, level INFO, unless the program has a handler of its own.

    MuJoCo's default is to print each and to append it to MUJOCO_LOG.TXT in the working directory, wherever that is.
    What matters in them is in `PhysicsState.unstable`.
    """
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(logging.getLogger("mujoco").info)
