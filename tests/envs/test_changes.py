"""Tasks under other dynamics: against closed forms of mechanics, and against C MuJoCo on a model changed by hand."""

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import envs.gymnasium  # noqa: F401  (registers the tasks)
from envs.config import MujocoConfig
from envs.mujoco.changes import changed_model, tilted
from envs.mujoco.task import load_model
from envs.physics.base import Reads
from envs.physics.config import PhysicsConfig
from envs.physics.mjx import MjxEngine
from envs.physics.native import NativeEngine
from l2t.errors import ConfigurationError

G, ALPHA = 9.81, 12.0
SINE, COSINE = np.sin(np.radians(ALPHA)), np.cos(np.radians(ALPHA))


def on_native(task, **changes):
    return MujocoConfig(task, **changes).build(PhysicsConfig("native"))


def test_gravity_keeps_its_length_and_pulls_downhill():
    np.testing.assert_allclose(tilted(np.array([0.0, 0.0, -G]), ALPHA), [-G * SINE, 0.0, -G * COSINE], atol=1e-12)
    np.testing.assert_allclose(tilted(tilted(np.array([1.0, 2.0, 3.0]), 30.0), -30.0), [1.0, 2.0, 3.0], atol=1e-12)


@pytest.mark.parametrize("engine", [NativeEngine, MjxEngine])
def test_a_cart_with_an_upright_pole_slides_downhill_as_one(engine):
    """It falls along the rail with g sin α; what the pole feels beside that pulls along itself, so it stays upright."""
    model = changed_model(load_model("inverted_pendulum.xml"), {}, ALPHA)
    upright = jnp.array([0.0, -np.arctan(0.001 / 0.6)])  # the file draws the pole a millimetre askew
    state = jax.jit(engine(model, Reads(("qacc",))).init)(upright, jnp.zeros(2))
    np.testing.assert_allclose(state["qacc"], [-G * SINE, 0.0], atol=2e-5)


def test_a_robot_in_the_air_falls_along_tilted_gravity():
    """A body at rest in uniform gravity does not bend: its root moves with ½ g t², dt of Euler's method included."""
    env = on_native("half_cheetah", slope=ALPHA)
    start = env.reset_to(jax.random.key(0), jnp.zeros(9).at[1].set(5.0), jnp.zeros(9))
    state = jax.jit(env.step)(start, jnp.zeros(6))
    dt, n = 0.01, 5
    moved = np.array(state.physics["qpos"])[:3] - [0.0, 5.0, 0.0]
    expected = -G * dt**2 * n * (n + 1) / 2
    np.testing.assert_allclose(moved, [expected * SINE, expected * COSINE, 0.0], atol=1e-6)
    assert float(state.reward) == pytest.approx(expected * SINE / (n * dt), rel=1e-4)


def test_level_ground_is_the_model_itself():
    model = load_model("hopper.xml")
    assert changed_model(model, {}, 0.0) is model


def test_changed_models_move_as_c_mujoco_does_with_the_fields_set_by_hand():
    env = on_native("hopper", model={"body_mass": 1.5, "body_inertia": 1.5, "geom_friction": 0.4}, slope=ALPHA)
    model = load_model("hopper.xml")
    model.body_mass *= 1.5
    model.body_inertia *= 1.5
    model.geom_friction *= 0.4
    model.opt.gravity[:] = [-G * SINE, 0.0, -G * COSINE]
    mujoco.mj_setConst(model, mujoco.MjData(model))
    data = mujoco.MjData(model)
    qpos = np.array([0.0, 1.25, 0.05, 0.0, -0.1, 0.1], np.float32)
    data.qpos[:] = qpos
    state, step = env.reset_to(jax.random.key(0), jnp.asarray(qpos), jnp.zeros(6)), jax.jit(env.step)
    rng = np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-1.0, 1.0, 3).astype(np.float32)
        state = step(state, jnp.asarray(action))
        data.ctrl[:] = action
        for _ in range(4):
            mujoco.mj_step(model, data)
        np.testing.assert_allclose(state.physics["qpos"], data.qpos, atol=1e-6)
    assert not np.isclose(data.qpos[2], 0.05)


def test_a_fixed_factor_moves_as_a_random_one_that_can_only_be_that():
    fixed = on_native("hopper", model={"body_mass": 1.25})
    drawn = on_native("hopper", randomise={"body_mass": [1.25, 1.25]})
    key, action = jax.random.key(1), jnp.array([0.5, -0.5, 0.3])
    ends = []
    for env in (fixed, drawn):
        state, step = jax.jit(env.reset)(key), jax.jit(env.step)
        for _ in range(10):
            state = step(state, action)
        ends.append(state)
    np.testing.assert_allclose(ends[0].physics["qpos"], ends[1].physics["qpos"], atol=1e-5)
    assert ends[0].extras["overrides"] == {}


def test_derived_constants_follow_on_mjx():
    """`randomise` cannot do this there: the compiled model keeps the constants of its nominal masses."""
    engine = MjxEngine(changed_model(load_model("hopper.xml"), {"body_mass": 2.0}), Reads(("qpos",)))
    nominal = load_model("hopper.xml")
    assert engine.nominal("body_subtreemass")[0] == pytest.approx(2.0 * nominal.body_subtreemass[0])


@pytest.mark.parametrize(
    ("task", "changes", "reason"),
    [
        ("hopper", {"model": {"body_weight": 2.0}}, "body_weight"),
        ("hopper", {"model": {"geom_type": 2.0}}, "geom_type"),
        ("hopper", {"model": {"tendon_damping": 2.0}}, "empty or zero"),
        ("hopper", {"model": {"body_subtreemass": 2.0}}, "derives that field"),
        ("pusher", {"slope": 5.0}, "no gravity"),
    ],
)
def test_changes_without_effect_are_refused(task, changes, reason):
    with pytest.raises(ConfigurationError, match=reason) as refused:
        on_native(task, **changes)
    assert "\n" not in str(refused.value)


def test_the_gymnasium_face_takes_them_too():
    level, steep = (gymnasium.make("l2t/InvertedPendulum-v5", slope=slope) for slope in (0.0, ALPHA))
    start = {"qpos": [0.0, 0.0], "qvel": [0.0, 0.0]}
    speeds = []
    for env in (level, steep):
        env.reset(seed=0, options=start)
        speeds.append(env.step(np.zeros(1, np.float32))[0][2])
    assert abs(speeds[0]) < 1e-3
    assert speeds[1] == pytest.approx(-G * SINE * 0.04, rel=0.01)
