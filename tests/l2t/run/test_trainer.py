import json
import os
import shutil
import signal
from dataclasses import replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.errors import CheckpointError, DivergenceError, ForeignEnvironmentError, RunDirectoryError
from l2t.run.checkpoint import Checkpoints
from l2t.run.compiled import compile_iteration, run_once
from l2t.run.directory import RunDirectory
from l2t.run.trainer import TrainerSettings, train
from tests.support.toys import Drift, Recorder, evaluate

SETTINGS = TrainerSettings(
    algorithm="drift", env="toy", total_steps=100, eval_every=30, checkpoint_every=40, identity={"env": "toy"}
)


def run(path, algorithm=None, recorder=None, **changes):
    algorithm, recorder = algorithm or Drift(), recorder or Recorder()
    directory = RunDirectory(path)
    result = train(replace(SETTINGS, **changes), algorithm, directory, recorder, evaluate)
    return result, recorder.rows, directory


def test_training_runs_to_the_budget_and_evaluates_on_the_way_and_at_the_end(tmp_path):
    result, rows, directory = run(tmp_path)
    assert [row["step"] for row in rows] == list(range(10, 101, 10))
    assert [row["step"] for row in rows if "eval/teacher/return_mean" in row] == [30, 60, 90, 100]
    assert result["status"] == "finished"
    assert result["env_steps"] == 100
    assert result["role_steps"] == {"teacher": 100, "student": 0}
    assert directory.read_result() == json.loads(json.dumps(result))
    assert result["evaluation"]["teacher"]["return_mean"] == rows[-1]["eval/teacher/return_mean"]
    assert set(result["evaluation"]["student"]) == {
        *("return_mean", "return_std", "average_reward", "episode_length_mean", "episodes")
    }
    assert {"algorithm", "env", "seed", "wall_seconds", "steps_per_second", "versions"} <= set(result)


def test_steps_are_counted_past_what_32_bits_hold(tmp_path):
    """Three iterations of 10^12 steps, and what was spent before."""
    many = 10**12

    class Long(Drift):
        def iterate(self, state):
            after, metrics = super().iterate(state)
            return after, metrics | {"env_steps/teacher": jnp.asarray(2**31 - 1)}

    long = Long(steps_per_iteration=many, prior_steps={"pretraining": 5 * many})
    result, rows, _ = run(tmp_path, long, total_steps=3 * many, eval_every=3 * many, checkpoint_every=3 * many)
    assert result["env_steps"] == rows[-1]["step"] == 3 * many
    assert result["role_steps"]["teacher"] == rows[-1]["env_steps/teacher"] == 3 * (2**31 - 1)
    assert result["role_steps"]["pretraining"] == rows[0]["env_steps/pretraining"] == 5 * many


def test_rows_carry_time_and_speed(tmp_path):
    _, rows, _ = run(tmp_path)
    assert all(row["perf/steps_per_second"] > 0 for row in rows)
    assert all(a["wall_seconds"] <= b["wall_seconds"] for a, b in pairwise(rows))


def test_a_budget_that_is_no_multiple_of_an_iteration_is_passed_by_less_than_one(tmp_path):
    result, _, _ = run(tmp_path, total_steps=95)
    assert result["env_steps"] == 100


def test_the_newest_checkpoints_stay_and_the_last_is_the_end(tmp_path):
    _, _, directory = run(tmp_path, keep_checkpoints=2)
    assert Checkpoints(directory.checkpoints).steps() == [80, 100]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tmp_path):
    def losses(name, seed):
        return [row["loss/actor"] for row in run(tmp_path / name, seed=seed)[1]]

    assert losses("a", 1) == losses("b", 1) != losses("c", 2)


def test_evaluating_more_often_changes_nothing_in_training(tmp_path):
    often, rarely = run(tmp_path / "a", eval_every=10)[1], run(tmp_path / "b", eval_every=1000)[1]
    assert [row["loss/actor"] for row in often] == [row["loss/actor"] for row in rarely]


def test_every_evaluation_starts_from_the_same_randomness(tmp_path):
    class Still(Drift):
        def iterate(self, state):
            return state, {"loss/actor": state.learnt["x"].mean()}

    rows = run(tmp_path, Still())[1]
    assert len({row["eval/student/return_mean"] for row in rows if "eval/student/return_mean" in row}) == 1


def test_the_iteration_is_traced_once(tmp_path):
    traces = []

    class Counted(Drift):
        def iterate(self, state):
            traces.append(state)
            return super().iterate(state)

    run(tmp_path, Counted())
    assert len(traces) == 1


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_a_run_begins_with_the_ring_that_was_made_and_no_copy_of_it(tmp_path, monkeypatch, num_seeds):
    made, begun = [], []

    class Ringed(Drift):
        def init(self, key):
            return replace(super().init(key), transient=jnp.zeros(1000))

    def noted(init, key):
        made.append(run_once(init, key))
        return made[0]

    def lowered(iterate, state):
        begun.append(state)
        return compile_iteration(iterate, state)

    monkeypatch.setattr("l2t.run.trainer.run_once", noted)
    monkeypatch.setattr("l2t.run.trainer.compile_iteration", lowered)
    run(tmp_path, Ringed(), num_seeds=num_seeds)
    assert begun[0].transient is made[0].transient
    assert made[0].transient.is_deleted()  # given away in the first iteration


def test_resuming_continues_bit_for_bit(tmp_path):
    _, straight, whole = run(tmp_path / "whole")
    run(tmp_path / "halves", total_steps=50)
    result, rest, halves = run(tmp_path / "halves", resume=True)
    assert [row["step"] for row in rest] == [60, 70, 80, 90, 100]
    timeless = [{k: v for k, v in row.items() if k not in _TIMES} for row in rest]
    assert timeless == [{k: v for k, v in row.items() if k not in _TIMES} for row in straight[5:]]
    assert result["status"] == "finished"
    assert leaves(whole) == leaves(halves)


_TIMES = ("wall_seconds", "perf/steps_per_second")


def leaves(directory):
    like = jax.eval_shape(Drift().init, jax.random.key(0))
    state, _ = Checkpoints(directory.checkpoints).restore(like, {"env": "toy"})
    state = replace(state, key=jax.random.key_data(state.key))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def test_what_a_resume_changes_is_said_and_remembered_even_if_it_is_killed_before_a_checkpoint(tmp_path):
    run(tmp_path, total_steps=40)
    changes = {"env.slope": (0.0, 3.0)}
    _, _, directory = run(tmp_path, total_steps=60, checkpoint_every=1000, resume=True, changes=changes)
    expected = [{"step": 40, "key": "env.slope", "before": 0.0, "now": 3.0}]
    assert directory.read_result()["changes"] == expected
    newest = Checkpoints(directory.checkpoints).steps()[-1]
    assert newest == 60
    shutil.rmtree(next(each for each in directory.checkpoints.iterdir() if each.name.lstrip("0") == "60"))
    recorder = Recorder()
    result, _, _ = run(tmp_path, recorder=recorder, resume=True, changes={"learning_rate": (1e-3, 1e-4)})
    assert result["changes"][0] == expected[0]
    assert (result["changes"][1]["key"], result["changes"][1]["step"]) == ("learning_rate", 40)
    assert "learning_rate was 0.001 and is 0.0001 from here on." in recorder.notices
    result, _, _ = run(tmp_path, total_steps=110, resume=True)
    assert [change["key"] for change in result["changes"]] == ["env.slope", "learning_rate"]


def test_the_result_says_of_which_step_its_evaluation_is(tmp_path):
    assert run(tmp_path / "whole")[0]["evaluated_at"] == 100

    def stop(rows):
        if rows[-1]["step"] == 50:
            os.kill(os.getpid(), signal.SIGTERM)

    result, _, _ = run(tmp_path / "stopped", recorder=Recorder(stop))
    assert (result["status"], result["env_steps"], result["evaluated_at"]) == ("interrupted", 50, 30)


def test_rows_after_the_checkpoint_are_written_again_not_twice(tmp_path):
    _, _, directory = run(tmp_path, total_steps=40)
    directory.append_metrics([{"step": 50, "stale": True}])
    result = train(replace(SETTINGS, resume=True), Drift(), directory, _Jsonl(directory), evaluate)
    assert result["env_steps"] == 100
    assert [row["step"] for row in directory.read_metrics()] == [50, 60, 70, 80, 90, 100]
    assert not any("stale" in row for row in directory.read_metrics())


class _Jsonl(Recorder):
    def __init__(self, directory):
        super().__init__(directory.append_metrics)


def test_resuming_a_finished_run_takes_no_step_and_keeps_its_result(tmp_path):
    first, _, directory = run(tmp_path)
    again, rows, _ = run(tmp_path, resume=True)
    assert rows == []
    assert again["evaluation"] == first["evaluation"] == directory.read_result()["evaluation"]
    assert (again["status"], again["env_steps"]) == ("finished", 100)


def test_wall_seconds_go_on_where_they_stopped(tmp_path):
    first, _, _ = run(tmp_path, total_steps=50)
    second, _, _ = run(tmp_path, resume=True)
    assert second["wall_seconds"] >= first["wall_seconds"]


def test_resuming_with_another_width_is_refused(tmp_path):
    run(tmp_path, total_steps=50)
    with pytest.raises(CheckpointError, match=r"\['target'\] was float32\[3\], now float32\[5\]"):
        run(tmp_path, Drift(width=5), resume=True)


def test_seeds_in_a_batch_are_logged_one_by_one_and_pooled_in_the_result(tmp_path):
    result, rows, _ = run(tmp_path, num_seeds=3)
    assert [(row["step"], row["seed"]) for row in rows[:4]] == [(10, 0), (10, 1), (10, 2), (20, 0)]
    last = rows[-3:]
    assert len({row["loss/actor"] for row in last}) == 3
    means = [row["eval/teacher/return_mean"] for row in last]
    pooled = result["evaluation"]["teacher"]
    assert pooled["return_mean"] == pytest.approx(np.mean(means))
    assert pooled["return_std"] == pytest.approx(np.sqrt(0.25 + np.var(means)))
    assert pooled["episodes"] == 12
    assert [entry["evaluation"]["teacher"]["return_mean"] for entry in result["per_seed"]] == means


def test_a_batch_of_seeds_resumes_bit_for_bit(tmp_path):
    straight = run(tmp_path / "whole", num_seeds=2)[1]
    run(tmp_path / "halves", num_seeds=2, total_steps=50)
    rest = run(tmp_path / "halves", num_seeds=2, resume=True)[1]
    assert [row["loss/actor"] for row in rest] == [row["loss/actor"] for row in straight[10:]]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    recorder = Recorder()
    with pytest.raises(DivergenceError, match=r"loss/actor became nan in iteration 7 \(environment step 70\)"):
        run(tmp_path, Drift(diverge_at=7), recorder)
    directory = RunDirectory(tmp_path)
    assert directory.read_result()["status"] == "failed"
    assert Checkpoints(directory.checkpoints).steps() == [40]
    assert [path.name for path in directory.nan.iterdir()] == ["step-70.npz"]
    with np.load(directory.nan / "step-70.npz") as dumped:
        assert dumped[".iteration"] == 7
    assert recorder.rows[-1]["step"] == 60


def test_the_diverged_seed_of_a_batch_is_named(tmp_path):
    second = jax.random.split(jax.random.key(0), 2)[1]

    class Poisoned(Drift):
        def init(self, key):
            return replace(super().init(key), transient=jax.random.bits(key) == jax.random.bits(second))

        def iterate(self, state):
            after, metrics = super().iterate(state)
            return after, metrics | {"train/x": jnp.where(state.transient, jnp.inf, 0.0)}

    cure = "to leave it out, num_seeds=1 trains those before it alike, and another seed= gives others"
    with pytest.raises(DivergenceError, match=rf"train/x became inf in iteration 1 .*, seed 1\).*{cure}"):
        run(tmp_path, Poisoned(), num_seeds=2)


def test_an_error_of_the_physics_says_what_the_physics_said(tmp_path):
    with pytest.raises(DivergenceError, match=r"^MuJoCo stopped: the simulation is unstable\. \(after .* step 20\)$"):
        run(tmp_path, Drift(fail_at=3))
    assert RunDirectory(tmp_path).read_result()["status"] == "failed"


def test_a_failed_environment_leaves_its_traceback_and_a_run_that_goes_on(tmp_path, capfd):
    recorder, failure = Recorder(), ForeignEnvironmentError("env.id='X-v0' failed: boom")
    with pytest.raises(ForeignEnvironmentError) as found:
        run(tmp_path, Drift(fail_at=7, failure=failure), recorder)
    assert str(found.value) == (
        "env.id='X-v0' failed: boom (after environment step 60) "
        f"Its traceback is in {tmp_path / 'traceback.txt'}. "
        f"Once that is mended, resume={tmp_path} goes on from step 40."
    )
    assert "raise error" in (tmp_path / "traceback.txt").read_text()
    assert "Traceback" not in capfd.readouterr().err
    assert RunDirectory(tmp_path).read_result()["status"] == "failed"
    assert [row["step"] for row in recorder.rows] == [10, 20, 30, 40, 50, 60]
    rest = run(tmp_path, resume=True)[1]
    straight = run(tmp_path / "straight")[1]
    assert [row["loss/actor"] for row in rest] == [row["loss/actor"] for row in straight[4:]]


def test_a_signal_before_the_first_iteration_leaves_a_run_that_can_go_on(tmp_path):
    result, rows, directory = run(tmp_path, on_start=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (result["status"], result["env_steps"], rows) == ("interrupted", 0, [])
    assert Checkpoints(directory.checkpoints).steps() == [0]
    rest = run(tmp_path, resume=True)[1]
    assert [row["loss/actor"] for row in rest] == [row["loss/actor"] for row in run(tmp_path / "straight")[1]]


def test_a_checkpoint_of_other_batches_is_refused_and_nothing_is_written(tmp_path):
    directory = run(tmp_path)[2]
    before = directory.result.read_text()
    with pytest.raises(CheckpointError, match="iterations make 200"):
        run(tmp_path, Drift(steps_per_iteration=20), resume=True, total_steps=400)
    assert directory.result.read_text() == before


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_a_checkpoint_and_leaves_a_run_that_can_go_on(tmp_path, signum, capfd):
    recorder = Recorder(lambda rows: os.kill(os.getpid(), signum) if rows[0]["step"] == 50 else None)
    result, rows, directory = run(tmp_path, recorder=recorder)
    assert (result["status"], result["signal"], result["env_steps"]) == ("interrupted", signum, 50)
    assert directory.read_result()["status"] == "interrupted"
    assert Checkpoints(directory.checkpoints).steps()[-1] == 50
    assert f"{signum.name}: saving a checkpoint" in capfd.readouterr().err
    rest = run(tmp_path, resume=True)[1]
    straight = run(tmp_path / "straight")[1]
    assert [row["loss/actor"] for row in rows + rest] == [row["loss/actor"] for row in straight]


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    def twice(rows):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, recorder=Recorder(twice))
    assert RunDirectory(tmp_path).read_result()["status"] == "interrupted"
    assert not (tmp_path / "checkpoints").exists()


def test_a_second_ctrl_c_stops_at_once_from_within_the_physics_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Drift(fail_at=3, failure=KeyboardInterrupt()))
    assert RunDirectory(tmp_path).read_result()["status"] == "interrupted"


def test_a_bug_in_a_callback_is_not_taken_for_divergence(tmp_path):
    with pytest.raises(jax.errors.JaxRuntimeError, match="ZeroDivisionError") as found:
        run(tmp_path, Drift(fail_at=3, failure=ZeroDivisionError()))
    assert "raise error" in "".join(found.value.__notes__)  # what JAX would have printed


def test_a_signal_may_arrive_while_a_tracker_cannot_be_used(tmp_path):
    class Fragile(Recorder):
        def notice(self, text):
            raise ImportError("half-way through an import of its own")

    recorder = Fragile(lambda rows: os.kill(os.getpid(), signal.SIGTERM) if rows[0]["step"] == 50 else None)
    assert run(tmp_path, recorder=recorder)[0]["status"] == "interrupted"


def test_handlers_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    run(tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_full_disk_fails_the_run_with_the_cure(tmp_path):
    class Full(Recorder):
        def log(self, rows):
            if rows[0]["step"] == 30:
                directory = RunDirectory(tmp_path)
                directory.metrics = type(directory.metrics)("/dev/full")
                directory.append_metrics(rows)

    with pytest.raises(RunDirectoryError, match="No space left"):
        run(tmp_path, recorder=Full())
    assert RunDirectory(tmp_path).read_result()["status"] == "failed"
