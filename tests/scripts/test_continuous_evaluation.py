"""The evaluation of a saved policy: its true values against a loop of Gymnasium's, the study in small, its errors."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.policy_evaluation.config import LSTDConfig, VRTDConfig
from algorithms.policy_evaluation.problem import BLOCK
from configs.build import experiment_config, read_config
from configs.command_line import compose_config
from configs.loading import load_run
from l2t.errors import ConfigurationError
from l2t.report.study import StudyContext
from scripts import studies
from scripts.studies.continuous_evaluation import _BLOCK, ContinuousEvaluation, gaussian_policy
from tests.scripts.checkpointed_run import write_checkpointed_run

COST, HORIZON = 20.0, 40
METHODS = {
    "vrtd": VRTDConfig(first_blocks=1, burn_in_blocks=0, inner_fraction=1.0),
    "evrtd": VRTDConfig(first_blocks=1, burn_in_blocks=0, exploration=0.2, rate_fraction=1.0),
    "lstd": LSTDConfig(ridge=1e-3),
}


def _context(notice) -> StudyContext:
    def load(run_dir, overrides):
        return load_run(run_dir, config=read_config(run_dir, overrides, engine="auto"))

    return StudyContext(seed=0, notice=notice, load_run=load)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An untrained policy of the pendulum falls within some ten steps, which costs."""
    overrides = ("env=inverted_pendulum", "algorithm=spmd", f"env.reset_cost={COST}")
    run_dir = write_checkpointed_run(tmp_path_factory.mktemp("run") / "a", *overrides)
    return ContinuousEvaluation(
        policy_run=str(run_dir),
        methods=METHODS,
        num_seeds=2,
        samples=4_000,
        feature_size=40,
        num_envs=2,
        warm_up=20,
        held_out=12,
        rate_samples=24_000,
        horizon=HORIZON,
        replicates=60,
        threads=1,
    )


def _gymnasium_value(pair, actor, rng, reward_rate, replicates):
    """Tapered sums of r - ρ from (s, a), with resets as transitions, by Gymnasium and NumPy alone."""
    weights, log_std, mean, deviation = actor
    env = gymnasium.make("InvertedPendulum-v5").unwrapped
    taper = np.minimum(1.0, 2.0 * (1.0 - np.arange(HORIZON) / HORIZON))
    totals = np.zeros(replicates)
    for replicate in range(replicates):
        env.reset(seed=int(rng.integers(2**31)))
        state = pair[:4] * deviation + mean
        env.set_state(state[:2], state[2:])
        action = pair[4:]
        for time in range(HORIZON):
            observation, _, terminated, _, _ = env.step(3.0 * np.clip(action, -1.0, 1.0))
            # Gymnasium pays 0 for the step of the fall, 1 for any other.
            totals[replicate] += taper[time] * (float(not terminated) - COST * terminated - reward_rate)
            if terminated:
                observation, _ = env.reset(seed=int(rng.integers(2**31)))
            hidden = np.clip((observation - mean) / deviation, -10.0, 10.0)
            for index, (kernel, bias) in enumerate(weights):
                hidden = hidden @ kernel + bias
                hidden = np.tanh(hidden) if index < len(weights) - 1 else hidden
            action = hidden + np.exp(log_std) * rng.standard_normal(1)
    return totals


def test_true_values_are_those_of_a_loop_over_gymnasium(study):
    run, make_source = study._policy(_context(print))
    truth = study._truth(make_source, jax.random.key(0))
    assert truth.reward_rate < 0.5
    model = run.state.learnt.agent.models.actor
    layers = model.weights["mean"]["params"]
    actor = (
        [(np.asarray(layers[f"Dense_{i}"]["kernel"]), np.asarray(layers[f"Dense_{i}"]["bias"])) for i in range(3)],
        np.asarray(model.weights["log_std"]),
        np.asarray(model.normaliser.mean),
        np.sqrt(np.asarray(model.normaliser.variance) + 1e-8),
    )
    rng = np.random.default_rng(0)
    chosen = np.argsort(truth.value)[[0, 5, 11]]
    for index in chosen:
        totals = _gymnasium_value(truth.pair[index], actor, rng, truth.reward_rate, 60)
        tolerance = 4.0 * np.hypot(totals.std(ddof=1) / 60**0.5, truth.error[index])
        assert truth.value[index] == pytest.approx(totals.mean(), abs=tolerance)
    # Pairs differ by more than the noise: the comparison can tell them apart.
    assert np.ptp(truth.value[chosen]) > 4.0 * truth.error.max()


def test_the_study_scores_every_method_on_every_seed(study):
    told = []
    result = study.run(_context(told.append))
    assert [curve.method for curve in result.curves] == list(METHODS)
    for curve in result.curves:
        assert curve.problem == "inverted_pendulum"
        assert curve.y.shape == (2, len(curve.x))
        assert (curve.y > 0.0).all()
        assert curve.x[-1] <= 4_000
    by_method = {curve.method: curve.y[:, -1].mean() for curve in result.curves}
    assert by_method["lstd"] < 0.7
    assert by_method["vrtd"] < 1.0
    assert [row[1] for row in result.tables[0].rows] == list(METHODS)
    assert any("reward rate" in line for line in told)


def test_a_role_or_a_batch_that_does_not_fit_is_refused(study):
    with pytest.raises(ConfigurationError, match=r"study.role='student' is not known; choose one of: teacher"):
        dataclasses.replace(study, role="student").run(_context(print))
    with pytest.raises(ConfigurationError, match=r"must be a multiple of 500 study.num_envs = 1000"):
        dataclasses.replace(study, samples=8_500)
    with pytest.raises(ConfigurationError, match=r"study.policy_run is empty"):
        dataclasses.replace(study, policy_run="")


def test_simulations_that_cannot_be_copied_are_refused(study, tmp_path):
    run_dir = write_checkpointed_run(tmp_path / "a", "env=gymnasium", "env.id=Pendulum-v1", "algorithm=spmd")
    with pytest.raises(ConfigurationError, match=r"is of env=gymnasium, whose simulations can neither be copied"):
        dataclasses.replace(study, policy_run=str(run_dir)).run(_context(print))


def test_both_roles_of_learn_to_teach_have_their_own_policy(tmp_path):
    run = load_run(write_checkpointed_run(tmp_path / "a", "env=inverted_pendulum", "algorithm=l2t"))
    observation = {
        "teacher": jnp.ones((3, 4)),
        "student": jnp.ones((3, run.environment.spec.observation_sizes["student"])),
    }
    means = {}
    for role in ("teacher", "student"):
        distribution, encode = gaussian_policy(run, role)
        means[role] = distribution(observation).mean
        _, played = run.algorithm.policy(run.state.learnt, role).step((), observation, jnp.ones(3, bool))
        np.testing.assert_array_equal(means[role], played.mode())
        assert encode(observation).shape == observation[role].shape
    assert not np.array_equal(means["teacher"], means["student"])


def test_the_yaml_names_its_methods_and_the_study_needs_no_jax():
    studies.register()
    with pytest.raises(ConfigurationError, match=r"give study\.policy_run=\.\.\. on the command line"):
        experiment_config(compose_config(["experiment=mujoco_evaluation"]))
    composed = compose_config(["experiment=mujoco_evaluation", "study.policy_run=somewhere"])
    assert set(composed.study) - {"_target_"} == {f.name for f in dataclasses.fields(ContinuousEvaluation)}
    found = experiment_config(composed).study
    assert list(found.methods) == ["vrtd", "evrtd", "td", "td_averaged", "lstd", "monte_carlo"]
    assert found.methods["evrtd"] == dataclasses.replace(found.methods["vrtd"], exploration=0.01, rate_fraction=0.5)
    code = (
        "import sys; import scripts.studies.continuous_evaluation;"
        "heavy = {'jax', 'flax', 'mujoco', 'orbax', 'gymnasium'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_study_cuts_its_stream_as_the_estimators_draw_it():
    assert _BLOCK == BLOCK
