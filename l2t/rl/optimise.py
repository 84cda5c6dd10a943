"""The optimisation loop that learners share, and the few operations around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import jax
import optax
from jaxtyping import Array, Float, Key, PyTree

from l2t.rl.types import Metrics


class OptimiserSettings(Protocol):
    """The part of a configuration that `adam` reads."""

    @property
    def learning_rate(self) -> float:
        """Adam's step."""
        ...

    @property
    def learning_rate_schedule(self) -> str:
        """`linear` or `constant`."""
        ...

    @property
    def max_grad_norm(self) -> float:
        """Bound on the gradient's norm."""
        ...

    @property
    def epochs(self) -> int:
        """Passes over a batch."""
        ...

    @property
    def minibatches(self) -> int:
        """Updates in each pass."""
        ...


def adam(settings: OptimiserSettings, iterations: int, more: int = 0) -> optax.GradientTransformation:
    """Adam behind a bound on the gradient's norm, on one flat vector: many small arrays would cost more.

    Args:
        settings: step, schedule, bound, and the updates of an iteration.
        iterations: length of the run, at whose end a linear schedule reaches zero.
        more: updates of an iteration beside its passes over the batch.
    """
    rate = settings.learning_rate
    if settings.learning_rate_schedule == "linear":
        rate = optax.linear_schedule(rate, 0.0, iterations * (settings.epochs * settings.minibatches + more))
    return optax.flatten(optax.chain(optax.clip_by_global_norm(settings.max_grad_norm), optax.adam(rate, eps=1e-5)))


Loss = Callable[[PyTree, PyTree], tuple[Float[Array, ""], Metrics]]
"""`(weights, minibatch) -> (loss, metrics)`."""


def minimise(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    weights: PyTree,
    optimiser_state: PyTree,
    batch: PyTree,
    key: Key[Array, ""],
    epochs: int,
    minibatches: int,
) -> tuple[PyTree, PyTree, Metrics]:
    """Stochastic gradient descent: `epochs` shuffled passes over `batch` in `minibatches` parts each.

    Args:
        batch: a pytree whose leaves share their leading axis.

    Returns:
        Weights, optimiser state and the metrics' means over the last pass.
    """
    size = jax.tree.leaves(batch)[0].shape[0]

    def update(carry: PyTree, rows: Array) -> tuple[PyTree, Metrics]:
        weights, optimiser_state = carry
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        gradient, metrics = jax.grad(loss, has_aux=True)(weights, minibatch)
        updates, optimiser_state = optimiser.update(gradient, optimiser_state, weights)
        return (optax.apply_updates(weights, updates), optimiser_state), metrics

    def epoch(carry: PyTree, key: Key[Array, ""]) -> tuple[PyTree, Metrics]:
        rows = jax.random.permutation(key, size).reshape(minibatches, -1)
        return jax.lax.scan(update, carry, rows)

    (weights, optimiser_state), metrics = jax.lax.scan(epoch, (weights, optimiser_state), jax.random.split(key, epochs))
    return weights, optimiser_state, jax.tree.map(lambda x: x[-1].mean(), metrics)


def flatten_time(tree: PyTree) -> PyTree:
    """`[time, env, ...]` leaves to `[time * env, ...]`."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
