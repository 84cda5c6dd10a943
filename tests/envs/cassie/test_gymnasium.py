import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs.gymnasium  # noqa: F401  (registers)
from envs.cassie import observation
from envs.cassie.pose import standing_pose
from envs.physics.config import PhysicsConfig
from l2t.errors import ConfigurationError

NAMES = observation.names(observation.TEACHER)
DIFFICULTY, FRICTION = NAMES.index("difficulty"), NAMES.index("friction")
CLIMBING = {"curriculum": True, "progress": {"step": 0.2}, "difficulty": 0.5}


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
        (
            {"terrain": "slope"},
            "terrain is no keyword here: the id says which ground it is, such as l2t/CassieSlope-v0",
        ),
        ({"episode_length": 10}, "in Gymnasium it is max_episode_steps"),
        ({"reset_cost": 1.0}, "reset_cost is no keyword here"),
        ({"reward": "runs/a"}, "reward is no keyword here.*learned_reward"),
        ({"rewards": "naive"}, r"such as \{'forward': 0\.\d+\}\. What naive stands for is in configs/env/rewards\."),
        (
            {"command": "forward"},
            r"such as \{'forward': \(.*\)\}\. What forward stands for is in configs/env/command\.",
        ),
        ({"push": "hard"}, r"must map fields to values, such as \{'force': \(.*\)\}\.$"),
        ({"dificulty": 0.1}, "difficulty"),
        ({"command": {"foward": (0, 1)}}, "forward"),
        ({"command": 3}, "must map"),
        ({"difficulty": 2.0}, "out of range"),
        ({"prior": "jump"}, "stepping"),
        ({"difficulty": 0.3}, "env.difficulty=0.3 would change nothing"),
        ({"progress": {"step": 0.1}}, "env.progress.step=0.1 would change nothing"),
        ({"push": {"force": (0, 0), "pause": (1, 2)}}, "nobody pushes"),
        ({"physics": PhysicsConfig("native", contacts=9)}, "physics.contacts=9 would change nothing"),
    ],
)
def test_what_cannot_be_followed_is_refused(options, told):
    with pytest.raises(ConfigurationError, match=told):
        gymnasium.make("l2t/CassieFlat-v0", **options)


def lying():
    """Reset options that start so low that the first step ends the episode."""
    qpos = np.array(standing_pose().qpos)
    qpos[2] -= 0.5
    return {"qpos": qpos, "qvel": np.zeros(32)}


@pytest.mark.parametrize(("limit", "start", "difficulties"), [(3, None, [0.5, 0.7, 0.9]), (None, lying(), [0.3, 0.5])])
def test_single_robots_live_the_episodes_of_the_vectors_instances_under_a_curriculum_too(limit, start, difficulties):
    options = {"num_envs": 2, **CLIMBING} | ({} if limit is None else {"max_episode_steps": limit})
    together = gymnasium.make_vec("l2t/CassieSlope-v0", physics="native", **options)
    alone = gymnasium.make_vec("l2t/CassieSlope-v0", vectorization_mode="sync", **options)
    generator, met = np.random.default_rng(0), []
    expected, seen = (face.reset(seed=3, options=start)[0] for face in (together, alone))
    for _ in range(10):
        np.testing.assert_allclose(seen, expected, atol=1e-3)
        met.append(seen[:, DIFFICULTY])
        action = generator.uniform(-0.1, 0.1, (2, 10)).astype(np.float32)
        expected, seen = together.step(action)[0], alone.step(action)[0]
    np.testing.assert_allclose(np.unique(np.round(met, 3)), difficulties, atol=1e-6)


def test_a_single_robot_that_fell_meets_its_body_again():
    env = gymnasium.make("l2t/CassieFlat-v0", randomisation={"repeat": 1.0})
    begun = env.reset(seed=0, options=lying())[0]
    assert env.step(np.zeros(10, np.float32))[2]
    again = env.reset()[0]
    assert again[FRICTION] == begun[FRICTION]
    assert env.reset()[0][FRICTION] == begun[FRICTION], "nobody took a step since"
    env.step(np.zeros(10, np.float32))
    assert env.reset()[0][FRICTION] != begun[FRICTION], "it did not fall"


def test_a_seed_begins_a_curriculum_anew_and_a_reset_without_a_step_leaves_it_where_it_is():
    env = gymnasium.make("l2t/CassieSlope-v0", **CLIMBING)

    def met():
        found = [env.reset(seed=5)[0]]
        for _ in range(2):
            env.step(np.zeros(10, np.float32))
            found += [env.reset()[0], env.reset()[0]]
        return np.array(found)

    first, second = met(), met()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[:, DIFFICULTY], [0.5, 0.7, 0.7, 0.9, 0.9], atol=1e-6)
