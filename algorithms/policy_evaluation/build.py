"""From a configuration to an estimator."""

from __future__ import annotations

from functools import singledispatch

from algorithms.policy_evaluation.config import EstimatorConfig, LSTDConfig, MonteCarloConfig, TDConfig, VRTDConfig
from algorithms.policy_evaluation.least_squares import LSTD, MonteCarlo
from algorithms.policy_evaluation.problem import Estimator
from algorithms.policy_evaluation.td import TD
from algorithms.policy_evaluation.vrtd import VRTD
from l2t.errors import ConfigurationError


@singledispatch
def build_estimator(config: EstimatorConfig, samples: int) -> Estimator:
    """The estimator of a configuration for a budget of transitions; a configuration from elsewhere builds its own.

    Args:
        config: of `algorithms.policy_evaluation.config`, or anything with `build(samples)`.
        samples: transitions to draw in all.

    Raises:
        ConfigurationError: the budget is too small for the method, or the configuration builds no estimator.
    """
    build = getattr(config, "build", None)
    if build is None:
        raise ConfigurationError(f"{type(config).__name__} is no estimator; give it a method build(samples).")
    return build(samples)


@build_estimator.register
def _(config: VRTDConfig, samples: int) -> Estimator:
    return VRTD(config, samples)


@build_estimator.register
def _(config: TDConfig, samples: int) -> Estimator:
    return TD(config, samples)


@build_estimator.register
def _(config: LSTDConfig, samples: int) -> Estimator:
    return LSTD(config, samples)


@build_estimator.register
def _(config: MonteCarloConfig, samples: int) -> Estimator:
    return MonteCarlo(config, samples)
