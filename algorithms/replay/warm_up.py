"""The warm-up of learners that replay: who acts in it, and when the first update comes.

A counter of iterations tells both. It runs 0, 1, 2, ... from fresh networks: until there is enough to learn from,
actions are nearly uniform. An iteration acts before it learns, so that the one with the first updates is still played
by the untrained actor. From networks that were inherited the counter runs -1, -2, -3, ..., the complement ~k of k: they
act for themselves from the first step on, and no update comes any sooner. So a state of either kind has the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

FRESH, INHERITED = 0, -1
"""Where the counter begins."""


@dataclass(frozen=True)
class WarmUp:
    """Questions to the counter.

    Attributes:
        iterations: before the first update.
    """

    iterations: int

    @classmethod
    def of_steps(cls, steps: int, batch: int) -> WarmUp:
        """At least so many steps, in whole iterations of `batch`."""
        return cls(-(-steps // batch))

    def blind(self, counter: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether actions are uniform."""
        return (counter >= 0) & (counter < self.iterations)

    def over(self, counter: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether there are updates."""
        return made(counter) >= self.iterations

    def learnt(self, counter: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether the networks have been updated, here or where they come from."""
        return (counter < 0) | (counter > self.iterations)


def made(counter: Int[Array, ""]) -> Int[Array, ""]:
    """How many iterations have been made."""
    return jnp.where(counter < 0, ~counter, counter)


def another(counter: Int[Array, ""]) -> Int[Array, ""]:
    """The counter after one more."""
    return jnp.where(counter < 0, counter - 1, counter + 1)
