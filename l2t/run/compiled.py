"""Programs of a run: one that is compiled once and called a million times, and one that is called once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree


def compile_iteration(iterate: Callable[[PyTree], Any], state: PyTree) -> Callable[[PyTree], Any]:
    """Compile one iteration, donating its state, ahead of time: it cannot be traced or compiled a second time.

    Raises:
        TypeError: the state that comes out differs in structure, shape or type from the one that goes in.
    """
    lowered = jax.jit(iterate, donate_argnums=0).lower(state)
    after = lowered.out_info[0]
    before, result = jax.tree.structure(state), jax.tree.structure(after)
    if before != result:
        raise TypeError(f"iterate changes the structure of its state: {before} becomes {result}.")
    for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise TypeError(
                f"iterate changes state{jax.tree_util.keystr(path)}: "
                f"{old.dtype}{list(old.shape)} becomes {new.dtype}{list(new.shape)}."
            )
    return lowered.compile()


def run_once(function: Callable[[Any], PyTree], argument: Any) -> PyTree:
    """Call a function that will not be called again: compiling it fast matters more than running it fast."""
    options: dict[str, str | bool] = {}
    if jax.default_backend() == "cpu":
        options["xla_backend_optimization_level"] = "0"
    return jax.jit(function).lower(argument).compile(compiler_options=options)(argument)


def donatable(state: PyTree, fresh: PyTree) -> PyTree:
    """The state of which every leaf can be given away: memory of its own, a strong type.

    A leaf that has both already stays as it is, so that a large ring is not there twice: one of `fresh`, which nobody
    else holds. Copied is what shares memory with a leaf before it, or belongs to somebody else, such as another run.
    """
    ours = {_place(leaf) for leaf in jax.tree.leaves(fresh)} - {None}

    def own(leaf: Array) -> Array:
        place, key = _place(leaf), jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        if place in ours and (key or not leaf.weak_type):
            ours.remove(place)
            return leaf
        return jnp.copy(leaf) if key else jnp.array(leaf, dtype=leaf.dtype, copy=True)

    return jax.tree.map(own, state)


def _place(leaf: Array) -> int | None:
    """Where the leaf lies; None for one that lies nowhere."""
    return leaf.unsafe_buffer_pointer() if leaf.size else None
