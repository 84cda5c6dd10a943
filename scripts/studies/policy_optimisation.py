"""Policy mirror descent on finite processes: how fast the optimality gap falls with the samples, critic by critic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from algorithms.policy_evaluation.config import VRTDConfig
from envs.tabular.model import TabularMDP
from l2t.config import check_choice, check_count, check_range
from l2t.errors import ConfigurationError
from l2t.report.statistics import Interval
from l2t.report.study import SeedCurves, StudyContext, StudyResult, Table, fitted_slope, interval_text, scientific

if TYPE_CHECKING:
    from algorithms.mirror_descent.schedules import Schedule

RECORDS = 200
"""Policies kept of a run, at most."""

POINTS = 25
"""Of these, shown and fitted: geometrically spaced."""


@dataclass(frozen=True)
class Case:
    """A process and how the policy moves on it.

    Attributes:
        process: the process.
        divergence: `kl`, `tsallis` or `euclidean`.
        schedule: `sqrt`: c √(log A/(k+1))/Q_max, for μ = 0; `regularised`: c/(μ (k+1)); `constant`: c.
        scale: c.
        entropy: μ.
        iterations: K.
        fit_from: iteration from which slopes are fitted.
    """

    process: Any
    divergence: str = "kl"
    schedule: str = "sqrt"
    scale: float = 1.0
    entropy: float = 0.0
    iterations: int = 3000
    fit_from: int = 100

    def __post_init__(self) -> None:
        check_choice("divergence", self.divergence, ("kl", "tsallis", "euclidean"))
        check_choice("schedule", self.schedule, ("sqrt", "regularised", "constant"))
        check_range("scale", self.scale, 0.0, open_low=True)
        check_range("entropy", self.entropy, 0.0)
        check_count("iterations", self.iterations, RECORDS)
        check_count("fit_from", self.fit_from)
        if self.schedule == "regularised" and self.entropy == 0.0:
            raise ConfigurationError("schedule=regularised divides by the entropy; give entropy > 0 or schedule=sqrt.")
        if not isinstance(self.process, TabularMDP):
            raise ConfigurationError(f"process is a {type(self.process).__name__}, not a finite process.")
        if self.iterations % RECORDS:
            raise ConfigurationError(f"iterations={self.iterations} must be a multiple of {RECORDS}.")
        if (self.records() * (self.iterations // RECORDS) >= self.fit_from).sum() < 3:
            raise ConfigurationError(
                f"fit_from={self.fit_from} leaves no three of {self.iterations} iterations to fit."
            )

    @staticmethod
    def records() -> Int[np.ndarray, " points"]:
        """Which of the recorded policies are shown."""
        return np.unique(np.geomspace(1, RECORDS, POINTS).round().astype(int))

    def steps(self) -> Schedule:
        """The schedule, with Q_max half the span of the uniform policy's Q."""
        from algorithms.mirror_descent.schedules import Constant, Regularised, SquareRoot
        from envs.tabular.exact import evaluate

        mdp: TabularMDP = self.process
        if self.schedule == "regularised":
            return Regularised(self.entropy, self.scale)
        if self.schedule == "constant":
            return Constant(self.scale)
        q_max = 0.5 * float(np.ptp(evaluate(mdp, mdp.uniform_policy()).q))
        return SquareRoot(mdp.num_actions, q_max, self.scale)


@dataclass(frozen=True)
class PolicyOptimisation:
    """Every critic on every case, over seeds.

    Attributes:
        name: of the study.
        cases: by label.
        critics: configurations of `scripts.studies.critics`, by label.
        num_seeds: runs of each.
    """

    name: str
    cases: Mapping[str, Any]
    critics: Mapping[str, Any]
    num_seeds: int = 20

    def __post_init__(self) -> None:
        check_count("study.num_seeds", self.num_seeds)
        if not self.cases or not self.critics:
            raise ConfigurationError("study.cases and study.critics must each name at least one.")

    def run(self, context: StudyContext) -> StudyResult:
        """Run every critic in every case."""
        curves, rows, notes = [], [], []
        for label, case in self.cases.items():
            for name, critic in self.critics.items():
                amount = f"{self.num_seeds} seeds of {case.iterations:,} iterations"
                context.notice(f"{label}: {name}: {amount} in one program ...")
                curve, remarks = self._curve(label, name, case, critic, context.seed)
                for remark in remarks:
                    notes.append(f"{name} on {label}: {remark}")
                    context.notice(f"warning: {notes[-1]}")
                per_iteration = curve.x[-1] / case.iterations
                slope = fitted_slope(curve, case.fit_from * per_iteration)
                last = float(curve.y[:, -1].mean())
                context.notice(f"{label}: {name}: gap {scientific(last)} after {int(curve.x[-1]):,} transitions")
                # n ~ ε^p: the slope of log n against log ε, turned round.
                falls = slope.estimate < 0.0 and not slope.high >= 0.0
                power = Interval(*(1.0 / s if falls else np.nan for s in (slope.estimate, slope.high, slope.low)))
                cells = (f"{int(per_iteration):,}", scientific(last), interval_text(slope), interval_text(power))
                rows.append((label, name, *cells))
                curves.append(curve)
        headers = ("case", "critic", "samples / iteration", "last gap", "slope of gap [95 %]", "samples ~ gap^p: p")
        table = Table(f"{self.num_seeds} seeds", headers, tuple(rows))
        return StudyResult(curves, [table], "transitions", "optimality gap of the reward rate", notes)

    def _curve(self, label: str, name: str, case: Case, critic: Any, seed: int) -> tuple[SeedCurves, list[str]]:
        """The gap against the samples, and what the critic has to say against itself."""
        import jax
        import jax.numpy as jnp

        from algorithms.mirror_descent import divergences
        from algorithms.mirror_descent.tabular import mirror_descent
        from algorithms.policy_evaluation.problem import warnings_of
        from algorithms.policy_evaluation.stability import check_stability
        from envs.tabular.exact import relative_value_iteration

        mdp: TabularMDP = case.process
        step = getattr(divergences, f"{case.divergence}_step")
        built, schedule = critic.build(mdp, case.entropy), case.steps()
        uniform = jnp.asarray(mdp.uniform_policy(), jnp.float32)
        every = case.iterations // RECORDS

        def run(key: Any) -> tuple[Any, Any]:
            state_key, key = jax.random.split(key)
            found = mirror_descent(
                built.critic, step, schedule, uniform, case.iterations, case.entropy, key, built.init(state_key), every
            )
            return found.log_policy, found.metrics

        keys = jax.random.split(jax.random.key(seed), self.num_seeds)
        log_policy, metrics = jax.device_get(jax.jit(jax.vmap(run))(keys))
        remarks = []
        if isinstance(method := getattr(critic, "method", None), VRTDConfig):
            remarks = warnings_of(partial(check_stability, metrics["misfit"], method, metrics["growth"]))
        kept = case.records()
        used = np.cumsum(metrics["samples"][0].astype(np.float64))[kept * every - 1]
        best = relative_value_iteration(mdp, case.entropy).reward_rate
        gap = [[best - _reward_rate(mdp, policy, case.entropy) for policy in path[kept]] for path in log_policy]
        return SeedCurves(label, name, used, np.array(gap)), remarks


def _reward_rate(mdp: TabularMDP, log_policy: np.ndarray, entropy: float) -> float:
    from envs.tabular.exact import evaluate

    policy = np.exp(log_policy.astype(np.float64))
    return evaluate(mdp, policy / policy.sum(1, keepdims=True), entropy).reward_rate
