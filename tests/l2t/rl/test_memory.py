"""Memories against a NumPy loop, and what an episode's beginning does to them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.rl.memory import GRU, NoMemory

TIME, ENVS, INPUTS, SIZE = 9, 3, 4, 5
MEMORY = GRU(INPUTS, SIZE)
WEIGHTS = jax.tree.map(lambda x: x + 0.1, MEMORY.init(jax.random.key(0)))
X = jax.random.normal(jax.random.key(1), (TIME, ENVS, INPUTS))
START = jax.random.normal(jax.random.key(2), (ENVS, SIZE))
FIRST = jnp.zeros((TIME, ENVS), bool).at[4, 1].set(True).at[0, 2].set(True)


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def test_the_gru_is_a_loop_over_its_equations() -> None:
    weights = {name: np.asarray(value, np.float64) for name, value in WEIGHTS.items()}
    W, U, b = (np.split(weights[name], 3, axis=-1) for name in "WUb")
    h, expected = np.asarray(START, np.float64), []
    for t in range(TIME):
        x = np.asarray(X[t], np.float64)
        h = np.where(np.asarray(FIRST[t])[:, None], 0.0, h)
        z = _sigmoid(x @ W[0] + h @ U[0] + b[0])
        r = _sigmoid(x @ W[1] + h @ U[1] + b[1])
        c = np.tanh(x @ W[2] + r * (h @ U[2]) + b[2])
        h = z * h + (1.0 - z) * c
        expected.append(np.concatenate([x, h], axis=1))
    carry, y = MEMORY.unroll(WEIGHTS, START, X, FIRST)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(carry, h, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("memory", "weights", "start"), [(MEMORY, WEIGHTS, START), (NoMemory(INPUTS), (), ())])
def test_to_unroll_is_to_step_again_and_again(memory, weights, start) -> None:
    carry, expected = start, []
    for t in range(TIME):
        carry, y = memory.step(weights, carry, X[t], FIRST[t])
        expected.append(y)
    end, unrolled = memory.unroll(weights, start, X, FIRST)
    assert unrolled.shape == (TIME, ENVS, memory.outputs)
    np.testing.assert_allclose(unrolled, jnp.stack(expected), atol=1e-6)
    for one, other in zip(jax.tree.leaves(end), jax.tree.leaves(carry), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_episode_that_begins_in_the_middle_is_an_episode_of_its_own() -> None:
    _, y = MEMORY.unroll(WEIGHTS, START, X, FIRST)
    _, alone = MEMORY.unroll(WEIGHTS, MEMORY.start(ENVS), X[4:], jnp.zeros_like(FIRST[4:]))
    np.testing.assert_allclose(y[4:, 1], alone[:, 1], atol=1e-6)


def test_no_gradient_crosses_the_beginning_of_an_episode() -> None:
    def later(x, start):
        return MEMORY.unroll(WEIGHTS, start, x, FIRST)[1][4:].sum(axis=(0, 2))

    gradient, to_start = jax.jacobian(later, argnums=(0, 1))(X, START)
    np.testing.assert_array_equal(gradient[1, :4, 1], 0.0)  # environment 1 begins anew at step 4
    np.testing.assert_array_equal(to_start[1], 0.0)
    np.testing.assert_array_equal(to_start[2], 0.0)
    assert float(jnp.abs(gradient[0, :4, 0]).min()) > 0.0
    assert float(jnp.abs(to_start[0, 0]).max()) > 0.0
