"""Critics for policy optimisation on finite processes, configured: exact, by roll-outs, and by VRTD on a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from algorithms.policy_evaluation.config import VRTDConfig
from l2t.config import check_count

if TYPE_CHECKING:
    from algorithms.mirror_descent.tabular import TabularCritic
    from envs.tabular.model import TabularMDP


class BuiltCritic(NamedTuple):
    """A critic, and its first state from a key."""

    critic: TabularCritic
    init: Callable[[Any], Any]


@dataclass(frozen=True)
class ExactCritic:
    """Q by a linear solve; `nominal_samples` is what an iteration counts for on the axis of samples.

    Attributes:
        nominal_samples: transitions that the other critics draw in an iteration, for comparison.
    """

    nominal_samples: int = 2500

    def __post_init__(self) -> None:
        check_count("nominal_samples", self.nominal_samples)

    def with_batch(self, factor: float) -> ExactCritic:
        """The same, an iteration counted for `factor` times as many."""
        return replace(self, nominal_samples=round(factor * self.nominal_samples))

    def build(self, mdp: TabularMDP, entropy: float) -> BuiltCritic:
        """See the class."""
        from envs.tabular.critics import exact_critic

        exact = exact_critic(mdp, entropy)

        def critic(policy: Any, key: Any, state: Any) -> Any:
            q, metrics, state = exact(policy, key, state)
            return q, metrics | {"samples": metrics["samples"] + self.nominal_samples}, state

        return BuiltCritic(critic, lambda key: ())


@dataclass(frozen=True)
class GenerativeCritic:
    """Q from truncated roll-outs of every pair; see `envs.tabular.critics`.

    Attributes:
        rollouts, horizon: how many from each pair, and their steps.
    """

    rollouts: int = 4
    horizon: int = 20

    def __post_init__(self) -> None:
        check_count("rollouts", self.rollouts)
        check_count("horizon", self.horizon, 2)

    def with_batch(self, factor: float) -> GenerativeCritic:
        """The same with `factor` times the roll-outs."""
        return replace(self, rollouts=round(factor * self.rollouts))

    def build(self, mdp: TabularMDP, entropy: float) -> BuiltCritic:
        """See the class."""
        from envs.tabular.critics import generative_critic

        return BuiltCritic(generative_critic(mdp, self.rollouts, self.horizon, entropy), lambda key: ())


@dataclass(frozen=True)
class VRTDCritic:
    """Q by VRTD, or EVRTD, with one-hot features on one Markovian stream that goes on from policy to policy.

    Attributes:
        method: configuration; each iteration starts at the last one's θ.
        samples: transitions of each iteration.
    """

    method: VRTDConfig
    samples: int = 2500

    def __post_init__(self) -> None:
        check_count("samples", self.samples)

    def with_batch(self, factor: float) -> VRTDCritic:
        """The same with `factor` times the samples."""
        return replace(self, samples=round(factor * self.samples))

    def build(self, mdp: TabularMDP, entropy: float) -> BuiltCritic:
        """See the class."""
        import jax
        import jax.numpy as jnp

        from algorithms.features import OneHot
        from algorithms.mirror_descent.vrtd_critic import vrtd_critic
        from algorithms.policy_evaluation.problem import Problem
        from algorithms.policy_evaluation.vrtd import VRTD
        from envs.tabular.sampling import MarkovSource, Sampler

        sampler, size = Sampler.create(mdp, mdp.uniform_policy()), mdp.reward.size

        def problem(policy: Any) -> Problem:
            source = MarkovSource.create(sampler, policy, entropy, self.method.exploration)
            plain = MarkovSource.create(sampler, policy, entropy) if self.method.exploration else None
            return Problem(OneHot(size), source, plain)

        def init(key: Any) -> Any:
            return jnp.zeros(size), jax.random.randint(key, (), 0, size)

        return BuiltCritic(vrtd_critic(VRTD(self.method, self.samples), problem), init)
