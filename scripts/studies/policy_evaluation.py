"""Evaluation of a known policy on finite processes: how fast each estimator's error falls with the samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from algorithms.policy_evaluation.config import EstimatorConfig, VRTDConfig
from envs.tabular.model import TabularMDP
from l2t.config import check_choice, check_count, check_range
from l2t.errors import ConfigurationError
from l2t.report.study import (
    SeedCurves,
    StudyContext,
    StudyResult,
    Table,
    fitted_slope,
    interval_text,
    scientific,
    value_at,
)

if TYPE_CHECKING:
    from algorithms.features import OneHot, TableFeatures
    from algorithms.policy_evaluation.problem import Estimate, Estimator, Problem

_DIVERGED = 1e3
"""An error this many times that of Q = 0 counts as divergence."""


@dataclass(frozen=True)
class PolicyEvaluation:
    """Every method on every process, over seeds.

    Attributes:
        name: of the study.
        processes: by label.
        methods: configurations of `algorithms.policy_evaluation.config`, by label.
        policy: `uniform`, `random` (a Dirichlet draw for each state) or `optimal` (deterministic).
        entropy: μ of the regulariser h^π.
        features: `one_hot`, `random`, `radial` or `aggregated`.
        feature_size: columns of random features; centres; groups of states.
        sampling: `markov`, or `generative`: independent draws from the stationary distribution.
        num_seeds, samples: streams, and transitions of each.
        fit_from: slopes are fitted from here to the end.
        compare_at: errors are compared at this many transitions, interpolated.
        baseline: method that the others are divided by.
    """

    name: str
    processes: Mapping[str, Any]
    methods: Mapping[str, Any]
    policy: str = "uniform"
    entropy: float = 0.0
    features: str = "one_hot"
    feature_size: int = 20
    sampling: str = "markov"
    num_seeds: int = 20
    samples: int = 4_000_000
    fit_from: int = 400_000
    compare_at: int = 1_000_000
    baseline: str = ""

    def __post_init__(self) -> None:
        check_choice("study.policy", self.policy, ("uniform", "random", "optimal"))
        check_choice("study.features", self.features, ("one_hot", "random", "radial", "aggregated"))
        check_choice("study.sampling", self.sampling, ("markov", "generative"))
        check_range("study.entropy", self.entropy, 0.0)
        for count in ("num_seeds", "samples", "fit_from", "compare_at", "feature_size"):
            check_count(f"study.{count}", getattr(self, count))
        if not self.processes or not self.methods:
            raise ConfigurationError("study.processes and study.methods must each name at least one.")
        if self.baseline:
            check_choice("study.baseline", self.baseline, self.methods)
        for label, mdp in self.processes.items():
            if not isinstance(mdp, TabularMDP):
                raise ConfigurationError(f"study.processes.{label} is a {type(mdp).__name__}, not a finite process.")
        for label, method in self.methods.items():
            if not isinstance(method, EstimatorConfig):
                raise ConfigurationError(f"study.methods.{label} is a {type(method).__name__}, not an estimator.")
            if self.sampling == "generative" and (method.exploration or method.sums_returns):
                raise ConfigurationError(
                    f"study.sampling=generative draws pairs independently: leave out {label}, which explores on a path "
                    "or sums rewards along it."
                )

    def run(self, context: StudyContext) -> StudyResult:
        """Run every method on every process."""
        self._check_points()
        for mdp in self.processes.values():
            self._features(mdp)  # what they cannot do is said before anything is computed
        curves: list[SeedCurves] = []
        notes: list[str] = []
        for label, mdp in self.processes.items():
            found, remarks = self._on(label, mdp, context)
            curves += found
            notes += remarks
        error = "squared error" if self.features == "one_hot" else "squared distance to the limit"
        return StudyResult(curves, [self._table(curves)], "transitions", f"{error}, D-norm, less constants", notes)

    def _check_points(self) -> None:
        """Raise now where a table could not be filled at the end."""
        from algorithms.policy_evaluation.build import build_estimator

        for name, method in self.methods.items():
            points = build_estimator(method, self.samples).samples
            nothing = np.ones((1, len(points)))
            fitted_slope(SeedCurves("every process", name, points, nothing), self.fit_from)
            value_at(SeedCurves("every process", name, points, nothing), self.compare_at)

    def _on(self, label: str, mdp: TabularMDP, context: StudyContext) -> tuple[list[SeedCurves], list[str]]:
        import jax

        from algorithms.policy_evaluation.build import build_estimator
        from algorithms.policy_evaluation.excitation import check_excitation
        from algorithms.policy_evaluation.fixed_point import projected_fixed_point, squared_error, weighted_projection
        from algorithms.policy_evaluation.problem import warnings_of
        from algorithms.policy_evaluation.stability import check_stability
        from envs.tabular.exact import evaluate

        seed, notice = context.seed, context.notice
        policy = self._policy(mdp, seed)
        exact = evaluate(mdp, policy, self.entropy)
        table, features = self._features(mdp)
        reward = (exact.q + exact.reward_rate - mdp.transition @ exact.bias).reshape(-1)  # r - h
        # Errors are weighted as the most exploring method sees the pairs: there every pair counts.
        weight = _pair_weights(mdp, policy, max(method.exploration for method in self.methods.values()))
        keys = jax.random.split(jax.random.key(seed), self.num_seeds)
        curves, notes = [], []
        for name, method in self.methods.items():
            estimator = build_estimator(method, self.samples)
            problem = self._problem(mdp, policy, features, method.exploration)
            remarks = warnings_of(partial(check_excitation, problem, jax.random.key(seed)))
            notice(f"{label}: {name}: {self.num_seeds} seeds of {self.samples:,} transitions in one program ...")
            found = _sweep(estimator, problem, keys)
            if isinstance(method, VRTDConfig):
                remarks += warnings_of(partial(check_stability, found.misfit, method, found.growth))
            for remark in remarks:
                notes.append(f"{name} on {label}: {remark}")
                notice(f"warning: {notes[-1]}")
            theta = np.asarray(found.theta, np.float64)
            truth = exact.q.reshape(-1)
            if table is not None:
                own = _pair_weights(mdp, policy, method.exploration)
                chain = mdp.pair_chain(policy)
                constant = features.constant if features.constant is None else np.asarray(features.constant)
                limit = (
                    weighted_projection(table, own, exact.q.reshape(-1))
                    if method.sums_returns
                    else projected_fixed_point(table, own, chain, reward, exact.reward_rate, constant)
                )
                truth = table @ limit
                distance = scientific(float(squared_error(truth, exact.q.reshape(-1), weight)))
                notes.append(f"{name} on {label}: what it converges to is {distance} away from Q.")
                theta = theta @ table.T
            error = squared_error(theta, truth, weight)
            # What is this far off has diverged; left in, it would hide all other curves.
            error = np.where(error < _DIVERGED * squared_error(0.0 * truth, truth, weight), error, np.nan)
            curves.append(SeedCurves(label, name, estimator.samples, error))
            notice(f"{label}: {name}: error {_cell(error[:, -1])} after {int(curves[-1].x[-1]):,} transitions")
        return curves, notes

    def _policy(self, mdp: TabularMDP, seed: int) -> Float[ndarray, "state action"]:
        from envs.tabular.exact import relative_value_iteration

        if self.policy == "uniform":
            return mdp.uniform_policy()
        if self.policy == "random":
            return np.random.default_rng(seed).dirichlet(np.ones(mdp.num_actions), mdp.num_states)
        return relative_value_iteration(mdp, self.entropy).policy

    def _features(self, mdp: TabularMDP) -> tuple[Float[ndarray, "pair d"] | None, OneHot | TableFeatures]:
        """The table of the features in float64, unless it is the identity, and the features."""
        from algorithms.features import OneHot, aggregated_features, radial_features, random_features

        if self.features == "one_hot":
            return None, OneHot(mdp.reward.size)
        if self.features == "random":
            made = random_features(mdp.reward.size, self.feature_size)
        else:
            make = radial_features if self.features == "radial" else aggregated_features
            made = make(mdp.num_states, mdp.num_actions, self.feature_size)
        return np.asarray(made.table, np.float64), made

    def _problem(self, mdp: TabularMDP, policy: Float[ndarray, "state action"], features: Any, exploration: float):
        import jax.numpy as jnp

        from algorithms.policy_evaluation.problem import Problem
        from envs.tabular.sampling import GenerativeSource, MarkovSource, Sampler

        sampler, acting = Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32)
        if self.sampling == "generative":
            weight = _pair_weights(mdp, policy, 0.0)
            return Problem(features, GenerativeSource.create(sampler, acting, weight, self.entropy))
        source = MarkovSource.create(sampler, acting, self.entropy, exploration)
        plain = MarkovSource.create(sampler, acting, self.entropy) if exploration else None
        return Problem(features, source, plain)

    def _table(self, curves: list[SeedCurves]) -> Table:
        rows = []
        for curve in curves:
            error = value_at(curve, self.compare_at)
            cells = [curve.problem, curve.method, _cell(error)]
            if self.baseline:
                (base,) = [c for c in curves if (c.problem, c.method) == (curve.problem, self.baseline)]
                ratio = error.mean() / value_at(base, self.compare_at).mean()
                cells.append(scientific(float(ratio)))
            last = curve.y[:, -1]
            rows.append((*cells, interval_text(fitted_slope(curve, self.fit_from)), _cell(last)))
        divided = (f"/ {self.baseline}",) if self.baseline else ()
        headers = ("process", "method", f"error at {self.compare_at:,}", *divided, "slope [95 %]", "last error")
        return Table(f"{self.num_seeds} seeds, slopes from {self.fit_from:,} transitions", headers, tuple(rows))


def _cell(error: Float[ndarray, " seed"]) -> str:
    lost = int(np.isnan(error).sum())
    return f"diverged ({lost} of {len(error)})" if lost else scientific(float(error.mean()))


def _pair_weights(
    mdp: TabularMDP, policy: Float[ndarray, "state action"], exploration: float
) -> Float[ndarray, " pair"]:
    """How often each pair occurs in the long run when the policy is mixed with the uniform one."""
    from envs.tabular.exact import evaluate

    acting = (1.0 - exploration) * policy + exploration / mdp.num_actions
    return (evaluate(mdp, acting).stationary[:, None] * acting).reshape(-1)


def _sweep(estimator: Estimator, problem: Problem, keys: Any) -> Estimate:
    import jax

    return jax.device_get(jax.jit(jax.vmap(lambda key: estimator.run(problem, key)))(keys))
