"""Planes that move from step to step through model overrides, on every engine."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from envs.physics.base import Reads
from envs.physics.mjx import MjxEngine
from envs.physics.native import NativeEngine

COUNT, STEPS, SUBSTEPS, RADIUS = 4, 12, 8, 0.02


def two_spheres(pairs: bool, plane: dict) -> mujoco.MjModel:
    """Each with a plane of its own, by contact pairs or by bits, and where the planes are compiled."""
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.0025
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.default.geom.solref = [0.005, 1.0]
    plane_type, sphere_type = mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_SPHERE
    for bit in (1, 2):
        affinity = 0 if pairs else bit
        spec.worldbody.add_geom(
            name=f"ground{bit}", type=plane_type, size=[0, 0, 1], contype=0, conaffinity=affinity, **plane
        )
    for bit in (1, 2):
        body = spec.worldbody.add_body(pos=[0.125 * bit, 0, 0.0625])
        body.add_freejoint()
        affinity = 0 if pairs else bit
        body.add_geom(
            name=f"foot{bit}", type=sphere_type, size=[RADIUS, 0, 0], mass=0.5, contype=affinity, conaffinity=0
        )
        if pairs:
            spec.add_pair(geomname1=f"ground{bit}", geomname2=f"foot{bit}", solref=[0.005, 1.0])
    return spec.compile()


def changes(model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """Of the model, by step and environment: planes that rise, fall and tilt, and twice other masses.

    Where the masses change first, the planes are back at the world's origin.
    """
    generator = np.random.default_rng(0)
    position = np.tile(np.float32(model.geom_pos), (STEPS, COUNT, 1, 1))
    orientation = np.tile(np.float32(model.geom_quat), (STEPS, COUNT, 1, 1))
    mass = np.tile(np.float32(model.body_mass), (STEPS, COUNT, 1))
    position[:, :, :2] = generator.uniform(-0.01, 0.01, (STEPS, COUNT, 2, 3))
    position[:, :, :2, 2] += 0.01
    tilt = np.insert(generator.normal(0.0, 0.05, (STEPS, COUNT, 2, 3)), 0, 1.0, axis=-1)
    orientation[:, :, :2] = tilt / np.linalg.norm(tilt, axis=-1, keepdims=True)
    position[3, :, :2], orientation[3, :, :2] = 0.0, [1.0, 0.0, 0.0, 0.0]
    mass[3:8] *= generator.uniform(0.5, 2.0, (COUNT, 1)).astype(np.float32)
    return {"geom_pos": position, "geom_quat": orientation, "body_mass": mass}


def by_hand(model: mujoco.MjModel, changes: dict[str, np.ndarray]) -> np.ndarray:
    """`qpos` by step and environment, every constant being derived anew at every step."""
    rows = np.zeros((STEPS, COUNT, model.nq))
    for index in range(COUNT):
        edited = copy.copy(model)
        data = mujoco.MjData(edited)
        mujoco.mj_forward(edited, data)
        for step in range(STEPS):
            for name, values in changes.items():
                getattr(edited, name)[:] = values[step, index]
            mujoco.mj_setConst(edited, mujoco.MjData(edited))
            mujoco.mj_step(edited, data, SUBSTEPS)
            rows[step, index] = data.qpos
    return rows


def on(engine, changes: dict[str, np.ndarray]) -> np.ndarray:
    model = engine.model

    def step(state, changes):
        state = engine.step(state, jnp.zeros(0), changes, SUBSTEPS)
        return state, state["qpos"]

    def run(changes):
        start = engine.init(jnp.asarray(model.qpos0, jnp.float32), jnp.zeros(model.nv))
        return jax.lax.scan(step, start, changes)[1]

    return np.asarray(jax.jit(jax.vmap(run, 1, 1))(changes))


AWAY = {"pos": [0, 0, -1], "quat": [1, 0.1, 0, 0]}


@pytest.mark.parametrize("pairs", [True, False], ids=["pairs", "bits"])
@pytest.mark.parametrize("plane", [AWAY, {}], ids=["away", "at the origin"])
def test_planes_that_move_every_step_are_those_of_an_edited_model_of_c_mujoco(pairs, plane):
    model = two_spheres(pairs, plane)
    actual = on(NativeEngine(model, Reads(("qpos",)), threads=1), changes(model))
    expected = by_hand(model, changes(model))
    # They bounce: something happened.
    assert np.abs(expected[-1, :, [2, 9]] - expected[0, :, [2, 9]]).min() > 1e-3
    np.testing.assert_array_equal(actual, np.float32(expected))


def test_constants_are_derived_anew_for_what_enters_them_and_not_for_planes_or_gravity(monkeypatch):
    derived = []
    original = Batch.set_const
    monkeypatch.setattr(Batch, "set_const", lambda batch, rows: derived.append(rows.copy()) or original(batch, rows))
    model = two_spheres(True, AWAY)
    every = changes(model)
    gravity = np.random.default_rng(1).normal(0.0, 1.0, (STEPS, COUNT, 3)).astype(np.float32) + model.opt.gravity
    on(NativeEngine(model, Reads(("qpos",)), threads=1), {**every, "opt.gravity": np.float32(gravity)})
    # Masses change at the steps 3 and 8.
    assert len(derived) == 2
    assert np.all(derived)
    derived.clear()
    del every["body_mass"]
    on(NativeEngine(model, Reads(("qpos",)), threads=1), every)
    assert not derived
    # A sphere on its body is another matter: the body's bounds follow from it.
    every["geom_pos"][:, :, 2] += np.float32(0.001)
    on(NativeEngine(model, Reads(("qpos",)), threads=1), every)
    assert len(derived) == 1


def test_mjx_moves_planes_as_c_mujoco_does():
    model = two_spheres(True, AWAY)
    # MJX keeps the constants of the nominal masses.
    planes = {name: value for name, value in changes(model).items() if name != "body_mass"}
    actual = on(MjxEngine(model, Reads(("qpos",))), planes)
    np.testing.assert_allclose(actual, by_hand(model, planes), atol=1e-4)
