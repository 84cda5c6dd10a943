"""A learned reward that is saved is, in another process, the one that was trained with."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.inverse.build import learned_reward
from algorithms.inverse.config import GAILConfig, IPMDConfig, RewardConfig
from configs import compose
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rewards.artefact import LearnedReward, OtherTaskWarning, RewardError, load
from l2t.rewards.model import RewardModel
from l2t.rl.algorithm import BuildContext
from l2t.rl.types import EnvironmentSpec
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following
from tests.support.trajectories import random_trajectory

ROOT = Path(__file__).parents[3]
FAR = "import sys, numpy as np; from l2t.rewards.artefact import load; x = np.load(sys.argv[2]); r = load(sys.argv[1]);"


def _trained(kind: Any, inputs: str = "state_action") -> tuple[LearnedReward, Any, np.ndarray]:
    """A reward with random weights and a normaliser that has seen something, a batch, and what the batch is paid."""
    probe, reward = signal_following(), RewardConfig(inputs=inputs, network=NetworkConfig((32, 32), "tanh"))
    found = demonstrate(probe, lambda o: o[:, 0], 3)
    context = BuildContext(probe, 4, 100, NetworkConfig(), load_demonstrations=lambda path: found)
    learner = learned_reward(kind("x", reward=reward), context)
    state = learner.init(jax.random.key(5))
    weights = jax.tree.map(lambda w: w + 0.3 * jnp.cos(7.0 * w + jnp.arange(w.size).reshape(w.shape)), state.weights)
    state = replace(state, weights=weights)
    batch = random_trajectory(3)
    paid = np.asarray(jax.jit(learner.relabel)(state, batch).reward)
    model, kept = learner.kept(state)
    return LearnedReward(model, kept, "probe", model.names(probe.spec), {"algorithm": "x"}), batch, paid


@pytest.mark.parametrize("kind", [IPMDConfig, GAILConfig])
def test_a_fresh_process_pays_what_training_paid_bit_for_bit(kind: Any, tmp_path: Path) -> None:
    reward, batch, paid = _trained(kind)
    reward.save(tmp_path / "reward")
    x = reward.inputs(batch.observation["teacher"], np.clip(batch.action, -1, 1))
    np.save(tmp_path / "x.npy", x)
    ask = FAR + "np.save(sys.argv[3], r.of(x[..., :2], x[..., 2:]))"
    paths = [str(tmp_path / name) for name in ("reward", "x.npy", "paid.npy")]
    subprocess.run([sys.executable, "-c", ask, *paths], check=True, cwd=ROOT)
    np.testing.assert_array_equal(np.load(tmp_path / "paid.npy"), paid)
    assert np.ptp(paid) > 0.1


@pytest.mark.parametrize("inputs", ["state", "state_action", "state_action_next"])
def test_it_is_asked_for_one_or_a_batch_and_told_what_is_missing(inputs: str) -> None:
    reward, batch, paid = _trained(IPMDConfig, inputs)
    steps = batch.transitions()
    parts = {
        "state": (steps.observation["teacher"],),
        "state_action": (steps.observation["teacher"], steps.action),
        "state_action_next": (steps.observation["teacher"], steps.action, steps.following["teacher"]),
    }[inputs]
    assert np.abs(steps.action).max() > 1.0  # what is drawn beyond the box is paid as it is played
    np.testing.assert_allclose(reward.of(*parts), paid, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reward.of(*(part[0, 0] for part in parts)), paid[0, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reward(steps), paid, rtol=1e-5, atol=1e-6)
    assert len(reward.names) == reward.model.size
    with pytest.raises(RewardError, match=r"observation is of shape \[3\]; this reward looks at \[..., 2\]"):
        reward.of(np.zeros(3), *parts[1:])
    for number, name in enumerate(("observation", "action", "following")[: len(parts)]):
        wrong = [part[0, 0] for part in parts]
        wrong[number] = np.full_like(wrong[number], [np.nan, np.inf][number % 2])
        for ask in (reward.of, reward.inputs):
            with pytest.raises(RewardError, match=f"The {name} holds a number that is not finite"):
                ask(*wrong)
    if inputs != "state":
        with pytest.raises(RewardError, match="action is missing"):
            reward.of(np.zeros(2))


def _saved(tmp_path: Path) -> Path:
    return _trained(IPMDConfig)[0].save(tmp_path / "run" / "reward")


def test_a_run_directory_is_as_good_as_its_reward_and_saving_again_replaces_it(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    again = replace(load(path.parent), task="other")
    again.save(path)
    assert load(path).task == "other"
    assert [entry.name for entry in path.parent.iterdir()] == ["reward"]


def _flip(path: Path) -> None:
    weights = bytearray((path / "weights.msgpack").read_bytes())
    weights[-3] ^= 1
    (path / "weights.msgpack").write_bytes(weights)


def _age(path: Path) -> None:
    described = json.loads((path / "reward.json").read_text())
    (path / "reward.json").write_text(json.dumps(described | {"format": 0}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip, r"weights.msgpack is damaged: its checksum"),
        (_age, r"is of format 0, and this version reads format 1"),
        (lambda path: (path / "reward.json").write_text("{"), r"cannot be read"),
        (lambda path: (path / "reward.json").unlink(), r"holds no learned reward: a finished run of ipmd"),
        (lambda path: (path / "weights.msgpack").unlink(), r"holds no learned reward"),
    ],
    ids=["flipped", "old", "cut", "gone", "half"],
)
def test_what_cannot_be_read_is_one_line(damage: Any, message: str, tmp_path: Path) -> None:
    path = _saved(tmp_path)
    damage(path)
    with pytest.raises(RewardError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_task_that_does_not_show_what_it_looks_at_is_refused() -> None:
    reward, _, _ = _trained(IPMDConfig)
    reward.check_task(signal_following().spec)
    other = replace(signal_following().spec, observation_sizes={"teacher": 5}, name="other")
    with pytest.raises(ConfigurationError, match=r"looks at 2 observations.*other has 5 and 1"):
        reward.check_task(other)


def _reward(spec: Any, inputs: str = "state_action", features: tuple[str, ...] = ()) -> LearnedReward:
    model = RewardModel.of_task(spec, inputs, "teacher", NetworkConfig((4,)), features)
    return LearnedReward(model, model.init(jax.random.key(0)), spec.name, model.names(spec))


def _robot(name: str, observed: tuple[str, ...] = (), acted: tuple[str, ...] = ()) -> Any:
    names = {"teacher": observed} if observed else {}
    sizes = {"teacher": 3}
    return EnvironmentSpec(name, sizes, (-1.0,), (1.0,), 10, observation_names=names, action_names=acted)


HORSE = _robot("horse", ("height [m]", "pitch [rad]", "speed [m/s]"), ("hip [N m]",))


def test_a_robot_of_the_same_sizes_that_shows_other_things_is_refused() -> None:
    bird = _robot("bird", ("height [m]", "wing [rad]", "speed [m/s]"), ("hip [N m]",))
    with pytest.raises(RewardError, match=r"horse.*bird shows: 'pitch \[rad\]' is 'wing \[rad\]' there \(1 of 4"):
        _reward(HORSE).check_task(bird)
    pushed = replace(HORSE, name="pony", action_names=("knee [N m]",))
    with pytest.raises(RewardError, match=r"'hip \[N m\]' is 'knee"):
        _reward(HORSE).check_task(pushed)


@pytest.mark.filterwarnings("error")
def test_a_reward_carries_over_where_what_it_looks_at_has_the_same_names() -> None:
    bird = _robot("bird", ("height [m]", "wing [rad]", "speed [m/s]"), ("tail [N m]",))
    _reward(HORSE).check_task(replace(HORSE, name="lame_horse", episode_length=5))
    _reward(HORSE, "state", ("height", "speed")).check_task(bird)


def test_where_names_are_not_known_another_task_is_said() -> None:
    nameless = _robot("thing")
    with pytest.warns(OtherTaskWarning, match="learnt on horse, this is thing"):
        _reward(HORSE).check_task(nameless)
    with pytest.warns(OtherTaskWarning, match="learnt on thing, this is horse"):
        _reward(nameless).check_task(HORSE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _reward(nameless).check_task(nameless)


def test_the_reward_of_a_cheetah_does_not_pay_a_walker() -> None:
    cheetah, walker = (_spec(f"env={name}") for name in ("half_cheetah", "walker2d"))
    assert (cheetah.observation_sizes["teacher"], cheetah.action_size) == (
        walker.observation_sizes["teacher"],
        walker.action_size,
    )
    with pytest.raises(RewardError, match=r"half_cheetah looks at other things than walker2d shows"):
        _reward(cheetah).check_task(walker)


def test_the_reward_of_a_robot_pays_it_with_other_masses_too() -> None:
    heavy = _spec("env=hopper", "env.parameters.healthy_reward=0.5", "env.student_stack=2")
    _reward(_spec("env=hopper")).check_task(heavy)


def _spec(*overrides: str) -> EnvironmentSpec:
    config = compose([*overrides, "physics=native", "physics.threads=1"])
    return config.env.build(config.physics).spec
