"""Re-optimisability: does the frozen reward train a fresh policy, or did it only accompany the one it grew up with?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from l2t.errors import L2TError
from l2t.report.statistics import Interval
from l2t.rewards.samples import RESAMPLES, estimates


@dataclass(frozen=True)
class Reoptimisability:
    """True returns of policies trained on a frozen learned reward, beside those that were trained along with it.

    Attributes:
        fresh: mean true return of the fresh policies.
        cotrained: mean true return of the co-trained policies.
        ratio: (fresh - floor) / (co-trained - floor); near 1 the reward alone carries the task, near 0 it died.
        floor: the return that counts as nothing.
    """

    fresh: Interval
    cotrained: Interval
    ratio: Interval
    floor: float


def reoptimisability(fresh: Any, cotrained: Any, *, floor: float = 0.0, seed: int = 0) -> Reoptimisability:
    """Compare true returns, one number a seed, with bootstrap intervals over seeds (either side resampled by itself).

    With fewer than five seeds a side the intervals are too narrow.

    Args:
        fresh: returns of policies trained from scratch on the frozen reward, by seed.
        cotrained: returns of the policies that the reward was trained with, by seed.
        floor: what doing nothing useful earns, such as a random policy's return; 0 flatters a task that pays for
            being alive.
        seed: of the resampling.

    Raises:
        L2TError: there is no finite return, or the co-trained policies do not beat the floor, so there is no ratio.
    """
    ours, theirs = _returns("fresh", fresh), _returns("cotrained", cotrained)
    if theirs.mean() <= floor:
        raise L2TError(
            f"The co-trained policies return {theirs.mean():g} on average, which does not beat the floor of {floor:g}: "
            "there is nothing to compare with."
        )
    rng = np.random.default_rng(seed)
    a, b = (side[rng.integers(len(side), size=(RESAMPLES, len(side)))].mean(1) for side in (ours, theirs))
    # A resample of co-trained policies at the floor is evidence for any ratio.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(b > floor, (a - floor) / (b - floor), np.inf)
    whole = np.array([ours.mean(), theirs.mean(), (ours.mean() - floor) / (theirs.mean() - floor)])
    found = estimates(("fresh", "cotrained", "ratio"), whole, np.column_stack([a, b, ratio]), between=False)
    unknown = [len(ours) < 2, len(theirs) < 2, len(ours) < 2 or len(theirs) < 2]
    intervals = [
        Interval(found[name].estimate, float("nan"), float("nan")) if missing else found[name]
        for name, missing in zip(found.names, unknown, strict=True)
    ]
    return Reoptimisability(*intervals, floor=floor)


def _returns(name: str, returns: Any) -> ndarray:
    values = np.asarray(returns, np.float64).ravel()
    if len(values) == 0 or not np.isfinite(values).all():
        raise L2TError(f"{name} must hold one finite return per seed; it holds {values.tolist()}.")
    return values
