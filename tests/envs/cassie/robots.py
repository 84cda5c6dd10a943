"""Models and states that several tests of Cassie share."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from envs.cassie.config import CassieConfig
from envs.cassie.model import cassie_model, cassie_spec
from envs.cassie.pose import standing_pose
from envs.cassie.settings import CommandConfig, NoiseConfig, RandomisationConfig
from envs.mujoco.environment import MujocoEnvironment
from envs.physics.config import PhysicsConfig
from envs.push import PushConfig

DT = 0.02
"""Seconds of a step."""
NOMINAL = RandomisationConfig(amount=0.0)
SILENT = NoiseConfig(0.0, 0.0, 0.0, 0.0, 0.0)
FORWARD = CommandConfig((1.0, 1.0), (0.0, 0.0), (0.0, 0.0), 0.0)


def build(**settings) -> MujocoEnvironment:
    """The nominal robot, told to walk at 1 m/s, that nobody pushes and whose sensors are silent; but for `settings`."""
    given = {"randomisation": NOMINAL, "push": PushConfig((0.0, 0.0)), "noise": SILENT, "command": FORWARD, **settings}
    return CassieConfig(**given).build(PhysicsConfig("native"))


def episode(env, actions, seed=0, instances=1):
    """States of every step, `[time, instance]`, under the same actions for all instances."""
    start = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(seed), instances))

    def step(state, action):
        state = jax.vmap(env.step, in_axes=(0, None))(state, action)
        return state, state

    return start, jax.jit(lambda s, a: jax.lax.scan(step, s, a)[1])(start, jnp.asarray(actions, jnp.float32))


@functools.cache
def symmetric_model() -> mujoco.MjModel:
    """Cassie without the figures that tell left from right."""
    spec = cassie_spec()
    pelvis = spec.body("pelvis")
    pelvis.ipos[1] = 0.0
    inertia = np.array(pelvis.fullinertia)
    inertia[[3, 5]] = 0.0  # xy and yz
    pelvis.fullinertia = inertia
    spec.body("right-hip-roll").ipos[1] *= -1
    return spec.compile()


def random_states(count: int, seed: int = 0, height: float = 0.1):
    """Positions about the standing pose, some touching the ground; velocities and motor targets."""
    pose, generator = standing_pose(), np.random.default_rng(seed)
    qpos = pose.qpos + generator.normal(0, 0.05, (count, pose.qpos.size))
    qpos[:, 2] = pose.qpos[2] + generator.uniform(0, height, count)
    for row in qpos:
        mujoco.mj_normalizeQuat(cassie_model(), row)
    qvel = generator.normal(0, 0.5, (count, 32))
    return qpos, qvel, pose.offset + generator.uniform(-0.4, 0.4, (count, 10))


def simulation(model: mujoco.MjModel, qpos, qvel=0.0, ctrl=None) -> mujoco.MjData:
    """The model's data at a state, computed."""
    data = mujoco.MjData(model)
    data.qpos, data.qvel = qpos, qvel
    data.ctrl = standing_pose().offset if ctrl is None else ctrl
    mujoco.mj_forward(model, data)
    return data


def mass_matrix(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Dense."""
    dense = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, dense)
    return dense
