"""A run that learns a reward leaves it in its directory, whoever learns it there, one for each seed."""

import numpy as np
import pytest

from configs import collect, train
from l2t.errors import ConfigurationError
from l2t.rewards.artefact import load
from tests.scripts.checkpointed_run import write_checkpointed_run

TASK = ["env=inverted_pendulum", "num_envs=2", "total_steps=32", "eval_every=32", "eval_episodes=1"]
QUIET = ["tracking.wandb.mode=disabled", "video=false", "report=false"]
STUDENT = ["algorithm.student.minibatches=2"]
SMALL = ["num_steps=8", "minibatches=2", "epochs=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    run = write_checkpointed_run(folder / "expert", "env=inverted_pendulum", "algorithm=ppo")
    return collect(run, episodes=3, actions="sampled", out=folder / "swings")[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("algorithm", "where", "places"),
    [
        (["algorithm=ipmd", "num_seeds=2"], "algorithm", ["reward/0", "reward/1"]),
        (
            ["algorithm=l2t", "algorithm.teacher=ipmd", "algorithm.student.minibatches=2"],
            "algorithm.teacher",
            ["reward"],
        ),
    ],
)
def test_a_learned_reward_is_left_in_the_runs_directory(data, tmp_path, algorithm, where, places):
    inner = [f"{where}.optimizer.{setting}" for setting in SMALL]
    learner = [f"{where}.demonstrations={data}", f"{where}.reward.batch_size=8", f"{where}.reward.updates=1"]
    learner += [f"{where}.reward.mean_of=2"]
    trained = train([*algorithm, *TASK, *QUIET, *learner, *inner], tmp_path / "run")
    rewards = [load(trained.path / place) for place in places]
    assert {reward.provenance["demonstrations"] for reward in rewards} == {"swings"}
    pays = [float(reward.of(np.full(4, 0.1), np.zeros(1))) for reward in rewards]
    assert len(set(pays)) == len(places)
    assert len(list(trained.path.glob("reward/**/reward.json"))) == len(places)
    before = (trained.path / "metrics.jsonl").read_text()
    with pytest.raises(ConfigurationError, match=r"total_steps=64 would space the 2 rewards .* total_steps=32, or"):
        train([f"resume={trained.path}", "total_steps=64"])
    assert (trained.path / "metrics.jsonl").read_text() == before
