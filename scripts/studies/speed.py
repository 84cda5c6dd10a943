"""How fast VRTD goes: a sweep over seeds as one compiled program, beside NumPy loops of the same recursion."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from algorithms.policy_evaluation.config import VRTDConfig
from envs.tabular.model import TabularMDP
from l2t.config import check_count
from l2t.errors import ConfigurationError
from l2t.report.study import StudyContext, StudyResult, Table


@dataclass(frozen=True)
class Speed:
    """Transitions per second of VRTD with one-hot features on a Markovian stream.

    Attributes:
        name: of the study.
        process: the process.
        method: configuration of VRTD.
        num_seeds, samples: of the compiled sweep.
        numpy_samples: of each NumPy loop, which is timed over fewer.
        repeats: timed runs of the compiled sweep; the median counts.
    """

    name: str
    process: Any
    method: Any
    num_seeds: int = 20
    samples: int = 1_000_000
    numpy_samples: int = 50_000
    repeats: int = 3

    def __post_init__(self) -> None:
        for count in ("num_seeds", "samples", "numpy_samples", "repeats"):
            check_count(f"study.{count}", getattr(self, count))
        if not isinstance(self.process, TabularMDP):
            raise ConfigurationError(f"study.process is a {type(self.process).__name__}, not a finite process.")
        if not isinstance(self.method, VRTDConfig) or self.method.skip != 1 or self.method.exploration:
            raise ConfigurationError(
                "study.method must be VRTD with skip=1 and exploration=0: the loops know no other."
            )

    def run(self, context: StudyContext) -> StudyResult:
        """Time the three."""
        seed, notice = context.seed, context.notice
        notice(f"compiled sweep: {self.num_seeds} seeds of {self.samples:,} transitions, {self.repeats} times ...")
        compile_seconds, seconds, drawn = self._compiled(seed)
        total = self.num_seeds * drawn
        notice(f"compiled sweep: {seconds:.2f} s, and {compile_seconds:.1f} s to compile")
        rates = [("one compiled program", total / seconds)]
        for label, width in (("NumPy, one seed after the other", 1), ("NumPy, all seeds in each step", self.num_seeds)):
            notice(f"{label}: {self.numpy_samples:,} transitions each ...")
            began = time.perf_counter()
            looped = numpy_vrtd(self.process, self.method, self.numpy_samples, width, seed)[1]
            rates.append((label, looped * width / (time.perf_counter() - began)))
            notice(f"{label}: {rates[-1][1]:,.0f} transitions/s")
        rows = tuple((label, f"{rate:,.0f}", f"{rates[0][1] / rate:.1f}") for label, rate in rates)
        title = (
            f"{self.num_seeds} seeds x {drawn:,} transitions on {self.process.name}: {seconds:.2f} s "
            f"(and {compile_seconds:.1f} s to compile)"
        )
        table = Table(title, ("implementation", "transitions/s", "compiled is faster by"), rows, names=1)
        return StudyResult([], [table], "", "")

    def _compiled(self, seed: int) -> tuple[float, float, int]:
        import jax
        import jax.numpy as jnp

        from algorithms.features import OneHot
        from algorithms.policy_evaluation.problem import Problem
        from algorithms.policy_evaluation.vrtd import VRTD
        from envs.tabular.sampling import MarkovSource, Sampler

        mdp: TabularMDP = self.process
        policy = mdp.uniform_policy()
        source = MarkovSource.create(Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32))
        problem, estimator = Problem(OneHot(mdp.reward.size), source), VRTD(self.method, self.samples)
        keys = jax.random.split(jax.random.key(seed), self.num_seeds)
        began = time.perf_counter()
        sweep = jax.jit(jax.vmap(lambda key: estimator.run(problem, key))).lower(keys).compile()
        compile_seconds = time.perf_counter() - began
        seconds = []
        for _ in range(self.repeats):
            began = time.perf_counter()
            jax.block_until_ready(sweep(keys))
            seconds.append(time.perf_counter() - began)
        return compile_seconds, float(np.median(seconds)), int(estimator.samples[-1])


def numpy_vrtd(mdp: TabularMDP, config: VRTDConfig, samples: int, width: int, seed: int) -> tuple[np.ndarray, int]:
    """VRTD as a loop over transitions, for `width` seeds at once, with the schedule of the compiled one.

    Returns:
        θ of each seed after the last epoch, and the transitions that each has drawn.
    """
    from algorithms.policy_evaluation.problem import BLOCK
    from algorithms.policy_evaluation.vrtd import VRTD

    epochs = VRTD(config, samples).epochs
    rng, actions, size = np.random.default_rng(seed), mdp.num_actions, mdp.reward.size
    # Rows of the pairs' chain, shortened to what can happen: a draw is a comparison with a few numbers.
    chain = mdp.pair_chain(mdp.uniform_policy())
    branches = int((chain > 0.0).sum(1).max())
    successor = np.argsort(chain == 0.0, axis=1, kind="stable")[:, :branches]
    cumulative = np.cumsum(np.take_along_axis(chain, successor, 1), axis=1)
    cumulative[:, -1] = 1.0
    reward, seeds = mdp.reward.reshape(-1), np.arange(width)
    pair = rng.integers(0, mdp.num_states, width) * actions
    theta, drawn = np.zeros((width, size)), 0

    def transitions(blocks: int) -> Any:
        nonlocal pair, drawn
        for uniform in rng.random((blocks * BLOCK, width, 1)):
            following = successor[pair, (uniform >= cumulative[pair]).sum(1)]
            yield pair, reward[pair], following
            pair = following
        drawn += blocks * BLOCK

    for _ in transitions(config.burn_in_blocks):
        pass
    for anchor_blocks, _, inner_blocks in epochs:
        operator, count, rate = np.zeros((width, size)), np.zeros((width, size)), np.zeros(width)
        for x, r, y in transitions(anchor_blocks):
            operator[seeds, x] += theta[seeds, x] - theta[seeds, y] - r
            count[seeds, x] += 1.0
            rate += r
        number = anchor_blocks * BLOCK
        operator = (operator + (rate / number)[:, None] * count) / number
        offset, total, used = np.zeros((width, size)), np.zeros((width, size)), 0
        for step, (x, _, y) in enumerate(transitions(inner_blocks)):
            difference = offset[seeds, x] - offset[seeds, y]
            offset -= config.step_size * operator
            offset[seeds, x] -= config.step_size * difference
            offset -= offset.mean(1, keepdims=True)
            if step >= int(inner_blocks * BLOCK * config.discard):
                total += offset
                used += 1
        theta = theta + total / used
    return theta, drawn
