"""The study of bias and deviation, in small, against linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.policy_evaluation.config import TDConfig, VRTDConfig
from envs.tabular.exact import evaluate
from envs.tabular.families import garnet
from l2t.errors import ConfigurationError
from l2t.report.study import StudyContext
from scripts.studies.evaluation_bias import Case, EvaluationBias

MDP = garnet(5, 2, 3, teleport=0.2, seed=1)
METHOD = VRTDConfig(
    first_blocks=4, growth=1.0, inner_fraction=0.25, skip=5, step_size=0.15, burn_in_blocks=1, average_epochs=False
)
CONTEXT = StudyContext(seed=0, notice=lambda line: None, load_run=lambda run_dir, overrides: pytest.fail("no run"))


def test_the_bias_falls_by_the_factor_of_linear_algebra_and_the_deviation_stays() -> None:
    """Independent transitions multiply the error by the mean of (I - ηA)^t over the iterates that count; here through
    its eigenvalues."""
    result = EvaluationBias("small", {"garnet": Case(MDP, METHOD)}, num_seeds=300, epochs=6).run(CONTEXT)
    policy = MDP.uniform_policy()
    exact = evaluate(MDP, policy)
    weight = (exact.stationary[:, None] * policy).reshape(-1)
    operator = weight[:, None] * (np.eye(10) - MDP.pair_chain(policy))
    operator -= operator.mean(0)  # projected, as every iterate is
    values, vectors = np.linalg.eig(operator)
    times = np.arange(21, 101)  # 100 inner steps, of which a fifth is left out
    factors = ((1.0 - 0.15 * values[:, None]) ** times).mean(1)
    truth = exact.q.reshape(-1)
    start = np.linalg.solve(vectors, (truth.mean() - truth).astype(complex))
    errors = np.real((vectors @ (factors[:, None] ** np.arange(1, 7) * start[:, None])).T)
    errors -= (errors @ weight)[:, None]
    expected = np.sqrt(np.square(errors) @ weight)

    summary, epochs = result.tables
    measured = np.array([[float(cell) for cell in row[2:5]] for row in epochs.rows])
    np.testing.assert_allclose(measured[:, 1], expected, rtol=0.06)  # two digits
    fitted = int(summary.rows[0][2])
    assert fitted >= 4
    np.testing.assert_allclose(measured[:fitted, 0], expected[:fitted], rtol=0.25)
    assert float(summary.rows[0][3].split()[0]) == pytest.approx(float(summary.rows[0][4]), abs=0.05)
    assert float(summary.rows[0][3].split()[0]) < 0.9
    assert float(summary.rows[0][5]) > 0.97  # a straight line
    assert measured[-1, 2] > 0.5 * measured[2, 2]  # of single runs, the deviation


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (TDConfig(), "must be VRTD"),
        (VRTDConfig(), "must all be alike"),
        (VRTDConfig(growth=1.0, average_epochs=False), "a number for method.skip"),
        (VRTDConfig(growth=1.0, average_epochs=False, skip=1), "the 0.6 blocks of inner steps"),
    ],
)
def test_epochs_that_are_not_alike_are_refused(method, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Case(MDP, method)
    with pytest.raises(ConfigurationError, match="TDConfig is not a finite process"):
        Case(TDConfig(), METHOD)
    with pytest.raises(ConfigurationError, match="multiple of 5"):
        EvaluationBias("small", {"garnet": Case(MDP, METHOD)}, num_seeds=101)
