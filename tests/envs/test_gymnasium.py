"""The tasks as Gymnasium environments: what is registered, and the single face."""

from __future__ import annotations

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs.gymnasium
from envs.config import MUJOCO_TASKS
from l2t.errors import ConfigurationError
from tests.support.faces import SLIM


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


def test_single_wrappers_work(single):
    env = gymnasium.wrappers.JaxToNumpy(gymnasium.wrappers.RecordEpisodeStatistics(single))
    env.reset(seed=0)
    done = False
    while not done:
        observation, _, terminated, truncated, info = env.step(np.full(1, 3.0, np.float32))
        done = terminated or truncated
    assert isinstance(observation, np.ndarray)
    assert info["episode"]["l"] == info["episode"]["r"] + 1
