"""Keys of random numbers."""

from __future__ import annotations

import jax
from jaxtyping import Array, Key

_BEYOND = 0x80000000
"""Where no `split` comes to."""


def aside(key: Key[Array, ""]) -> Key[Array, ""]:
    """A key that is none of those which `split(key, n)` gives, for whatever is drawn beside them.

    `fold_in(key, i)` is no such key: JAX's generator makes it `split(key, n)[i]`, and what is drawn from the two is the
    same number.
    """
    return jax.random.fold_in(key, _BEYOND)
