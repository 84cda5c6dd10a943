"""An environment of somebody else, whose observation groups are not called as ours or not as long as it says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import pytest

from algorithms.build import build
from algorithms.config import PPOConfig, SPMDConfig, SPMDVRTDConfig
from algorithms.inverse.config import CloningConfig, IPMDConfig, IQLearnConfig
from algorithms.replay.config import SACConfig
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.config import NetworkConfig
from l2t.demonstrations.collecting import play
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from l2t.rl.types import EnvironmentSpec
from tests.support.demonstrated import demonstrate
from tests.support.probes import Probe, constant_reward

SPMD = SPMDConfig(num_steps=4, minibatches=1)
CONFIGS = {
    "spmd": SPMD,
    "a critic alone": replace(SPMD, observation="student", critic_observation="teacher"),
    "ppo": PPOConfig(num_steps=4, minibatches=1),
    "spmd_vrtd": SPMDVRTDConfig(actor=replace(SPMDVRTDConfig().actor, num_steps=4, minibatches=1)),
    "sac": SACConfig(),
    "bc": CloningConfig(demonstrations="somewhere"),
    "iq_learn": IQLearnConfig(demonstrations="somewhere"),
    "ipmd": IPMDConfig(demonstrations="somewhere", optimizer=SPMD),
}


@dataclass(frozen=True)
class Renamed(Probe):
    """A probe that shows its groups under other names, and may declare other ones.

    Attributes:
        shown: name of each of the probe's groups; those that are not named are not shown.
        declared: what the spec says, as far as it differs from what is shown.
    """

    shown: dict[str, str] = field(default_factory=dict)
    declared: dict[str, int] = field(default_factory=dict)

    @property
    def spec(self) -> EnvironmentSpec:
        sizes = super().spec.observation_sizes
        return replace(
            super().spec, observation_sizes={name: sizes[group] for group, name in self.shown.items()} | self.declared
        )

    def _groups(self, memory: Any) -> dict[str, Any]:
        return {name: super(Renamed, self)._groups(memory)[group] for group, name in self.shown.items()}


def _built(config: Any, **renamed: Any) -> Any:
    plain = constant_reward()
    probe = Renamed(plain.start, plain.advance, **renamed)
    expert = demonstrate(plain, lambda observation: observation[:, 0], episodes=2)
    context = BuildContext(probe, 4, 10_000, NetworkConfig((4,)), load_demonstrations=lambda path: expert)
    return build(config, context)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_learner_says_which_groups_there_are_and_how_they_must_be_called(config):
    shown = {"teacher": "state", "student": "student"} if config is CONFIGS["a critic alone"] else {"teacher": "state"}
    with pytest.raises(
        ConfigurationError,
        match=r"^probe shows no observation group 'teacher', .*; it shows 'state'.*called 'teacher', .* 'student'\.$",
    ):
        _built(config, shown=shown)


def test_learn_to_teach_says_that_there_is_nothing_for_a_student_to_see():
    with pytest.raises(ConfigurationError, match=r"probe shows no observation group 'student', .* shows 'teacher'"):
        _built(LearnToTeachConfig(SPMD, StudentConfig(minibatches=1)), shown={"teacher": "teacher"})


def test_so_does_a_recording_of_a_policy_that_sees_the_student_group_alone():
    plain = constant_reward()
    with pytest.raises(ConfigurationError, match="probe shows no observation group 'teacher'"):
        play(Renamed(plain.start, plain.advance, shown={"student": "student"}), None, [0])  # pyright: ignore


@pytest.mark.parametrize(
    ("declared", "says"), [({"student": 1}, r"student \[1\], teacher \[1\]"), ({"teacher": 2}, r"teacher \[2\]")]
)
def test_what_a_spec_declares_and_an_environment_does_not_show_is_told_before_the_first_step(declared, says):
    algorithm = _built(SPMD, shown={"teacher": "teacher"}, declared=declared)
    with pytest.raises(ConfigurationError, match=rf"^probe shows teacher \[1\], and its spec says {says}: let both"):
        algorithm.init(jax.random.key(0))
