"""The native engine: a pure function around C MuJoCo."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from envs.config import MujocoConfig
from envs.mujoco.task import load_model
from envs.physics.base import PhysicsState, Reads, displacement
from envs.physics.config import PhysicsConfig
from envs.physics.native import NativeEngine, free_geoms
from l2t.errors import ConfigurationError

READS = Reads(("qpos", "qvel", "xpos", "cfrc_ext"), precise=("qpos",))
SUBSTEPS = 5


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return load_model("ant.xml")


@pytest.fixture(scope="module")
def engine(model) -> NativeEngine:
    return NativeEngine(model, READS)


def starts(model, count, seed=0):
    """States with the feet on the ground, or near it, and controls."""
    generator = np.random.default_rng(seed)
    qpos = model.qpos0 + generator.uniform(-0.1, 0.1, (count, model.nq))
    qpos[:, 2] = generator.uniform(0.3, 0.6, count)
    qvel = generator.normal(0, 0.5, (count, model.nv))
    ctrl = generator.uniform(-1, 1, (count, model.nu))
    return qpos.astype(np.float32), qvel.astype(np.float32), ctrl.astype(np.float32)


def overrides(model, count, seed=0):
    generator = np.random.default_rng(seed)
    return {
        "body_mass": np.float32(model.body_mass * generator.uniform(0.5, 2.0, (count, 1))),
        "geom_friction": np.float32(model.geom_friction * generator.uniform(0.1, 2.0, (count, 1, 1))),
        "opt.gravity": np.float32(model.opt.gravity + generator.normal(0, 1, (count, 3))),
    }


def two_steps(engine, qpos, qvel, ctrl, changes=None) -> tuple[PhysicsState, PhysicsState]:
    state = jax.vmap(engine.init)(qpos, qvel, changes)
    step = jax.vmap(lambda s, c, o: engine.step(s, c, o, SUBSTEPS))
    state = step(state, ctrl, changes)
    return state, step(state, -ctrl, changes)


def by_hand(model, qpos, qvel, ctrl, changes, index) -> list[mujoco.MjData]:
    """Two environment steps of C MuJoCo with the model edited, one simulation."""
    edited = copy.copy(model)
    edited.body_mass[:] = changes["body_mass"][index]
    edited.geom_friction[:] = changes["geom_friction"][index]
    edited.opt.gravity[:] = changes["opt.gravity"][index]
    mujoco.mj_setConst(edited, mujoco.MjData(edited))
    data = mujoco.MjData(edited)
    data.qpos, data.qvel = qpos[index], qvel[index]
    mujoco.mj_forward(edited, data)
    results = []
    for sign in (1, -1):
        data.ctrl = sign * ctrl[index]
        mujoco.mj_step(edited, data, SUBSTEPS)
        mujoco.mj_rnePostConstraint(edited, data)
        results.append(copy.copy(data))
    return results


def test_forces_on_bodies_act_for_one_step_and_equal_c_mujoco(model, engine):
    qpos, qvel, ctrl = starts(model, 2)
    forces = np.random.default_rng(1).normal(0, 20.0, (2, model.nbody, 6)).astype(np.float32)
    state = jax.vmap(engine.init)(qpos, qvel)
    pushed = jax.vmap(lambda s, c, f: engine.step(s, c, None, SUBSTEPS, f))(state, ctrl, forces)
    after = jax.vmap(lambda s, c: engine.step(s, c, None, SUBSTEPS))(pushed, ctrl)
    for index in range(2):
        data = mujoco.MjData(model)
        data.qpos, data.qvel = qpos[index], qvel[index]
        mujoco.mj_forward(model, data)
        data.ctrl = ctrl[index]
        for applied, seen in ((forces[index], pushed), (0.0, after)):
            data.xfrc_applied = applied
            mujoco.mj_step(model, data, SUBSTEPS)
            np.testing.assert_array_equal(np.asarray(seen["qpos"])[index], data.qpos.astype(np.float32))


def assert_same(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_overrides_equal_a_model_edited_by_hand(model, engine):
    qpos, qvel, ctrl = starts(model, 6)
    changes = overrides(model, 6)
    plain = two_steps(engine, qpos, qvel, ctrl)
    states = two_steps(engine, qpos, qvel, ctrl, changes)
    assert np.abs(states[1]["qpos"] - plain[1]["qpos"]).max() > 1e-3
    for index in range(6):
        for state, data in zip(states, by_hand(model, qpos, qvel, ctrl, changes, index), strict=True):
            for name in READS.fields:
                np.testing.assert_array_equal(state[name][index], np.float32(getattr(data, name)), err_msg=name)
    assert np.abs(states[1]["cfrc_ext"]).max() > 1.0


@pytest.mark.parametrize("name", ["body_mass", "geom_friction", "opt.gravity"])
def test_each_overridden_field_changes_the_dynamics(model, engine, name):
    qpos, qvel, ctrl = starts(model, 4)
    plain = two_steps(engine, qpos, qvel, ctrl)[1]["qpos"]
    changed = two_steps(engine, qpos, qvel, ctrl, {name: overrides(model, 4)[name]})[1]["qpos"]
    assert np.all(np.abs(plain - changed).max(axis=1) > 1e-6)


def test_nominal_overrides_change_nothing_even_after_others(model, engine):
    qpos, qvel, ctrl = starts(model, 4)
    model64 = {"geom_friction": np.broadcast_to(np.float32(model.geom_friction), (4, *model.geom_friction.shape))}
    first = two_steps(engine, qpos, qvel, ctrl, model64)
    two_steps(engine, qpos, qvel, ctrl, {"geom_friction": overrides(model, 4)["geom_friction"]})
    assert_same(two_steps(engine, qpos, qvel, ctrl, model64), first)


def test_results_do_not_depend_on_the_calls_before(model, engine):
    qpos, qvel, ctrl = starts(model, 4)
    changes, other = overrides(model, 4), overrides(model, 4, seed=9)
    start = jax.vmap(engine.init)(qpos, qvel, changes)
    step = jax.vmap(lambda s, c, o: engine.step(s, c, o, SUBSTEPS))
    after = step(start, ctrl, changes)
    # Other states, overrides, batch sizes and masks in between.
    elsewhere = starts(model, 4, seed=5)
    two_steps(engine, *elsewhere, other)
    two_steps(engine, *elsewhere)
    two_steps(engine, *starts(model, 7, seed=6), overrides(model, 7, seed=7))
    jax.vmap(engine.init)(*elsewhere[:2], other, np.array([True, False, False, True]))
    assert_same(step(start, ctrl, changes), after)
    assert_same(jax.vmap(engine.init)(qpos, qvel, changes), start)
    # One at a time, and as part of a larger batch.
    row = jax.tree.map(lambda x: x[2], (start, ctrl, changes))
    assert_same(engine.step(*row, SUBSTEPS), jax.tree.map(lambda x: x[2], after))
    doubled = jax.tree.map(lambda x: np.concatenate([x, x]), (start, ctrl, changes))
    assert_same(jax.tree.map(lambda x: x[4:], step(*doubled)), after)


def test_vmap_of_vmap_equals_flat(model, engine):
    qpos, qvel, ctrl = starts(model, 6)
    changes = overrides(model, 6)
    flat = two_steps(engine, qpos, qvel, ctrl, changes)

    def nest(x):
        return x.reshape(2, 3, *x.shape[1:])

    nested = jax.jit(jax.vmap(lambda *a: two_steps(engine, *a)))(*jax.tree.map(nest, (qpos, qvel, ctrl, changes)))
    assert_same(nested, jax.tree.map(nest, flat))


def test_an_override_shared_by_all_equals_one_each(model, engine):
    qpos, qvel, _ = starts(model, 3)
    one = jax.tree.map(lambda x: x[0], overrides(model, 1))
    each = jax.tree.map(lambda x: np.broadcast_to(x, (3, *x.shape)), one)
    shared = jax.vmap(lambda q, v: engine.init(q, v, one))(qpos, qvel)
    assert_same(shared, jax.vmap(engine.init)(qpos, qvel, each))


def test_only_needed_rows_are_computed_and_the_others_are_zero(model, engine):
    qpos, qvel, ctrl = starts(model, 5)
    old, new = overrides(model, 5), overrides(model, 5, seed=3)
    needed = np.array([True, False, True, False, False])
    whole = jax.vmap(engine.init)(qpos, qvel, new)
    part = jax.vmap(engine.init)(qpos, qvel, new, needed)
    assert_same(jax.tree.map(lambda x: x[needed], part), jax.tree.map(lambda x: x[needed], whole))
    assert not any(np.any(x[~needed]) for x in jax.tree.leaves(part))
    # A partial reset between two steps leaves the other simulations alone, their models included.
    step = jax.vmap(lambda s, c, o: engine.step(s, c, o, SUBSTEPS))
    running = jax.vmap(engine.init)(*starts(model, 5, seed=8)[:2], old)
    expected = step(running, ctrl, old)
    jax.vmap(engine.init)(qpos, qvel, new, needed)
    merged = jax.tree.map(
        lambda n, o: jnp.where(needed.reshape(5, *[1] * (n.ndim - 1)), n, o), (part, new), (running, old)
    )
    after = step(merged[0], ctrl, merged[1])
    assert_same(jax.tree.map(lambda x: x[~needed], after), jax.tree.map(lambda x: x[~needed], expected))
    assert_same(jax.tree.map(lambda x: x[needed], after), jax.tree.map(lambda x: x[needed], step(whole, ctrl, new)))


def test_nothing_needed_is_no_error(model, engine):
    qpos, qvel, _ = starts(model, 3)
    state = jax.vmap(engine.init)(qpos, qvel, None, np.zeros(3, bool))
    assert not any(np.any(x) for x in jax.tree.leaves(state))


def test_the_number_of_threads_changes_nothing(model):
    qpos, qvel, ctrl = starts(model, 5)
    one, two = (two_steps(NativeEngine(model, READS, threads), qpos, qvel, ctrl) for threads in (1, 2))
    assert_same(one, two)


def test_the_engine_leaves_the_callers_model_alone(model):
    before = model.body_mass.copy()
    engine = NativeEngine(model, READS)
    two_steps(engine, *starts(model, 3), overrides(model, 3))
    np.testing.assert_array_equal(model.body_mass, before)


def test_displacement_stays_exact_far_from_the_origin(model, engine):
    qpos, qvel, ctrl = starts(model, 1)
    moved = qpos.copy()
    moved[:, 0] += 65536.0
    here, there = (two_steps(engine, start, qvel, ctrl) for start in (qpos, moved))
    expected = np.asarray(displacement(*here, "qpos"))[0, 0]
    naive = np.asarray(there[1]["qpos"] - there[0]["qpos"])[0, 0]
    exact = np.asarray(displacement(*there, "qpos"))[0, 0]
    assert abs(exact - expected) < 1e-5 * abs(expected)
    assert abs(naive - expected) > 1e-2 * abs(expected)


def randomised(**intervals):
    return MujocoConfig("hopper", randomise=intervals).build(PhysicsConfig("native"))


def test_randomised_models_are_drawn_at_each_reset_and_kept_during_an_episode():
    env = randomised(body_mass=[0.5, 1.5], geom_friction=[0.2, 0.8])
    state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 64))
    drawn = state.extras["overrides"]
    mass = np.asarray(drawn["body_mass"][:, 1:] / env.model.body_mass[1:])
    friction = np.asarray(drawn["geom_friction"][:, 0, 0] / env.model.geom_friction[0, 0])
    assert np.ptp(mass, axis=1).max() < 1e-5
    for factor, (low, high) in ((mass[:, 0], (0.5, 1.5)), (friction, (0.2, 0.8))):
        assert low <= factor.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < factor.max() <= high
        assert len(np.unique(factor)) == 64
    assert abs(np.corrcoef(mass[:, 0], friction)[0, 1]) < 0.4
    after = jax.jit(jax.vmap(env.step))(state, jnp.zeros((64, 3)))
    assert_same(after.extras["overrides"], drawn)


def test_unknown_fields_cannot_be_randomised():
    for name in ("body_weight", "nq", "geom_type"):
        with pytest.raises(ConfigurationError, match=name):
            randomised(**{name: [0.5, 1.5]}).reset(jax.random.key(0))


BALL_ON_TWO_GROUNDS = """
<mujoco>
  <worldbody>
    <geom name="ground" type="plane" size="0 0 1" contype="0" conaffinity="0"/>
    <geom name="shelf" type="box" size=".1 .1 .1" pos="1 0 0"/>
    <body pos="0 0 .1"><freejoint/><geom name="ball" size=".1"/></body>
  </worldbody>
  <contact><pair geom1="ground" geom2="ball"/></contact>
</mujoco>
"""


def test_ground_under_explicit_pairs_moves_without_new_constants(monkeypatch):
    model = mujoco.MjModel.from_xml_string(BALL_ON_TWO_GROUNDS)
    np.testing.assert_array_equal(free_geoms(model), [True, False, False])
    derived = []
    set_const = Batch.set_const
    monkeypatch.setattr(Batch, "set_const", lambda batch, ids: (derived.append(1), set_const(batch, ids)))
    engine = NativeEngine(model, Reads(("qpos",)), threads=1)
    state = engine.init(model.qpos0, np.zeros(6))
    # At the origin, upright, MuJoCo would take the ground's place from the world and look no further.
    place, turn = np.float32(model.geom_pos), np.float32(model.geom_quat)
    for count, (geom, height) in enumerate(((0, 0.0), (0, -0.3), (1, 0.1))):
        place, turn = place.copy(), turn.copy()
        place[geom, 2], turn[geom] = height, (1, 0.05 * count, 0, 0)
        turn[geom] /= np.linalg.norm(turn[geom])
        state = engine.step(state, np.zeros(0), {"geom_pos": place, "geom_quat": turn}, 10)
        assert sum(derived) == (geom == 1)
        if geom == 0:
            still = height == 0.0
            assert (abs(state["qpos"][2] - 0.1) < 1e-3) == still
