"""Moving ground: its derivatives, its limit, and the ground's frame against a real platform of C MuJoCo."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.cassie.terrain.config import KINDS, TerrainConfig
from envs.cassie.terrain.motion import ground_motion
from envs.cassie.terrain.terrain import Terrain, draw
from envs.physics.base import Reads
from envs.physics.native import NativeEngine
from tests.envs.cassie.terrain.stools import DURATION, LEGS, RADIUS, SUBSTEPS, TIMESTEP

MASS = 1e6
"""Of the platform in kg: so heavy that the stool does not move it."""

GRAVITY = np.array([0.0, 0.0, -9.81])


def terrains(config: TerrainConfig, difficulty: jax.Array) -> Terrain:
    keys = jax.random.split(jax.random.key(0), difficulty.size)
    return jax.jit(jax.vmap(lambda key, d: draw(key, config, d)))(keys, difficulty)


@pytest.fixture(scope="module")
def moving() -> Terrain:
    return terrains(TerrainConfig(kind="moving"), jnp.linspace(0.0, 1.0, 64))


def test_velocity_and_acceleration_are_the_derivatives_of_the_displacement(moving):
    times = jnp.linspace(0.0, 20.0, 11)
    motion = jax.vmap(lambda t: jax.vmap(ground_motion, (0, None))(moving, t))(times)
    a, w, p = (np.asarray(x, np.float64) for x in (moving.amplitude, moving.frequency, moving.phase))

    def displaced(t):
        return a * np.sin(w * t + p)

    step = 1e-4
    at = [np.stack([displaced(float(t) + shift) for t in times]) for shift in (-step, 0.0, step)]
    np.testing.assert_allclose(motion.displacement, at[1], atol=1e-5)
    np.testing.assert_allclose(motion.velocity, (at[2] - at[0]) / (2 * step), atol=1e-4)
    np.testing.assert_allclose(motion.acceleration, (at[2] - 2 * at[1] + at[0]) / step**2, atol=1e-3)


def test_amplitude_is_the_difficulty_s_and_acceleration_stays_within_its_limit(moving):
    np.testing.assert_allclose(moving.amplitude, np.tile(np.linspace(0.02, 0.1, 64)[:, None], 3), atol=1e-6)
    frequency = np.asarray(moving.frequency) / (2 * np.pi)
    assert frequency.min() >= 0.2 - 1e-6
    assert frequency.max() <= 1.2
    times = jnp.linspace(0.0, 200.0, 4001)
    motion = jax.vmap(lambda t: jax.vmap(ground_motion, (0, None))(moving, t))(times)
    magnitude = np.linalg.norm(motion.acceleration, axis=-1).max(axis=0)
    assert magnitude.max() <= 3.0 + 1e-4
    # Ground that is meant to be hard comes near the limit.
    assert magnitude[32:].max() > 2.3


def test_ground_of_every_other_kind_stands_still():
    others = tuple(kind for kind in KINDS if kind != "moving")
    still = terrains(TerrainConfig(weights=dict.fromkeys(others, 1.0)), jnp.ones(32))
    motion = jax.vmap(ground_motion, (0, None))(still, jnp.float32(1.3))
    assert not any(np.any(part) for part in motion)


def swaying(platform: bool) -> mujoco.MjModel:
    """A stool with a mast on a spring, whose angle tells how the ground moves; on the world or on a heavy platform."""
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    spec = mujoco.MjSpec()
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.default.geom.solref = [0.005, 1.0]
    ground = spec.worldbody
    if platform:
        ground = spec.worldbody.add_body(name="platform", gravcomp=1)
        ground.mass, ground.inertia, ground.explicitinertial = MASS, [MASS] * 3, True
        for name, axis in zip("xyz", np.eye(3), strict=True):
            ground.add_joint(name=name, type=slide, axis=axis)
    ground.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[2, 2, 0.5], pos=[0, 0, -0.5])
    body = spec.worldbody.add_body(name="stool", pos=[0, 0, RADIUS])
    body.mass, body.inertia, body.explicitinertial = 2.0, [0.008, 0.01, 0.012], True
    body.add_freejoint()
    for leg in LEGS:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[RADIUS, 0, 0], pos=leg)
    mast = body.add_body(name="mast", pos=[0, 0, 0.02])
    mast.add_joint(name="sway", type=hinge, axis=[0.6, 0.8, 0], stiffness=5.0, damping=0.1)
    mast.mass, mast.inertia, mast.ipos, mast.explicitinertial = 1.0, [0.01, 0.01, 0.01], [0, 0, 0.25], True
    return spec.compile()


def on_a_platform(terrain: Terrain, steps: int) -> np.ndarray:
    """Stool and mast relative to a platform that is driven by force, so that it has the motion's velocity."""
    model = swaying(platform=True)
    data = mujoco.MjData(model)
    times = jnp.arange(steps * SUBSTEPS + 1) * TIMESTEP
    velocity = np.asarray(jax.jit(jax.vmap(lambda t: ground_motion(terrain, t).velocity))(times), np.float64)
    data.qvel[:3] = data.qvel[3:6] = velocity[0]
    rows = []
    for step in range(steps * SUBSTEPS):
        data.qfrc_applied[:3] = MASS * (velocity[step + 1] - velocity[step]) / TIMESTEP
        mujoco.mj_step(model, data)
        if step % SUBSTEPS == SUBSTEPS - 1:
            rows.append(np.concatenate([data.qpos[3:6] - data.qpos[:3], data.qpos[6:]]))
    return np.array(rows)


def in_its_frame(terrain: Terrain, steps: int) -> np.ndarray:
    """The same on ground at rest, with gravity g - a in the middle of each step of the environment."""
    model = swaying(platform=False)
    engine = NativeEngine(model, Reads(("qpos",)), threads=1)

    def step(state, time):
        acceleration = ground_motion(terrain, time + DURATION / 2).acceleration
        state = engine.step(state, jnp.zeros(0), {"opt.gravity": GRAVITY - acceleration}, SUBSTEPS)
        return state, state["qpos"]

    start = engine.init(jnp.asarray(model.qpos0), jnp.zeros(model.nv), {"opt.gravity": jnp.asarray(GRAVITY)})
    return np.asarray(jax.lax.scan(step, start, DURATION * jnp.arange(steps))[1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_ground_s_frame_shows_what_happens_on_a_real_moving_platform(seed):
    terrain = draw(jax.random.key(seed), TerrainConfig(kind="moving"), jnp.float32(1.0))
    real, ours = on_a_platform(terrain, 150), in_its_frame(terrain, 150)
    # The mast sways: there is something to agree on.
    assert np.ptp(real[:, 7]) > 0.05
    np.testing.assert_allclose(ours, real, atol=1e-4)
