"""What a batch that does not split is told: keys that there are."""

from __future__ import annotations

from typing import Any

import pytest

from algorithms.build import build
from algorithms.config import SPMDConfig, SPMDVRTDConfig
from algorithms.inverse.config import GAILConfig
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from configs.build import experiment_config
from configs.command_line import compose_config
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following

ODD: dict[str, Any] = {"num_steps": 4, "minibatches": 3}
STUDENT = StudentConfig(minibatches=1)
PARTS = {
    "algorithm.minibatches": (SPMDConfig(**ODD), "algorithm=spmd"),
    "algorithm.actor.minibatches": (SPMDVRTDConfig(SPMDConfig(**ODD), critic_minibatches=2), "algorithm=spmd_vrtd"),
    "algorithm.optimizer.minibatches": (GAILConfig("x", optimizer=SPMDConfig(**ODD)), "algorithm=gail"),
    "algorithm.teacher.minibatches": (LearnToTeachConfig(SPMDConfig(**ODD), STUDENT), "algorithm=l2t"),
    "algorithm.teacher.optimizer.minibatches": (
        LearnToTeachConfig(GAILConfig("x", optimizer=SPMDConfig(**ODD)), STUDENT),
        "algorithm/teacher=gail",
    ),
    "algorithm.student.minibatches": (
        LearnToTeachConfig(SPMDConfig(num_steps=4, minibatches=1), StudentConfig(minibatches=3)),
        "algorithm=l2t",
    ),
}


@pytest.mark.parametrize("key", list(PARTS))
def test_a_batch_that_does_not_split_names_a_key_that_the_command_line_has(key: str) -> None:
    config, chosen = PARTS[key]
    probe = signal_following()
    found = demonstrate(probe, lambda o: o[:, 0], 4)
    context = BuildContext(probe, 8, 10_000, NetworkConfig((16,)), load_demonstrations=lambda path: found)
    with pytest.raises(ConfigurationError, match=rf"split into {key}=3 equal parts; .* or {key}\.$"):
        build(config, context)
    choices = [chosen] if chosen.startswith("algorithm=") else ["algorithm=l2t", chosen]
    needed = {"gail": "algorithm.demonstrations=.", "algorithm/teacher=gail": "algorithm.teacher.demonstrations=."}
    data = [needed[part] for part in (chosen, chosen.removeprefix("algorithm=")) if part in needed]
    node: Any = experiment_config(compose_config([*choices, *data, f"{key}=3"]))
    for part in key.split("."):
        node = getattr(node, part)
    assert node == 3
