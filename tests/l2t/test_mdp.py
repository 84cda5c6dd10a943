"""What a chain earns, against two states in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.mdp import poisson_system, solve_poisson


def two_states(p, q):
    """Leaves 0 with probability p and 1 with q; one action."""
    return jnp.array([[[1.0 - p, p]], [[q, 1.0 - q]]])


@pytest.mark.parametrize(("p", "q"), [(0.3, 0.2), (1.0, 1.0), (0.0, 0.5)])
def test_two_states_in_closed_form(p, q):
    """ν = (q, p)/(p + q), V(1) - V(0) = (r(1) - r(0))/(p + q); also of a periodic chain and of a transient state."""
    reward = jnp.array([1.0, 4.0])
    found = jax.jit(lambda r: solve_poisson(poisson_system(two_states(p, q), jnp.ones((2, 1))), r))(reward)
    stationary = np.array([q, p]) / (p + q)
    value = np.array([0.0, 3.0 / (p + q)])
    np.testing.assert_allclose(found.stationary, stationary, atol=1e-6)
    np.testing.assert_allclose(found.rate, stationary @ reward, rtol=1e-5)
    np.testing.assert_allclose(found.value, value - stationary @ value, atol=1e-5)


def test_the_chain_is_that_of_the_policy_and_the_rate_is_linear_in_the_reward():
    """Staying and changing over: mixed with ½ each the chain is at home everywhere; dρ/dr = ν."""
    transition = jnp.stack([jnp.eye(2), 1.0 - jnp.eye(2)], axis=1)
    system = poisson_system(transition, jnp.array([[0.5, 0.5], [0.25, 0.75]]))
    np.testing.assert_allclose(system, [[1.5, 0.5], [0.25, 1.75]], atol=1e-6)
    slope = jax.grad(lambda reward: solve_poisson(system, reward).rate)(jnp.array([1.0, -2.0]))
    np.testing.assert_allclose(slope, np.array([0.75, 0.5]) / 1.25, rtol=1e-5)
