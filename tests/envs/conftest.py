"""The faces that several stories share; each module compiles its own."""

import gymnasium
import pytest

from tests.support.faces import SLIM, make_vector


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
