"""Did VRTD's epochs settle? On a chain that mixes slowly its inner steps can carry every anchor away from the solution.

The correction ĝ is applied at every inner step; what answers it, g(θ_t, ξ) - g(θ̃, ξ), only where the chain happens
to be. So within a mixing time θ drifts by η ĝ a step, and where that is too far the next anchor is worse than the last.
It shows without knowing the answer: ĝ(θ̃), the mean of g over the transitions of an epoch at its anchor, is the
residual of the equation that VRTD solves. It is held against two others over the same transitions: ĝ(0), that of θ = 0,
and that of the anchor before. Sound epochs lower it until only the noise of these transitions is left, which is known
from how much their blocks differ; below twice that nothing grows.
"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Array, Float

from algorithms.policy_evaluation.config import VRTDConfig
from algorithms.policy_evaluation.problem import BLOCK, EvaluationWarning

WORSE = 3.0
"""Warn of anchors whose residual is this many times that of θ = 0. Sound runs stay near 1, below 2.6 on the hardest
processes tried (river_swim(10), skip=5); those that end far off reach 4 to 1e13."""

GROWN = 3.0
"""Warn of anchors whose residual is this many times that of the anchor before. Sound runs stay below 1.6, or 2.7 in a
second epoch of few transitions; those that end far off reach 3 to 5 in an epoch."""


class StabilityWarning(EvaluationWarning):
    """The epochs of VRTD led away from the solution."""


def check_stability(
    misfit: Float[Array | np.ndarray, "*runs epochs"] | None,
    config: VRTDConfig,
    growth: Float[Array | np.ndarray, "*runs epochs"] | None = None,
) -> float:
    """The largest ‖ĝ(θ̃)‖/‖ĝ(0)‖ of any epoch, and of any run if there are several.

    Warns where it is above 3, and where the residual grew more than threefold from one anchor to the next.

    Args:
        misfit: of what `VRTD.run` gave, or of all iterations of a `vrtd_critic`; None, from a method without epochs, is
            sound.
        config: what it was run with, for the advice.
        growth: of the same, ‖ĝ(θ̃_k)‖/‖ĝ(θ̃_{k-1})‖ above the noise; None leaves the second check out.

    Returns:
        The ratio: near 1 or below where every anchor improves on θ = 0, infinite after an overflow.
    """
    if misfit is None:
        return 0.0
    worst, grown = _largest(misfit), _largest(misfit if growth is None else growth)
    unstable = (worst > WORSE) | ((grown > GROWN) & (growth is not None))
    if unstable.any():
        runs = f" in {unstable.sum()} of {len(worst)} runs" if len(worst) > 1 else ""
        against = f"up to {worst.max():.1e} times worse than θ = 0"
        if growth is not None and grown.max() > GROWN:
            against += f" and {grown.max():.1e} times worse than the anchor before it"
        slower = f"step_size={config.step_size / 5:.2g}"
        cure = slower if config.skip is None else f"skip={min(10 * config.skip, BLOCK)} or {slower}"
        warnings.warn(
            f"The epochs are unstable{runs}: an anchor solves its transitions {against}. The inner steps are too long, "
            f"or closer together than the chain mixes in: give {cure}.",
            StabilityWarning,
            stacklevel=2,
        )
    return float(worst.max())


def _largest(ratio: Float[Array | np.ndarray, "*runs epochs"]) -> Float[np.ndarray, " run"]:
    """Of each run; infinite where a number overflowed."""
    ratio = np.asarray(ratio, np.float64)
    return np.where(np.isfinite(ratio), ratio, np.inf).reshape(-1, ratio.shape[-1]).max(-1)
