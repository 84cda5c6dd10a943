"""Step sizes η_k of policy mirror descent, in units of 1/reward; k counts from 0.

Each is a frozen dataclass that is called with k, a number or a traced array.

Source: Li, Wu and Lan, arXiv 2205.05800, for the rates; the scale c is left to the user.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from l2t.config import check_count, check_range

Schedule = Callable[[Any], Any]
"""k -> η_k, numbers or traced scalars."""


@dataclass(frozen=True)
class Constant:
    """η_k = η. With an exact critic the reward rate never falls, and with μ > 0 it converges linearly.

    Attributes:
        step_size: η > 0, in units of 1/reward.

    Raises:
        ConfigurationError: η is not positive.
    """

    step_size: float

    def __post_init__(self) -> None:
        check_range("schedule.step_size", self.step_size, 0.0, math.inf, open_low=True, open_high=True)

    def __call__(self, k: Any) -> Any:
        """η_k."""
        return self.step_size + 0.0 * k


@dataclass(frozen=True)
class Geometric:
    """η_k = η γ^k: the last step outweighs all before it, so no policy is held back by what was estimated earlier.

    That is policy iteration in the limit. With a critic that samples the last Q decides, for better or worse: its error
    has to fall from step to step.

    Attributes:
        step_size: η > 0, in units of 1/reward.
        growth: γ > 1.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    step_size: float
    growth: float

    def __post_init__(self) -> None:
        check_range("schedule.step_size", self.step_size, 0.0, math.inf, open_low=True, open_high=True)
        check_range("schedule.growth", self.growth, 1.0, math.inf, open_low=True, open_high=True)

    def __call__(self, k: Any) -> Any:
        """η_k."""
        return self.step_size * self.growth ** (k + 0.0)


@dataclass(frozen=True)
class SquareRoot:
    """η_k = c √(log A/(k+1))/Q_max, for μ = 0: the mean of the first k gaps ρ* - ρ(π_k) is O(Q_max √(log A/k)).

    Attributes:
        num_actions: A >= 2.
        q_max: Q_max > 0, a bound on the critic's |Q| (or on half its span), in units of reward.
        scale: c > 0.

    Raises:
        ConfigurationError: a value is out of its range, so that the steps would not be positive.
    """

    num_actions: int
    q_max: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_count("schedule.num_actions", self.num_actions, 2)
        check_range("schedule.q_max", self.q_max, 0.0, math.inf, open_low=True, open_high=True)
        check_range("schedule.scale", self.scale, 0.0, math.inf, open_low=True, open_high=True)

    def __call__(self, k: Any) -> Any:
        """η_k."""
        return self.scale / self.q_max * math.sqrt(math.log(self.num_actions)) * (k + 1.0) ** -0.5


@dataclass(frozen=True)
class Regularised:
    """η_k = c/(μ (k+1)), for μ > 0: with unbiased critic noise of bounded variance the gap is O(1/k), up to logarithms.

    With c = 1 the Kullback step makes log π_k, up to a constant, the mean of log π_0 and of all Q_j/μ with j < k. The
    Tsallis step needs c above 1/(2 √p), with p the least probability that matters, to be as fast.

    Attributes:
        entropy: μ > 0, in units of reward.
        scale: c > 0.

    Raises:
        ConfigurationError: a value is not positive.
    """

    entropy: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_range("schedule.entropy", self.entropy, 0.0, math.inf, open_low=True, open_high=True)
        check_range("schedule.scale", self.scale, 0.0, math.inf, open_low=True, open_high=True)

    def __call__(self, k: Any) -> Any:
        """η_k."""
        return self.scale / (self.entropy * (k + 1.0))
