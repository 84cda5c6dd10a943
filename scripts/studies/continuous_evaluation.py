"""Evaluation of a saved stochastic policy in a continuous environment, with random Fourier features.

Every method reads the same stored transitions. What it finds is compared with Monte-Carlo roll-outs that start from the
full simulation states of held-out pairs (s, a). Time limits are left out everywhere: the process is the endless one.

The rewards are neither scaled nor shifted. Every estimator is linear in them, so a scale would only rescale θ, and
errors are divided by the variance of the true values anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from algorithms.policy_evaluation.config import VRTDConfig
from envs.config import GymnasiumConfig
from l2t.config import check_count, check_range, read_from
from l2t.errors import ConfigurationError
from l2t.report.statistics import Interval
from l2t.report.study import SeedCurves, StudyContext, StudyResult, Table, interval_text, mean_with_band

if TYPE_CHECKING:
    from jaxtyping import Array, Key

    from algorithms.features import FourierFeatures
    from algorithms.policy_evaluation.problem import Estimate, Estimator
    from l2t.rl.stream import PolicySource
    from l2t.rl.transitions import PairTransitions

_BLOCK = 500
"""Consecutive transitions of one instance in a stored stream; `algorithms.policy_evaluation.problem.BLOCK`."""


class Truth(NamedTuple):
    """What the estimates are compared with.

    Attributes:
        pair: held-out pairs, as features see them.
        value: mean of the Monte-Carlo values of each pair.
        error: its standard error.
        reward_rate, rate_error: ρ and its standard error.
    """

    pair: Float[ndarray, "held_out size"]
    value: Float[ndarray, " held_out"]
    error: Float[ndarray, " held_out"]
    reward_rate: float
    rate_error: float

    @property
    def floor(self) -> float:
        """The normalised error that exact values would score, for the noise in what stands for them here."""
        return float((self.error**2).mean() / self.value.var())


@dataclass(frozen=True)
class ContinuousEvaluation:
    """Every method on one saved policy, over seeds.

    Attributes:
        policy_run: run directory of the policy.
        methods: configurations of `algorithms.policy_evaluation.config`, by label.
        name: of the study.
        role: whose policy.
        num_seeds, samples: streams, and transitions of each; a multiple of 500 `num_envs`.
        feature_size: random Fourier features d; all methods and seeds share one draw.
        length_scale: ℓ of the features, in standard deviations of an observation; actions span [-1, 1].
        num_envs: parallel instances of each stream.
        warm_up: steps that instances take before anything is recorded.
        held_out: pairs that the estimates are judged at, each the end of a roll-out of its own.
        rate_samples: transitions that the true ρ is taken from.
        horizon, replicates: steps and number of the Monte-Carlo roll-outs from each held-out pair.
        threads: CPU threads of the physics; 0 uses every CPU.
    """

    policy_run: str = field(metadata=read_from("the run directory of a policy"))
    methods: Mapping[str, Any]
    name: str = "mujoco_evaluation"
    role: str = "teacher"
    num_seeds: int = 20
    samples: int = 64_000
    feature_size: int = 300
    length_scale: float = 3.0
    num_envs: int = 8
    warm_up: int = 500
    held_out: int = 96
    rate_samples: int = 96_000
    horizon: int = 400
    replicates: int = 8
    threads: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.policy_run, str) or not self.policy_run:
            raise ConfigurationError("study.policy_run is empty; give study.policy_run=<run directory of a policy>.")
        if not self.methods:
            raise ConfigurationError("study.methods must name at least one.")
        for count, low in _COUNTS.items():
            check_count(f"study.{count}", getattr(self, count), low)
        check_range("study.length_scale", self.length_scale, 0.0, open_low=True)
        if self.samples % (_BLOCK * self.num_envs):
            raise ConfigurationError(
                f"study.samples={self.samples} must be a multiple of 500 study.num_envs = {_BLOCK * self.num_envs}."
            )

    def run(self, context: StudyContext) -> StudyResult:
        """Estimate the true values, draw the streams, and score every method on them.

        Raises:
            L2TError: the run cannot be read, or its policy is no Gaussian actor of its own.
        """
        import jax

        from algorithms.features import FourierFeatures
        from algorithms.policy_evaluation.build import build_estimator
        from algorithms.policy_evaluation.problem import warnings_of
        from algorithms.policy_evaluation.stability import check_stability

        estimators = {label: build_estimator(method, self.samples) for label, method in self.methods.items()}
        run, make_source = self._policy(context)
        seed, notice = context.seed, context.notice
        problem = run.environment.spec.name
        truth_key, feature_key, *keys = jax.random.split(jax.random.key(seed), 3 + self.num_seeds)
        steps = self.held_out * self.replicates * self.horizon
        notice(f"{problem}: true values of {self.held_out} pairs, from {steps:,} steps of roll-outs ...")
        truth = self._truth(make_source, truth_key)
        notice(
            f"{problem}: reward rate {truth.reward_rate:.4g} ± {truth.rate_error:.1g}, standard deviation of the "
            f"values {truth.value.std():.4g}, noise floor {truth.floor:.2g}"
        )
        features = FourierFeatures.create(feature_key, truth.pair.shape[1], self.feature_size, self.length_scale)
        stream_key, *seed_keys = keys
        levels = sorted({0.0, *(method.exploration for method in self.methods.values())})
        streams = {}
        drawn = self.num_seeds * self.samples
        for level in levels:
            notice(f"{problem}: drawing {drawn:,} transitions with exploration {level:g} ...")
            streams[level] = self._streams(make_source(self.num_seeds * self.num_envs, level), stream_key)
            notice(f"{problem}: {drawn:,} transitions drawn")
        scores = {}
        notes = [
            f"{problem}: exact values would score {truth.floor:.2g}, the noise of the roll-outs that stand for them."
        ]
        for label, estimator in estimators.items():
            level = self.methods[label].exploration
            notice(f"{problem}: {label}: {self.num_seeds} seeds ...")
            estimates = _estimate(estimator, features, streams[0.0], streams[level] if level else None, seed_keys)
            if isinstance(method := self.methods[label], VRTDConfig):
                check = partial(check_stability, estimates.misfit, method, estimates.growth)
                found = [f"{problem}: {label}: {x}" for x in warnings_of(check)]
                notes += found
                for remark in found:
                    notice(f"warning: {remark}")
            scores[label] = score(features, estimates, truth)
            notice(f"{problem}: {label}: error {scores[label].error[:, -1].mean():.3g}")
        curves = [SeedCurves(problem, label, estimators[label].samples, s.error) for label, s in scores.items()]
        return StudyResult(
            curves,
            [_table(problem, scores), self._truth_table(problem, truth)],
            "transitions",
            "squared error less constants / variance",
            notes,
        )

    def _policy(self, context: StudyContext) -> tuple[Any, Callable[[int, float], PolicySource]]:
        """The run, and its policy as a source of some number of instances and some exploration."""
        from l2t.config import check_choice
        from l2t.rl.stream import Endless, PolicySource
        from l2t.rl.vector import VectorEnvironment

        run = context.load_run(self.policy_run, [f"physics.threads={self.threads}"])
        if isinstance(run.config.env, GymnasiumConfig):
            raise ConfigurationError(
                f"{self.policy_run} is of env=gymnasium, whose simulations can neither be copied, as true values ask, "
                "nor go on past their time limit: give a run on one of l2t's own tasks."
            )
        check_choice("study.role", self.role, run.algorithm.roles)
        distribution, encode = gaussian_policy(run, self.role)
        environment = Endless(run.environment)

        def make(instances: int, exploration: float) -> PolicySource:
            return PolicySource(VectorEnvironment(environment, instances), distribution, encode, exploration)

        return run, make

    def _truth(self, make_source: Callable[[int, float], PolicySource], key: Key[Array, ""]) -> Truth:
        import jax
        import jax.numpy as jnp

        from l2t.rl.stream import differential_returns

        start_key, warm_key, rate_key, value_key = jax.random.split(key, 4)
        source = make_source(self.held_out, 0.0)

        @jax.jit
        def advance(state: Any, keys: Array) -> tuple[Any, Array]:
            def step(state: Any, key: Array) -> tuple[Any, Array]:
                state, transition = source.step(state, key)
                return state, transition.reward

            return jax.lax.scan(step, state, keys)

        state, _ = advance(jax.jit(source.init)(start_key), jax.random.split(warm_key, self.warm_up))
        steps = max(self.rate_samples // self.held_out, 1)
        state, reward = advance(state, jax.random.split(rate_key, steps))
        of_path = np.asarray(reward, np.float64).mean(0)
        environment = state.environments.environment
        pair = jnp.concatenate([source.encode(environment.observation), state.action], axis=-1)

        many = make_source(self.held_out * self.replicates, 0.0)
        start, action = jax.tree.map(lambda x: jnp.repeat(x, self.replicates, axis=0), (environment, state.action))
        sample = jax.jit(partial(differential_returns, many, horizon=self.horizon))
        value = sample(start, action, jnp.asarray(of_path.mean(), jnp.float32), value_key)
        value = np.asarray(value, np.float64).reshape(self.held_out, self.replicates)
        return Truth(
            pair=np.asarray(pair),
            value=value.mean(1),
            error=value.std(1, ddof=1) / self.replicates**0.5,
            reward_rate=float(of_path.mean()),
            rate_error=float(of_path.std(ddof=1) / self.held_out**0.5),
        )

    def _streams(self, source: PolicySource, key: Key[Array, ""]) -> PairTransitions:
        """A stored stream for each seed: 500 steps of each of its instances in turn, then the next 500 of each, ..."""
        import jax

        start_key, warm_key, key = jax.random.split(key, 3)
        instances = source.vector.num_envs
        draw = jax.jit(source.draw, static_argnames="length")
        state, _ = draw(jax.jit(source.init)(start_key), warm_key, length=self.warm_up * instances)
        parts = []
        for part in jax.random.split(key, self.samples // (_BLOCK * self.num_envs)):
            state, batch = draw(state, part, length=_BLOCK * instances)
            parts.append(jax.tree.map(lambda x: np.asarray(x).reshape(self.num_seeds, -1, *x.shape[1:]), batch))
        return jax.tree.map(lambda *x: np.concatenate(x, axis=1), *parts)

    def _truth_table(self, problem: str, truth: Truth) -> Table:
        headers = ("policy", "quantity", "reward rate", "sd of values", "noise floor", "pairs", "roll-outs", "steps")
        row = (
            problem,
            "Monte-Carlo",
            f"{truth.reward_rate:.4g} ± {truth.rate_error:.1g}",
            f"{truth.value.std():.4g}",
            f"{truth.floor:.2g}",
            *(f"{count}" for count in (self.held_out, self.replicates, self.horizon)),
        )
        return Table("Truth", headers, (row,))


_COUNTS = {
    "num_seeds": 1,
    "samples": 1,
    "feature_size": 1,
    "num_envs": 1,
    "warm_up": 0,
    "held_out": 2,
    "rate_samples": 1,
    "horizon": 1,
    "replicates": 2,
    "threads": 0,
}


def gaussian_policy(run: Any, role: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The distribution π of a role, frozen, and its own normaliser as a function of observations.

    Raises:
        ConfigurationError: the role has no actor with a normaliser, such as a frozen teacher.
    """
    from l2t.rl.models import ActorPolicy

    policy = run.algorithm.policy(run.state.learnt, role)
    if not isinstance(policy, ActorPolicy) or policy.actor.memory.start(1) != ():
        raise ConfigurationError(
            f"The {role} of study.policy_run has no Gaussian actor of its own without a memory; give another role."
        )
    return policy.distribution, lambda observation: policy.actor.features(policy.state, observation)


class Score(NamedTuple):
    """How well a method's estimates predict held-out values, by seed and point of its curve.

    Attributes:
        error: mean squared difference to the true values, less constants, over their variance: 1 predicts nothing.
        correlation: with the true values.
        rate_error: ρ̂ - ρ.
    """

    error: Float[ndarray, "seed points"]
    correlation: Float[ndarray, "seed points"]
    rate_error: Float[ndarray, "seed points"]


def score(features: FourierFeatures, estimates: Estimate, truth: Truth) -> Score:
    """Judge estimates with leading axes `[seed, points]`."""
    import jax.numpy as jnp

    values = (
        np.asarray(features(jnp.asarray(truth.pair)), np.float64) @ np.asarray(estimates.theta, np.float64)[..., None]
    )
    values = values[..., 0] - values[..., 0].mean(-1, keepdims=True)
    centred = truth.value - truth.value.mean()
    covariance = (values * centred).mean(-1)
    deviation = np.maximum(values.std(-1) * centred.std(), 1e-300)
    return Score(
        error=((values - centred) ** 2).mean(-1) / centred.var(),
        correlation=covariance / deviation,
        rate_error=np.asarray(estimates.reward_rate, np.float64) - truth.reward_rate,
    )


def _estimate(
    estimator: Estimator,
    features: FourierFeatures,
    plain: PairTransitions,
    exploring: PairTransitions | None,
    keys: list[Key[Array, ""]],
) -> Estimate:
    """The curve of each seed, on its own stored streams."""
    import jax

    from algorithms.policy_evaluation.problem import Problem
    from l2t.rl.stream import StoredSource

    @jax.jit
    def run(plain: PairTransitions, exploring: PairTransitions | None, key: Array) -> Estimate:
        if exploring is None:
            return estimator.run(Problem(features, StoredSource(plain)), key)
        sources = StoredSource(exploring, 0, 2), StoredSource(plain, 1, 2)
        return estimator.run(Problem(features, *sources), key)

    found = [run(*jax.tree.map(lambda x, i=i: x[i], (plain, exploring)), key) for i, key in enumerate(keys)]
    return jax.tree.map(lambda *x: np.stack(x), *found)


def _table(problem: str, scores: Mapping[str, Score]) -> Table:
    rows = []
    for label, found in scores.items():
        last = Interval(*(float(x[0]) for x in mean_with_band(found.error[:, -1:])))
        rows.append(
            (
                problem,
                label,
                interval_text(last, 3),
                f"{found.correlation[:, -1].mean():.3f}",
                f"{found.rate_error[:, -1].mean():+.2g} ± {found.rate_error[:, -1].std():.1g}",
            )
        )
    headers = ("policy", "method", "squared error / variance", "correlation", "reward rate less the true one")
    return Table("Held-out values after all transitions", headers, tuple(rows))
