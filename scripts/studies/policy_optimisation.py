"""Policy mirror descent on finite processes: how fast the optimality gap falls with the samples, critic by critic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from algorithms.policy_evaluation.config import VRTDConfig
from envs.tabular.model import TabularMDP
from l2t.config import check_choice, check_count, check_range
from l2t.errors import ConfigurationError
from l2t.report.statistics import Interval
from l2t.report.study import SeedCurves, StudyContext, StudyResult, Table, fitted_slope, interval_text, scientific
from scripts.studies.cases import chosen

if TYPE_CHECKING:
    from algorithms.mirror_descent.schedules import Schedule

RECORDS = 200
"""Policies kept of a run, at most."""

RESOLUTION = 1e-11
"""Gaps below are rounding: the optimal rate is known to 1e-12."""

LONGEST_STEP = 1e30
"""Its products with Q are still numbers in single precision."""

POINTS = 25
"""Of these, shown and fitted: geometrically spaced."""


@dataclass(frozen=True)
class Case:
    """A process and how the policy moves on it.

    Attributes:
        process: the process.
        divergence: `kl`, `tsallis` or `euclidean`.
        schedule: `sqrt`: c √(log A/(k+1))/Q_max, for μ = 0; `regularised`: c/(μ (k+1)); `constant`: c; `geometric`:
            c γ^k.
        scale: c.
        step_growth: γ.
        entropy: μ.
        iterations: K.
        fit_from: iteration from which slopes are fitted.
        stages: equal stretches of the iterations.
        batch_growth: from one stretch to the next the samples of an iteration grow by this factor.
    """

    process: Any
    divergence: str = "kl"
    schedule: str = "sqrt"
    scale: float = 1.0
    step_growth: float = 2.0
    entropy: float = 0.0
    iterations: int = 3000
    fit_from: int = 100
    stages: int = 1
    batch_growth: float = 2.0

    def __post_init__(self) -> None:
        check_choice("divergence", self.divergence, ("kl", "tsallis", "euclidean"))
        check_choice("schedule", self.schedule, ("sqrt", "regularised", "constant", "geometric"))
        check_range("scale", self.scale, 0.0, open_low=True)
        check_range("entropy", self.entropy, 0.0)
        check_range("step_growth", self.step_growth, 1.0, open_low=True)
        check_count("iterations", self.iterations)
        check_count("fit_from", self.fit_from)
        check_count("stages", self.stages)
        check_range("batch_growth", self.batch_growth, 1.0)
        if self.schedule == "regularised" and self.entropy == 0.0:
            raise ConfigurationError("schedule=regularised divides by the entropy; give entropy > 0 or schedule=sqrt.")
        if not isinstance(self.process, TabularMDP):
            raise ConfigurationError(f"process is a {type(self.process).__name__}, not a finite process.")
        if self.iterations > RECORDS and self.iterations % RECORDS:
            raise ConfigurationError(f"iterations={self.iterations} must be a multiple of {RECORDS}, or below it.")
        if self.iterations % self.stages:
            raise ConfigurationError(f"stages={self.stages} must divide iterations={self.iterations}.")
        largest = np.log(self.scale) + (self.iterations - 1) * np.log(self.step_growth)
        if self.schedule == "geometric" and largest > np.log(LONGEST_STEP):
            raise ConfigurationError(
                f"Steps of {self.scale:g} that grow by {self.step_growth:g} are too long to compute with after "
                f"{self.iterations} iterations; give fewer iterations, or step_growth nearer to 1."
            )
        if (self.records() * self.every >= self.fit_from).sum() < 3:
            raise ConfigurationError(
                f"fit_from={self.fit_from} leaves no three of {self.iterations} iterations to fit."
            )

    @property
    def every(self) -> int:
        """Iterations from one recorded policy to the next."""
        return max(1, self.iterations // RECORDS)

    def records(self) -> Int[np.ndarray, " points"]:
        """Which of the recorded policies are shown."""
        return np.unique(np.geomspace(1, self.iterations // self.every, POINTS).round().astype(int))

    def steps(self) -> Schedule:
        """The schedule, with Q_max half the span of the uniform policy's Q."""
        from algorithms.mirror_descent.schedules import Constant, Geometric, Regularised, SquareRoot
        from envs.tabular.exact import evaluate

        mdp: TabularMDP = self.process
        if self.schedule == "regularised":
            return Regularised(self.entropy, self.scale)
        if self.schedule == "constant":
            return Constant(self.scale)
        if self.schedule == "geometric":
            return Geometric(self.scale, self.step_growth)
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
        only: labels of the cases to compute; none for all.
    """

    name: str
    cases: Mapping[str, Any]
    critics: Mapping[str, Any]
    num_seeds: int = 20
    only: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_count("study.num_seeds", self.num_seeds)
        chosen(self.cases, self.only)
        if not self.critics:
            raise ConfigurationError("study.critics must name at least one.")

    def run(self, context: StudyContext) -> StudyResult:
        """Run every critic in every case."""
        curves, rows, notes = [], [], []
        for label, case in chosen(self.cases, self.only).items():
            for name, critic in self.critics.items():
                amount = f"{self.num_seeds} seeds of {case.iterations:,} iterations"
                context.notice(f"{label}: {name}: {amount} in one program ...")
                curve, drawn, remarks = self._curve(label, name, case, critic, context.seed)
                for remark in remarks:
                    notes.append(f"{name} on {label}: {remark}")
                    context.notice(f"warning: {notes[-1]}")
                slope = _slope(curve, drawn[: case.fit_from].sum())
                last = float(curve.y[:, -1].mean())
                context.notice(f"{label}: {name}: gap {scientific(last)} after {int(curve.x[-1]):,} transitions")
                # n ~ ε^p: the slope of log n against log ε, turned round.
                falls = slope.estimate < 0.0 and not slope.high >= 0.0
                power = Interval(*(1.0 / s if falls else np.nan for s in (slope.estimate, slope.high, slope.low)))
                cells = (_batches(drawn), scientific(last), interval_text(slope), interval_text(power))
                rows.append((label, name, *cells))
                curves.append(curve)
        headers = ("case", "critic", "samples / iteration", "last gap", "slope of gap [95 %]", "samples ~ gap^p: p")
        table = Table(f"{self.num_seeds} seeds", headers, tuple(rows))
        return StudyResult(curves, [table], "transitions", "optimality gap of the reward rate", notes)

    def _curve(
        self, label: str, name: str, case: Case, critic: Any, seed: int
    ) -> tuple[SeedCurves, Float[np.ndarray, " iteration"], list[str]]:
        """The gap against the samples, those of each iteration, and what the critic has to say against itself."""
        import jax
        import jax.numpy as jnp

        from algorithms.mirror_descent import divergences
        from algorithms.mirror_descent.tabular import in_stages, mirror_descent
        from algorithms.policy_evaluation.problem import warnings_of
        from algorithms.policy_evaluation.stability import check_stability
        from envs.tabular.exact import relative_value_iteration

        mdp: TabularMDP = case.process
        step = getattr(divergences, f"{case.divergence}_step")
        factors = case.batch_growth ** np.arange(case.stages)
        built = [critic.with_batch(factor).build(mdp, case.entropy) for factor in factors]
        staged = in_stages([part.critic for part in built], case.iterations // case.stages)
        schedule, uniform = case.steps(), jnp.asarray(mdp.uniform_policy(), jnp.float32)

        def run(key: Any) -> tuple[Any, Any]:
            state_key, key = jax.random.split(key)
            state = (jnp.zeros((), jnp.int32), built[0].init(state_key))
            found = mirror_descent(
                staged, step, schedule, uniform, case.iterations, case.entropy, key, state, case.every
            )
            return found.log_policy, found.metrics

        keys = jax.random.split(jax.random.key(seed), self.num_seeds)
        log_policy, metrics = jax.device_get(jax.jit(jax.vmap(run))(keys))
        remarks = []
        if isinstance(method := getattr(critic, "method", None), VRTDConfig):
            remarks = warnings_of(partial(check_stability, metrics["misfit"], method, metrics["growth"]))
        kept = case.records()
        drawn = metrics["samples"][0].astype(np.float64)
        used = np.cumsum(drawn)[kept * case.every - 1]
        best = relative_value_iteration(mdp, case.entropy).reward_rate
        gap = [[best - _reward_rate(mdp, policy, case.entropy) for policy in path[kept]] for path in log_policy]
        return SeedCurves(label, name, used, np.array(gap)), drawn, remarks


def _batches(drawn: Float[np.ndarray, " iteration"]) -> str:
    """Samples of an iteration; of the first and the last, where they grow."""
    first, last = (f"{int(n):,}" for n in (drawn[0], drawn[-1]))
    return first if first == last else f"{first} to {last}"


def _slope(curve: SeedCurves, start: float) -> Interval:
    """Of the gap from `start` on, until it is lost in rounding."""
    known = curve.x[np.minimum.accumulate(curve.y.mean(0)) > RESOLUTION]
    if (known >= start).sum() < 3:
        return Interval(np.nan, np.nan, np.nan)
    return fitted_slope(curve, start, known[-1])


def _reward_rate(mdp: TabularMDP, log_policy: np.ndarray, entropy: float) -> float:
    from envs.tabular.exact import evaluate

    policy = np.exp(log_policy.astype(np.float64))
    return evaluate(mdp, policy / policy.sum(1, keepdims=True), entropy).reward_rate
