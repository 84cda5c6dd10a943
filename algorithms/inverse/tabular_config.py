"""Configurations of inverse reinforcement learning on finite processes. Importing this loads no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass

from l2t.config import check_count, check_range
from l2t.errors import ConfigurationError


@dataclass(frozen=True)
class TabularIPMDConfig:
    """Inverse policy mirror descent; see `algorithms.inverse.tabular_ipmd`.

    Attributes:
        iterations: K, each one reward step and one policy step.
        reward_step: α: φ moves by α μ times the gradient over the visits.
        policy_step: η μ of the mirror step.
        penalty: c_0 of the squared norm, in 1/(units of reward).
        penalty_power: p: c = c_0 n^-p for n demonstrated transitions; 0 keeps c_0.
        bound: R of r = R tanh(./R), in units of reward; infinite for none.
        held_out: share of the demonstrations that only decides when to stop; 0 never stops early.
    """

    iterations: int = 1000
    reward_step: float = 0.3
    policy_step: float = 4.0
    penalty: float = 0.05
    penalty_power: float = 0.0
    bound: float = math.inf
    held_out: float = 0.2

    def __post_init__(self) -> None:
        check_count("iterations", self.iterations)
        check_range("reward_step", self.reward_step, 0.0, open_low=True)
        check_range("policy_step", self.policy_step, 0.0, open_low=True)
        check_range("penalty", self.penalty, 0.0)
        check_range("penalty_power", self.penalty_power, 0.0, 1.0)
        check_range("bound", self.bound, 0.0, open_low=True, allow_infinite=True)
        check_range("held_out", self.held_out, 0.0, 1.0, open_high=True)

    def penalty_for(self, transitions: float) -> float:
        """c for n demonstrated transitions, which may be infinite."""
        return self.penalty * transitions**-self.penalty_power


@dataclass(frozen=True)
class TabularIQLearnConfig:
    """IQ-Learn; see `algorithms.inverse.tabular_iq_learn`.

    Attributes:
        iterations: steps on Q.
        step_size: Q moves by this, times μ, times the gradient over the visits.
        discount: γ < 1.
        chi2: a of the χ² term, 1/(4a) E_mix[r²].
        chi2_power: p: 1/(4a) n^-p for n demonstrated transitions; 0 keeps a.
    """

    iterations: int = 2000
    step_size: float = 0.5
    discount: float = 0.99
    chi2: float = 0.5
    chi2_power: float = 0.0

    def __post_init__(self) -> None:
        check_count("iterations", self.iterations)
        check_range("step_size", self.step_size, 0.0, open_low=True)
        check_range("chi2", self.chi2, 0.0, open_low=True)
        check_range("chi2_power", self.chi2_power, 0.0, 1.0)
        check_range("discount", self.discount, 0.0, 1.0)
        if self.discount == 1.0:
            raise ConfigurationError(
                "discount=1 makes IQ-Learn's value term telescope to nothing; give discount < 1, such as 0.99."
            )

    def weight_for(self, transitions: float) -> float:
        """1/(4a) n^-p for n demonstrated transitions, which may be infinite."""
        return transitions**-self.chi2_power / (4.0 * self.chi2)


@dataclass(frozen=True)
class CountingConfig:
    """r = μ log π̂ with π̂ counted in the demonstrations: the closed form that the others are held against.

    Attributes:
        pseudo_count: added to every pair, so that log π̂ is finite.
    """

    pseudo_count: float = 0.5

    def __post_init__(self) -> None:
        check_range("pseudo_count", self.pseudo_count, 0.0, open_low=True)
