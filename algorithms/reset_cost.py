"""A reset cost that finds itself: it rises until few steps are resets.

    max_π ρ(π)  subject to  (share of steps that terminate) <= ε,

whose multiplier is the cost c: c <- max(0, c + Adam(share - ε)). The share is an exponential average over the steps
that were just collected, hence of the policy of now.

Source: the constraint and its multiplier are those of RVI-SAC, Hisaki and Ono, arXiv 2408.01972. There the share comes
from a critic of its own, since nothing but old steps is used; steps that are fresh need none.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, PyTree

from algorithms.config import SPMDConfig, SPMDVRTDConfig
from algorithms.replay.config import AverageRewardReplayConfig

AVERAGING = 0.1
"""Step of the exponential average of the share of resets, once a batch of weight 1."""


@struct.dataclass
class ResetCost:
    """The cost, the share of resets and Adam's moments."""

    cost: Float[Array, ""]
    rate: Float[Array, ""]
    optimiser: PyTree

    @classmethod
    def create(cls, cost: float) -> ResetCost:
        """From the task's own cost on."""
        start = jnp.asarray(cost, jnp.float32)
        return cls(start, jnp.zeros(()), optax.adam(1.0).init(start))

    def update(
        self, terminated: Bool[Array, "time env"], allowed: float, step: float, weight: float = 1.0
    ) -> ResetCost:
        """After a batch of fresh steps.

        Args:
            terminated: where it reset.
            allowed: ε.
            step: Adam's, in reward units.
            weight: how many batches this one counts as; 16 of a sixteenth move the cost and the averages as one does.
        """
        averaging = 1.0 - (1.0 - AVERAGING) ** weight
        adam = optax.adam(step * weight, b1=0.9**weight, b2=0.999**weight)
        rate = self.rate + averaging * (terminated.mean() - self.rate)
        change, optimiser = adam.update(allowed - rate, self.optimiser)
        return ResetCost(jnp.maximum(self.cost + jnp.asarray(change), 0.0), rate, optimiser)


def free_resets(config: object, reset_cost: float, path: str = "algorithm") -> dict[str, str]:
    """What a learner without a discount has to tell of episodes that end where that costs nothing; see
    `Algorithm.warnings`.

    Args:
        config: of the learner; one that discounts has nothing to tell, nor has one whose cost adapts.
        reset_cost: of the task.
        path: where the configuration is on the command line.
    """
    averages = isinstance(config, SPMDConfig | SPMDVRTDConfig | AverageRewardReplayConfig)
    if not averages or reset_cost > 0.0 or getattr(config, "adapt_reset_cost", False):
        return {}
    adapts = "" if isinstance(config, SPMDVRTDConfig) else f", or {path}.adapt_reset_cost=true"
    return {
        "train/terminations": "episodes end early, and a reset costs nothing: without a discount a fall is then a mere "
        "detour through the start states, and may be learnt on purpose. Say what an end costs, in reward units, with "
        f"env.reset_cost (reset_cost in the spec of an environment of your own){adapts}; where an end is the aim, "
        "leave it as it is."
    }
