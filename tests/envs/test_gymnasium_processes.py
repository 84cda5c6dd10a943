"""Environments that are copied, or made in other processes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

import envs.gymnasium  # noqa: F401  (registers the ids)
from envs.rendering import rendering_available

SLIM = "l2t/InvertedPendulum-v5"
needs_opengl = pytest.mark.skipif(rendering_available() is not None, reason=str(rendering_available()))


def make_student():
    options = {"observation_group": "student", "student_stack": 2, "randomise": {"body_mass": [0.5, 2.0]}}
    return gymnasium.make(SLIM, max_episode_steps=12, **options)


def make_vector():
    return gymnasium.make_vec(SLIM, num_envs=3, physics="native", max_episode_steps=12, autoreset_mode="SameStep")


def make_wrapped_vector():
    make = partial(gymnasium.make, SLIM, max_episode_steps=12)
    env = gymnasium.vector.SyncVectorEnv([make] * 2)  # what make_vec hands it cannot be pickled
    return gymnasium.wrappers.vector.RecordEpisodeStatistics(env)


def make_tabular():
    return gymnasium.make("l2t/Garnet-v0", num_states=9, seed=2, start=[1 / 9] * 9, max_episode_steps=12)


def play(env, actions):
    """Everything that the environment answers to the actions, and to resets without a seed where episodes end."""
    told = []
    for action in actions:
        told.append(env.step(action))
        if isinstance(env, gymnasium.Env) and (told[-1][2] or told[-1][3]):
            told.append(env.reset())
    told.append(env.reset())
    told.append(env.action_space.sample())
    return told


@pytest.mark.parametrize("make", [make_student, make_vector, make_wrapped_vector, make_tabular])
def test_a_copy_goes_on_exactly_as_the_original_which_does_not_notice(make):
    env = make()
    env.action_space.seed(1)
    env.reset(seed=3)
    for _ in range(5):
        env.step(env.action_space.sample())
    twin = pickle.loads(pickle.dumps(copy.deepcopy(env)))
    actions = [env.action_space.sample() for _ in range(20)]
    twin_actions = [twin.action_space.sample() for _ in range(20)]
    np.testing.assert_array_equal(twin_actions, actions)
    found = play(twin, actions)
    expected = play(env, actions)
    assert data_equivalence(without_clock(found), without_clock(expected), exact=True)
    assert twin.spec == env.spec
    assert twin.unwrapped.np_random_seed == env.unwrapped.np_random_seed


def without_clock(told):
    """Gymnasium's episode statistics hold the time that they took."""
    for answer in told:
        if isinstance(answer, tuple) and "episode" in answer[-1]:
            del answer[-1]["episode"]["t"]
    return told


@needs_opengl
def test_a_copy_draws_with_a_context_of_its_own():
    env = gymnasium.make(SLIM, render_mode="rgb_array", width=32, height=32)
    env.reset(seed=0)
    picture = env.render()
    twin = copy.deepcopy(env)
    env.close()
    np.testing.assert_array_equal(twin.render(), picture)
    twin.close()


def run(text, *arguments):
    """A script in a process of its own; one that hangs fails the test."""
    return subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=300)


ASYNC = f"""
import sys, gymnasium, envs.gymnasium, jax
if __name__ == "__main__":
    jax.devices()
    env = gymnasium.make_vec("{SLIM}", num_envs=2, vectorization_mode="async", vector_kwargs={{"context": sys.argv[1]}})
    try:
        print(env.reset(seed=3)[0].tolist(), env.step(env.action_space.sample() * 0)[1].tolist())
    finally:
        env.close(terminate=True)
"""


def test_processes_that_start_afresh_hold_environments(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ASYNC)
    result = subprocess.run([sys.executable, script, "spawn"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    env = gymnasium.make_vec(SLIM, num_envs=2, physics="native")
    assert result.stdout.strip() == f"{env.reset(seed=3)[0].tolist()} [1.0, 1.0]"


def test_a_fork_after_jax_was_used_is_refused_and_does_not_hang():
    result = run(ASYNC, "fork")
    assert result.returncode == 1
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("l2t.errors.ConfigurationError: This process was forked from one that had used JAX")
    assert "'context': 'spawn'" in last


@pytest.mark.parametrize(
    ("make", "use"),
    [
        ("make(", "env.reset()"),
        ("make(", "copy.deepcopy(env)"),
        ("make_vec(physics='native', id=", "env.step(env.action_space.sample())"),
    ],
)
def test_an_environment_that_was_forked_along_is_refused(make, use):
    """A fork of any kind, not Gymnasium's alone."""
    text = f"""
import copy, os, signal, gymnasium, envs.gymnasium
from l2t.errors import ConfigurationError
env = gymnasium.{make}"{SLIM}")
env.reset(seed=0)
if (child := os.fork()) == 0:
    try:
        {use}
    except ConfigurationError as error:
        print(error, flush=True)
    os._exit(0)
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(60)
os.waitpid(child, 0)
env.reset()
print("the parent goes on")
"""
    result = run(text)
    assert result.returncode == 0, result.stderr
    assert [line.split(".")[0] for line in result.stdout.splitlines()] == [
        "This process was forked from one that had used JAX, which would hang here",
        "the parent goes on",
    ]


def test_a_fork_of_a_process_that_has_not_used_jax_is_none_of_our_business():
    text = f"""
import os, gymnasium, envs.gymnasium
if (child := os.fork()) == 0:
    env = gymnasium.make("{SLIM}")
    print(env.reset(seed=0)[0].shape, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert run(text).stdout.strip() == "(4,)"
