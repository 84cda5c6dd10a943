"""The optimiser that learners share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algorithms.config import SPMDConfig
from l2t.rl.losses import clipped_surrogate
from l2t.rl.optimise import POLICY_EPSILON, adam, bounded_adam, descend, minimise, update_one


@pytest.mark.parametrize(("schedule", "halfway", "end"), [("constant", 1e-2, 1e-2), ("linear", 0.5e-2, 0.0)])
def test_the_step_follows_its_schedule(schedule: str, halfway: float, end: float) -> None:
    """Under a constant gradient Adam moves by the step itself, so the moves show the schedule."""
    config = SPMDConfig(learning_rate=1e-2, learning_rate_schedule=schedule, epochs=2, minibatches=5)
    optimiser = adam(config, iterations=4)  # 40 updates
    weights = {"w": jnp.zeros(())}
    state = optimiser.init(weights)
    moves = []
    for _ in range(45):
        updates, state = optimiser.update({"w": jnp.asarray(0.3)}, state, weights)
        moves.append(-float(optax.tree.sum(updates)))
    np.testing.assert_allclose([moves[0], moves[20], moves[44]], [1e-2, halfway, end], rtol=1e-3, atol=1e-9)


def test_a_long_gradient_is_shortened_to_the_bound() -> None:
    """Adam divides scale away, so the bound shows in its first moment, 0.1 of the gradient it was given."""
    optimiser = adam(SPMDConfig(max_grad_norm=0.5), iterations=1)
    weights = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    _, state = optimiser.update({"a": jnp.asarray(30.0), "b": jnp.asarray(40.0)}, optimiser.init(weights), weights)
    moment = optax.tree_utils.tree_get(state, "mu")
    np.testing.assert_allclose(moment, [0.1 * 0.3, 0.1 * 0.4], rtol=1e-5)


@pytest.mark.parametrize(("eps", "step"), [(1e-8, 1e-2), (POLICY_EPSILON, 1e-2 / 11.0)])
def test_a_vanishing_gradient_moves_nothing_that_epsilon_holds(eps: float, step: float) -> None:
    """The first step is rate g / (|g| + ε): with |g| = 1e-6 a whole one, or an eleventh."""
    optimiser = bounded_adam(1e-2, max_grad_norm=1.0, eps=eps)
    weights = jnp.zeros(1)
    updates, _ = optimiser.update(jnp.full(1, 1e-6), optimiser.init(weights), weights)
    np.testing.assert_allclose(updates, -step, rtol=2e-2)


def test_descent_is_a_step_on_each_minibatch_in_turn() -> None:
    """w <- w - ½ (w - x): what is told is the loss before each step."""
    rows = np.array([1.0, 3.0, -2.0])
    expected, told, w = [], [], 0.5
    for x in rows:
        told.append(0.5 * (w - x) ** 2)
        w -= 0.5 * (w - x)
        expected.append(w)
    optimiser = optax.sgd(0.5)

    def loss(weights: Any, x: Any) -> Any:
        value = 0.5 * (weights - x) ** 2
        return value, value

    start = jnp.asarray(0.5)
    found, _, losses = descend(loss, optimiser, start, optimiser.init(start), jnp.asarray(rows))
    np.testing.assert_allclose(found, expected[-1], rtol=1e-6)
    np.testing.assert_allclose(losses, told, rtol=1e-6)


def test_descent_without_minibatches_is_as_long_as_it_is_told() -> None:
    optimiser, start = optax.sgd(1.0), jnp.zeros(())
    found, _, told = descend(lambda weights, _: (-weights, None), optimiser, start, optimiser.init(start), None, 7)
    assert float(found) == 7.0
    assert told is None


def test_the_clipped_surrogate_in_closed_form() -> None:
    """Gains stop at the edge of the interval, losses count in full."""
    ratio = jnp.array([0.5, 0.5, 1.0, 2.0, 2.0])
    advantage = jnp.array([1.0, -1.0, 3.0, 1.0, -1.0])
    np.testing.assert_allclose(clipped_surrogate(ratio, advantage, 0.2), [0.5, -0.8, 3.0, 1.2, -2.0], rtol=1e-6)
    np.testing.assert_allclose(clipped_surrogate(ratio, advantage, float("inf")), ratio * advantage)


def test_every_pass_takes_each_row_once_and_the_metrics_are_means_over_the_last_one() -> None:
    """With weights counting what they are shown, three passes show every row three times."""
    rows = jnp.arange(12)
    optimiser = optax.sgd(1.0)

    def loss(weights: Any, batch: Any) -> Any:
        shown = jax.nn.one_hot(batch["row"], 12).sum(axis=0)
        return -(weights * shown).sum(), {"seen": weights.sum(), "row": batch["row"].mean()}

    start = jnp.zeros(12)
    counts, _, metrics = minimise(
        loss, optimiser, start, optimiser.init(start), {"row": rows}, jax.random.key(0), epochs=3, minibatches=4
    )
    np.testing.assert_array_equal(counts, np.full(12, 3.0))
    assert float(metrics["row"]) == pytest.approx(5.5)
    # Before the four updates of the last pass 24, 27, 30 and 33 rows had been shown.
    assert float(metrics["seen"]) == pytest.approx(28.5)


def test_a_step_of_one_network_leaves_the_optimisers_of_the_others_alone() -> None:
    """Plain descent: w - rate g, and Adam's count of one alone moves on."""
    optimisers = {"actor": optax.sgd(0.5), "critic": optax.adam(1e-2)}
    states = {name: optimiser.init(jnp.ones(2)) for name, optimiser in optimisers.items()}
    weights, after = update_one(optimisers["actor"], states, "actor", jnp.ones(2), jnp.array([2.0, -4.0]))
    np.testing.assert_allclose(weights, [0.0, 3.0])
    assert after["critic"] is states["critic"]
    _, after = update_one(optimisers["critic"], after, "critic", jnp.ones(2), jnp.ones(2))
    assert int(optax.tree_utils.tree_get(after["critic"], "count")) == 1
    assert int(optax.tree_utils.tree_get(states["critic"], "count")) == 0
