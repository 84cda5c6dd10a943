"""Policies played from Python: against Gymnasium's own environment, fed with the actions that were played."""

import json
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import configs
from configs import collect, compose, learned_reward, load_policy, roll_out, train
from configs.elsewhere import OtherDynamicsWarning, warn_of_other_dynamics
from configs.library import TrainedRun
from configs.loading import load_run
from configs.record import plain
from configs.recording import _check_same_task
from l2t.demonstrations.files import read_demonstrations
from l2t.errors import ConfigurationError, L2TError
from l2t.report.runs import read_run
from l2t.rewards.artefact import load as load_reward
from tests.scripts.checkpointed_run import write_checkpointed_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_checkpointed_run(tmp_path_factory.mktemp("run") / "a", "env=inverted_pendulum", "algorithm=ppo")


@pytest.fixture(scope="module")
def played(run_dir):
    return roll_out(run_dir, 4, actions="sampled", seed=5)


def test_every_name_that_the_room_offers_is_there():
    for name in configs.__all__:
        assert callable(getattr(configs, name))
    assert not hasattr(configs, "train_all")


def test_gymnasium_pays_the_same_step_by_step_and_in_all(played):
    reference = gymnasium.make("InvertedPendulum-v5").unwrapped
    assert played.lengths.sum() == len(played.episode) == len(played.steps.action)
    for number, total in enumerate(played.returns):
        own = played.episode == number
        observation, action = np.asarray(played.steps.observation["teacher"])[own], np.asarray(played.steps.action)[own]
        reference.reset(seed=0)
        reference.set_state(observation[0, :2].astype(np.float64), observation[0, 2:].astype(np.float64))
        paid = [reference.step(3.0 * a)[1] for a in action]
        np.testing.assert_allclose(np.asarray(played.steps.reward)[own], paid)
        assert total == pytest.approx(sum(paid))


def test_a_roll_out_is_what_would_have_been_recorded_but_for_its_rewards(run_dir, played, tmp_path):
    _, recorded = collect(str(run_dir), episodes=4, actions="sampled", seed=5, out=str(tmp_path / "data"))
    np.testing.assert_array_equal(recorded.transitions.observation["teacher"], played.steps.observation["teacher"])
    np.testing.assert_allclose(recorded.transitions.action, played.steps.action, atol=1e-6)
    np.testing.assert_array_equal(recorded.episode, played.episode)
    np.testing.assert_allclose(recorded.returns, played.returns)
    assert not np.any(recorded.transitions.reward)
    assert np.any(played.steps.reward)


def test_columns_have_names(played):
    assert len(played.spec.observation_names["teacher"]) == played.steps.observation["teacher"].shape[1]
    assert len(played.spec.action_names) == played.steps.action.shape[1]


def test_other_dynamics_can_be_tried(run_dir):
    """On a steep rail the cart runs downhill whatever a policy that was never trained does."""
    steep = roll_out(run_dir, 2, overrides=["env.slope=60"])
    velocity = np.asarray(steep.steps.following["teacher"])[:, 2]
    inside = ~np.asarray(steep.steps.terminated)
    assert (velocity[inside] < 0.0).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"episodes": 0}, "episodes"),
        ({"actions": "best"}, "actions"),
        ({"role": "pupil"}, "role"),
        ({"seed": -1}, "seed"),
        ({"overrides": ["algorithm.entropy=0"]}, "what was learnt"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(run_dir, change, reason):
    with pytest.raises(ConfigurationError, match=f"(?i){reason}") as refused:
        roll_out(run_dir, **({"episodes": 1} | change))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: load_policy(3), "run=3 must be a path, as text or as a pathlib.Path."),
        (lambda: load_policy(None), "run=None must be a path"),
        (lambda: load_policy(b"runs/a"), "run=b'runs/a' must be a path"),
        (lambda: load_policy(TrainedRun(Path("runs/a"), {"evaluation": {}})), "its path is 'runs/a'."),
        (lambda: load_run(3), "run=3 must be a path"),
        (lambda: roll_out(3), "run=3 must be a path"),
        (lambda: collect(3), "run=3 must be a path"),
        (lambda: collect([3]), "run=3 must be a path"),
        (lambda: learned_reward(3), "run=3 must be a path"),
        (lambda: read_run(3), "run=3 must be a path"),
        (lambda: train(compose(["algorithm=spmd"]), 3), "run_dir=3 must be a path"),
        (lambda: train(compose(["algorithm=spmd"]), 0), "run_dir=0 must be a path"),
        (lambda: read_demonstrations(3), "demonstrations=3 must be a path"),
        (lambda: load_reward(3), "reward=3 must be a path"),
    ],
)
def test_what_is_no_path_is_said_in_one_line(call, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=re.escape(told)) as refused:
        call()
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [({"out": 3}, "out=3 must be a path"), ({"name": 3}, "name=3 must be text"), ({"seed_index": "a"}, "whole number")],
)
def test_so_are_arguments_of_a_recording_that_are_none(run_dir, tmp_path, change, told):
    with pytest.raises(ConfigurationError, match=told):
        collect(run_dir, **({"episodes": 1, "out": tmp_path / "x"} | change))


def test_nothing_to_record_is_an_error():
    with pytest.raises(ConfigurationError, match="no run"):
        collect([])
    with pytest.raises(L2TError, match="nowhere"):
        roll_out("nowhere")


def test_returns_are_those_of_each_seed():
    def evaluation(teacher, student):
        return {"evaluation": {"teacher": {"return_mean": teacher}, "student": {"return_mean": student}}}

    one = TrainedRun(Path("a"), evaluation(3.0, 2.0))
    assert one.returns("teacher") == [3.0]
    assert one.returns() == [2.0]
    several = TrainedRun(Path("a"), evaluation(3.0, 2.0) | {"per_seed": [evaluation(1.0, 0.0), evaluation(5.0, 4.0)]})
    assert several.returns("teacher") == [1.0, 5.0]
    with pytest.raises(ConfigurationError, match="role"):
        one.returns("pupil")
    with pytest.raises(ConfigurationError, match="not evaluated"):
        TrainedRun(Path("a"), {"evaluation": {}}).returns()


def test_what_stands_for_episodes_that_were_swallowed_saturates_no_action():
    from configs.loading import blank
    from l2t.demonstrations.summary import at_bound

    spec = compose(["algorithm=spmd", "env=hopper"]).env.build(compose(["algorithm=spmd"]).physics).spec
    assert at_bound(blank([3, 4], replace(spec, action_low=(0.0,) * 3, action_high=(1.0,) * 3))) == 0.0


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("env.reset_cost=3", ""),
        ("env.push.training_only=true", ""),
        ("env.slope=5.0", "(env.slope was 0.0, here it is 5.0)"),
        ("env.push.force=[1.0,2.0]", "(env.push.force was [0.0, 0.0], here it is [1.0, 2.0])"),
        ("++env.randomise.body_mass=[0.8,1.2]", "env.randomise.body_mass was not set, here it is [0.8, 1.2]"),
    ],
)
def test_demonstrations_of_other_dynamics_are_told(override, told, monkeypatch):
    from configs import loading
    from configs.elsewhere import OtherDynamicsWarning

    config = compose(["algorithm=spmd", "env=hopper", override])
    environment = config.env.build(config.physics)
    found = loading.blank([3, 3], environment.spec)
    recorded = json.loads(json.dumps(plain(compose(["algorithm=spmd", "env=hopper"]).env)))
    found = replace(found, facts=replace(found.facts, parameters=recorded))
    monkeypatch.setattr(loading, "read_demonstrations", lambda path, spec: found)
    pantry = loading.Pantry(config.physics, {})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pantry.demonstrations("d", environment.spec, config.env)
    texts = [str(w.message) for w in caught if issubclass(w.category, OtherDynamicsWarning)]
    assert (not texts) if not told else told in texts[0]


def test_runs_whose_true_rewards_differ_are_not_mixed():
    names = [Path("a"), Path("b")]
    walkers = [compose(["algorithm=spmd", "env=cassie", *extra]) for extra in ([], ["env.rewards.forward=3"])]
    with pytest.raises(ConfigurationError, match=r"b and a cannot be mixed: env.rewards.forward is 3 and 0.2\."):
        _check_same_task(names, walkers)
    seen = [compose(["algorithm=spmd", "env=hopper", *extra]) for extra in ([], ["env.student_noise=0"])]
    _check_same_task(names, seen)  # what students see is not recorded


@dataclass(frozen=True)
class Stranger:
    """A task of somebody else, which has no settings of its own."""

    def build(self, physics):
        raise NotImplementedError


class Unicycle(Stranger):
    name = "unicycle"


class Kite(Stranger):
    name = "kite"


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (["env=hopper"], ["env=half_cheetah"], "one is of env=half_cheetah, the other of env=hopper"),
        (["env=cassie"], ["env=hopper"], "one is of env=hopper, the other of env=cassie"),
        (
            ["env=hopper"],
            ["env=gymnasium", "env.id=Pendulum-v1"],
            "one is of env=gymnasium env.id=Pendulum-v1, the other of env=hopper",
        ),
        (["env=cassie"], ["env=cassie", "env.terrain=slope"], "env.terrain.kind is slope and flat"),
        (Unicycle(), Kite(), "one is of env=kite, the other of env=unicycle"),
    ],
)
def test_runs_of_two_tasks_are_told_apart_by_what_chooses_them(one, other, told):
    configs = [
        compose(["algorithm=spmd", *task]) if isinstance(task, list) else replace(compose(["algorithm=spmd"]), env=task)
        for task in (one, other)
    ]
    with pytest.raises(ConfigurationError, match=f"^b and a cannot be mixed: {re.escape(told)}\\. Collect them apart"):
        _check_same_task([Path("a"), Path("b")], configs)


def test_rewards_of_other_weights_are_no_other_dynamics():
    before, now = (compose(["algorithm=spmd", "env=cassie", *extra]) for extra in ([], ["env.rewards.forward=3"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_dynamics("data", plain(before.env), now.env)
    slower = compose(["algorithm=spmd", "env=cassie", "env.push.force=[10,20]"])
    with pytest.warns(OtherDynamicsWarning, match=r"env.push.force"):
        warn_of_other_dynamics("data", plain(before.env), slower.env)
