"""An option that is accepted acts, or is refused: on the single face, the vector face and the command line alike."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import envs.gymnasium  # noqa: F401  (registers the ids)
from configs.command_line import compose_config
from envs.gymnasium.options import TaskOptions
from envs.gymnasium.single import SingleEnvironment
from envs.gymnasium.vector import VectorizedEnvironment
from envs.physics.config import PhysicsConfig
from l2t.errors import ConfigurationError

SLIM = "l2t/InvertedPendulum-v5"


def make_vector(identifier, **options):
    return gymnasium.make_vec(identifier, **({"num_envs": 2, "physics": "native"} | options))


def make_sync(identifier, **options):
    return gymnasium.make_vec(identifier, num_envs=1, vectorization_mode="sync", **options)


FACES = pytest.mark.parametrize("make", [gymnasium.make, make_vector, make_sync], ids=["single", "vector", "sync"])


@FACES
@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"episode_length": 50}, "max_episode_steps"),
        ({"student_noise": 0.1}, "student_noise: .*observation_group='student'"),
        ({"student_stack": 4}, "student_stack: .*observation_group='student'"),
        ({"student_noise_kind": "gaussian", "student_stack": 1}, "student_noise_kind, student_stack: "),
        ({"student_previous_action": True}, "student_previous_action: .*observation_group='student'"),
        ({"width": "a"}, "width='a' must be a whole number"),
        ({"height": 0}, "height=0 is too small"),
        ({"width": 64.0}, "width=64.0 must be a whole number"),
        ({"height": None}, "height=None must be a whole number"),
        ({"heigth": 64}, "Did you mean 'height'"),
        ({"xml": "ant.xml"}, "'xml' is not known"),
        ({"substeps": 1}, "'substeps' is not known"),
        ({"reads": ()}, "'reads' is not known"),
        ({"parameters": {}}, "'parameters' is not known"),
        ({"reset_cost": 1.0}, "'reset_cost' is not known"),
        ({"healthy_angel": 0.1}, "Did you mean 'healthy_angle'"),
        ({"healthy_angle": "wide"}, "healthy_angle='wide' must be a number"),
        ({"randomise": 3}, "randomise=3 must map"),
        ({"randomise": []}, r"randomise=\[\] must map"),
        ({"randomise": {"body_mass": 2.0}}, r"body_mass=2.0 must be two numbers, \[low, high\]"),
        ({"randomise": {"body_mas": [0.5, 2.0]}}, "'body_mas'"),
        ({"physics": None}, "physics.engine=None"),
        ({"physics": {"engine": "native"}}, "physics.engine="),
        ({"physics": 3}, "physics.engine=3"),
        ({"physics": PhysicsConfig("native", constraints=9)}, "physics.constraints=9 would change nothing"),
        ({"push": {"duration": 1.0}}, "env.push.duration=1.0 would change nothing"),
        ({"observation_group": "student", "student_noise": -1.0}, "student_noise=-1.0"),
        ({"observation_group": "student", "student_noise": "loud"}, "student_noise='loud'"),
        ({"observation_group": "student", "student_stack": 0}, "student_stack=0"),
        ({"observation_group": "student", "student_noise_kind": "pink"}, "uniform"),
        ({"observation_group": "student", "student_previous_action": 1}, "student_previous_action=1 must be true or"),
        ({"observation_group": None}, "student, teacher"),
    ],
    ids=str,
)
def test_wrong_keywords_are_refused_alike_on_every_face(make, wrong, answer):
    with pytest.raises(ConfigurationError, match=answer):
        make(SLIM, **wrong)


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
        ({"max_episode_steps": -2}, "max_episode_steps=-2"),
        ({"max_episode_steps": 2.5}, "max_episode_steps=2.5"),
        ({"max_episode_steps": "9"}, "max_episode_steps='9'"),
        ({"max_episode_steps": 2**31}, "max_episode_steps=2147483648"),
        ({"num_envs": 0}, "num_envs=0"),
        ({"num_envs": 2.0}, "num_envs=2.0"),
        ({"autoreset_mode": "Disabled"}, "SameStep"),
        ({"autoreset_mode": None}, "SameStep"),
        ({"render_mode": "human"}, "rgb_array"),
        ({"render_mode": 3}, "rgb_array"),
    ],
    ids=str,
)
def test_wrong_keywords_of_the_vector_face_are_refused(wrong, answer):
    with pytest.raises(ConfigurationError, match=answer):
        make_vector(SLIM, **wrong)


@pytest.mark.parametrize("limit", [0, -2, 2.5, "9"])
def test_gymnasium_itself_refuses_such_time_limits_of_a_single_environment(limit):
    with pytest.raises((ValueError, TypeError), match="max_episode_steps"):
        gymnasium.make(SLIM, max_episode_steps=limit)


def test_what_belongs_to_the_vector_face_is_refused_by_the_single_one():
    for wrong in ({"autoreset_mode": "SameStep"}, {"num_envs": 3}, {"max_episode_steps": 3}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            SingleEnvironment("inverted_pendulum", **wrong)


def test_gymnasium_refuses_what_one_program_cannot_take():
    for wrong in ({"vector_kwargs": {"autoreset_mode": "SameStep"}}, {"wrappers": [gymnasium.wrappers.ClipReward]}):
        with pytest.raises(gymnasium.error.Error, match=next(iter(wrong))):
            make_vector(SLIM, **wrong)


def action_of(env):
    return np.full(env.action_space.shape, 0.7, np.float32)


@FACES
def test_fields_of_the_task_act_on_every_face(make):
    env = make(SLIM, healthy_reward=3.0)
    env.reset(seed=0)
    assert np.all(env.step(action_of(env))[1] == 3.0)


@FACES
def test_time_limits_act_on_every_face(make):
    env = make(SLIM, max_episode_steps=2, healthy_angle=10.0)
    env.reset(seed=0)
    assert [bool(np.all(env.step(action_of(env))[3])) for _ in range(2)] == [False, True]


@FACES
def test_student_options_act_on_every_face(make):
    start = {"qpos": [0.5, 0.1], "qvel": [-0.2, 0.4]}
    exact = np.array([0.5, 0.1, -0.2, 0.4])
    seen = {}
    for kind in ("uniform", "gaussian"):
        options = {"student_noise": 0.1, "student_noise_kind": kind, "student_stack": 3}
        env = make(SLIM, observation_group="student", **options)
        seen[kind] = env.reset(seed=0, options=start)[0].reshape(-1, 3, 4)[:, 0]
        assert np.all(seen[kind] != exact)
    assert np.all(np.abs(seen["uniform"] - exact) <= 0.1 * np.abs(exact) + 1e-6)
    assert np.any(seen["uniform"] != seen["gaussian"])


@FACES
def test_the_previous_action_is_shown_on_every_face(make):
    """In policy units: the motor's range is [-3, 3], and 0.7 N is given."""
    options = {"student_noise": 0.0, "student_stack": 2, "student_previous_action": True, "healthy_angle": 10.0}
    env = make(SLIM, observation_group="student", **options)
    assert env.observation_space.shape[-1] == 2 * (4 + 1)
    groups = [env.reset(seed=0)[0], env.step(action_of(env))[0], env.step(-2.0 * action_of(env))[0]]
    shown = [group.reshape(-1, 2, 5)[:, :, 4] for group in groups]
    for actions, expected in zip(shown, ([0.0, 0.0], [0.7 / 3, 0.0], [-1.4 / 3, 0.7 / 3]), strict=True):
        np.testing.assert_allclose(actions, np.tile(expected, (len(actions), 1)), atol=1e-6)


@FACES
def test_a_student_is_shown_as_many_observations_as_on_the_command_line(make):
    stack = compose_config(["env=inverted_pendulum"]).env.student_stack
    assert make(SLIM, observation_group="student").observation_space.shape[-1] == stack * 4 > 4


@FACES
def test_factors_act_on_every_face_whatever_is_seen(make):
    options = {"randomise": {"opt.gravity": [3.0, 3.0]}, "healthy_angle": 10.0}
    start = {"qpos": [0.0, 0.1], "qvel": [0.0, 0.0]}
    falls = []
    for extra in ({}, options):
        env = make(SLIM, **({"healthy_angle": 10.0} | extra))
        env.reset(seed=0, options=start)
        falls.append(env.step(0.0 * action_of(env))[0].reshape(-1, 4)[0, 3])
    assert falls[1] / falls[0] == pytest.approx(3.0, rel=0.02)


def test_the_size_of_a_picture_can_be_read_back():
    """As in Gymnasium's own environments, which take it without a render mode too."""
    env = gymnasium.make(SLIM, width=64, height=48).unwrapped
    assert (env.width, env.height) == (64, 48)


def test_an_engine_may_be_configured_in_full():
    env = SingleEnvironment("inverted_pendulum", physics=PhysicsConfig("native", threads=1))
    assert env.environment.engine._threads == 1


def test_both_faces_are_made_from_the_same_defaults():
    faces = SingleEnvironment("hopper"), VectorizedEnvironment("hopper", physics="native")
    single, vector = (face._options for face in faces)
    assert single == vector == TaskOptions("hopper")


def test_an_id_is_bound_to_its_task():
    with pytest.raises(ConfigurationError, match="hopper: keyword argument='task'"):
        gymnasium.make("l2t/Hopper-v5", task="walker2d")
    with pytest.raises(ConfigurationError, match="ring: keyword argument='family'"):
        gymnasium.make("l2t/Ring-v0", family="garnet")
