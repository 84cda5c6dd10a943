"""What an off-policy learner has learnt, and what it counts."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, PyTree

from algorithms.replay.networks import Critics
from algorithms.replay.warm_up import INHERITED
from algorithms.reset_cost import ResetCost
from l2t.rl.normaliser import Normaliser


@struct.dataclass
class Weights:
    """What the updates of an iteration move; `log_temperature` only where none is fixed."""

    actor: PyTree
    critics: Critics
    log_temperature: Float[Array, ""]
    optimisers: dict[str, PyTree]
    gain: Float[Array, ""]


@struct.dataclass
class ReplayState:
    """Weights, the normaliser that actor and critics share, the cost of a reset, and counters.

    Attributes:
        reset_cost: c.
        reward_rate: exponential average of what the policy earns, without entropy; logged, never learnt from.
        iteration: the counter of `WarmUp`.
    """

    weights: Weights
    normaliser: Normaliser
    reset_cost: ResetCost
    reward_rate: Float[Array, ""]
    iteration: Int[Array, ""]

    def as_heir(self) -> ReplayState:
        """See `Heir`."""
        return replace(self, iteration=jnp.full_like(self.iteration, INHERITED))
