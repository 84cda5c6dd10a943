"""Many instances in one program, against Gymnasium's own vectors of single environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from l2t.errors import ConfigurationError
from tests.support.faces import SLIM, make_vector


def test_the_vector_environment_declares_itself(vector, same_step):
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert same_step.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert vector.observation_space.shape == (4, 4)
    assert vector.action_space.shape == (4, 1)
    assert vector.single_observation_space.shape == (4,)
    assert vector.metadata["render_fps"] == 25
    assert vector.spec.id == SLIM


def reference(mode, identifier=SLIM, **options):
    """Gymnasium's own vectorisation of single environments."""
    return gymnasium.make_vec(
        identifier,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        disable_env_checker=True,
        **({"num_envs": 4, "max_episode_steps": 10} | options),
    )


def assert_same_information(actual, expected):
    """Names, values, types and masks; `final_obs` has a form of its own here."""
    assert actual.keys() == expected.keys()
    for name in actual.keys() - {"final_obs"}:
        if isinstance(expected[name], dict):
            assert_same_information(actual[name], expected[name])
        else:
            np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)
            assert actual[name].dtype == expected[name].dtype


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_vector_episodes_equal_gymnasiums_vector_of_single_environments(vector, same_step, mode):
    ours, theirs = vector if mode == "NextStep" else same_step, reference(mode)
    np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    generator = np.random.default_rng(0)
    ends = np.zeros(2, int)
    for _ in range(40):
        action = generator.uniform(-1.5, 1.5, (4, 1)).astype(np.float32)
        (*actual, information), (*expected, expected_information) = ours.step(action), theirs.step(action)
        for mine, yours in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(mine, yours)
            assert mine.dtype == yours.dtype
        assert ("final_obs" in information) == ("final_obs" in expected_information)
        if "final_obs" in information:
            np.testing.assert_array_equal(information["_final_obs"], expected_information["_final_obs"])
            for index in np.flatnonzero(information["_final_obs"]):
                np.testing.assert_array_equal(information["final_obs"][index], expected_information["final_obs"][index])
        assert_same_information(information, expected_information)
        ends += [actual[2].sum(), actual[3].sum()]
    assert np.all(ends > 1), "both terminations and time limits must have been compared"


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_vector_information_equals_gymnasiums_also_where_a_new_episode_has_just_begun(mode):
    options = {"max_episode_steps": 9, "healthy_z_range": (1.245, 10.0)}
    ours = gymnasium.make_vec("l2t/Hopper-v5", num_envs=2, physics="native", autoreset_mode=mode, **options)
    theirs = reference(mode, "l2t/Hopper-v5", num_envs=2, **options)
    assert_same_information(ours.reset(seed=1)[1], theirs.reset(seed=1)[1])
    generator = np.random.default_rng(0)
    mixed = 0
    for _ in range(25):
        action = generator.uniform(-1, 1, (2, 3)).astype(np.float32)
        information, expected = ours.step(action)[4], theirs.step(action)[4]
        assert_same_information(information, expected)
        known = information.get("_x_velocity", np.zeros(2, bool))
        assert information["_x_position"].all()
        mixed += known.any() and not known.all()
    assert mixed > 3, "some instances must have begun while others went on"


def test_masked_resets_leave_the_other_instances_alone(vector):
    before, _ = vector.reset(seed=0)
    mask = np.array([True, False, False, True])
    after, _ = vector.reset(seed=100, options={"reset_mask": mask})
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert np.all(np.any(after[mask] != before[mask], axis=1))
    for wrong in (np.ones(3, bool), np.ones(4), np.zeros(4, bool)):
        with pytest.raises(ConfigurationError, match="reset_mask"):
            vector.reset(options={"reset_mask": wrong})


def test_vector_options_take_one_state_for_all_or_one_each(vector):
    observation, _ = vector.reset(options={"qpos": [0.3, 0.1], "qvel": [-0.2, 0.4]})
    np.testing.assert_allclose(observation, np.tile([0.3, 0.1, -0.2, 0.4], (4, 1)), rtol=1e-6)
    positions = np.arange(8.0).reshape(4, 2)
    observation, _ = vector.reset(options={"qpos": positions, "qvel": np.zeros(2)})
    np.testing.assert_allclose(observation[:, :2], positions)


def test_seeds_may_be_listed(vector):
    listed, _ = vector.reset(seed=[7, 9, 7, 8])
    np.testing.assert_array_equal(listed[0], listed[2])
    counted, _ = vector.reset(seed=7)
    np.testing.assert_array_equal(listed[[0, 3, 1]], counted[:3])
    for form in (tuple, np.array):
        np.testing.assert_array_equal(vector.reset(seed=form([7, 9, 7, 8]))[0], listed)
    for number in (np.int64(7), np.uint8(7)):
        np.testing.assert_array_equal(vector.reset(seed=number)[0], counted)
    for wrong in ([1, 2, 3], (), np.arange(5)):
        with pytest.raises(ConfigurationError, match=f"{len(wrong)} seeds for 4"):
            vector.reset(seed=wrong)


def test_an_instance_without_a_seed_keeps_its_own_stream(vector):
    """As in Gymnasium's own vector environments, also under a mask: who does not start is not seeded."""
    theirs = reference("NextStep")
    mask = np.array([True, True, False, False])
    calls = [
        {"seed": 5},
        {"seed": [1, None, 2, None]},
        {},
        {"seed": [None, 3, None, None]},
        {"seed": 40, "options": {"reset_mask": mask}},
        {},
        {"seed": [8, None, 9, None], "options": {"reset_mask": mask}},
        {},
    ]
    for call in calls:
        expected = theirs.reset(**{name: dict(x) if name == "options" else x for name, x in call.items()})[0]
        np.testing.assert_array_equal(vector.reset(**call)[0], expected, err_msg=str(call))


def test_a_first_reset_may_leave_seeds_open():
    first, second = (make_vector().reset(seed=[1, None, 2, None])[0] for _ in range(2))
    np.testing.assert_array_equal(first[::2], second[::2])
    assert np.all(np.any(first[1::2] != second[1::2], axis=1))


def test_the_action_that_a_new_episode_ignores_may_be_anything(vector):
    vector.reset(options={"qpos": [[0.0, 0.0], [0.0, 0.19], [0.0, 0.0], [0.0, 0.0]], "qvel": [0.0, 5.0]})
    action = np.zeros((4, 1), np.float32)
    while not (terminated := vector.step(action)[2]).any():
        pass
    action[terminated] = np.nan
    observation = vector.step(action)[0]
    assert np.isfinite(observation).all()


def test_a_limit_of_minus_one_is_none():
    env = make_vector(max_episode_steps=-1, healthy_angle=1e6)
    env.reset(seed=0)
    assert not any(env.step(np.zeros((4, 1), np.float32))[3].any() for _ in range(1005))


def test_the_vector_step_compiles_once(vector):
    vector.reset(seed=0)
    for _ in range(15):
        vector.step(np.ones((4, 1), np.float32))
    assert vector._advance._cache_size() == 1
    assert vector._renew._cache_size() == 1


def test_randomised_models_differ_between_instances():
    env = make_vector(randomise={"body_mass": [0.5, 2.0]}, healthy_angle=100.0)
    env.reset(seed=0, options={"qpos": [0.0, 0.1], "qvel": [0.0, 0.0]})
    for _ in range(3):
        observation = env.step(np.ones((4, 1), np.float32))[0]
    assert len(np.unique(observation[:, 0])) == 4


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_episode_statistics_and_conversion_wrappers_work(vector, same_step, mode):
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(vector if mode == "NextStep" else same_step)
    env = gymnasium.wrappers.vector.JaxToNumpy(env)
    env.reset(seed=0, options={"qpos": [0.0, 0.0], "qvel": [0.0, 0.0]})
    for _ in range(10):
        observation, _, _, truncated, info = env.step(np.zeros((4, 1), np.float32))
    assert isinstance(observation, np.ndarray)
    assert truncated.all()
    np.testing.assert_array_equal(info["episode"]["l"], 10)
    np.testing.assert_array_equal(info["episode"]["r"], 10.0)


def test_hundreds_of_steps_of_many_instances_do_not_hang():
    env = gymnasium.make_vec("l2t/Reacher-v5", num_envs=64, physics="native")
    observation, _ = env.reset(seed=0)
    for _ in range(300):
        observation = env.step(np.zeros((64, 2), np.float32))[0]
    assert np.isfinite(observation).all()
    assert len(np.unique(observation[:, 4])) == 64
