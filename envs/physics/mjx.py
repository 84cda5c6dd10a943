"""The GPU engines, float32 and inside the jitted program: MuJoCo XLA (`mjx`) and its Warp back-end (`warp`)."""

from __future__ import annotations

import copy
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
from mujoco import mjx

from envs.physics.base import AFTER_CONSTRAINT, ModelOverrides, PhysicsState, Reads
from l2t.errors import ConfigurationError


class MjxEngine:
    """MuJoCo XLA.

    MJX has no PGS solver, so a model that asks for PGS (Humanoid) runs with Newton. Overridden fields replace the
    model's leaves; constants that `mj_setConst` would derive from them (`body_invweight0`, ...) keep the nominal
    model's values.

    Args:
        model: the compiled model. It is not modified.
        reads: fields to return; residuals are always absent, float32 is all there is.
        impl: `jax`, or `warp` for NVIDIA's kernels.
        contacts: Warp's contact buffer, shared by all environments. An overflow drops contacts and prints a warning.
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
        self.name = "mjx" if impl == "jax" else impl
        self.model = copy.copy(model)
        if self.model.opt.solver == mujoco.mjtSolver.mjSOL_PGS:
            self.model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
        self.reads = reads
        self._mjx_model = mjx.put_model(self.model, impl=impl)
        self._sizes: dict[str, Any] = {"impl": impl}
        if impl == "warp":
            self._sizes |= {"naconmax": contacts, "njmax": constraints}

    def init(self, qpos: Any, qvel: Any, overrides: ModelOverrides | None = None, needed: Any = True) -> PhysicsState:
        """The simulation at (qpos, qvel); `needed` saves nothing on a vector machine and is ignored."""
        del needed
        data = mjx.make_data(self.model, **self._sizes)
        data = data.replace(qpos=jnp.asarray(qpos), qvel=jnp.asarray(qvel))
        return self._state(mjx.forward(self._overridden(overrides), data), after_constraint=False)

    def step(
        self, state: PhysicsState, ctrl: Any, overrides: ModelOverrides | None = None, substeps: int = 1
    ) -> PhysicsState:
        """Hold `ctrl` for `substeps` physics steps; see `PhysicsEngine.step`."""
        model = self._overridden(overrides)
        data = state.engine.replace(ctrl=jnp.asarray(ctrl))
        data = jax.lax.fori_loop(0, substeps, lambda _, d: mjx.step(model, d), data)
        if not AFTER_CONSTRAINT.isdisjoint(self.reads.fields):
            data = mjx.rne_postconstraint(model, data)
        return self._state(data, after_constraint=True)

    def _overridden(self, overrides: ModelOverrides | None) -> Any:
        model = self._mjx_model
        return model.tree_replace(dict(overrides)) if overrides else model

    def _state(self, data: Any, after_constraint: bool) -> PhysicsState:
        fields = {}
        for name in self.reads.fields:
            # Some fields live on the implementation's own record rather than on `Data`.
            value = getattr(data if hasattr(data, name) else data._impl, name)
            # As in C after a reset: forward dynamics alone leaves these zero.
            fields[name] = value if after_constraint or name not in AFTER_CONSTRAINT else jnp.zeros_like(value)
        return PhysicsState(engine=data, fields=fields, residuals={})
