"""Configurations of the estimators: data and checks. Importing this loads neither JAX nor an environment.

`algorithms.policy_evaluation.build` makes estimators of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from l2t.config import check_count, check_range
from l2t.errors import ConfigurationError


@runtime_checkable
class EstimatorConfig(Protocol):
    """What a study reads of a configuration. One from elsewhere also has `build(samples) -> Estimator`."""

    @property
    def exploration(self) -> float:
        """ε of the stream that the method learns from; 0 is the policy itself."""
        ...

    @property
    def sums_returns(self) -> bool:
        """It needs a path, and its limit is the projection of Q instead of TD's fixed point."""
        ...


@dataclass(frozen=True)
class VRTDConfig:
    """Variance-reduced temporal differences; see `algorithms.policy_evaluation.vrtd`.

    Attributes:
        step_size: η max ‖ψ‖².
        first_blocks: N_0 in blocks of 500 transitions.
        growth: N_{k+1}/N_k.
        inner_fraction: T_k/N_k; with the automatic `skip` this times the correlation time, up to 1.
        discard: share of an epoch's inner iterates, its first ones, that is left out of the mean.
        skip: of the inner transitions every `skip`-th is used. None, automatic: every one is, and the step is divided
            by the correlation time that the stream shows.
        burn_in_blocks: blocks drawn and dropped at the start.
        average_epochs: give the weighted mean of the epochs' outputs instead of the last.
        exploration: ε of EVRTD; 0 is VRTD.
        rate_fraction: transitions of the unperturbed policy for each of N_k, from which EVRTD takes ρ̂; 0 for VRTD.
    """

    step_size: float = 0.5
    first_blocks: int = 4
    growth: float = 1.5
    inner_fraction: float = 0.15
    discard: float = 0.2
    skip: int | None = None
    burn_in_blocks: int = 2
    average_epochs: bool = True
    exploration: float = 0.0
    rate_fraction: float = 0.0

    sums_returns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_range("step_size", self.step_size, 0.0, open_low=True)
        check_range("growth", self.growth, 1.0)
        check_range("inner_fraction", self.inner_fraction, 0.0, open_low=True)
        check_range("discard", self.discard, 0.0, 1.0, open_high=True)
        check_range("exploration", self.exploration, 0.0, 1.0)
        check_range("rate_fraction", self.rate_fraction, 0.0)
        check_count("first_blocks", self.first_blocks)
        if self.skip is not None:
            check_count("skip", self.skip)
            check_range("skip", self.skip, 1, 500)  # of each block at least one transition is used
        check_count("burn_in_blocks", self.burn_in_blocks, 0)
        if (self.exploration > 0.0) != (self.rate_fraction > 0.0):
            raise ConfigurationError(
                f"exploration={self.exploration} and rate_fraction={self.rate_fraction} must both be 0 (VRTD) or both "
                "above 0 (EVRTD): a perturbed policy does not earn the policy's reward rate."
            )


@dataclass(frozen=True)
class TDConfig:
    """Average-reward TD(0) on two time scales; see `algorithms.policy_evaluation.td`.

    Attributes:
        step_size: α_0 max ‖ψ‖².
        rate_step: β_t/(α_t max ‖ψ‖²), of the reward rate.
        decay: α_t = α_0 (1 + t/`decay_after`)^-decay; 0 keeps the step.
        decay_after: transitions, see `decay`.
        average: give the mean of the iterates (Polyak and Ruppert) instead of the last.
    """

    step_size: float = 0.1
    rate_step: float = 0.1
    decay: float = 0.0
    decay_after: float = 1000.0
    average: bool = False

    exploration: ClassVar[float] = 0.0
    sums_returns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_range("step_size", self.step_size, 0.0, open_low=True)
        check_range("rate_step", self.rate_step, 0.0, open_low=True)
        check_range("decay", self.decay, 0.0, 1.0)
        check_range("decay_after", self.decay_after, 0.0, open_low=True)


@dataclass(frozen=True)
class LSTDConfig:
    """Differential least-squares TD; see `algorithms.policy_evaluation.least_squares`.

    Attributes:
        ridge: of the linear system, relative to the mean of its diagonal.
    """

    ridge: float = 1e-6

    exploration: ClassVar[float] = 0.0
    sums_returns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_range("ridge", self.ridge, 0.0)


@dataclass(frozen=True)
class MonteCarloConfig:
    """Regression on truncated differential returns; see `algorithms.policy_evaluation.least_squares`.

    Attributes:
        horizon: terms of each return, below 500: the bias falls with the chain's memory over it, the variance grows.
        ridge: of the linear system, relative to the mean of its diagonal.
    """

    horizon: int = 100
    ridge: float = 1e-6

    exploration: ClassVar[float] = 0.0
    sums_returns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("horizon", self.horizon)
        check_range("horizon", self.horizon, 1, 499)
        check_range("ridge", self.ridge, 0.0)
