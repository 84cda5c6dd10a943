"""The optimisation loop that learners share, and the few operations around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

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
    """The `bounded_adam` of policies and their critics, which shuffled passes over fresh batches train.

    Args:
        settings: step, schedule, bound, and the updates of an iteration.
        iterations: length of the run, at whose end a linear schedule reaches zero.
        more: updates of an iteration beside its passes over the batch.
    """
    updates = iterations * (settings.epochs * settings.minibatches + more)
    linear = settings.learning_rate_schedule == "linear"
    return bounded_adam(settings.learning_rate, settings.max_grad_norm, updates if linear else None, eps=POLICY_EPSILON)


POLICY_EPSILON = 1e-5
"""Adam's ε of on-policy learners, as PPO's implementations have it: larger than Adam's own, so that weights whose
gradients have all but vanished stay where they are, instead of moving by a whole step on noise."""


def bounded_adam(
    rate: float, max_grad_norm: float, updates: int | None = None, *, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam behind a bound on the gradient's norm, on one flat vector: many small arrays would cost more.

    Args:
        rate: the first step.
        max_grad_norm: the bound.
        updates: after which the step has fallen to zero, linearly; None for one that stays.
        eps: ε of m / (√v + ε). The default is that of Kingma and Ba (arXiv 1412.6980); clones and learned rewards,
            whose results were measured with it, keep it.
    """
    step = rate if updates is None else optax.linear_schedule(rate, 0.0, updates)
    return optax.flatten(optax.chain(optax.clip_by_global_norm(max_grad_norm), optax.adam(step, eps=eps)))


Loss = Callable[[PyTree, PyTree], tuple[Float[Array, ""], Any]]
"""`(weights, minibatch) -> (loss, what is told of it)`, such as metrics."""


def descend(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    weights: PyTree,
    optimiser_state: PyTree,
    minibatches: PyTree,
    length: int | None = None,
) -> tuple[PyTree, PyTree, Any]:
    """An update on each of `minibatches`, in turn.

    Args:
        minibatches: leaves `[update, ...]`: rows, or what `loss` finds its rows by, such as keys.
        length: how many updates, where there is nothing to tell them apart and `minibatches` is None.

    Returns:
        Weights, optimiser state and what was told of each loss, `[update]`.
    """

    def update(carry: tuple[PyTree, PyTree], minibatch: PyTree) -> tuple[tuple[PyTree, PyTree], Any]:
        weights, optimiser_state = carry
        gradient, told = jax.grad(loss, has_aux=True)(weights, minibatch)
        updates, optimiser_state = optimiser.update(gradient, optimiser_state, weights)
        return (optax.apply_updates(weights, updates), optimiser_state), told

    (weights, optimiser_state), told = jax.lax.scan(update, (weights, optimiser_state), minibatches, length)
    return weights, optimiser_state, told


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

    def loss_of(weights: PyTree, rows: Array) -> tuple[Float[Array, ""], Metrics]:
        return loss(weights, jax.tree.map(lambda x: x[rows], batch))

    def epoch(carry: tuple[PyTree, PyTree], key: Key[Array, ""]) -> tuple[tuple[PyTree, PyTree], Metrics]:
        rows = jax.random.permutation(key, size).reshape(minibatches, -1)
        weights, optimiser_state, metrics = descend(loss_of, optimiser, *carry, rows)
        return (weights, optimiser_state), metrics

    (weights, optimiser_state), metrics = jax.lax.scan(epoch, (weights, optimiser_state), jax.random.split(key, epochs))
    return weights, optimiser_state, jax.tree.map(lambda x: x[-1].mean(), metrics)


def update_one(
    optimiser: optax.GradientTransformation,
    states: Mapping[str, PyTree],
    name: str,
    weights: PyTree,
    gradient: PyTree,
) -> tuple[PyTree, dict[str, PyTree]]:
    """A single step of one of several networks whose optimisers' states stand side by side.

    Args:
        optimiser: of this network.
        states: of the optimisers of all of them, by name.
        name: which network it is.
        weights, gradient: its weights, and the slope of its loss in them.

    Returns:
        Its weights, and the states with its own moved on.
    """
    updates, state = optimiser.update(gradient, states[name], weights)
    return optax.apply_updates(weights, updates), {**states, name: state}


def flatten_time(tree: PyTree) -> PyTree:
    """`[time, env, ...]` leaves to `[time * env, ...]`."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
