"""What a run that learns from demonstrations tells about them and about itself."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.build import build
from algorithms.config import SPMDConfig, SPMDVRTDConfig
from algorithms.inverse.build import (
    SaturatedExpertWarning,
    UnidentifiedScaleWarning,
    UnpaidEntropyWarning,
    VariableHorizonWarning,
)
from algorithms.inverse.config import (
    AIRLConfig,
    CloningConfig,
    IPMDConfig,
    IQLearnConfig,
    RegressionConfig,
    RewardConfig,
)
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from tests.support.demonstrated import demonstrate
from tests.support.imitation import NETWORK, REPLAY, REWARD, SPMD, best_action, build_context, train_inverse
from tests.support.probes import signal_following, tempting_end


@pytest.mark.parametrize(
    "config",
    [
        IPMDConfig("x", optimizer=SPMD, reward=REWARD),
        IQLearnConfig("x", replay=replace(REPLAY, warm_up=10_000)),
        CloningConfig("x", regression=RegressionConfig(NETWORK, updates=1)),
    ],
    ids=["ipmd", "iq_learn", "bc"],
)
def test_an_expert_that_is_no_better_than_chance_is_told(config: Any) -> None:
    algorithm, _, poor = train_inverse(config, build_context(reward=-3.0), 2)
    good = train_inverse(config, build_context(reward=-0.1), 2)[2]
    assert "warning/poor_expert" in _told(algorithm, poor)
    assert [row["warning/poor_expert"] for row in poor] == [1.0, 0.0]
    assert [row["warning/poor_expert"] for row in good] == [0.0, 0.0]


def _told(algorithm: Any, rows: list[dict[str, float]]) -> set[str]:
    """What a run would have said: see `Algorithm.warnings`."""
    return {name for name in algorithm.warnings if any(row.get(name, 0.0) > 0.0 for row in rows)}


@pytest.mark.parametrize(
    ("config", "tells"),
    [
        (IPMDConfig("x", optimizer=SPMD, reward=REWARD), True),
        (IQLearnConfig("x", replay=replace(REPLAY, warm_up=10_000)), True),
        (CloningConfig("x", regression=RegressionConfig(NETWORK, updates=1)), False),
    ],
    ids=["ipmd", "iq_learn", "bc"],
)
def test_a_learner_that_falls_is_told_that_ends_tell_though_its_expert_never_fell(config: Any, tells: bool) -> None:
    probe = tempting_end(0.0)
    found = demonstrate(probe, lambda o: 0.0 * o[:, 0] - 1.0, 4)
    context = BuildContext(probe, 16, 10_000, NETWORK, load_demonstrations=lambda path: found)
    with warnings.catch_warnings():
        warnings.simplefilter("error", VariableHorizonWarning)
        algorithm, _, rows = train_inverse(config, context, 1)
    assert rows[0]["train/terminations"] > 0
    assert ("train/terminations" in _told(algorithm, rows)) is tells
    unending = train_inverse(config, build_context(), 1)
    assert "train/terminations" not in _told(unending[0], unending[2])


def test_a_clone_is_not_told_that_ends_tell() -> None:
    probe = signal_following()
    ended = _joined(demonstrate(probe, best_action, 2), demonstrate(replace(probe, episode_length=7), best_action, 2))
    context = BuildContext(probe, 16, 1000, NETWORK, load_demonstrations=lambda path: ended)
    with warnings.catch_warnings():
        warnings.simplefilter("error", VariableHorizonWarning)
        build(CloningConfig("x"), context)


def test_episodes_that_end_early_are_told() -> None:
    probe = signal_following()
    long, short = demonstrate(probe, best_action, 2), demonstrate(replace(probe, episode_length=7), best_action, 2)
    for found, warned in ((long, False), (short, False), (_joined(long, short), True)):
        context = BuildContext(probe, 16, 1000, NETWORK, load_demonstrations=lambda path, found=found: found)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            build(IPMDConfig("x", optimizer=SPMD, reward=REWARD), context)
        assert any(issubclass(w.category, VariableHorizonWarning) for w in caught) is warned


def _joined(one: Any, other: Any) -> Any:
    steps = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), one.transitions, other.transitions)
    episode = jnp.concatenate([one.episode, other.episode + 1 + one.episode.max()])
    many = (0,) * 4
    facts = replace(one.facts, policy=many, seeds=many)
    return replace(one, transitions=steps, episode=episode, returns=np.zeros(4), facts=facts)


def test_a_temperature_that_follows_the_reward_is_told_once() -> None:
    fixed = replace(REPLAY, temperature=0.1)
    for optimizer, told in ((REPLAY, 1), (fixed, 0), (SPMD, 0)):
        ipmd = IPMDConfig("x", optimizer=optimizer, reward=REWARD)
        taught = LearnToTeachConfig(teacher=ipmd, student=StudentConfig(minibatches=4))
        for config, path in ((ipmd, "algorithm.optimizer"), (taught, "algorithm.teacher.optimizer")):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                build(config, build_context())
            said = [str(w.message) for w in caught if issubclass(w.category, UnidentifiedScaleWarning)]
            assert len(said) == told
            assert all(f" {path}.temperature=" in message for message in said)


def test_airl_without_a_price_of_entropy_is_told_that_it_imitates_means_alone() -> None:
    def airl(optimizer: Any) -> AIRLConfig:
        return AIRLConfig("x", optimizer=optimizer, reward=REWARD)

    priced = replace(SPMD, entropy=1.0)
    by_vrtd = SPMDVRTDConfig(actor=SPMDConfig(trace_decay=0.9))
    fixed = replace(REPLAY, temperature=1.0)
    cases = [
        (airl(SPMD), 1),
        (LearnToTeachConfig(teacher=airl(SPMD), student=StudentConfig(minibatches=4)), 1),
        (airl(by_vrtd), 1),
        (airl(priced), 0),
        (airl(replace(by_vrtd, actor=replace(by_vrtd.actor, entropy=1.0))), 0),
        (airl(fixed), 0),
        (IPMDConfig("x", optimizer=SPMD, reward=REWARD), 0),
    ]
    for config, told in cases:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            build(config, build_context())
        said = [str(w.message) for w in caught if issubclass(w.category, UnpaidEntropyWarning)]
        assert len(said) == told
        assert all("algorithm.optimizer.entropy=1" in message for message in said)


def test_an_expert_at_the_faces_of_the_box_is_told_to_those_who_ask_for_its_likelihood() -> None:
    probe = signal_following()
    held = demonstrate(probe, lambda o: np.where(np.arange(len(o)) % 3 == 0, 2.0 * np.sign(o[:, 0]), 0.1), 4)
    free = demonstrate(probe, lambda o: np.where(np.arange(len(o)) % 10 == 0, 2.0 * np.sign(o[:, 0]), 0.1), 4)
    bc, airl = CloningConfig("x"), AIRLConfig("x", optimizer=SPMD, reward=REWARD)
    ipmd = IPMDConfig("x", optimizer=SPMD, reward=REWARD)
    for found, config, warned in ((held, bc, True), (held, airl, True), (held, ipmd, False), (free, bc, False)):
        context = BuildContext(probe, 16, 1000, NETWORK, load_demonstrations=lambda path, found=found: found)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            build(config, context)
        told = [str(w.message) for w in caught if issubclass(w.category, SaturatedExpertWarning)]
        assert bool(told) is warned
        assert all("35% of the expert's actions" in message for message in told)


@pytest.mark.parametrize("features", ["velocity", 3, [3], {"height": 1}])
def test_features_that_are_no_list_of_names_are_said_in_one_line(features: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^algorithm.reward.features=.* must be a list of names, such as"):
        RewardConfig(features=features)
