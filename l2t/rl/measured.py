"""Numbers that some iterations have and others do not: the return of ended episodes, the loss of updates.

One convention for all of them. A metric that is an array counts, whatever it says: NaN among the losses is a
divergence. One that is `Measured` counts where it is known, and elsewhere is left out of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

State = TypeVar("State")


@struct.dataclass
class Measured:
    """A number that there is in some iterations and not in others.

    Attributes:
        value: the number; anything where there is none.
        known: whether there is one.
    """

    value: Float[Array, ""]
    known: Bool[Array, ""]

    def __float__(self) -> float:
        """The number, NaN where there is none."""
        return float(self.value) if self.known else math.nan


def once(
    ready: Bool[Array, ""], update: Callable[[], tuple[State, dict[str, Any]]], state: State
) -> tuple[State, dict[str, Measured]]:
    """What `update` makes of the state and the numbers it gives, once `ready`; before, the state, and no numbers.

    Args:
        ready: whether to.
        update: of this very `state`, to one of the same structure and metrics; their names are asked of it alone.
        state: as it is.
    """
    named = jax.eval_shape(update)[1]
    nothing = jax.tree.map(lambda number: jnp.zeros(number.shape, number.dtype), named)
    state, metrics = jax.lax.cond(ready, update, lambda: (state, nothing))
    return state, {name: Measured(value, ready) for name, value in metrics.items()}
