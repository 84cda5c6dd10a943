"""What a run tells where a fall is free and nothing discounts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import pytest

from algorithms.build import build
from algorithms.config import PPOConfig, SPMDConfig, SPMDVRTDConfig
from algorithms.inverse.config import IPMDConfig
from algorithms.replay.config import RVISACConfig, SACConfig, SPMDReplayConfig
from algorithms.reset_cost import free_resets
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.config import NetworkConfig
from l2t.rl.algorithm import BuildContext
from tests.support.probes import Probe, constant_reward, tempting_end

SMALL: dict[str, Any] = {"num_steps": 8, "minibatches": 1, "epochs": 1}
REPLAY: dict[str, Any] = {"num_steps": 8, "batch_size": 8, "buffer_size": 256, "warm_up": 16}
SPMD = SPMDConfig(**SMALL)
VRTD = SPMDVRTDConfig(SPMD, features=8, critic_minibatches=1)
STUDENT = StudentConfig(epochs=1, minibatches=1)
AVERAGING: list[tuple[Any, str]] = [
    (SPMD, "algorithm.adapt_reset_cost"),
    (VRTD, ""),
    (SPMDReplayConfig(**REPLAY), "algorithm.adapt_reset_cost"),
    (RVISACConfig(**REPLAY, adapt_reset_cost=False), "algorithm.adapt_reset_cost"),
    (LearnToTeachConfig(SPMD, STUDENT), "algorithm.teacher.adapt_reset_cost"),
    (LearnToTeachConfig(SPMDReplayConfig(**REPLAY), STUDENT), "algorithm.teacher.adapt_reset_cost"),
]
SILENT: list[Any] = [
    PPOConfig(**SMALL),
    SACConfig(**REPLAY),
    replace(SPMD, adapt_reset_cost=True),
    RVISACConfig(**REPLAY),
    LearnToTeachConfig(PPOConfig(**SMALL), STUDENT),
]


def _warnings(config: Any, probe: Probe) -> dict[str, str]:
    return dict(build(config, BuildContext(probe, 4, 10_000, NetworkConfig((8,)))).warnings)


@pytest.mark.parametrize(("config", "key"), AVERAGING)
def test_who_averages_is_told_of_free_resets_with_the_keys_that_it_has(config: Any, key: str) -> None:
    told = _warnings(config, tempting_end(0.0))
    assert list(told) == ["train/terminations"]
    assert "env.reset_cost" in told["train/terminations"]
    assert ("adapt_reset_cost" in told["train/terminations"]) == bool(key)
    assert f"{key}=true" in told["train/terminations"] or not key
    assert not _warnings(config, tempting_end(0.1))


@pytest.mark.parametrize("config", SILENT)
def test_who_discounts_or_finds_the_cost_by_itself_is_told_nothing(config: Any) -> None:
    assert not _warnings(config, tempting_end(0.0))


def test_a_learned_reward_is_not_told_to_charge_for_ends() -> None:
    assert not free_resets(IPMDConfig("x", optimizer=SPMD), 0.0)


@pytest.mark.parametrize(("probe", "ends"), [(tempting_end(0.0), True), (constant_reward(), False)])
def test_a_task_that_never_ends_has_nothing_that_sets_the_warning_off(probe: Probe, ends: bool) -> None:
    loop = build(SPMD, BuildContext(probe, 4, 10_000, NetworkConfig((8,))))
    _, metrics = jax.jit(loop.iterate)(jax.jit(loop.init)(jax.random.key(0)))
    assert any(float(metrics[name]) > 0.0 for name in loop.warnings) is ends
