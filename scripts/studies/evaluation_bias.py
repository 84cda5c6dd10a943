"""The bias of VRTD beside its deviation: with epochs of one length the first shrinks by a factor, the second stays.

Over many seeds, after k epochs, with θ_k the epoch's own output and norms those of the stationary distribution, less
constants:

    bias = ‖mean θ_k - θ*‖,    deviation = (mean ‖θ_k - mean θ_k‖²)^½.

What is to be expected follows from linear algebra: were all transitions independent, an epoch would multiply the bias
by

    R = mean over the inner iterates that count of (I - η A)^t,    A = D (I - P^π),

so that bias_k = ‖R^k θ*‖ from θ = 0: a straight line against k on a logarithmic scale.

Source: Li, Wu and Lan, "Stochastic first-order methods for average-reward Markov decision processes", arXiv 2205.05800.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from algorithms.policy_evaluation.config import VRTDConfig
from envs.tabular.model import TabularMDP
from l2t.config import check_count
from l2t.errors import ConfigurationError
from l2t.report.statistics import Interval
from l2t.report.study import SeedCurves, StudyContext, StudyResult, Table, interval_text, scientific
from scripts.studies.cases import chosen

_GROUPS = 5
"""The plot shows the bias of this many groups of seeds."""

_ABOVE = 3.0
"""Epochs count for the slope while the bias is this many times what the deviation leaves of itself in the mean."""


@dataclass(frozen=True)
class Case:
    """A process under its uniform policy, and the epochs.

    Attributes:
        process: finite.
        method: VRTD whose epochs are all alike: `growth` 1, `average_epochs` false, `skip` a number.
    """

    process: Any
    method: Any

    def __post_init__(self) -> None:
        if not isinstance(self.process, TabularMDP):
            raise ConfigurationError(f"study.cases: {type(self.process).__name__} is not a finite process.")
        method = self.method
        if not isinstance(method, VRTDConfig) or method.exploration:
            raise ConfigurationError("study.cases: method must be VRTD with exploration=0.")
        if method.growth != 1.0 or method.average_epochs or method.skip is None:
            raise ConfigurationError(
                "study.cases: epochs must all be alike: give method.growth=1, method.average_epochs=false and a number "
                "for method.skip."
            )
        inner = method.first_blocks * method.inner_fraction
        if inner < 1 or inner % 1:
            raise ConfigurationError(
                f"study.cases: the {inner:g} blocks of inner steps, method.first_blocks={method.first_blocks} times "
                f"method.inner_fraction={method.inner_fraction:g}, must be a whole number for epochs to be all alike."
            )


@dataclass(frozen=True)
class EvaluationBias:
    """Bias and deviation against the epochs.

    Attributes:
        name: of the study.
        cases: by label.
        num_seeds: independent runs, a multiple of 5.
        epochs: of each.
        only: labels of the cases to compute; none for all.
    """

    name: str
    cases: Mapping[str, Any]
    num_seeds: int = 1000
    epochs: int = 12
    only: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_count("study.num_seeds", self.num_seeds, 2 * _GROUPS)
        check_count("study.epochs", self.epochs, 3)
        if self.num_seeds % _GROUPS:
            raise ConfigurationError(f"study.num_seeds={self.num_seeds} must be a multiple of {_GROUPS}.")
        chosen(self.cases, self.only)

    def run(self, context: StudyContext) -> StudyResult:
        """Run every case."""
        curves, rows, tables = [], [], []
        for label, case in chosen(self.cases, self.only).items():
            context.notice(f"{label}: {self.num_seeds} seeds of {self.epochs} epochs in one program ...")
            found = self._measure(case, context.seed)
            context.notice(f"{label}: factor {found.factor.estimate:.2f} an epoch over {found.fitted} epochs")
            index = np.arange(1.0, self.epochs + 1)
            shown = {"bias": found.groups, "expected bias": found.expected[None], "deviation": found.deviation[None]}
            curves += [SeedCurves(label, name, index, np.log10(y)) for name, y in shown.items()]
            rows.append(
                (
                    label,
                    f"{found.samples:,}",
                    f"{found.fitted}",
                    interval_text(found.factor),
                    f"{found.expected_factor:.2f}",
                    f"{found.straightness:.3f}",
                )
            )
            tables.append(_epoch_table(label, found))
        headers = ("process", "transitions / epoch", "epochs fitted", "factor [95 %]", "expected", "R² of the line")
        summary = Table(f"Bias an epoch, {self.num_seeds} seeds", headers, tuple(rows), names=1)
        return StudyResult(
            curves, [summary, *tables], "epochs", "log10 of the error, D-norm, less constants", log=False
        )

    def _measure(self, case: Case, seed: int) -> Measured:
        import jax
        import jax.numpy as jnp

        from algorithms.features import OneHot
        from algorithms.policy_evaluation.fixed_point import squared_error
        from algorithms.policy_evaluation.problem import BLOCK, Problem
        from algorithms.policy_evaluation.vrtd import VRTD
        from envs.tabular.exact import evaluate
        from envs.tabular.sampling import MarkovSource, Sampler

        mdp, config = case.process, case.method
        policy = mdp.uniform_policy()
        exact = evaluate(mdp, policy)
        weight, truth = (exact.stationary[:, None] * policy).reshape(-1), exact.q.reshape(-1)
        source = MarkovSource.create(Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32))
        problem = Problem(OneHot(mdp.reward.size), source)
        inner = int(config.first_blocks * config.inner_fraction)
        samples = BLOCK * (config.first_blocks + inner)
        estimator = VRTD(config, BLOCK * config.burn_in_blocks + self.epochs * samples)
        keys = jax.random.split(jax.random.key(seed), self.num_seeds)
        theta = jax.device_get(jax.jit(jax.vmap(lambda key: estimator.run(problem, key).theta))(keys))
        theta = np.asarray(theta, np.float64)

        def bias(mean: Float[ndarray, "*n epoch pair"]) -> Float[ndarray, "*n epoch"]:
            return np.sqrt(squared_error(mean, truth, weight))

        groups = theta.reshape(_GROUPS, -1, *theta.shape[1:]).mean(1)
        mean = theta.mean(0)
        centred = theta - mean
        centred = centred - (centred @ weight)[..., None]
        deviation = np.sqrt((np.square(centred) @ weight).mean(0))
        steps = inner * (BLOCK // config.skip)
        expected = _expected(mdp, weight, truth, config, steps, self.epochs, bias)
        above = bias(mean) > _ABOVE * deviation / np.sqrt(self.num_seeds)
        fitted = max(int(np.argmin(above)) if not above.all() else self.epochs, 2)
        draws = np.random.default_rng(0).multinomial(self.num_seeds, np.full(self.num_seeds, 1 / self.num_seeds), 200)
        replicates = bias(np.tensordot(draws / self.num_seeds, theta, 1))
        low, high = np.percentile([_factor(row[:fitted])[0] for row in replicates], [2.5, 97.5])
        factor, straightness = _factor(bias(mean)[:fitted])
        return Measured(
            samples=samples,
            bias=bias(mean),
            groups=bias(groups),
            deviation=deviation,
            expected=expected,
            fitted=fitted,
            factor=Interval(factor, float(low), float(high)),
            expected_factor=_factor(expected[:fitted])[0],
            straightness=straightness,
            seeds=self.num_seeds,
        )


@dataclass(frozen=True)
class Measured:
    """Of one case, by epoch.

    Attributes:
        samples: transitions of an epoch.
        bias, groups: of all seeds, and of each group.
        deviation: of one run.
        expected: ‖R^k θ*‖.
        fitted: first epochs in which the bias stands out of what noise leaves in a mean over seeds.
        factor, expected_factor: of the lines through log bias and log expected bias there, for each epoch.
        straightness: R² of the first.
        seeds: how many.
    """

    samples: int
    bias: Float[ndarray, " epoch"]
    groups: Float[ndarray, "group epoch"]
    deviation: Float[ndarray, " epoch"]
    expected: Float[ndarray, " epoch"]
    fitted: int
    factor: Interval
    expected_factor: float
    straightness: float
    seeds: int


def _expected(
    mdp: TabularMDP,
    weight: Float[ndarray, " pair"],
    truth: Float[ndarray, " pair"],
    config: VRTDConfig,
    steps: int,
    epochs: int,
    bias: Any,
) -> Float[ndarray, " epoch"]:
    """‖R^k θ*‖ for k = 1, 2, ..."""
    size = len(truth)
    projector = np.eye(size) - 1.0 / size
    operator = weight[:, None] * (np.eye(size) - mdp.pair_chain(mdp.uniform_policy()))
    step = projector @ (np.eye(size) - config.step_size * operator)
    first, power, total = int(steps * config.discard), projector, np.zeros((size, size))
    for index in range(steps):
        power = step @ power
        total += power * (index >= first)
    factor = total / (steps - first)
    error, found = projector @ -truth, []
    for _ in range(epochs):
        error = factor @ error
        found.append(truth + error)
    return bias(np.array(found))


def _factor(bias: Float[ndarray, " epoch"]) -> tuple[float, float]:
    """exp of the slope of log bias against the epoch, and R² of the line."""
    epoch, log = np.arange(len(bias)), np.log(bias)
    slope, level = np.polyfit(epoch, log, 1)
    rest = log - slope * epoch - level
    return float(np.exp(slope)), float(1.0 - rest @ rest / np.square(log - log.mean()).sum())


def _epoch_table(label: str, found: Measured) -> Table:
    headers = ("process", "epoch", "bias", "expected", "deviation", "of which in the mean")
    noise = found.deviation / np.sqrt(found.seeds)
    columns = zip(found.bias, found.expected, found.deviation, noise, strict=True)
    rows = tuple((label, f"{epoch}", *map(scientific, row)) for epoch, row in enumerate(columns, 1))
    return Table(f"Epochs on {label}", headers, rows)
