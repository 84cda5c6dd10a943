"""Rewards recovered from demonstrations on finite processes: how the error falls with the demonstrated transitions.

The expert is soft-optimal for the process's reward; every method knows the process and the entropy price, and sees the
same n transitions of one path of the expert, with sampled actions. The error is the squared canonical distance to the
true reward under the uniform policy, which counts nothing that no policy can tell apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from algorithms.inverse.tabular_config import CountingConfig, TabularIPMDConfig, TabularIQLearnConfig
from envs.tabular.model import TabularMDP
from l2t.config import check_count, check_range
from l2t.errors import ConfigurationError
from l2t.report.statistics import Interval
from l2t.report.study import (
    SeedCurves,
    StudyContext,
    StudyResult,
    Table,
    fitted_slope,
    interval_text,
    mean_with_band,
    scientific,
)
from scripts.studies.cases import chosen

if TYPE_CHECKING:
    from algorithms.inverse.tabular_ipmd import Recovery

UNSETTLED = 0.01
"""IQ-Learn is said to be unfinished if log π still moves by this in a step."""


@dataclass(frozen=True)
class Case:
    """A process, and how random its expert is.

    Attributes:
        process: the process; its reward is the one to be recovered.
        entropy: μ of the expert and of every method, in units of reward.
    """

    process: Any
    entropy: float

    def __post_init__(self) -> None:
        check_range("entropy", self.entropy, 0.0, open_low=True)
        if not isinstance(self.process, TabularMDP):
            raise ConfigurationError(f"process is a {type(self.process).__name__}, not a finite process.")


@dataclass(frozen=True)
class RewardRecovery:
    """Every method on every case, over seeds and numbers of demonstrations.

    Attributes:
        name: of the study.
        cases: by label.
        methods: configurations of `algorithms.inverse.tabular_config`, by label.
        num_seeds: paths of the expert.
        fewest, most: transitions that are demonstrated, at least and at most.
        points: numbers of transitions between them, geometrically spaced.
        fit_from: slopes are fitted from here to the end.
        only: labels of the cases to compute; none for all.
    """

    name: str
    cases: Mapping[str, Any]
    methods: Mapping[str, Any]
    num_seeds: int = 20
    fewest: int = 100
    most: int = 100_000
    points: int = 10
    fit_from: int = 4000
    only: Sequence[str] = ()

    def __post_init__(self) -> None:
        for count in ("num_seeds", "points", "fit_from"):
            check_count(f"study.{count}", getattr(self, count))
        check_count("study.fewest", self.fewest, 10)
        check_count("study.most", self.most, self.fewest)
        chosen(self.cases, self.only)
        if not self.methods:
            raise ConfigurationError("study.methods must name at least one.")
        for label, method in self.methods.items():
            if not isinstance(method, TabularIPMDConfig | TabularIQLearnConfig | CountingConfig):
                raise ConfigurationError(
                    f"study.methods.{label} is a {type(method).__name__}; give one of "
                    "algorithms.inverse.tabular_config."
                )
        if (self.transitions() >= self.fit_from).sum() < 3:
            raise ConfigurationError(f"study.fit_from={self.fit_from} leaves no three numbers of transitions to fit.")

    def transitions(self) -> Int[ndarray, " points"]:
        """How many are demonstrated."""
        return np.unique(np.geomspace(self.fewest, self.most, self.points).round().astype(int))

    def run(self, context: StudyContext) -> StudyResult:
        """Draw the demonstrations of each case, and recover its reward from them with each method."""
        import jax

        curves, rows, held_out, notes = [], [], [], []
        for label, case in chosen(self.cases, self.only).items():
            context.notice(f"{label}: {self.num_seeds} paths of {self.most:,} transitions of the expert ...")
            expert, pairs = self._demonstrations(case, context.seed)
            entropy = -float((expert * np.log(expert)).sum(1).mean())
            context.notice(f"{label}: drawn; the mean entropy of the expert is {entropy:.2f} nats")
            for name, method in self.methods.items():
                problems = f"{self.num_seeds} seeds of {len(self.transitions())} numbers of demonstrations"
                context.notice(f"{label}: {name}: {problems} in one program ...")
                with jax.enable_x64(True):
                    error, floor, found = self._errors(case, method, expert, pairs)
                for remark in found.warnings:
                    notes.append(f"{name} on {label}: {remark}")
                    context.notice(f"warning: {notes[-1]}")
                held_out += [(label, name, *row) for row in found.held_out]
                curve = SeedCurves(label, name, self.transitions().astype(float), error)
                curves.append(curve)
                rows.append((label, name, *self._cells(curve, floor)))
                context.notice(
                    f"{label}: {name}: squared error {scientific(float(error[:, -1].mean()))} from {self.most:,} "
                    f"transitions, {scientific(floor)} from exact visits"
                )
        headers = (
            "process",
            "method",
            f"distance at {self.most:,} [95 %]",
            "slope of its square [95 %]",
            "samples ~ distance^p: p",
            "distance, exact visits",
        )
        tables = [Table(f"{self.num_seeds} seeds, slopes from {self.fit_from:,} transitions", headers, tuple(rows))]
        if held_out:
            tables.append(Table("Held-out demonstrations, means over seeds", _HELD_OUT, tuple(held_out)))
        return StudyResult(curves, tables, "demonstrated transitions", "squared canonical distance", notes)

    def _cells(self, curve: SeedCurves, floor: float) -> tuple[str, ...]:
        slope = fitted_slope(curve, self.fit_from)
        last = Interval(*(float(x[-1]) for x in mean_with_band(np.sqrt(curve.y))))
        # d² ~ n^s, so n ~ d^(2/s); where s may be 0 there is no such power.
        falls = slope.estimate < 0.0 and not slope.high >= 0.0
        power = Interval(*(2.0 / s if falls else np.nan for s in (slope.estimate, slope.high, slope.low)))
        return interval_text(last, 4), interval_text(slope), interval_text(power), scientific(floor**0.5)

    def _demonstrations(
        self, case: Case, seed: int
    ) -> tuple[Float[ndarray, "state action"], Int[ndarray, "seed transition"]]:
        """The expert's policy, and the pairs of its paths, numbered s A + a."""
        import jax
        import jax.numpy as jnp

        from envs.tabular.exact import relative_value_iteration
        from envs.tabular.sampling import MarkovSource, Sampler

        mdp: TabularMDP = case.process
        expert = relative_value_iteration(mdp, case.entropy).policy
        source = MarkovSource.create(Sampler.create(mdp, expert), jnp.asarray(expert, jnp.float32))

        def draw(key: Any) -> Any:
            start, key = jax.random.split(key)
            return source.draw(source.init(start), key, self.most)[1].pair

        keys = jax.random.split(jax.random.key(seed), self.num_seeds)
        return expert, np.asarray(jax.jit(jax.vmap(draw))(keys))

    def _errors(
        self, case: Case, method: Any, expert: ndarray, pairs: ndarray
    ) -> tuple[Float[ndarray, "seed points"], float, Found]:
        """Squared distances by seed and number, that of exact visits, and what else was found."""
        from envs.tabular.exact import evaluate

        mdp: TabularMDP = case.process
        exact = evaluate(mdp, expert).stationary[:, None] * expert
        numbers, shape = self.transitions(), mdp.reward.shape
        held_out = getattr(method, "held_out", 0.0)
        parts = [_visits(pairs, int(n), held_out, shape) for n in numbers]
        # Exact visits are one more number of demonstrations: infinitely many.
        everywhere = np.broadcast_to(exact, parts[0][0].shape)
        parts.append((everywhere, everywhere))
        fitted, unseen = (np.stack(part, 1) for part in zip(*parts, strict=True))
        found = _recover(method)(mdp, case.entropy, fitted, unseen, np.append(numbers, np.inf))
        errors = np.array([[_squared_distance(mdp, reward) for reward in row] for row in found.reward])
        return errors[:, :-1], float(errors[0, -1]), found


_HELD_OUT = ("process", "method", "transitions", "kept iteration (median)", "gap there", "last gap", "last size of r")


class Found(NamedTuple):
    """What a method gives: rewards, rows of the table of held-out demonstrations, and warnings."""

    reward: Float[ndarray, "seed points state action"]
    held_out: list[tuple[str, ...]]
    warnings: list[str]


_Recovery = Callable[[TabularMDP, float, ndarray, ndarray, ndarray], Found]
"""(process, μ, d_E, held-out d_E, n); visits have axes [seed, points, state, action], the last n is infinite."""


def _recover(method: Any) -> _Recovery:
    if isinstance(method, TabularIPMDConfig):
        return partial(_ipmd, method)
    if isinstance(method, TabularIQLearnConfig):
        return partial(_iq_learn, method)
    return partial(_counting, method)


def _ipmd(
    method: TabularIPMDConfig, mdp: TabularMDP, entropy: float, fitted: ndarray, unseen: ndarray, numbers: ndarray
) -> Found:
    import jax
    import jax.numpy as jnp

    from algorithms.inverse.tabular import one_hot_reward
    from algorithms.inverse.tabular_ipmd import check_overfitting, inverse_mirror_descent

    transition = jnp.asarray(mdp.transition)
    reward = one_hot_reward(transition, method.bound)

    def one(fitted: Any, unseen: Any, penalty: Any) -> Recovery:
        judge = unseen if method.held_out > 0.0 else None
        return inverse_mirror_descent(transition, reward, fitted, entropy, method, penalty, judge)

    penalty = jnp.asarray([method.penalty_for(n) for n in numbers])
    found = jax.device_get(jax.jit(jax.vmap(jax.vmap(one), (0, 0, None)))(fitted, unseen, penalty))
    sampled = jax.tree.map(lambda x: x[:, :-1], found)  # without the exact visits
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_overfitting(sampled, method)
    rows = _held_out_rows(sampled, numbers) if method.held_out > 0.0 else []
    return Found(found.reward, rows, [str(warning.message) for warning in caught])


def _held_out_rows(found: Recovery, numbers: ndarray) -> list[tuple[str, ...]]:
    kept = np.minimum(np.asarray(found.stopped), found.gap.shape[-1] - 1)
    there = np.take_along_axis(np.asarray(found.gap), kept[..., None], -1)[..., 0]
    columns = (there, found.gap[..., -1], found.size[..., -1])
    last = kept.shape[1] - 1
    return [
        (
            f"{numbers[i]:,.0f}",
            f"{np.median(kept[:, i]):.0f}",
            *(scientific(float(column[:, i].mean())) for column in columns),
        )
        for i in sorted({0, last // 2, last})
    ]


def _iq_learn(
    method: TabularIQLearnConfig, mdp: TabularMDP, entropy: float, fitted: ndarray, _: ndarray, numbers: ndarray
) -> Found:
    import jax
    import jax.numpy as jnp

    from algorithms.inverse.tabular_iq_learn import QRecovery, iq_learn

    transition = jnp.asarray(mdp.transition)

    def one(visits: Any, weight: Any) -> QRecovery:
        return iq_learn(transition, visits, entropy, method, weight)

    weight = jnp.asarray([method.weight_for(n) for n in numbers])
    found = jax.device_get(jax.jit(jax.vmap(jax.vmap(one), (0, None)))(fitted, weight))
    moving = found.movement[:, :-1, -1] / entropy
    remarks = []
    if moving.max() > UNSETTLED:
        remarks.append(
            f"{(moving > UNSETTLED).sum()} of {moving.size} runs still move log π by up to {moving.max():.1e} in a "
            "step: give more iterations."
        )
    return Found(found.reward, [], remarks)


def _counting(
    method: CountingConfig, mdp: TabularMDP, entropy: float, fitted: ndarray, _: ndarray, numbers: ndarray
) -> Found:
    del mdp
    finite = np.where(np.isfinite(numbers), numbers, 1.0)[:, None, None]
    added = np.where(np.isfinite(numbers), method.pseudo_count, 0.0)[:, None, None]
    counts = fitted * finite + added
    return Found(entropy * np.log(counts / counts.sum(-1, keepdims=True)), [], [])


def _visits(
    pairs: Int[ndarray, "seed transition"], number: int, held_out: float, shape: tuple[int, ...]
) -> tuple[Float[ndarray, "seed state action"], Float[ndarray, "seed state action"]]:
    """Shares of each pair in the first and in the last part of the first `number` transitions of each path."""
    split = number - round(held_out * number)
    size = shape[0] * shape[1]

    def shares(part: ndarray) -> ndarray:
        counts = np.stack([np.bincount(row, minlength=size) for row in part]).reshape(len(part), *shape)
        return counts / max(part.shape[1], 1)

    return shares(pairs[:, :split]), shares(pairs[:, split:number])


def _squared_distance(mdp: TabularMDP, reward: Float[ndarray, "state action"]) -> float:
    from l2t.rewards.canonical import canonical_distance

    if not np.isfinite(reward).all():
        return np.nan
    return canonical_distance(mdp.transition, reward, mdp.reward, mdp.uniform_policy()) ** 2
