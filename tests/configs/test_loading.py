"""The library: compose, train and load from Python; a run reads back, moves, and stands alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

import envs.gymnasium  # noqa: F401  (registers the tasks)
from configs import compose, load_policy, train
from configs.build import read_config
from configs.changed_runs import changed_config
from configs.loading import Pantry, load_run
from configs.record import changed
from l2t.errors import CheckpointError, ConfigurationError, L2TError, RunDirectoryError
from l2t.rl.evaluation import evaluate

SMALL = [
    *("env=inverted_pendulum", "physics=native", "physics.threads=1", "num_envs=4", "total_steps=64"),
    *("eval_episodes=2", "tracking.wandb.mode=disabled"),
]
SPMD = ["algorithm=spmd", "algorithm.num_steps=8", "algorithm.minibatches=2", *SMALL]
L2T = [
    *("algorithm=l2t", "algorithm.teacher.num_steps=8", "algorithm.teacher.minibatches=2"),
    *("algorithm.student.minibatches=2", "algorithm.student.memory=gru", "algorithm.student.memory_size=8"),
    *("algorithm.student.memory_chunk=4", "algorithm.student.network.hidden=[16]", "env.student_stack=1", *SMALL),
]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> Path:
    """Two seeds of SPMD, trained in one program."""
    return train([*SPMD, "num_seeds=2"], tmp_path_factory.mktemp("run") / "a").path


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    """Learn-to-Teach with a student that remembers."""
    return train(L2T, tmp_path_factory.mktemp("taught") / "a").path


@pytest.fixture(scope="module")
def distilled(tmp_path_factory, taught) -> Path:
    """A student of `taught`'s teacher, whose own directory is gone."""
    folder = tmp_path_factory.mktemp("distilled")
    shutil.copytree(taught, folder / "teacher")
    overrides = [
        *("algorithm=distillation", f"algorithm.teacher_run={folder / 'teacher'}", "algorithm.num_steps=8"),
        *("algorithm.student.minibatches=2", "algorithm.student.network.hidden=[16]", *SMALL),
    ]
    path = train(overrides, folder / "b").path
    shutil.rmtree(folder / "teacher")
    return path


def test_a_run_from_python_leaves_what_a_run_from_the_command_line_does(seeds):
    result = json.loads((seeds / "result.json").read_text())
    assert (result["status"], result["env_steps"], result["num_seeds"]) == ("finished", 64, 2)
    rows = [json.loads(line) for line in (seeds / "metrics.jsonl").read_text().splitlines()]
    assert [row["env_steps/teacher"] for row in rows] == [32, 32, 64, 64]
    assert OmegaConf.load(seeds / ".hydra" / "overrides.yaml") == [*SPMD, "num_seeds=2"]
    assert read_config(seeds) == compose([*SPMD, "num_seeds=2"])


def test_a_configuration_that_python_made_is_read_back_too(tmp_path):
    config = compose(SPMD)
    trained = train(config, tmp_path / "a")
    assert trained.result["status"] == "finished"
    assert read_config(trained.path) == config


def test_a_run_never_writes_over_another(seeds):
    with pytest.raises(RunDirectoryError, match="already holds a run"):
        train(SPMD, seeds)


def test_a_run_goes_on_from_python(tmp_path):
    steady = [*SPMD, "algorithm.learning_rate_schedule=constant"]
    whole = train(steady, tmp_path / "whole")
    train([*steady, "total_steps=32"], tmp_path / "halves")
    rest = train([*steady, f"resume={tmp_path / 'halves'}"])
    assert rest.path == tmp_path / "halves"
    assert rest.result["evaluation"] == whole.result["evaluation"]
    assert rest.result["role_steps"] == {"teacher": 64}


def test_a_seed_of_a_batch_is_read_back_with_its_own_policy(seeds):
    assert int(load_run(seeds, seed_index=1).state.iteration) == 2
    observation = np.ones((3, 4), np.float32)
    one, other = (load_policy(seeds, seed_index=index)(observation) for index in (0, 1))
    assert one.shape == (3, 1)
    assert not np.array_equal(one, other)


def test_a_role_or_seed_or_directory_that_does_not_exist_is_refused(seeds, tmp_path):
    with pytest.raises(ConfigurationError, match="role='student' is not known; choose one of: teacher"):
        load_policy(seeds, "student")
    with pytest.raises(ConfigurationError, match=r"has 2 seed\(s\)"):
        load_policy(seeds, seed_index=2)
    with pytest.raises(RunDirectoryError, match="is not a run directory"):
        load_policy(tmp_path)


def test_an_observation_that_the_policy_does_not_see_or_that_is_not_finite_is_refused(taught):
    teacher = load_policy(taught, "teacher")
    with pytest.raises(ConfigurationError, match="policy of the teacher sees teacher, and was given student"):
        teacher({"student": np.zeros(4)})
    with pytest.raises(ConfigurationError, match="not finite"):
        teacher(np.array([0.0, np.nan, 0.0, 0.0]))
    assert teacher(np.zeros(4)).shape == (1,)


def test_overrides_are_a_list_and_not_a_text():
    with pytest.raises(ConfigurationError, match=r"Give a list of overrides, such as \['algorithm=l2t'\]"):
        compose("algorithm=l2t")


@pytest.mark.parametrize("overrides", [None, 3, [3], ["env=hopper", None], {"env": "hopper"}])
def test_anything_but_a_list_of_texts_is_refused(overrides, tmp_path):
    for ask in (compose, train):
        with pytest.raises(ConfigurationError, match=r"Give a list of overrides.* and not .*"):
            ask(overrides)
    with pytest.raises(ConfigurationError, match=r"Give a list of overrides.* and not .*"):
        changed_config(tmp_path, overrides)


def test_settings_that_a_resume_changes_are_found_and_what_watches_a_run_is_none():
    before, now = compose(SPMD), compose([*SPMD, "env.slope=3", "eval_episodes=5", "total_steps=128", "report=false"])
    assert changed(before, now) == {"env.slope": (0.0, 3.0), "total_steps": (64, 128)}
    assert changed(before, now, [{"key": "env.slope", "now": 3.0}]) == {"total_steps": (64, 128)}
    assert changed(now, compose([*SPMD, "algorithm.horizon=50"]))["algorithm.horizon"] == ("inf", 50.0)


def test_resuming_from_python_says_what_it_changes_once_and_what_it_takes_back(tmp_path):
    path = train(SPMD, tmp_path / "a").path
    said = []
    for slope, steps in ((3, 128), (3, 192), (0, 256)):
        run = train([*SPMD, f"env.slope={slope}", f"total_steps={steps}", f"resume={path}"])
        said.append([(each["key"], each["step"], each["now"]) for each in run.result["changes"]])
    slopes = [[(step, now) for key, step, now in each if key == "env.slope"] for each in said]
    assert slopes == [[(64, 3.0)], [(64, 3.0)], [(64, 3.0), (192, 0.0)]]


def test_a_run_whose_description_cannot_be_read_any_more_is_resumed_from_python(tmp_path):
    path = train(SPMD, tmp_path / "a").path
    description = path / ".hydra" / "config.yaml"
    description.write_text(description.read_text().replace("algorithms.config.SPMDConfig", "nowhere.Config"))
    run = train([*SPMD, "total_steps=128", f"resume={path}"])
    assert (run.result["env_steps"], run.result["changes"]) == (128, [])


def test_a_loaded_policy_is_that_of_the_evaluation(taught):
    """A student with a memory, step by step in Gymnasium and in the compiled evaluation, from the same state."""
    run = load_run(taught)
    policy = load_policy(taught)
    assert policy.role == "student"
    state = run.environment.reset(jax.random.key(3))
    step = jax.jit(run.environment.step)
    total, length = 0.0, 0
    while not bool(state.terminated | state.truncated):
        state = step(state, policy(np.asarray(state.observation["student"])))
        total, length = total + float(state.reward), length + 1

    class Same:
        spec = run.environment.spec
        step = staticmethod(run.environment.step)

        @staticmethod
        def reset(key, needed=True):
            return run.environment.reset(jax.random.key(3))

    found = evaluate(Same(), run.algorithm.policy(run.state.learnt, "student"), jax.random.key(0), 1)
    assert (float(found["return_mean"]), float(found["episode_length_mean"])) == (total, length)


def test_one_robot_acts_as_a_batch_of_one_and_a_reset_forgets(taught):
    policy = load_policy(taught, "student")
    size = policy.environment.spec.observation_sizes["student"]
    observations = np.random.default_rng(0).normal(size=(6, 3, size)).astype(np.float32)
    batch = np.stack([policy(row) for row in observations])
    policy.reset()
    alone = np.stack([policy(row) for row in observations[:, 1]])
    np.testing.assert_allclose(batch[:, 1], alone, rtol=1e-5, atol=1e-6)
    carried_on = policy(observations[0, 1])
    policy.reset()
    np.testing.assert_allclose(policy(observations[0, 1]), alone[0], rtol=1e-6)
    assert not np.allclose(carried_on, alone[0], rtol=1e-4)


def test_robots_of_a_batch_are_reset_one_by_one(taught):
    policy = load_policy(taught, "student")
    size = policy.environment.spec.observation_sizes["student"]
    rows = np.random.default_rng(1).normal(size=(2, 2, size)).astype(np.float32)
    policy(rows[0])
    policy.reset(np.array([True, False]))
    mixed = policy(rows[1])
    policy.reset()
    np.testing.assert_allclose(policy(rows[1])[0], mixed[0], rtol=1e-5)
    policy.reset()
    policy(rows[0])
    np.testing.assert_allclose(policy(rows[1])[1], mixed[1], rtol=1e-5)


def test_a_wrong_observation_or_batch_is_one_clear_message(taught):
    policy = load_policy(taught, "teacher")
    with pytest.raises(ConfigurationError, match=r"teacher observation has shape \(3,\); it must be \[4\]"):
        policy(np.zeros(3))
    with pytest.raises(ConfigurationError, match="observation group='nobody' is not known"):
        policy({"nobody": np.zeros(4)})
    policy(np.zeros((2, 4)))
    with pytest.raises(ConfigurationError, match="3 robots after 2: call reset"):
        policy(np.zeros((3, 4)))


def test_actions_are_in_the_tasks_own_units(seeds):
    policy = load_policy(seeds)
    env = gymnasium.make("l2t/InvertedPendulum-v5")
    observation, _ = env.reset(seed=0)
    assert env.action_space.contains(policy(observation))
    extreme = load_run(seeds).algorithm.policy(load_run(seeds).state.learnt, "teacher")
    mode = extreme.step((), {"teacher": jnp.asarray(observation)[None]}, jnp.ones(1, bool))[1].mode()
    np.testing.assert_allclose(policy(observation), 3.0 * np.clip(np.asarray(mode)[0], -1.0, 1.0), rtol=1e-5)


def test_a_distilled_student_needs_its_teachers_directory_no_more(distilled, tmp_path):
    """It is evaluated, moved, and goes on; both of its roles act."""
    moved = shutil.move(distilled, tmp_path / "moved")
    run = load_run(moved)
    assert run.algorithm.roles == ("teacher", "student")
    assert run.algorithm.prior_steps == {"pretraining": 64}
    for role in run.algorithm.roles:
        size = run.environment.spec.observation_sizes[role]
        assert load_policy(moved, role)(np.zeros(size)).shape == (1,)
    more = train([*read_overrides(moved), "total_steps=96", f"resume={moved}"])
    assert (more.result["status"], more.result["env_steps"]) == ("finished", 96)
    assert more.result["role_steps"] == {"pretraining": 64, "teacher": 0, "student": 96}
    shutil.move(moved, distilled)


def read_overrides(path) -> list[str]:
    listed = [str(override) for override in OmegaConf.load(Path(path) / ".hydra" / "overrides.yaml")]
    return [override for override in listed if not override.startswith("total_steps")]


def test_the_frozen_teacher_is_the_teacher(taught, distilled):
    """What the distilled run calls its teacher acts as the teacher it was made from, whose directory is gone."""
    observation = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        load_policy(taught, "teacher")(observation), load_policy(distilled, "teacher")(observation)
    )


def test_a_mistake_is_answered_before_anything_is_made(tmp_path):
    with pytest.raises(L2TError, match=r"algorithm\.learning_rate"):
        train([*SPMD, "algorithm.learning_rate=-1"], tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_run_starts_from_another_one_and_stands_alone_afterwards(seeds, tmp_path):
    shutil.copytree(seeds, tmp_path / "first")
    overrides = [*SPMD, "algorithm.learning_rate=1e-12", f"start_from={tmp_path / 'first'}"]
    path = train(overrides, tmp_path / "second").path
    old, new = (load_run(run).state.learnt.agent.models.actor.weights for run in (tmp_path / "first", path))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), old["mean"], new["mean"])
    assert json.loads((path / "result.json").read_text())["role_steps"] == {"pretraining": 64, "teacher": 64}
    shutil.rmtree(tmp_path / "first")
    resumed = train([*overrides, f"resume={path}", "total_steps=128"])
    assert resumed.result["role_steps"] == {"pretraining": 64, "teacher": 128}
    third = train([*SPMD, f"start_from={path}"], tmp_path / "third")
    assert third.result["role_steps"] == {"pretraining": 192, "teacher": 64}  # all that came before


def test_several_seeds_start_from_one_run(seeds, tmp_path):
    path = train([*SPMD, "num_seeds=2", "algorithm.learning_rate=1e-12", f"start_from={seeds}"], tmp_path / "a").path
    first = load_run(seeds).state.learnt.agent.models.critic.weights
    for index in range(2):
        weights = load_run(path, index).state.learnt.agent.models.critic.weights
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), first, weights)


def test_what_does_not_fit_is_refused_before_anything_is_trained(seeds, tmp_path):
    with pytest.raises(ConfigurationError, match="start_from does not fit"):
        train([*SPMD, "network.hidden=[8]", f"start_from={seeds}"], tmp_path / "a")
    with pytest.raises(ConfigurationError, match="nowhere does not exist: name a run directory"):
        train([*SPMD, f"start_from={tmp_path / 'nowhere'}"], tmp_path / "b")
    with pytest.raises(ConfigurationError, match="student is not a role of both runs"):
        train([*SPMD, f"start_from={seeds}", "start_roles=[student]"], tmp_path / "c")


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A run with two checkpoints that evaluates twice."""
    path = tmp_path_factory.mktemp("chosen") / "a"
    train([*SPMD, "eval_every=32", "checkpoint_every=32", "keep_best=true"], path)
    return path


def test_a_policy_is_loaded_from_the_checkpoint_of_a_step_or_the_best(chosen):
    best = json.loads((chosen / "result.json").read_text())["best"]["step"]
    assert int(load_run(chosen, step=32).state.iteration) == 1
    assert int(load_run(chosen, step="best").state.iteration) == best // 32
    observation = np.ones(4, np.float32)
    early, late, newest = (load_policy(chosen, step=step)(observation) for step in (32, 64, None))
    np.testing.assert_array_equal(late, newest)
    assert not np.array_equal(early, late)
    np.testing.assert_array_equal(load_policy(chosen, step="best")(observation), early if best == 32 else late)


def test_a_step_that_there_is_not_is_answered_with_those_that_there_are(chosen, seeds):
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 48 .*; there are those of 32, 64"):
        load_policy(chosen, step=48)
    with pytest.raises(CheckpointError, match=r"kept no best checkpoint: that takes keep_best=true .* those of 64"):
        load_policy(seeds, step="best")
    with pytest.raises(ConfigurationError, match="step='last' must be a number of steps, or best"):
        load_policy(chosen, step="last")


def test_sampled_actions_have_the_policys_distribution_and_repeat_with_their_seed(chosen):
    observation = np.tile(np.array([0.1, -0.2, 0.3, 0.1], np.float32), (4000, 1))
    run = load_run(chosen)
    policy = run.algorithm.policy(run.state.learnt, "teacher")
    _, told = policy.step(policy.initial(1), {"teacher": observation[:1]}, np.ones(1, bool))
    drawn = load_policy(chosen, sampled=3)
    first, second = drawn(observation), drawn(observation)
    assert not np.array_equal(first, second)
    again = load_policy(chosen, sampled=3)
    np.testing.assert_array_equal(again(observation), first)
    np.testing.assert_array_equal(again(observation), second)
    high = run.environment.spec.action_high[0]
    mean, deviation = float(told.mode()[0, 0]), float(np.exp(np.ravel(told.log_std)[0]))
    expected = high * np.clip(np.random.default_rng(0).normal(mean, deviation, 400_000), -1.0, 1.0)
    assert first.mean() == pytest.approx(expected.mean(), abs=5 * expected.std() / 4000**0.5)
    assert first.std() == pytest.approx(expected.std(), rel=0.05)
    with pytest.raises(ConfigurationError, match="sampled"):
        load_policy(chosen, sampled=-1)


def test_a_run_is_read_back_where_its_ring_would_find_no_room(tmp_path, monkeypatch):
    overrides = ["algorithm=spmd_replay", "algorithm.num_steps=8", "algorithm.batch_size=8", "algorithm.warm_up=32"]
    path = train([*overrides, "algorithm.network.hidden=[8]", *SMALL], tmp_path / "a").path
    monkeypatch.setattr("algorithms.experience.free_memory", lambda: 1000)
    config = read_config(path, engine="native")
    first, env = Pantry(config.physics, {}), config.env
    frozen = first.load(str(path), "teacher", env)  # a teacher of a run that begins, and then of one that is read back
    again = Pantry(config.physics, first.recipes).load(str(path), "teacher", env)
    assert jax.tree.structure(frozen.parameters()) == jax.tree.structure(jax.eval_shape(again.parameters))
    assert load_policy(path) is not None
    with pytest.raises(ConfigurationError, match=r"^algorithm\.buffer_size=1,000,000 steps"):
        train([f"resume={path}", "total_steps=128"])
