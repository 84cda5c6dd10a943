"""Pictures of single and vector environments, and what is said where none can be drawn."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.rendering import rendering_available
from tests.support.faces import SLIM, make_vector

needs_opengl = pytest.mark.skipif(rendering_available() is not None, reason=str(rendering_available()))


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


@needs_opengl
def test_gymnasiums_checker_has_nothing_to_say_but_that_spaces_are_wide():
    env = gymnasium.make(SLIM, render_mode="rgb_array")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    expected = ("infinity", "symmetric and normalized")
    assert [str(w.message) for w in caught if not any(text in str(w.message) for text in expected)] == []
    env.close()


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
