import json
import shutil
from dataclasses import replace

import jax
import pytest

from l2t.run.checkpoint import Checkpoints
from scripts import evaluate
from scripts.evaluate import evaluate_run, main
from tests.scripts.checkpointed_run import write_checkpointed_run
from tests.support.synthetic_runs import write_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """With a student that remembers."""
    memory = ["algorithm.student.memory=gru", "algorithm.student.memory_chunk=8"]
    overrides = ["env=inverted_pendulum", "algorithm=l2t", *memory]
    return write_checkpointed_run(tmp_path_factory.mktemp("run") / "a", *overrides)


def test_every_role_is_evaluated_from_the_checkpoint(run_dir):
    from configs.loading import load_run
    from l2t.rl.evaluation import make_evaluator

    run = load_run(run_dir)
    expected = make_evaluator(run.algorithm, 4)(run.state, jax.random.key(3))
    (found,) = evaluate_run(run_dir, episodes=4, seed=3)["seeds"]
    assert set(found) == {"teacher", "student"}
    for role, numbers in found.items():
        assert numbers["return_mean"] == pytest.approx(float(expected[role]["return_mean"]), rel=1e-5)
        assert numbers["episodes"] == 4


def test_the_environment_can_be_changed_for_the_evaluation(run_dir):
    arguments = {"episodes": 2, "role": "student"}
    plain = evaluate_run(run_dir, **arguments)["seeds"]
    assert evaluate_run(run_dir, **arguments, overrides=["env.student_noise=0.4"])["seeds"] == plain
    noisy = evaluate_run(
        run_dir, **arguments, overrides=["env.student_noise=5", "env.parameters.reset_noise_scale=0.15"]
    )["seeds"]
    assert set(noisy[0]) == {"student"}
    assert noisy != plain


def test_a_policy_trained_on_another_engine_is_evaluated_on_the_cpu(tmp_path):
    """What MJX saved of its simulations is nothing that C MuJoCo could read."""
    run_dir = write_checkpointed_run(
        tmp_path / "a", "env=inverted_pendulum", "algorithm=spmd", "physics=mjx", "physics.allow_cpu=true"
    )
    found = evaluate_run(run_dir, episodes=2, overrides=["physics.engine=native"])
    assert found["seeds"][0]["teacher"]["episode_length_mean"] > 1.0


def test_evaluating_leaves_the_run_as_it_is(run_dir):
    (run_dir / "checkpoints" / "5.orbax-checkpoint-tmp").mkdir()  # as if it were training
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (run_dir, *run_dir.rglob("*"))}
    lines: list[str] = []
    evaluate_run(run_dir, episodes=1, role="student", notice=lines.append)
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (run_dir, *run_dir.rglob("*"))} == before
    assert lines == ["Playing 1 episodes each: student"]


def test_json_holds_the_whole_evaluation(run_dir, capsys):
    assert main([str(run_dir), "--episodes", "2", "--role", "teacher", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["env"], found["episodes"]) == ("inverted_pendulum", 2)
    assert found["seeds"][0]["teacher"]["return_mean"] > 0


def test_the_table_shows_roles_and_their_ratio(run_dir, capsys):
    assert main([str(run_dir), "--episodes", "2"]) == 0
    shown = capsys.readouterr().out
    assert "teacher" in shown
    assert "student / teacher:" in shown
    assert "2 episodes" in shown


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """A run of two seeds, and its evaluation."""
    path = tmp_path_factory.mktemp("batch") / "a"
    write_checkpointed_run(path, "env=inverted_pendulum", "num_seeds=2", "algorithm=ppo")
    return path, evaluate_run(path, episodes=2)["seeds"]


def test_each_seed_of_a_batch_is_evaluated(batch, capsys):
    path, found = batch
    assert len(found) == 2
    assert main([str(path), "--episodes", "2"]) == 0
    assert "interquartile mean over seeds" in capsys.readouterr().out


def test_all_seeds_are_taken_from_one_checkpoint_while_the_run_goes_on(batch, tmp_path, monkeypatch):
    (original, expected), path = batch, tmp_path / "a"
    shutil.copytree(original, path)
    restore = Checkpoints.restore

    def restored_just_before_the_next(self, like, identity, *left_out):
        state, host = restore(self, like, identity, *left_out)
        later = replace(state, learnt=jax.tree.map(lambda leaf: leaf + 1, state.learnt))
        Checkpoints(self.path).save(self.steps()[-1] + 1, later, host, identity)
        return state, host

    monkeypatch.setattr(Checkpoints, "restore", restored_just_before_the_next)
    assert evaluate_run(path, episodes=2)["seeds"] == expected
    monkeypatch.undo()
    assert evaluate_run(path, episodes=2)["seeds"][1] != expected[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--role", "expert"], "--role='expert' is not known; choose one of: student, teacher"),
        (["--episodes", "0"], "--episodes=0 is too small"),
        (["--set", "env.student_nois=1"], "Did you mean env.student_noise?"),
        (["--set", "seed=1"], "give KEY=VALUE with a key of the environment"),
        (["--set", "env.student_noise"], "give KEY=VALUE"),
        (["--set", "env.student_noise=-1"], "out of range"),
        (["--set", "env.student_stack=3"], "--set env.student_stack=3 does not fit what was learnt"),
    ],
)
def test_a_wrong_argument_is_one_clear_message(run_dir, capsys, arguments, message):
    assert main([str(run_dir), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error


def test_a_run_without_a_checkpoint_is_one_clear_message(tmp_path, capsys):
    path = write_checkpointed_run(tmp_path / "a", "env=inverted_pendulum", "algorithm=ppo")
    for file in sorted((path / "checkpoints").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert main([str(path)]) == 1
    assert "no checkpoint" in capsys.readouterr().err


def test_a_run_without_a_configuration_is_one_clear_message(tmp_path, capsys):
    path = write_run(tmp_path / "a")
    (path / ".hydra" / "config.yaml").unlink()
    assert main([str(path)]) == 1
    assert "no .hydra/config.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "told"), [(4, "2,500 (range 1,000 to 4,000)"), (8, "4,500 (95 %: ")])
def test_few_seeds_have_a_range_and_several_an_interval(count, told):
    seeds = [{"teacher": {"return_mean": 1000.0 * (index + 1)}} for index in range(count)]
    (line,) = evaluate._closing_lines(seeds)
    assert line.startswith(f"teacher: interquartile mean over seeds {told}")


def test_a_step_is_played_where_it_is_named_and_the_message_lists_those_that_there_are(run_dir, capsys):
    (step,) = Checkpoints(run_dir / "checkpoints").steps()
    assert main([str(run_dir), "--episodes", "1", "--role", "teacher", "--step", f"{step:,}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["step"] == step
    assert found["seeds"] == evaluate_run(run_dir, episodes=1, role="teacher")["seeds"]
    assert main([str(run_dir), "--episodes", "1", "--step", "7"]) == 1
    assert f"there are those of {step:,}." in capsys.readouterr().err
    assert main([str(run_dir), "--episodes", "1", "--step", "best"]) == 1
    assert "keep_best=true" in capsys.readouterr().err
