"""A Gymnasium environment of somebody else that fails in the middle of a training, as its owner meets it."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from configs import train
from l2t.errors import ForeignEnvironmentError

SMALL = [
    *("algorithm=spmd", "algorithm.num_steps=8", "algorithm.minibatches=2", "num_envs=2", "network.hidden=[8]"),
    *("env=gymnasium", "env.id=Worn-v0", "total_steps=64", "checkpoint_every=16", "eval_every=64", "eval_episodes=1"),
    "tracking.wandb.mode=disabled",
]


class Worn(gymnasium.Env):
    """Breaks when all of its instances together have taken `lasts` steps."""

    lasts, taken = 0, 0
    observation_space = action_space = Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        Worn.taken += 1
        if Worn.taken >= Worn.lasts:
            raise RuntimeError("a gear broke")
        return np.asarray(action, np.float32), float(action[0]), False, False, {}


gymnasium.register("Worn-v0", Worn, max_episode_steps=9)


def test_a_failure_in_the_middle_of_a_training_is_one_line_and_loses_nothing(tmp_path, monkeypatch, capfd):
    path = tmp_path / "a"
    # One step tries it when it is made, so that the third iteration of 16 begins with its 34th.
    monkeypatch.setattr(Worn, "taken", 0)
    monkeypatch.setattr(Worn, "lasts", 40)
    with pytest.raises(ForeignEnvironmentError, match=r"^env\.id='Worn-v0' failed in step \d of an episode") as found:
        train(SMALL, path)
    told = str(found.value)
    assert "RuntimeError: a gear broke (after environment step 32)" in told
    assert told.endswith(
        f"Its traceback is in {path / 'traceback.txt'}. Once that is mended, resume={path} goes on from step 32."
    )
    assert "\n" not in told
    assert capfd.readouterr().err == ""
    assert 'raise RuntimeError("a gear broke")' in (path / "traceback.txt").read_text()
    result = json.loads((path / "result.json").read_text())
    assert (result["status"], result["env_steps"]) == ("failed", 32)
    rows = (path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in rows] == [16, 32]
