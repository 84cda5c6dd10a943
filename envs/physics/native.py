"""The CPU engine: C MuJoCo on a thread pool, called from inside jitted programs.

The callback is a pure function: all of the integration state that a step changes goes in and comes out, so that resets,
checkpoints and `vmap` need no knowledge of it. JAX runs in float32; the float64 rows travel as a `uint32` view of their
bits.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from mujoco.batch import MODEL_FIELDS, Batch, SimulationError

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
from l2t.errors import ConfigurationError, DivergenceError


class NativeEngine:
    """C MuJoCo through `mujoco.batch`, float64, bit-identical to a loop over `mj_step`.

    MuJoCo puts a simulation that fails back to the model's default state and goes on. That is left switched on, because
    without it a simulation full of NaN takes up to 200 times as long; a failed step is undone here all the same.

    Args:
        model: the compiled model. It is not modified.
        reads: fields to return.
        threads: worker threads; 0 uses every CPU.
    """

    name = "native"

    def __init__(self, model: mujoco.MjModel, reads: Reads, threads: int = 0) -> None:
        divert_warnings()
        self.model = model
        self.reads = reads
        self._threads = threads
        self._lock = threading.Lock()
        self._simulators: dict[tuple[int, tuple[str, ...]], _Simulator] = {}
        probe = _Simulator(model, reads, 1, (), threads)
        self._row_words = 2 * probe.default_row[probe.evolving].size
        self._shapes = {name: values.shape[1:] for name, values in probe.fields.items()}

    def nominal(self, field: str) -> np.ndarray:
        """The model's own value of a field; see `PhysicsEngine.nominal`."""
        value = model_field(self.model, field)
        if field not in MODEL_FIELDS:
            raise ConfigurationError(f"{field!r} cannot differ from simulation to simulation on physics=native.")
        return value

    def init(self, qpos: Any, qvel: Any, overrides: ModelOverrides | None = None, needed: Any = True) -> PhysicsState:
        """The simulation at (qpos, qvel); see `PhysicsEngine.init`. Where not `needed`, zeros."""
        operands = (jnp.asarray(qpos), jnp.asarray(qvel), jnp.asarray(needed, bool))
        return self._callback(_Simulator.init, (), overrides, *operands)

    def step(
        self,
        state: PhysicsState,
        ctrl: Any,
        overrides: ModelOverrides | None = None,
        substeps: int = 1,
        forces: Any = None,
    ) -> PhysicsState:
        """Hold `ctrl` for `substeps` physics steps; see `PhysicsEngine.step`."""
        operands = [state.engine, jnp.asarray(ctrl)] + ([] if forces is None else [jnp.asarray(forces)])
        after = self._callback(_Simulator.step, (substeps,), overrides, *operands)
        unstable = state.unstable | after.unstable
        return replace(keep(unstable, state, after), unstable=unstable)

    def _callback(
        self, method: _Method, static: tuple[Any, ...], overrides: ModelOverrides | None, *operands: jax.Array
    ) -> PhysicsState:
        result = (
            jax.ShapeDtypeStruct((self._row_words,), np.uint32),
            {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in self._shapes.items()},
            {name: jax.ShapeDtypeStruct(self._shapes[name], np.float32) for name in self.reads.precise},
            jax.ShapeDtypeStruct((), np.bool_),
        )
        call = partial(self._call, method, static)
        return PhysicsState(*jax.pure_callback(call, result, overrides or {}, *operands, vmap_method="broadcast_all"))

    def _call(self, method: _Method, static: tuple[Any, ...], overrides: dict[str, Any], *operands: Any) -> Any:
        """Host side of the callback. NumPy only: JAX calls in here can deadlock."""
        # Every operand has the batch axes of the callers' vmaps in front; the first has one axis of its own.
        lead = np.shape(operands[0])[:-1]
        count = math.prod(lead)

        def flat(x: Any) -> np.ndarray:
            array = np.asarray(x)
            return array.reshape(count, *array.shape[len(lead) :])

        with self._lock:
            simulator = self._simulator(count, tuple(sorted(overrides)))
            method(simulator, {name: flat(value) for name, value in overrides.items()}, *static, *map(flat, operands))
            row, fields, residuals, unstable = simulator.read()

        def unflat(array: np.ndarray) -> np.ndarray:
            return array.reshape((*lead, *array.shape[1:]))

        return (
            unflat(row),
            {name: unflat(value) for name, value in fields.items()},
            {name: unflat(value) for name, value in residuals.items()},
            unflat(unstable),
        )

    def _simulator(self, count: int, overridden: tuple[str, ...]) -> _Simulator:
        key = (count, overridden)
        if key not in self._simulators:
            self._simulators[key] = _Simulator(self.model, self.reads, count, overridden, self._threads)
        return self._simulators[key]


class _Simulator:
    """A `Batch` of fixed size and the buffers to talk to it. Holds caches only, never state between calls."""

    def __init__(
        self, model: mujoco.MjModel, reads: Reads, count: int, overridden: tuple[str, ...], threads: int
    ) -> None:
        self.reads = reads
        self.count = count
        self.after_constraint = tuple(name for name in reads.fields if name in AFTER_CONSTRAINT)
        # A persistent batch keeps an MjData per simulation, which mj_rnePostConstraint then completes.
        self.batch = Batch(model, nsim=count, nthread=min(threads, count), persistent=bool(self.after_constraint))
        self.model, self.scratch = copy.copy(model), mujoco.MjData(model)
        self.fields = {
            name: np.zeros((count, *getattr(self.scratch, name).shape))
            if name in self.after_constraint
            else self.batch.bind(name)
            for name in reads.fields
        }
        self.blank = self.unstable = np.zeros(count, bool)
        self.default_row = self.batch.state[0].copy()
        self.evolving = evolving_columns(model)
        self.row = self._copied_row()
        bound = ("qpos", "qvel", "ctrl", "xfrc_applied")
        self.qpos, self.qvel, self.ctrl, self.forces = (self.batch.bind(name) for name in bound)
        self.overridden = {name: self.batch.expand(name) for name in overridden}
        # No field of MjOption enters mj_setConst.
        self.into_constants = set(mujoco.MjModel._setconst_inputs).intersection(overridden)
        self.free_geoms = free_geoms(model)
        # Whoever moves a geom without mj_setConst may not rely on what it found out about the place before.
        moves = not {"geom_pos", "geom_quat"}.isdisjoint(overridden)
        self.sameframe = self.batch.expand("geom_sameframe") if moves else None
        self._forget_frames()

    def init(self, overrides: dict[str, np.ndarray], qpos: np.ndarray, qvel: np.ndarray, needed: np.ndarray) -> None:
        """Forward at (qpos, qvel) from the model's default state, in the rows needed."""
        # Overrides of the other rows stay as they are, or the next step would have to derive their constants again.
        self._override(overrides, needed)
        self.batch.state[...] = self.default_row
        self.qpos[...] = qpos
        self.qvel[...] = qvel
        self.blank = ~needed
        for name in self.after_constraint:
            self.fields[name][...] = 0.0
        self.batch.warning[...] = 0
        if needed.any():
            self._guard(self.batch.forward, needed)
        self.row = self._copied_row()
        self.unstable = self.batch.warning.any(axis=(1, 2))

    def step(
        self,
        overrides: dict[str, np.ndarray],
        substeps: int,
        row: np.ndarray,
        ctrl: np.ndarray,
        forces: np.ndarray | float = 0.0,
    ) -> None:
        """Continue from `row` for `substeps` steps."""
        self._override(overrides, np.ones(self.count, bool))
        self.batch.state[:, self.evolving] = row.view(np.float64)
        self.ctrl[...] = ctrl
        self.forces[...] = forces
        self.blank = np.zeros(self.count, bool)
        self.batch.warning[...] = 0
        self._guard(self.batch.step, None, substeps)
        self.row = self._copied_row()
        # MuJoCo looks at a state when it steps from it, so what the last substep brought has to be looked at here.
        fine = (np.abs(self.row) <= MAX_VALUE).all(axis=1) & (np.abs(self.qvel) <= MAX_SPEED).all(axis=1)
        self.unstable = self.batch.warning.any(axis=(1, 2)) | ~fine
        if self.after_constraint:
            for i in range(self.count):
                if self.overridden:
                    self.batch.get_model(i, self.model)
                mujoco.mj_rnePostConstraint(self.model, self.batch.get_data(i, self.scratch))
                for name in self.after_constraint:
                    self.fields[name][i] = getattr(self.scratch, name)

    def read(self) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
        """Copies of the state rows, the fields in float32, their rounding residuals, and which simulations failed."""
        row = self.row.view(np.uint32)
        with np.errstate(all="ignore"):  # where a simulation failed, its fields may be beyond float32
            fields = {name: value.astype(np.float32) for name, value in self.fields.items()}
            residuals = {name: (self.fields[name] - fields[name]).astype(np.float32) for name in self.reads.precise}
        if self.blank.any():
            for value in (row, *fields.values(), *residuals.values(), self.unstable):
                value[self.blank] = 0
        return row, fields, residuals, self.unstable

    def _copied_row(self) -> np.ndarray:
        # The batch's arrays are live views: what leaves the callback must be copied.
        return np.array(self.batch.state[:, self.evolving], order="C")

    def _override(self, values: dict[str, np.ndarray], rows: np.ndarray) -> None:
        """Write per-simulation model fields; recompute the derived constants of those that changed."""
        stale = np.zeros(self.count, bool)
        for name, value in values.items():
            target = self.overridden[name]
            value = value.astype(target.dtype)
            unequal = (target != value) & rows.reshape(-1, *(1,) * (target.ndim - 1))
            differs = unequal.reshape(self.count, -1).any(axis=1)
            target[differs] = value[differs]
            if name in self.into_constants:
                if name in ("geom_pos", "geom_quat"):
                    unequal = unequal[:, ~self.free_geoms]
                stale |= unequal.reshape(self.count, -1).any(axis=1)
        if stale.any():
            self.batch.set_const(stale)
            self._forget_frames()

    def _forget_frames(self) -> None:
        if self.sameframe is not None:
            self.sameframe[:, self.free_geoms] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE.value

    def _guard(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except SimulationError as error:
            raise DivergenceError(
                f"MuJoCo stopped: {error}. Lower the learning rate or check the environment."
            ) from error


def free_geoms(model: mujoco.MjModel) -> np.ndarray:
    """Geoms whose place enters no constant of the model: those of the world that collide in explicit pairs alone.

    They may move at every step, as the ground under a foot does; `mj_setConst` would take a quarter of such a step.

    Returns:
        bool `[ngeom]`.
    """
    still = model.body_weldid[model.geom_bodyid] == 0
    return still & (model.geom_contype == 0) & (model.geom_conaffinity == 0)


def evolving_columns(model: mujoco.MjModel) -> slice | np.ndarray:
    """Columns of `mjSTATE_INTEGRATION` that differ from step to step.

    Controls are set before each step and applied forces by nobody, and those are most of a row: six numbers a body.
    """
    part = mujoco.mjtState
    constant = part.mjSTATE_CTRL | part.mjSTATE_QFRC_APPLIED | part.mjSTATE_XFRC_APPLIED
    kept, start = [], 0
    # The bits below mjNSTATE together are mjSTATE_INTEGRATION, in the order of its columns.
    for bit in (1 << i for i in range(part.mjNSTATE)):
        size = mujoco.mj_stateSize(model, bit)
        if not bit & constant:
            kept.extend(range(start, start + size))
        start += size
    columns = np.array(kept)
    # Mostly one block, and copying a block is faster than picking columns.
    return slice(0, len(kept)) if columns[-1] == len(kept) - 1 else columns


_Method = Callable[..., None]
