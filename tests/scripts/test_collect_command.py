import json
import shutil

import gymnasium
import numpy as np
import pytest

import envs.gymnasium  # noqa: F401  (registers the tasks)
from configs import collect
from l2t.demonstrations.files import read_demonstrations
from scripts.collect import main
from tests.scripts.checkpointed_run import write_checkpointed_run
from tests.scripts.test_entry_points import call


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_checkpointed_run(tmp_path_factory.mktemp("run") / "a", "env=inverted_pendulum", "algorithm=ppo")


@pytest.fixture(scope="module")
def other_dir(tmp_path_factory):
    overrides = ["env=inverted_pendulum", "algorithm=ppo", "seed=1", "env.student_noise=0.1"]
    return write_checkpointed_run(tmp_path_factory.mktemp("run") / "b", *overrides)


@pytest.fixture(scope="module")
def collected(run_dir, tmp_path_factory):
    before = files(run_dir)
    found = collect([run_dir], episodes=6, seed=3, out=tmp_path_factory.mktemp("data") / "pendulum")
    assert files(run_dir) == before  # recording leaves the run as it is
    return found


def files(folder):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (folder, *folder.rglob("*"))}


def rows(demonstrations, number):
    """Observations, actions in the task's units (±3) and what follows, of one episode."""
    own = np.asarray(demonstrations.episode) == number
    steps = demonstrations.transitions
    action = 3.0 * np.asarray(steps.action)[own]
    return np.asarray(steps.observation["teacher"])[own], action, np.asarray(steps.following["teacher"])[own]


def test_gymnasium_itself_gives_the_same_returns_for_the_recorded_actions(collected):
    _, demonstrations = collected
    reference = gymnasium.make("InvertedPendulum-v5").unwrapped
    terminated = 0
    for number, recorded in enumerate(demonstrations.returns):
        observation, action, following = rows(demonstrations, number)
        reference.reset(seed=0)
        reference.set_state(observation[0, :2].astype(np.float64), observation[0, 2:].astype(np.float64))
        total, seen, end = 0.0, None, False
        for t, own in enumerate(action):
            assert not end
            seen, reward, end, _, _ = reference.step(own)
            total += reward
            if not end:
                np.testing.assert_allclose(following[t], seen, atol=2e-5)
        assert total == pytest.approx(recorded)
        assert end or len(action) == 1000
        terminated += end
    assert terminated > 0


def test_the_tasks_gymnasium_face_starts_an_episode_at_its_seed(collected):
    _, demonstrations = collected
    env = gymnasium.make("l2t/InvertedPendulum-v5")
    assert demonstrations.facts.seeds == (3, 4, 5, 6, 7, 8)
    for number, seed in enumerate(demonstrations.facts.seeds):
        observation, action, _ = rows(demonstrations, number)
        seen, _ = env.reset(seed=seed)
        for t, own in enumerate(action):
            np.testing.assert_allclose(observation[t], seen, atol=2e-5)
            seen, *_ = env.step(own)


def test_several_runs_are_mixed_equally(run_dir, other_dir, collected, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["episodes=4", "name=mixed", "seed=3", "actions=mean"]
    assert main([f"run={run_dir},{other_dir}", *words]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("demonstrations/mixed\n")
    assert "a teacher: 2 episodes" in shown
    assert "b teacher: 2 episodes" in shown
    mixed = read_demonstrations(tmp_path / "demonstrations" / "mixed")
    assert mixed.facts.policies == ("a teacher", "b teacher")
    assert mixed.facts.policy == (0, 1, 0, 1)
    # Episodes 0 and 2 are run a's from seeds 3 and 5, as when it is recorded alone; episode 1 is somebody else's.
    for number, same in ((0, True), (2, True), (1, False)):
        ours, alone = rows(mixed, number)[1], rows(collected[1], number)[1]
        assert (ours.shape == alone.shape and np.allclose(ours, alone, atol=1e-4)) is same
    stored = (tmp_path / "demonstrations" / "mixed" / "data" / "metadata.json").read_text()
    assert str(tmp_path) not in stored
    assert str(run_dir.parent) not in stored
    assert json.loads(stored)["l2t"]["engine"] == "native"


def test_sampled_actions_are_stated_and_differ_from_the_mean(run_dir, collected, tmp_path):
    _, sampled = collect([run_dir], episodes=2, seed=3, actions="sampled", out=tmp_path / "sampled")
    assert sampled.facts.actions == "sampled"
    assert collected[1].facts.actions == "mean"
    means, draws = (rows(d, 0) for d in (collected[1], sampled))
    np.testing.assert_allclose(means[0][0], draws[0][0], atol=1e-6)  # the same start
    assert abs(means[1][0] - draws[1][0]).max() > 1e-3


def test_the_environment_can_be_changed(run_dir, tmp_path):
    change = ["env.parameters.reset_noise_scale=0.0"]
    _, still = collect([run_dir], episodes=2, out=tmp_path / "still", overrides=change)
    assert still.facts.parameters["parameters"] == {"reset_noise_scale": 0.0}
    np.testing.assert_array_equal(rows(still, 0)[0][0], 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["role=expert"], "role='expert' is not known; choose one of: teacher"),
        (["episodes=0"], "episodes=0 is too small"),
        (["actions=mode"], "choose one of: mean, sampled"),
        (["seed=-1"], "seed=-1 is too small"),
        (["seed=4294967295"], "out of range"),
        (["seed_index=1"], "the run has 1 seed(s)"),
        (["episode=3"], "Did you mean 'episodes'?"),
        (["name=my walk"], "cannot name a data set"),
        (["name=../walk"], "is no plain name; give the place of the data set as out=../walk"),
        (["--set", "env.student_nois=1"], "Did you mean env.student_noise?"),
        (["--set", "algorithm.name=x"], "give KEY=VALUE with a key of the environment"),
    ],
)
def test_a_wrong_argument_is_one_clear_message_and_leaves_nothing(
    run_dir, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main([f"run={run_dir}", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_runs_of_different_tasks_are_not_mixed(run_dir, tmp_path, capsys):
    stricter = tmp_path / "c"
    shutil.copytree(run_dir, stricter)
    config = stricter / ".hydra" / "config.yaml"
    assert "  parameters: {}\n" in config.read_text()
    config.write_text(config.read_text().replace("  parameters: {}\n", "  parameters: {healthy_angle: 0.1}\n"))
    assert main([f"run={run_dir},{stricter}", f"out={tmp_path / 'x'}"]) == 1
    assert "cannot be mixed: env.parameters.healthy_angle is 0.1 and not set." in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_more_runs_than_episodes_is_one_clear_message(run_dir, capsys):
    assert main([f"run={run_dir},{run_dir}", "episodes=1"]) == 1
    assert "episodes=1 are fewer than the 2 runs" in capsys.readouterr().err


def test_what_is_there_already_is_refused_before_anything_is_played(run_dir, tmp_path, capsys):
    (tmp_path / "old").mkdir()
    assert main([f"run={run_dir}", f"out={tmp_path / 'old'}"]) == 1
    error = capsys.readouterr().err
    assert "exists already" in error
    assert "Recording" not in error


def test_a_missing_run_is_one_line_and_exit_code_1(tmp_path):
    for words, message in (([f"run={tmp_path / 'nowhere'}"], "nowhere is not a folder"), ([], "give run=")):
        done = call("collect.py", *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert message in done.stderr
