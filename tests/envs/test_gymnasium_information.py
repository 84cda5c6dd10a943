"""What an environment tells at a reset and after a step, against Gymnasium's own v5 environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import envs.gymnasium  # noqa: F401  (registers the ids)
from envs.config import MUJOCO_TASKS

OWN_TERMS = {
    "HumanoidStandup": {"reward_survive"},
    "InvertedDoublePendulum": {"reward_distance", "reward_velocity"},
}
"""Reward terms that Gymnasium's environment adds up without naming them."""

NAMES = ("x_position", "y_position", "distance_from_origin")
"""What the swimmer's resets tell."""


@pytest.mark.parametrize("name", sorted(MUJOCO_TASKS.values()))
def test_resets_and_steps_tell_what_gymnasiums_environment_tells(name):
    ours, theirs = gymnasium.make(f"l2t/{name}-v5"), gymnasium.make(f"{name}-v5")
    _, by_itself = theirs.reset(seed=1)
    data = theirs.unwrapped.data
    qpos, qvel = data.qpos.astype(np.float32), data.qvel.astype(np.float32)
    theirs.unwrapped.set_state(qpos.astype(np.float64), qvel.astype(np.float64))
    expected = theirs.unwrapped._get_reset_info()
    assert ours.reset(seed=1)[1].keys() == by_itself.keys()
    found = ours.reset(options={"qpos": qpos, "qvel": qvel})[1]
    assert_close(found, expected)
    action = np.random.default_rng(0).uniform(-0.4, 0.4, ours.action_space.shape).astype(np.float32)
    found, expected = ours.step(action)[4], theirs.step(action)[4]
    assert found.keys() - expected.keys() == OWN_TERMS.get(name, set())
    assert_close({each: found[each] for each in found.keys() & expected.keys()}, expected)


@pytest.mark.parametrize("name", sorted(MUJOCO_TASKS.values()))
def test_a_vector_reset_tells_of_each_instance_what_a_single_reset_tells(name):
    many = gymnasium.make_vec(f"l2t/{name}-v5", num_envs=2, physics="native")
    theirs = gymnasium.make_vec(f"{name}-v5", num_envs=2, vectorization_mode="sync")
    expected = theirs.reset(seed=1)[1]
    states = [env.unwrapped.data for env in theirs.envs]
    start = {"qpos": np.array([data.qpos for data in states]), "qvel": np.array([data.qvel for data in states])}
    found = many.reset(options=start)[1]
    assert_close(found, expected)
    assert {each: value.dtype for each, value in found.items()} == {e: v.dtype for e, v in expected.items()}


def test_a_masked_reset_tells_of_those_who_start():
    env = gymnasium.make_vec("l2t/Swimmer-v5", num_envs=3, physics="native")
    whole = env.reset(seed=1)[1]
    mask = np.array([False, True, False])
    part = env.reset(options={"reset_mask": mask})[1]
    assert part.keys() == whole.keys() == {f"{prefix}{name}" for prefix in ("", "_") for name in NAMES}
    for name in NAMES:
        np.testing.assert_array_equal(part[f"_{name}"], mask)
        np.testing.assert_array_equal(part[name] != 0.0, mask)


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.shape(found[name]) == np.shape(value)
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
