"""What off-policy learners report is on their page: every metric of each, and no other."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import jax
import pytest

from algorithms.build import build
from algorithms.replay.config import RVISACConfig, SACConfig, SPMDReplayConfig
from l2t.config import NetworkConfig
from l2t.rl.algorithm import BuildContext
from tests.support.probes import constant_reward

PAGE = Path(__file__).parents[3] / "docs" / "algorithms" / "replay.md"
SMALL: dict[str, Any] = {
    "num_steps": 4,
    "batch_size": 8,
    "buffer_size": 64,
    "warm_up": 16,
    "network": NetworkConfig((8,)),
}
FAMILY = {"sac": SACConfig(**SMALL), "rvi_sac": RVISACConfig(**SMALL), "spmd_replay": SPMDReplayConfig(**SMALL)}


def _told(name: str) -> set[str]:
    """Metrics of the page's table that are this algorithm's, but for names with a placeholder."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| metric | of | meaning |") :].split("\n\n")[0]
    rows = [line.strip("|").split(" | ") for line in table.splitlines()[2:]]
    owned = [row[0] for row in rows if row[1] == "all" or f"`{name}`" in row[1]]
    return {metric for names in owned for metric in re.findall(r"`([^`<]+)`", names)}


def _measured(config: Any) -> set[str]:
    algorithm = build(config, BuildContext(constant_reward(1.0), 4, 1_000, NetworkConfig((8,))))
    _, metrics = jax.eval_shape(lambda key: algorithm.iterate(algorithm.init(key)), jax.random.key(0))
    return {name for name in metrics if name.startswith(("train/", "loss/")) and name != "train/unstable"}


@pytest.mark.parametrize("name", FAMILY)
def test_the_page_tells_of_all_metrics_of_an_algorithm_and_of_no_other(name: str) -> None:
    assert _told(name) == _measured(FAMILY[name])


def test_without_a_step_size_there_is_no_divergence_to_report() -> None:
    free = SPMDReplayConfig(**SMALL, step_size=math.inf)
    assert _measured(FAMILY["spmd_replay"]) - _measured(free) == {"train/kl"}
