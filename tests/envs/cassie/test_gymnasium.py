import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs.gymnasium  # noqa: F401  (registers)
from l2t.errors import ConfigurationError


def test_a_single_cassie_passes_gymnasiums_own_check():
    env = gymnasium.make("l2t/CassieStairs-v0", observation_group="student", difficulty=0.2, command={"stand": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(render|spec|infinity).*")
        check_env(env.unwrapped, skip_render_check=True)
    assert env.observation_space.shape == (250,)
    assert env.unwrapped.environment.task.difficulty == 0.2
    assert env.unwrapped.environment.task.command.stand == 0.5
    assert env.unwrapped.metadata["render_fps"] == 50
    _, told = env.reset(seed=0)
    assert told["x_position"] == 0.0
    assert "reward_forward" in env.step(np.zeros(10, np.float32))[4]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"terrain": "slope"}, "keyword argument"),
        ({"dificulty": 0.1}, "difficulty"),
        ({"command": {"foward": (0, 1)}}, "forward"),
        ({"command": 3}, "must map"),
        ({"difficulty": 2.0}, "out of range"),
        ({"prior": "jump"}, "stepping"),
    ],
)
def test_what_cannot_be_followed_is_refused(options, told):
    with pytest.raises(ConfigurationError, match=told):
        gymnasium.make("l2t/CassieFlat-v0", **options)
