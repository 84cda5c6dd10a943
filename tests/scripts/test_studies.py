"""Studies in small: what they compute, and their command."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig

from algorithms.policy_evaluation.config import LSTDConfig, MonteCarloConfig, TDConfig, VRTDConfig
from configs.build import experiment_config
from configs.command_line import compose_config, prepare
from envs.tabular.exact import evaluate
from envs.tabular.families import garnet, ring
from l2t.errors import ConfigurationError, FeatureError, L2TError
from l2t.report.study import StudyContext
from scripts import studies
from scripts.studies.critics import ExactCritic, GenerativeCritic, VRTDCritic
from scripts.studies.policy_evaluation import PolicyEvaluation
from scripts.studies.policy_optimisation import Case, PolicyOptimisation
from scripts.studies.speed import Speed, numpy_vrtd

ROOT = Path(__file__).parents[2]
studies.register()


def _context(notice) -> StudyContext:
    return StudyContext(seed=0, notice=notice, load_run=lambda run_dir, overrides: pytest.fail("needs no run"))


CONTEXT = _context(lambda line: None)
SMALL = PolicyEvaluation(
    name="small",
    processes={"garnet": garnet(5, 2, 2, teleport=0.1)},
    methods={"lstd": LSTDConfig(), "td": TDConfig()},
    num_seeds=6,
    samples=100_000,
    fit_from=5_000,
    compare_at=100_000,
    baseline="td",
)


@pytest.mark.parametrize("features", ["one_hot", "random", "radial", "aggregated"])
def test_errors_fall_with_every_kind_of_feature(features) -> None:
    size = {"one_hot": 20, "random": 6, "radial": 3, "aggregated": 2}[features]
    study = replace(SMALL, features=features, feature_size=size, methods={"lstd": LSTDConfig()}, baseline="")
    result = study.run(CONTEXT)
    (curve,) = result.curves
    assert curve.y.shape == (6, len(curve.x))
    assert curve.y[:, -1].mean() < 0.2 * curve.y[:, curve.x >= 2000][:, 0].mean()
    assert ("away from Q" in " ".join(result.notes)) == (features != "one_hot")


def test_the_table_compares_at_equal_samples_and_divides_by_the_baseline() -> None:
    told: list[str] = []
    result = SMALL.run(_context(told.append))
    # Each piece is announced before it is computed, and told of when it is done.
    assert [line.rpartition(":")[0] + line[-3:] for line in told[::2]] == ["garnet: lstd...", "garnet: td..."]
    assert [line.rpartition(":")[0] for line in told[1::2]] == ["garnet: lstd", "garnet: td"]
    lstd, td = result.tables[0].rows
    assert (lstd[:2], td[:2], td[3]) == (("garnet", "lstd"), ("garnet", "td"), "1")
    means = [curve.y[:, -1].mean() for curve in result.curves]
    assert float(lstd[3]) == pytest.approx(means[0] / means[1], rel=0.06)  # two digits


def test_a_deterministic_policy_is_reported_as_singular_for_vrtd_and_learnt_by_evrtd() -> None:
    methods = {"vrtd": VRTDConfig(), "evrtd": VRTDConfig(exploration=0.3, rate_fraction=0.5)}
    lines: list[str] = []
    result = replace(SMALL, policy="optimal", methods=methods, baseline="vrtd").run(_context(lines.append))
    assert len(result.notes) == 1
    assert "vrtd on garnet: The data leave" in result.notes[0]
    assert "smallest eigenvalue" in result.notes[0]
    assert any(line.startswith("warning: vrtd on garnet") for line in lines)
    vrtd, evrtd = result.curves
    assert evrtd.y[:, -1].mean() < 0.1 * vrtd.y[:, -1].mean()


def test_epochs_that_lead_away_are_reported_with_the_cure() -> None:
    """On a ring that mixes in 11 steps, without skipping, with it, and with what the stream itself shows."""
    methods = {"vrtd": VRTDConfig(skip=1), "skipping": VRTDConfig(skip=10, inner_fraction=0.5), "own": VRTDConfig()}
    lines: list[str] = []
    study = replace(SMALL, processes={"ring": ring(3, 0.06)}, methods=methods, baseline="")
    (note,) = study.run(replace(CONTEXT, notice=lines.append)).notes
    assert note.startswith("vrtd on ring: The epochs are unstable in")
    assert note.endswith("give skip=10 or step_size=0.1.")
    assert f"warning: {note}" in lines


def test_with_few_features_each_method_is_held_against_what_it_converges_to() -> None:
    """EVRTD's data are not stationary for the policy, and regression on returns projects Q itself."""
    methods = {"evrtd": VRTDConfig(exploration=0.3, rate_fraction=0.5), "monte_carlo": MonteCarloConfig(horizon=60)}
    study = replace(SMALL, policy="optimal", features="random", feature_size=5, methods=methods, baseline="")
    study = replace(study, processes={"garnet": garnet(5, 2, 3, teleport=0.1, seed=4)}, samples=400_000)
    result = study.run(CONTEXT)
    for curve in result.curves:
        assert curve.y[:, -1].mean() < 0.1 * curve.y[:, 0].mean()
        assert curve.y[:, -1].mean() < 3e-3
    assert sum("converges to is" in note for note in result.notes) == 2


def test_independent_draws_can_be_asked_for() -> None:
    result = replace(SMALL, sampling="generative", methods={"lstd": LSTDConfig()}, baseline="").run(CONTEXT)
    assert result.curves[0].y[:, -1].mean() < 1e-3


def test_optimisation_closes_the_gap_with_every_critic() -> None:
    method = VRTDConfig(burn_in_blocks=0, average_epochs=False)
    critics = {"exact": ExactCritic(), "generative": GenerativeCritic(4, 12), "vrtd": VRTDCritic(method)}
    case = Case(garnet(5, 2, 2, teleport=0.1), schedule="regularised", entropy=0.2, iterations=200, fit_from=10)
    study = PolicyOptimisation("small", {"case": case}, critics, num_seeds=3)
    told: list[str] = []
    result = study.run(_context(told.append))
    assert [line.endswith(" ...") for line in told] == [True, False] * 3
    for curve in result.curves:
        assert curve.y[:, -1].mean() < 0.1 * curve.y[:, 0].mean()
        assert np.all(curve.y > -1e-9)  # nothing is better than the optimum
    exact, generative, vrtd = result.curves
    assert np.all(np.diff(exact.y.mean(0)) < 0.0)
    assert generative.x[-1] == 200 * 10 * 4 * 12
    assert vrtd.x[-1] == 200 * 2500
    assert [row[1] for row in result.tables[0].rows] == ["exact", "generative", "vrtd"]


def test_batches_grow_from_stage_to_stage_and_every_iteration_is_shown() -> None:
    mdp = garnet(5, 2, 2, teleport=0.1)
    case = Case(mdp, schedule="geometric", scale=2.0, step_growth=3.0, iterations=6, fit_from=1, stages=3)
    critics = {"exact": ExactCritic(1000), "generative": GenerativeCritic(2, 12)}
    result = PolicyOptimisation("small", {"case": case}, critics, num_seeds=2).run(CONTEXT)
    exact, generative = result.curves
    factors = np.cumsum([1, 1, 2, 2, 4, 4])
    np.testing.assert_array_equal(exact.x, 1000 * factors)
    np.testing.assert_array_equal(generative.x, 10 * 2 * 12 * factors)
    assert [row[2] for row in result.tables[0].rows] == ["1,000 to 4,000", "240 to 960"]
    gap = exact.y.mean(0)
    assert gap[-1] < 1e-6 < gap[0]
    # The slope is that of the points above rounding, of which it is told by a plain fit.
    known = gap > 1e-11
    steepness = np.polyfit(np.log(exact.x[known]), np.log(gap[known]), 1)[0]
    assert float(result.tables[0].rows[0][4].split()[0]) == pytest.approx(steepness, abs=0.006)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 301}, "multiple of 200, or below it"),
        ({"iterations": 6, "stages": 4}, "stages=4 must divide iterations=6"),
        ({"stages": 0}, "stages"),
        ({"schedule": "geometric", "step_growth": 4.0, "iterations": 60}, "too long to compute with"),
        ({"batch_growth": 0.5}, "batch_growth"),
        ({"step_growth": 1.0}, "step_growth"),
        ({"iterations": 6, "fit_from": 5}, "fit_from=5 leaves no three"),
    ],
)
def test_stages_that_do_not_fit_are_refused(changes, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(Case(garnet(5, 2, 2)), **({"fit_from": 1} | changes))


def test_an_optimisation_whose_critic_is_unstable_says_so_with_the_cure() -> None:
    """On a ring that mixes in 11 steps, without skipping and with it."""
    steady = VRTDConfig(skip=10, inner_fraction=0.5, burn_in_blocks=0, average_epochs=False)
    critics = {"vrtd": VRTDCritic(replace(steady, skip=1), 10_000), "skipping": VRTDCritic(steady, 10_000)}
    case = Case(ring(3, 0.06), schedule="regularised", entropy=0.2, iterations=200, fit_from=10)
    lines: list[str] = []
    result = PolicyOptimisation("small", {"ring": case}, critics, num_seeds=2).run(_context(lines.append))
    (note,) = result.notes
    assert note.startswith("vrtd on ring: The epochs are unstable in")
    assert note.endswith("give skip=10 or step_size=0.1.")
    assert f"warning: {note}" in lines


def test_the_numpy_loop_of_the_speed_study_estimates_the_same() -> None:
    """What is timed must be the method: it ends near Q, as the compiled one does."""
    mdp = garnet(5, 2, 2, teleport=0.1)
    theta, drawn = numpy_vrtd(mdp, VRTDConfig(skip=1), 60_000, 4, 0)
    exact = evaluate(mdp, mdp.uniform_policy()).q.reshape(-1)
    assert drawn <= 60_000
    np.testing.assert_allclose(theta - theta.mean(1, keepdims=True), np.tile(exact - exact.mean(), (4, 1)), atol=0.05)
    study = Speed("speed", mdp, VRTDConfig(skip=1), num_seeds=2, samples=10_000, numpy_samples=5_000, repeats=1)
    (table,) = study.run(CONTEXT).tables
    assert table.rows[0][0] == "one compiled program"
    assert table.rows[0][2] == "1.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": "best"}, "choose one of: optimal, random, uniform"),
        ({"baseline": "tdd"}, "Did you mean 'td'"),
        ({"methods": {}}, "at least one"),
        ({"num_seeds": 0}, "too small"),
        ({"processes": {"garnet": 3}}, "is a int, not a finite process"),
        ({"methods": {"td": 3}, "baseline": ""}, "is a int, not an estimator"),
        ({"sampling": "generative", "methods": {"td": MonteCarloConfig()}}, "sums rewards along it"),
        ({"sampling": "generative", "methods": {"td": VRTDConfig(exploration=0.1, rate_fraction=0.1)}}, "generative"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(SMALL, **changes)


def test_a_slope_over_nothing_is_refused() -> None:
    done: list[str] = []
    with pytest.raises(L2TError, match="a slope needs three"):
        replace(SMALL, fit_from=90_000).run(_context(done.append))
    with pytest.raises(L2TError, match="no error at 900"):
        replace(SMALL, compare_at=900).run(_context(done.append))
    with pytest.raises(FeatureError, match="rank"):
        replace(SMALL, features="random", feature_size=20).run(_context(done.append))
    assert not done  # it is said before anything is computed


def test_a_regularised_schedule_needs_a_regulariser() -> None:
    with pytest.raises(ConfigurationError, match="entropy > 0"):
        Case(ring(), schedule="regularised")
    with pytest.raises(ConfigurationError, match="multiple of 200"):
        Case(ring(), iterations=250)
    with pytest.raises(ConfigurationError, match="no three"):
        Case(ring(), iterations=400, fit_from=390)


def test_the_speed_study_times_vrtd_alone() -> None:
    with pytest.raises(ConfigurationError, match="must be VRTD"):
        Speed("speed", ring(), TDConfig())
    with pytest.raises(ConfigurationError, match="must be VRTD"):
        Speed("speed", ring(), VRTDConfig(skip=2))


@pytest.mark.parametrize(
    "name", ["amdp_bias", "amdp_evaluation", "amdp_exploration", "amdp_mixing", "amdp_optimisation", "amdp_speed"]
)
def test_every_experiment_composes_to_its_study(name) -> None:
    study = experiment_config(compose_config([f"experiment={name}"])).study
    assert study is not None
    assert study.name == name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["experiment=amdp_speed", "seed=3"], "amdp_speed-s3"),
        (["experiment=amdp_speed", "study.name=mine"], "mine-s0"),
        (["experiment=smoke", "env=hopper"], "l2t-hopper-s0"),
        (["algorithm=spmd", "env=gymnasium", "env.id=Pendulum-v1"], "spmd-Pendulum-v1-s0"),
        (["algorithm=spmd", "env=gymnasium", "env.id='mine.tasks:own/Kite-v0'"], "spmd-mine.tasks-own-Kite-v0-s0"),
        (["experiment=amdp_speed", "env=gymnasium", "env.id=Pendulum-v1"], "amdp_speed-s0"),
    ],
)
def test_a_directory_is_named_after_the_study_or_after_what_is_trained(overrides, name, monkeypatch) -> None:
    with initialize_config_module("configs", version_base="1.3"):
        composed = compose("train", [*overrides, "hydra.job.num=7"], return_hydra_config=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", composed)
    assert composed.hydra.run.dir.endswith(f"-{name}")
    assert composed.hydra.sweep.subdir == f"7-{name}"


def test_a_study_reaches_for_nothing_above_it() -> None:
    for file in (ROOT / "scripts" / "studies").glob("[a-z]*.py"):
        assert not re.search(r"^\s*(from|import) configs", file.read_text(), re.M), file.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["algorithm=ppo"], "algorithm= belongs to training"),
        (["total_steps=100"], "total_steps= belongs to training"),
        (["study.policy=best"], "choose one of"),
        (["study.methods.vrtd.growht=2"], "growht"),
        (["study.processes.garnet.branching=30"], "num_states"),
    ],
)
def test_a_mistake_on_the_command_line_leaves_nothing_behind(arguments, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        prepare(["experiment=amdp_evaluation", *arguments])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_study_that_is_terminated_leaves_nothing(tmp_path, signum) -> None:
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "train.py", "experiment=amdp_speed", "run_dir=out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("amdp_speed")
    process.send_signal(signum)
    process.communicate(timeout=300)
    assert process.returncode == 128 + signum
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_directory(tmp_path) -> None:
    arguments = ["study.samples=40_000", "study.fit_from=5_000", "study.compare_at=40_000", "study.num_seeds=3"]
    removed = [f"~study.methods.{name}" for name in ("td_averaged", "td_decaying", "monte_carlo")]
    answer = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts" / "train.py",
            "experiment=amdp_evaluation",
            *arguments,
            *removed,
            "run_dir=out",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert re.search(
        r"^ +\d+ s  garnet: vrtd: 3 seeds of 40,000 transitions in one program \.\.\.$", answer.stdout, re.M
    )
    assert re.search(r"^ +\d+ s  garnet: vrtd: error ", answer.stdout, re.M)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        *(".hydra", "result.json", "curves.jsonl", "curves.png", "table.md", "report.html")
    }
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (result["study"], result["status"], result["seed"]) == ("amdp_evaluation", "finished", 0)
    again = subprocess.run(
        [sys.executable, ROOT / "scripts" / "train.py", "experiment=amdp_evaluation", "run_dir=out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert "already holds" in again.stderr
