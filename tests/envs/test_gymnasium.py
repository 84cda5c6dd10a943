"""The tasks as Gymnasium environments."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import envs.gymnasium
from envs.config import MUJOCO_TASKS
from envs.rendering import rendering_available
from l2t.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("quick_compile")

SLIM = "l2t/InvertedPendulum-v5"
needs_opengl = pytest.mark.skipif(rendering_available() is not None, reason=str(rendering_available()))


def make_vector(num_envs=4, **options):
    return gymnasium.make_vec(SLIM, num_envs=num_envs, physics="native", **options)


@pytest.fixture(scope="module")
def single():
    env = gymnasium.make(SLIM)
    yield env
    env.close()


@pytest.fixture(scope="module")
def vector():
    return make_vector(max_episode_steps=10)


@pytest.fixture(scope="module")
def same_step():
    return make_vector(max_episode_steps=10, autoreset_mode="SameStep")


@pytest.mark.parametrize(("task", "name"), sorted(MUJOCO_TASKS.items()))
def test_every_task_is_registered_with_gymnasiums_limit_and_spaces(task, name):
    ours, theirs = gymnasium.make(f"l2t/{name}-v5"), gymnasium.make(f"{name}-v5")
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps
    assert ours.observation_space.shape == theirs.observation_space.shape
    assert ours.observation_space.dtype == np.float32
    np.testing.assert_array_equal(ours.action_space.low, theirs.action_space.low)
    np.testing.assert_array_equal(ours.action_space.high, theirs.action_space.high)
    assert ours.metadata["render_fps"] == theirs.metadata["render_fps"]


@pytest.mark.parametrize("identifier", [SLIM, "l2t/Hopper-v5"])
def test_gymnasiums_checker_says_of_a_task_what_it_says_of_gymnasiums_own(identifier):
    def complaints(env):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_env(env.unwrapped, skip_render_check=True)
        return {str(warning.message) for warning in caught if "MuJoCo" not in str(warning.message)}

    assert complaints(gymnasium.make(identifier)) <= complaints(gymnasium.make(identifier.removeprefix("l2t/")))


@pytest.mark.parametrize("make", [gymnasium.make, make_vector], ids=["single", "vector"])
def test_steps_and_pictures_before_a_reset_are_refused_and_closing_twice_is_not(make):
    env = make(SLIM) if make is gymnasium.make else make()
    bare = env.unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded):
        bare.step(env.action_space.sample())
    assert bare.render() is None
    bare.render_mode = "rgb_array"
    with pytest.raises(gymnasium.error.ResetNeeded):
        bare.render()
    env.close()
    env.close()


def test_registering_twice_changes_nothing():
    before = dict(gymnasium.registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.gymnasium.register_all()
    assert gymnasium.registry == before


def test_ids_may_name_the_module_instead_of_importing_it():
    code = "import gymnasium; print(gymnasium.make('envs.gymnasium:l2t/InvertedPendulum-v5').unwrapped.spec.id)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == SLIM


@needs_opengl
def test_gymnasiums_checker_has_nothing_to_say_but_that_spaces_are_wide():
    env = gymnasium.make(SLIM, render_mode="rgb_array")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    expected = ("infinity", "symmetric and normalized")
    assert [str(w.message) for w in caught if not any(text in str(w.message) for text in expected)] == []
    env.close()


def test_episodes_follow_from_the_seed(single):
    def play(seed):
        observations = [single.reset(seed=seed)[0], single.reset()[0]]
        observations.append(single.step(np.ones(1, np.float32))[0])
        return np.array(observations)

    first = play(5)
    np.testing.assert_array_equal(play(5), first)
    assert np.any(play(6) != first)
    assert np.any(first[0] != first[1])


def test_a_seed_may_exceed_32_bits(single):
    assert single.reset(seed=2**40 + 3)[0].shape == (4,)


def test_reset_options_set_the_state(single):
    observation, _ = single.reset(options={"qpos": [0.3, 0.1], "qvel": [-0.2, 0.4]})
    np.testing.assert_allclose(observation, [0.3, 0.1, -0.2, 0.4], rtol=1e-6)
    for wrong, answer in (
        ({"qpos": [0.3, 0.1]}, "qvel.*missing"),
        ({"qpos": [0.3], "qvel": [0.0, 0.0]}, "qpos.*length 2"),
        ({"qpos": [np.nan, 0.0], "qvel": [0.0, 0.0]}, "qpos.*not finite"),
        ({"qpos": [0.0, 0.0], "qvel": [0.0, 1e300]}, "qvel.*not finite"),
        ({"qpos": "here", "qvel": [0.0, 0.0]}, "qpos must hold numbers"),
        ({"qpso": [0.3, 0.1]}, "Did you mean 'qpos'"),
        (["qpos"], "dictionary"),
    ):
        with pytest.raises(ConfigurationError, match=answer):
            single.reset(options=wrong)


def test_a_step_returns_plain_numbers_and_the_terms_of_the_reward(single):
    single.reset(seed=0)
    observation, reward, terminated, truncated, info = single.step(np.zeros(1, np.float32))
    assert observation.dtype == np.float32
    assert [type(x) for x in (reward, terminated, truncated)] == [float, bool, bool]
    assert info == {"reward_survive": reward} == {"reward_survive": 1.0}
    kept = observation.copy()
    single.step(np.ones(1, np.float32))
    np.testing.assert_array_equal(observation, kept)


def test_the_time_limit_is_the_one_that_make_is_given():
    env = gymnasium.make(SLIM, max_episode_steps=3, healthy_angle=100.0)
    env.reset(seed=0)
    flags = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]


def test_keyword_arguments_choose_the_group_the_noise_and_the_task_parameters():
    options = {"qpos": [0.5, 0.1], "qvel": [-0.2, 0.4]}
    env = gymnasium.make(SLIM, observation_group="student", student_noise=0.5, student_stack=2, healthy_reward=3.0)
    assert env.observation_space.shape == (8,)
    noisy = env.reset(seed=0, options=options)[0].reshape(2, 4)
    exact = np.concatenate([options["qpos"], options["qvel"]])
    assert np.all(noisy != exact)
    assert np.all(np.abs(noisy - exact) <= 0.5 * np.abs(exact) + 1e-6)
    assert env.step(np.zeros(1, np.float32))[1] == 3.0


def test_wrong_arguments_are_answered_with_the_choices():
    for wrong, answer in (
        ({"observation_group": "pupil"}, "student"),
        ({"healthy_rewards": 1.0}, "healthy_reward"),
        ({"physics": "bullet"}, "native"),
        ({"autoreset_mode": "Disabled"}, "SameStep"),
        ({"num_envs": 0}, "num_envs"),
    ):
        with pytest.raises(ConfigurationError, match=answer):
            gymnasium.make_vec(SLIM, **({"num_envs": 2} | wrong))
    with pytest.raises(ConfigurationError, match="rgb_array"):
        envs.gymnasium.single.SingleEnvironment("hopper", render_mode="human")


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        (np.zeros(2, np.float32), "shape"),
        (np.float32(0.0), "shape"),
        ([np.nan], "not finite"),
        ([-np.inf], "not finite"),
        ("a", "must hold numbers"),
        ([None], "not finite"),
        ({}, "must hold numbers"),
    ],
    ids=str,
)
def test_actions_that_are_none_are_refused(single, vector, wrong, answer):
    single.reset(seed=0)
    with pytest.raises(ConfigurationError, match=answer):
        single.unwrapped.step(wrong)
    vector.reset(seed=0)
    many = wrong if isinstance(wrong, str | dict) else [wrong] * 4
    with pytest.raises(ConfigurationError, match=answer):
        vector.step(many)


def test_the_action_that_a_new_episode_ignores_may_be_anything(vector):
    vector.reset(options={"qpos": [[0.0, 0.0], [0.0, 0.19], [0.0, 0.0], [0.0, 0.0]], "qvel": [0.0, 5.0]})
    action = np.zeros((4, 1), np.float32)
    while not (terminated := vector.step(action)[2]).any():
        pass
    action[terminated] = np.nan
    observation = vector.step(action)[0]
    assert np.isfinite(observation).all()


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


@pytest.mark.parametrize("seed", [-1, 0.5, {}], ids=str)
def test_seeds_are_refused_as_gymnasium_refuses_them(single, vector, seed):
    with pytest.raises(gymnasium.error.Error) as expected:
        gymnasium.make("Pendulum-v1").reset(seed=seed)
    for env in (single, vector):
        with pytest.raises(gymnasium.error.Error, match="Seed must be") as ours:
            env.reset(seed=seed)
        assert str(ours.value).split(", actual")[0] == str(expected.value).split(", actual")[0]
    for wrong in ([0, seed, 1, 1], (None, None, 2, seed), np.array([0, 1, 2, seed])):
        with pytest.raises(gymnasium.error.Error, match="Seed must be"):
            vector.reset(seed=wrong)


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


def test_single_wrappers_work(single):
    env = gymnasium.wrappers.JaxToNumpy(gymnasium.wrappers.RecordEpisodeStatistics(single))
    env.reset(seed=0)
    done = False
    while not done:
        observation, _, terminated, truncated, info = env.step(np.full(1, 3.0, np.float32))
        done = terminated or truncated
    assert isinstance(observation, np.ndarray)
    assert info["episode"]["l"] == info["episode"]["r"] + 1


@needs_opengl
def test_pictures_of_single_and_vector_environments():
    env = gymnasium.make(SLIM, render_mode="rgb_array", width=64, height=48)
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (48, 64, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 1
    env.close()
    many = make_vector(2, render_mode="rgb_array", width=64, height=48)
    many.reset(options={"qpos": [[0.0, 0.0], [0.0, 1.5]], "qvel": [0.0, 0.0]})
    pictures = many.render()
    assert len(pictures) == 2
    assert np.any(pictures[0] != pictures[1])
    many.close()


def test_a_picture_without_opengl_is_refused_with_the_reason():
    code = (
        "import gymnasium, envs.gymnasium\n"
        "from l2t.errors import MissingDependencyError\n"
        "try:\n"
        f"    gymnasium.make('{SLIM}', render_mode='rgb_array')\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    environment = os.environ | {"MUJOCO_GL": "off"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "rgb_array" in result.stdout
    assert "MUJOCO_GL=off" in result.stdout


def test_hundreds_of_steps_of_many_instances_do_not_hang():
    env = gymnasium.make_vec("l2t/Reacher-v5", num_envs=64, physics="native")
    observation, _ = env.reset(seed=0)
    for _ in range(300):
        observation = env.step(np.zeros((64, 2), np.float32))[0]
    assert np.isfinite(observation).all()
    assert len(np.unique(observation[:, 4])) == 64
