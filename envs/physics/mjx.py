"""The GPU engines, float32 and inside the jitted program: MuJoCo XLA (`mjx`) and its Warp back-end (`warp`)."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool
from mujoco import mjx

from envs.physics.base import (
    AFTER_CONSTRAINT,
    MAX_SPEED,
    MAX_VALUE,
    ModelOverrides,
    PhysicsState,
    Reads,
    divert_warnings,
    keep,
    model_field,
)
from l2t.errors import ConfigurationError

EVOLVING = ("time", "qpos", "qvel", "act", "qacc_warmstart")
"""What a step changes of the fields that decide the next one."""

WARP_OVERFLOW = 0b10111111
"""Bits of Warp's `overflow` that say that a buffer was too small: NEFC, NJMAX_NNZ, BROADPHASE, NARROWPHASE, CCD, HFIELD
and NVMAX."""


class MjxEngine:
    """MuJoCo XLA.

    MJX has no PGS solver, so a model that asks for PGS (Humanoid) runs with Newton. Overridden fields replace the
    model's leaves; constants that `mj_setConst` would derive from them (`body_invweight0`, ...) keep the nominal
    model's values.

    There are no warning counters: a simulation has failed where a position, velocity or acceleration is not finite or
    beyond the limits of `envs.physics.base` after a substep, and with Warp also where a buffer was too small. MJX's
    own buffers hold every contact that there can be.

    Args:
        model: the compiled model. It is not modified.
        reads: fields to return; residuals are always absent, float32 is all there is.
        impl: `jax`, or `warp` for NVIDIA's kernels.
        contacts: Warp's contact buffer, shared by all environments.
        constraints: Warp's constraint buffer per environment.

    Raises:
        ConfigurationError: Warp was asked for a field that it does not compute.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        reads: Reads,
        impl: str = "jax",
        contacts: int = 65_536,
        constraints: int = 256,
    ) -> None:
        missing = AFTER_CONSTRAINT.intersection(reads.fields)
        if impl == "warp" and missing:
            raise ConfigurationError(
                f"physics=warp does not compute {', '.join(sorted(missing))}, which this environment reads; "
                "use physics=mjx."
            )
        divert_warnings()
        self.name = "mjx" if impl == "jax" else impl
        self.model = copy.copy(model)
        if self.model.opt.solver == mujoco.mjtSolver.mjSOL_PGS:
            self.model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
        self.reads = reads
        self._mjx_model = mjx.put_model(self.model, impl=impl)
        self._sizes: dict[str, Any] = {"impl": impl}
        if impl == "warp":
            self._sizes |= {"naconmax": contacts, "njmax": constraints}

    def nominal(self, field: str) -> np.ndarray:
        """The model's own value of a field; see `PhysicsEngine.nominal`."""
        value = model_field(self.model, field)
        holder, name = (self._mjx_model.opt, field[4:]) if field.startswith("opt.") else (self._mjx_model, field)
        if name not in {entry.name for entry in dataclasses.fields(holder)}:
            raise ConfigurationError(f"{field!r} is no field of MJX's model; use physics=native.")
        return value

    def init(self, qpos: Any, qvel: Any, overrides: ModelOverrides | None = None, needed: Any = True) -> PhysicsState:
        """The simulation at (qpos, qvel); `needed` saves nothing on a vector machine and is ignored."""
        del needed
        data = mjx.make_data(self.model, **self._sizes)
        data = data.replace(qpos=jnp.asarray(qpos), qvel=jnp.asarray(qvel))
        data = mjx.forward(self._overridden(overrides), data)
        return PhysicsState(data, self._fields(data, after_constraint=False), {}, self._failed(data))

    def step(
        self,
        state: PhysicsState,
        ctrl: Any,
        overrides: ModelOverrides | None = None,
        substeps: int = 1,
        forces: Any = None,
    ) -> PhysicsState:
        """Hold `ctrl` for `substeps` physics steps; see `PhysicsEngine.step`."""
        model = self._overridden(overrides)

        def substep(_: Any, carry: tuple[Any, Array]) -> tuple[Any, Array]:
            data, failed = carry
            data = mjx.step(model, data)
            return data, failed | self._failed(data)

        applied = jnp.zeros_like(state.engine.xfrc_applied) if forces is None else jnp.asarray(forces)
        data = state.engine.replace(ctrl=jnp.asarray(ctrl), xfrc_applied=applied)
        data, failed = jax.lax.fori_loop(0, substeps, substep, (data, state.unstable))
        if not AFTER_CONSTRAINT.isdisjoint(self.reads.fields):
            data = mjx.rne_postconstraint(model, data)
        fields = keep(failed, state.fields, self._fields(data, after_constraint=True))
        data = data.replace(
            **{name: keep(failed, getattr(state.engine, name), getattr(data, name)) for name in EVOLVING}
        )
        return PhysicsState(data, fields, {}, failed)

    def _overridden(self, overrides: ModelOverrides | None) -> Any:
        model = self._mjx_model
        return model.tree_replace(dict(overrides)) if overrides else model

    def _failed(self, data: Any) -> Bool[Array, ""]:
        limits = ((data.qpos, MAX_VALUE), (data.qvel, MAX_SPEED), (data.qacc, MAX_VALUE))
        failed = ~jnp.all(jnp.stack([jnp.all(jnp.abs(value) <= limit) for value, limit in limits]))
        if self.name == "warp":
            failed |= jnp.any(data._impl.overflow & WARP_OVERFLOW != 0)
        return failed

    def _fields(self, data: Any, after_constraint: bool) -> dict[str, Array]:
        fields = {}
        for name in self.reads.fields:
            # Some fields live on the implementation's own record rather than on `Data`.
            value = getattr(data if hasattr(data, name) else data._impl, name)
            # As in C after a reset: forward dynamics alone leaves these zero.
            fields[name] = value if after_constraint or name not in AFTER_CONSTRAINT else jnp.zeros_like(value)
        return fields
