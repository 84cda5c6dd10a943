"""What learning from demonstrations reports is on its page: every metric that the methods add, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import pytest

from algorithms.build import build
from algorithms.inverse.config import (
    AIRLConfig,
    CloningConfig,
    DAggerConfig,
    FIRLConfig,
    GAILConfig,
    IPMDConfig,
    IQLearnConfig,
    RegressionConfig,
)
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from tests.support.imitation import NETWORK, REPLAY, REWARD, SPMD, asked, build_context

PAGE = Path(__file__).parents[3] / "docs" / "algorithms" / "inverse.md"
REGRESSION = RegressionConfig(NETWORK)
METHODS: dict[str, Any] = {
    "ipmd": IPMDConfig("x", optimizer=SPMD, reward=REWARD),
    "gail": GAILConfig("x", optimizer=SPMD, reward=REWARD),
    "airl": AIRLConfig("x", optimizer=SPMD, reward=REWARD),
    "f_irl": FIRLConfig("x", optimizer=SPMD, reward=REWARD),
    "iq_learn": IQLearnConfig("x", replay=REPLAY),
    "bc": CloningConfig("x", regression=REGRESSION),
    "dagger": DAggerConfig("x", regression=REGRESSION),
    "l2t": LearnToTeachConfig(
        teacher=IPMDConfig("x", optimizer=SPMD, reward=REWARD),
        student=StudentConfig(network=NETWORK, rl_coefficient=0.1),
    ),
}
OF_REWARDS = ("learned_reward/", "expert/", "warning/", "loss/reward", "loss/clone", "loss/held_out")


def _told() -> dict[str, str]:
    """Metrics of the page's table, and whose they are."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| metric | of | meaning |") :].split("\n\n")[0]
    rows = [line.strip("|").split(" | ") for line in table.splitlines()[2:]]
    return {name: row[1] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def _measured(config: Any) -> set[str]:
    context = asked() if isinstance(config, DAggerConfig) else build_context()
    algorithm = build(config, context)
    _, metrics = jax.eval_shape(lambda key: algorithm.iterate(algorithm.init(key)), jax.random.key(0))
    return set(metrics)


@pytest.mark.parametrize("method", METHODS)
def test_every_metric_of_a_method_is_on_the_page(method: str) -> None:
    added = {name for name in _measured(METHODS[method]) if name.startswith(OF_REWARDS)}
    owned = {name for name, owners in _told().items() if f"`{method}`" in owners or owners == "all"}
    assert added
    assert added <= set(_told())
    if method != "l2t":  # which has its teacher's
        assert added == {name for name in owned if name in added} == owned


def test_the_page_tells_of_no_metric_that_there_is_not() -> None:
    measured = set().union(*map(_measured, METHODS.values()))
    assert {name for name in _told() if name != "learned_reward/paid"} <= measured
