"""`keep_best`: what was learnt stays as it was at the best evaluation, whatever happens later."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.errors import CheckpointError
from l2t.run.checkpoint import Checkpoints
from l2t.run.directory import RunDirectory
from l2t.run.trainer import TrainerSettings, train
from tests.support import toys
from tests.support.toys import Drift, Recorder

RETURNS = [0.0, 1.0, 5.0, 3.0, 4.0, 7.0, 2.0, jnp.nan, 6.0, 1.0, 8.0]
"""Of the student, by iteration; it is best after the second, the fifth and, if the run goes on, the tenth."""
SETTINGS = TrainerSettings(
    algorithm="drift", env="toy", total_steps=90, eval_every=10, checkpoint_every=30, keep_checkpoints=1, keep_best=True
)


def evaluate(state: Any, key: Any) -> Any:
    found = toys.evaluate(state, key)
    score = jnp.asarray(RETURNS)[state.iteration]
    return {"teacher": found["teacher"] | {"return_mean": -score}, "student": found["student"] | {"return_mean": score}}


def run(path: Any, **changes: Any) -> dict[str, Any]:
    return train(replace(SETTINGS, **changes), Drift(), RunDirectory(path), Recorder(), evaluate)


def learnt(path: Any, step: int | None = None) -> Any:
    like = replace(jax.eval_shape(Drift().init, jax.random.key(0)), transient=None)
    return Checkpoints(path).restore(like, {}, ".transient", step)[0].learnt["x"]


def test_the_best_of_the_student_outlives_the_pruning_of_checkpoints(tmp_path):
    result = run(tmp_path / "a")
    assert result["best"] == {"step": 50, "role": "student", "return_mean": 7.0}
    assert Checkpoints(tmp_path / "a" / "checkpoints").steps() == [90]
    assert Checkpoints(tmp_path / "a" / "best").steps() == [50]
    run(tmp_path / "b", total_steps=50)
    np.testing.assert_array_equal(learnt(tmp_path / "a" / "best"), learnt(tmp_path / "b" / "checkpoints"))


def test_without_the_option_nothing_more_is_kept(tmp_path):
    assert "best" not in run(tmp_path / "a", keep_best=False)
    assert not (tmp_path / "a" / "best").exists()


@pytest.mark.parametrize("killed", [40, 50, 60, 70])
def test_a_run_that_is_killed_and_resumed_keeps_the_best_that_an_undisturbed_one_does(tmp_path, killed):
    whole = run(tmp_path / "whole")

    def kill(rows: Any) -> None:
        if rows[-1]["step"] == killed:
            raise OSError("as if the machine had stopped")

    with pytest.raises(OSError, match="stopped"):
        train(SETTINGS, Drift(), RunDirectory(tmp_path / "a"), Recorder(kill), evaluate)
    resumed = run(tmp_path / "a", resume=True)
    assert resumed["best"] == whole["best"]
    assert Checkpoints(tmp_path / "a" / "best").steps() == [50]
    np.testing.assert_array_equal(learnt(tmp_path / "a" / "best"), learnt(tmp_path / "whole" / "best"))


def test_a_best_that_a_resume_has_not_come_to_is_forgotten(tmp_path):
    """Killed after its best evaluation at 50 and before the checkpoint of 60, and then resumed on another way."""
    folder = tmp_path / "a"

    def kill(rows: Any) -> None:
        if rows[-1]["step"] == 60:
            raise OSError("as if the machine had stopped")

    with pytest.raises(OSError, match="stopped"):
        train(SETTINGS, Drift(), RunDirectory(folder), Recorder(kill), evaluate)
    assert Checkpoints(folder / "best").steps()[-1] == 50
    result = run(folder, resume=True, total_steps=40)
    assert result["best"] == {"step": 20, "role": "student", "return_mean": 5.0}
    assert Checkpoints(folder / "best").steps() == [20]
    assert json.loads((folder / "result.json").read_text())["best"]["step"] == 20


def test_a_checkpoint_is_read_by_its_step_and_the_message_lists_those_that_there_are(tmp_path):
    run(tmp_path / "a", keep_checkpoints=2)
    run(tmp_path / "b", total_steps=60)
    folder = tmp_path / "a" / "checkpoints"
    np.testing.assert_array_equal(learnt(folder, 60), learnt(tmp_path / "b" / "checkpoints"))
    assert not np.array_equal(learnt(folder, 60), learnt(folder))
    with pytest.raises(CheckpointError, match=r"There is no checkpoint of step 70 in .*; there are those of 60, 90\."):
        learnt(folder, 70)
