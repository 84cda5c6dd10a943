"""Planes that move from step to step through model overrides, on every engine."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.physics.base import Reads
from envs.physics.mjx import MjxEngine
from envs.physics.native import NativeEngine

COUNT, STEPS, SUBSTEPS, RADIUS = 4, 12, 8, 0.02


def two_spheres(plane: dict) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.0025
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.default.geom.solref = [0.005, 1.0]
    for bit in (1, 2):
        kind = mujoco.mjtGeom.mjGEOM_PLANE
        spec.worldbody.add_geom(type=kind, size=[0, 0, 1], contype=0, conaffinity=bit, **plane)
    for bit in (1, 2):
        body = spec.worldbody.add_body(pos=[0.125 * bit, 0, 0.0625])
        body.add_freejoint()
        kind = mujoco.mjtGeom.mjGEOM_SPHERE
        body.add_geom(type=kind, size=[RADIUS, 0, 0], mass=0.5, contype=bit, conaffinity=0)
    return spec.compile()


def poses(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Of all geoms, by step and environment: the planes rise, fall and tilt, each in its own way."""
    generator = np.random.default_rng(0)
    position = np.tile(np.float32(model.geom_pos), (STEPS, COUNT, 1, 1))
    orientation = np.tile(np.float32(model.geom_quat), (STEPS, COUNT, 1, 1))
    position[:, :, :2] = generator.uniform(-0.01, 0.01, (STEPS, COUNT, 2, 3))
    position[:, :, :2, 2] += 0.01
    tilt = np.insert(generator.normal(0.0, 0.05, (STEPS, COUNT, 2, 3)), 0, 1.0, axis=-1)
    orientation[:, :, :2] = tilt / np.linalg.norm(tilt, axis=-1, keepdims=True)
    return position, orientation


def by_hand(model: mujoco.MjModel, position: np.ndarray, orientation: np.ndarray, index: int) -> np.ndarray:
    edited = copy.copy(model)
    data = mujoco.MjData(edited)
    mujoco.mj_forward(edited, data)
    rows = []
    for step in range(STEPS):
        edited.geom_pos[:], edited.geom_quat[:] = position[step, index], orientation[step, index]
        # A geom that was compiled at its body's frame is taken to be there until this is derived anew.
        mujoco.mj_setConst(edited, mujoco.MjData(edited))
        mujoco.mj_step(edited, data, SUBSTEPS)
        rows.append(data.qpos.copy())
    return np.array(rows)


def on(engine, position: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    model = engine.model

    def step(state, poses):
        state = engine.step(state, jnp.zeros(0), {"geom_pos": poses[0], "geom_quat": poses[1]}, SUBSTEPS)
        return state, state["qpos"]

    def run(poses):
        start = engine.init(jnp.asarray(model.qpos0, jnp.float32), jnp.zeros(model.nv))
        return jax.lax.scan(step, start, poses)[1]

    return np.asarray(jax.jit(jax.vmap(run, 1, 1))((position, orientation)))


@pytest.mark.parametrize("plane", [{"pos": [0, 0, -1], "quat": [1, 0.1, 0, 0]}, {}], ids=["away", "at the origin"])
def test_planes_that_move_every_step_are_those_of_an_edited_model_of_c_mujoco(plane):
    model = two_spheres(plane)
    position, orientation = poses(model)
    actual = on(NativeEngine(model, Reads(("qpos",)), threads=1), position, orientation)
    expected = np.stack([by_hand(model, position, orientation, index) for index in range(COUNT)], axis=1)
    # They bounce: something happened.
    assert np.abs(expected[-1, :, [2, 9]] - expected[0, :, [2, 9]]).min() > 1e-3
    np.testing.assert_array_equal(actual, np.float32(expected))


def test_mjx_moves_planes_as_c_mujoco_does():
    model = two_spheres({"pos": [0, 0, -1], "quat": [1, 0.1, 0, 0]})
    position, orientation = poses(model)
    actual = on(MjxEngine(model, Reads(("qpos",))), position, orientation)
    expected = np.stack([by_hand(model, position, orientation, index) for index in range(COUNT)], axis=1)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
