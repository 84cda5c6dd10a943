"""The study of recovered rewards in small, and its configuration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.inverse.tabular_config import CountingConfig, TabularIPMDConfig, TabularIQLearnConfig
from algorithms.policy_evaluation.config import TDConfig
from configs.build import experiment_config
from configs.command_line import compose_config
from envs.tabular.exact import evaluate, relative_value_iteration
from envs.tabular.families import garnet
from l2t.errors import ConfigurationError
from l2t.report.study import StudyContext, fitted_slope, interval_text
from l2t.rewards.canonical import canonical_reward
from scripts import studies
from scripts.studies.reward_recovery import Case, RewardRecovery, _visits

studies.register()
PROCESS = garnet(4, 2, 2, teleport=0.2)
SMALL = RewardRecovery(
    "small",
    {"garnet": Case(PROCESS, 0.5)},
    {
        "ipmd": TabularIPMDConfig(iterations=200, penalty_power=0.5),
        "iq_learn": TabularIQLearnConfig(iterations=400, discount=0.9),
        "counting": CountingConfig(),
    },
    num_seeds=20,
    fewest=50,
    most=20_000,
    points=6,
    fit_from=300,
)


def test_errors_fall_with_the_demonstrations_and_end_at_what_exact_visits_leave() -> None:
    told: list[str] = []
    result = SMALL.run(StudyContext(0, told.append, lambda run_dir, overrides: pytest.fail("needs no run")))
    ipmd, iq_learn, counting = result.curves
    for curve in (ipmd, counting):
        assert curve.y.shape == (20, 6)
        assert curve.y[:, -1].mean() < 0.02 * curve.y[:, 0].mean()
    rows = {row[1]: row for row in result.tables[0].rows}
    assert float(rows["ipmd"][-1]) < 1e-8
    floor = float(rows["iq_learn"][-1])
    assert 0.01 < floor < 2.0 * np.sqrt(iq_learn.y[:, -1]).mean()  # χ² and discount stay in it
    assert rows["counting"][3] == interval_text(fitted_slope(counting, 300))
    assert counting.y[:, -1].mean() == pytest.approx(asymptotic_error(0.5) / 20_000, rel=0.3)
    assert 0.8 < ipmd.y[:, -1].mean() / counting.y[:, -1].mean() < 2.0
    # Six numbers of demonstrations: the first, a middle and the last are told of.
    assert [row[2] for row in result.tables[1].rows] == ["50", f"{SMALL.transitions()[2]:,}", "20,000"]
    assert [line.endswith(" ...") for line in told if not line.startswith("warning")] == [True, False] * 4


def asymptotic_error(entropy: float) -> float:
    """n E d² of r = μ log π̂ for large n, by the delta method: counts in each state are multinomial, C is linear.

    cov(log π̂(a|s), log π̂(b|s)) = (1{a=b}/π(a|s) - 1)/(n ν(s)),   d² = ¼ ‖(I - z zᵀ) δC‖²/‖C‖²,   z = C/‖C‖.
    """
    expert = relative_value_iteration(PROCESS, entropy).policy
    visits = evaluate(PROCESS, expert).stationary
    covariance = np.zeros((8, 8))
    for state in range(4):
        part = slice(2 * state, 2 * state + 2)
        covariance[part, part] = (np.diag(1.0 / expert[state]) - 1.0) / visits[state]
    columns = [
        canonical_reward(PROCESS.transition, unit.reshape(4, 2), PROCESS.uniform_policy()).reshape(-1)
        for unit in np.eye(8)
    ]
    linear = np.stack(columns, 1)
    canonical = linear @ (entropy * np.log(expert)).reshape(-1)
    direction = canonical / np.linalg.norm(canonical)
    across = (np.eye(8) - np.outer(direction, direction)) @ linear
    return 0.25 * entropy**2 * float(np.trace(across @ covariance @ across.T)) / float(canonical @ canonical)


def test_visits_are_the_shares_of_the_same_draws_counted_by_hand() -> None:
    expert, pairs = SMALL._demonstrations(SMALL.cases["garnet"], 0)
    np.testing.assert_allclose(expert, relative_value_iteration(PROCESS, 0.5).policy)
    fitted, unseen = _visits(pairs, 1000, 0.2, (4, 2))
    for seed in range(20):
        first, second = pairs[seed, :800].tolist(), pairs[seed, 800:1000].tolist()
        np.testing.assert_allclose(fitted[seed].reshape(-1), [first.count(i) / 800 for i in range(8)])
        np.testing.assert_allclose(unseen[seed].reshape(-1), [second.count(i) / 200 for i in range(8)])
    everything, nothing = _visits(pairs, 1000, 0.0, (4, 2))
    np.testing.assert_allclose(everything.sum((1, 2)), 1.0)
    assert not nothing.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cases": {}}, "at least one"),
        ({"methods": {"td": TDConfig()}}, "is a TDConfig"),
        ({"num_seeds": 0}, "num_seeds"),
        ({"fewest": 3}, "fewest"),
        ({"most": 10}, "most"),
        ({"fit_from": 19_000}, "no three"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(SMALL, **changes)


def test_a_case_needs_a_process_and_a_price_of_entropy() -> None:
    with pytest.raises(ConfigurationError, match="not a finite process"):
        Case(3, 0.1)
    with pytest.raises(ConfigurationError, match="entropy"):
        Case(PROCESS, 0.0)


def test_the_experiment_composes_to_its_study() -> None:
    study = experiment_config(compose_config(["experiment=reward_recovery"])).study
    assert isinstance(study, RewardRecovery)
    assert study.num_seeds >= 20
    # Both methods at the same weight of the squared norm: c = 1/(8a).
    for one, other in (("ipmd", "iq_learn"), ("ipmd_fixed", "iq_learn_fixed")):
        assert study.methods[other].weight_for(400.0) == pytest.approx(2.0 * study.methods[one].penalty_for(400.0))
