"""Whether memory holds a ring: asked of a run that trains, and told by the key that exists."""

from __future__ import annotations

import re
from typing import Any

import pytest

from algorithms.build import build
from algorithms.inverse.config import DAggerConfig, IPMDConfig, IQLearnConfig
from algorithms.replay.config import ReplayConfig, SPMDReplayConfig
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext, FrozenPolicy
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following

FAST: dict[str, Any] = {"num_steps": 4, "batch_size": 8, "buffer_size": 64, "warm_up": 16, "temperature": 0.1}
REPLAY = SPMDReplayConfig(**FAST)
STUDENT = StudentConfig(minibatches=1)
RINGS = {
    "algorithm.buffer_size": REPLAY,
    "algorithm.optimizer.buffer_size": IPMDConfig("x", optimizer=REPLAY),
    "algorithm.replay.buffer_size": IQLearnConfig("x", replay=ReplayConfig(**FAST | {"temperature": None})),
    "algorithm.teacher.buffer_size": LearnToTeachConfig(REPLAY, STUDENT),
    "algorithm.teacher.optimizer.buffer_size": LearnToTeachConfig(IPMDConfig("x", optimizer=REPLAY), STUDENT),
    "algorithm.student.replay": LearnToTeachConfig(student=StudentConfig(minibatches=1, replay=64)),
}
EXPERT = "dagger's algorithm.buffer_size"


def _context(**more: Any) -> BuildContext:
    probe = signal_following()
    found = demonstrate(probe, lambda o: o[:, 0], 4)
    frozen = FrozenPolicy(lambda learnt: learnt, lambda: (), probe.spec.name, 0)
    load = {"load_demonstrations": lambda path: found, "load_policy": lambda run, role: frozen}
    return BuildContext(probe, 8, 10_000, NetworkConfig((16,)), **load, **more)


@pytest.mark.parametrize("key", [*RINGS, EXPERT])
@pytest.mark.filterwarnings("ignore")
def test_a_ring_is_refused_by_its_own_key_where_it_is_filled_and_nowhere_else(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: Any = RINGS.get(key, DAggerConfig("x", num_steps=4, buffer_size=64))
    monkeypatch.setattr("algorithms.experience.free_memory", lambda: 1000)
    name = re.escape(key.split()[-1])
    with pytest.raises(ConfigurationError, match=rf"^{name}=64 steps of .*half of that holds {name}=\d+\.$"):
        build(config, _context())
    assert build(config, _context(trains=False)).roles
