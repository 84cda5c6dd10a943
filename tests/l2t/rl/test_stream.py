"""Streams of a policy, stored ones, and Monte-Carlo values, on environments whose answers are known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.features import FourierFeatures
from algorithms.policy_evaluation.build import build_estimator
from algorithms.policy_evaluation.config import LSTDConfig
from algorithms.policy_evaluation.problem import Problem
from l2t.errors import ConfigurationError
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.stream import Endless, PolicySource, StoredSource, differential_returns
from l2t.rl.transitions import PairTransitions
from l2t.rl.vector import VectorEnvironment
from tests.support.probes import Probe, two_state_cycle

STD = 0.1


def _proportional(observation):
    """Mean 0.3 tanh(first coordinate)."""
    return DiagonalGaussian(0.3 * jnp.tanh(observation["teacher"][:, :1]), jnp.log(jnp.full(1, STD)))


def _source(probe, num_envs=4, exploration=0.0, distribution=_proportional):
    return PolicySource(VectorEnvironment(probe, num_envs), distribution, lambda o: o["teacher"] / 10.0, exploration)


def _draw(source, length, seed=0):
    """Transitions as `[env, time, ...]` NumPy arrays."""
    state = jax.jit(source.init)(jax.random.key(seed))
    _, batch = jax.jit(source.draw, static_argnums=2)(state, jax.random.key(seed + 1), length)
    count = source.vector.num_envs
    return jax.tree.map(lambda x: np.asarray(x).reshape(count, -1, *x.shape[1:]), batch)


def _counting(**options):
    """The memory counts up from a start in [100, 200) and pays itself; divisible by 8 ends the episode."""
    return Probe(
        lambda key: 8.0 * jax.random.randint(key, (1,), 13, 25).astype(jnp.float32) + 1.0,
        lambda key, memory, action: (memory + 1.0, memory[0], jnp.mod(memory[0] + 1.0, 8.0) == 0.0),
        **options,
    )


def test_a_termination_leads_to_the_next_episodes_first_state_and_pays_the_cost() -> None:
    batch = _draw(_source(_counting(episode_length=10_000, reset_cost=50.0)), 4 * 60)
    state, following = 10.0 * batch.pair[..., 0], 10.0 * batch.next_pair[..., 0]
    ends = np.isclose(np.mod(state + 1.0, 8.0), 0.0, atol=1e-3) | np.isclose(np.mod(state + 1.0, 8.0), 8.0, atol=1e-3)
    assert ends.sum() > 20
    np.testing.assert_allclose(batch.reward, state - 50.0 * ends, rtol=1e-5)
    np.testing.assert_allclose(following[~ends], state[~ends] + 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.mod(following[ends], 8.0), 1.0, atol=1e-3)
    np.testing.assert_array_equal(batch.next_pair[:, :-1], batch.pair[:, 1:])


def test_a_time_limit_leads_to_the_true_successor_with_an_action_of_its_own() -> None:
    endless_counting = Probe(
        lambda key: jax.random.randint(key, (1,), 100, 200).astype(jnp.float32),
        lambda key, memory, action: (memory + 1.0, 1.0, False),
        episode_length=5,
        reset_cost=50.0,
    )
    batch = _draw(_source(endless_counting), 4 * 50)
    np.testing.assert_allclose(10.0 * batch.next_pair[..., 0], 10.0 * batch.pair[..., 0] + 1.0, rtol=1e-5)
    np.testing.assert_array_equal(batch.reward, 1.0)
    restarts = np.abs(batch.next_pair[:, :-1, 0] - batch.pair[:, 1:, 0]) > 1e-4
    assert 30 <= restarts.sum() <= 40
    assert (batch.next_pair[:, :-1, 1] != batch.pair[:, 1:, 1])[restarts].all()
    # Without its limit the same environment never restarts.
    batch = _draw(_source(Endless(endless_counting)), 4 * 50)
    np.testing.assert_array_equal(batch.next_pair[:, :-1], batch.pair[:, 1:])


def test_a_termination_at_the_time_limit_is_a_termination() -> None:
    """Each episode but the first, whose clock is staggered, ends by itself in its seventh and last step."""
    batch = _draw(_source(_counting(episode_length=7, reset_cost=50.0)), 4 * 60)
    state, following = 10.0 * batch.pair[:, 7:, 0], 10.0 * batch.next_pair[:, 7:, 0]
    ends = np.mod(np.round(state) + 1.0, 8.0) == 0.0
    assert ends.sum() > 20
    np.testing.assert_allclose(np.mod(following[ends], 8.0), 1.0, atol=1e-3)
    np.testing.assert_allclose(batch.reward[:, 7:], state - 50.0 * ends, rtol=1e-5)
    np.testing.assert_array_equal(batch.next_pair[:, 7:-1], batch.pair[:, 8:])


def test_actions_follow_the_policy_and_taken_ones_explore() -> None:
    batch = _draw(_source(Endless(two_state_cycle()), 8, exploration=0.25), 8 * 2000)
    state = np.round(10.0 * batch.next_pair[..., 0])
    noise = (batch.next_pair[..., 1] - 0.3 * np.tanh(state)) / STD
    assert abs(noise.mean()) < 0.04
    assert noise.std() == pytest.approx(1.0, abs=0.03)
    explored = batch.next_pair[:, :-1, 1] != batch.pair[:, 1:, 1]
    np.testing.assert_array_equal(batch.next_pair[:, :-1, 0], batch.pair[:, 1:, 0])
    assert explored.mean() == pytest.approx(0.25, abs=0.02)
    uniform = batch.pair[:, 1:, 1][explored]
    assert (uniform.min(), uniform.max()) == pytest.approx((-1.0, 1.0), abs=0.01)
    assert uniform.std() == pytest.approx(3**-0.5, abs=0.02)


def test_actions_are_clipped_as_the_environment_clips_them() -> None:
    def wide(observation):
        return DiagonalGaussian(jnp.zeros((observation["teacher"].shape[0], 1)), jnp.log(jnp.full(1, 3.0)))

    echo = Probe(lambda key: jnp.zeros(1), lambda key, memory, action: (memory, action, False))
    batch = _draw(_source(echo, distribution=wide), 400)
    assert (np.abs(batch.pair[..., 1]) == 1.0).mean() > 0.5
    np.testing.assert_allclose(batch.reward, 2.0 * batch.pair[..., 1], rtol=1e-5)  # the range is [-2, 2]


def test_a_length_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be shared out among 4"):
        _draw(_source(two_state_cycle()), 30)


def test_stores_are_read_in_order_and_side_by_side() -> None:
    numbers = jnp.arange(10.0)
    first, second = (StoredSource(PairTransitions(x, x, x), i, 2) for i, x in enumerate((numbers, -numbers)))
    state = first.init(jax.random.key(0))
    read = []
    for source in (first, second, first):
        state, batch = source.draw(state, jax.random.key(0), 3)
        read.append(np.asarray(batch.reward).tolist())
    assert read == [[0.0, 1.0, 2.0], [0.0, -1.0, -2.0], [3.0, 4.0, 5.0]]


DECAY, GAIN = 0.8, 0.5


def _linear_quadratic():
    """s' = 0.8 s + 0.5 (2 a) + 0.1 noise, r = s² under a = -0.2 s + 0.1 noise: quadratic values."""

    def advance(key, memory, action):
        noise = 0.1 * jax.random.normal(key, (1,))
        return DECAY * memory + GAIN * action + noise, memory[0] ** 2, False

    return Endless(Probe(lambda key: jax.random.normal(key, (1,)), advance))


def _linear(observation):
    return DiagonalGaussian(-0.2 * observation["teacher"], jnp.log(jnp.full(1, STD)))


def _exact_value(state, action):
    """Q(s, a) = s² + P E[s'²] + const with P = 1/(1 - c²), c the closed loop's factor: V(s) = P s² + const."""
    closed = DECAY - 2.0 * GAIN * 0.2
    return state**2 + (DECAY * state + 2.0 * GAIN * action) ** 2 / (1.0 - closed**2)


def test_least_squares_on_a_stream_finds_the_quadratic_values_of_a_linear_system() -> None:
    vector = VectorEnvironment(_linear_quadratic(), 50)
    source = PolicySource(vector, _linear, lambda o: 6.0 * o["teacher"])
    features = FourierFeatures.create(jax.random.key(3), 2, 60, 1.0)
    estimator = build_estimator(LSTDConfig(ridge=1e-2), 100_000)
    estimate = jax.jit(lambda key: estimator.run(Problem(features, source), key))(jax.random.key(0))
    pair = _draw(source, 5000, seed=7).pair[:, 20:].reshape(-1, 2)
    found = np.asarray(features.value(estimate.theta[-1], jnp.asarray(pair)))
    exact = _exact_value(pair[:, 0] / 6.0, pair[:, 1])
    assert np.corrcoef(found, exact)[0, 1] > 0.98
    assert np.var(found - exact) < 0.04 * np.var(exact)
    # The stationary variance is that of s' = 0.6 s + 0.1 ε + 0.1 noise: actions of ±1 are torques of ±2.
    assert float(estimate.reward_rate[-1]) == pytest.approx(0.02 / (1.0 - 0.6**2), rel=0.05)


def test_monte_carlo_values_are_those_of_the_linear_system_within_their_errors() -> None:
    state, action = np.meshgrid(np.linspace(-1.0, 1.0, 5), np.array([-0.4, 0.4]))
    state, action = state.ravel(), action.ravel()
    replicates = 400
    source = PolicySource(VectorEnvironment(_linear_quadratic(), 10 * replicates), _linear, lambda o: o["teacher"])
    start = jax.jit(source.init)(jax.random.key(0)).environments.environment
    memory = jnp.asarray(np.repeat(state, replicates)[:, None], jnp.float32)
    start = start.replace(observation={"teacher": memory, "student": memory}, extras=memory)
    first = jnp.asarray(np.repeat(action, replicates)[:, None], jnp.float32)
    rate = jnp.asarray(0.02 / (1.0 - 0.6**2))
    sample = jax.jit(differential_returns, static_argnames=("source", "horizon"))
    found = np.asarray(sample(source, start, first, rate, jax.random.key(1), horizon=60)).reshape(10, replicates)
    mean, error = found.mean(1), found.std(1, ddof=1) / replicates**0.5
    # Σ (r - ρ) from (s, a) is s² - ρ + V(E, Var of s') - E V, with V = P s² and E V = P ρ.
    curvature = 1.0 / (1.0 - 0.6**2)
    exact = _exact_value(state, action) - rate + curvature * (0.01 - rate)
    assert (np.abs(mean - exact) < 4.0 * error + 1e-3).all()


def test_the_next_draw_goes_on_where_the_last_one_stopped() -> None:
    source = _source(Endless(two_state_cycle()))
    draw = jax.jit(source.draw, static_argnums=2)
    state, first = draw(jax.jit(source.init)(jax.random.key(0)), jax.random.key(1), 8)
    second = draw(state, jax.random.key(2), 8)[1]
    np.testing.assert_array_equal(first.next_pair.reshape(4, 2, -1)[:, -1], second.pair.reshape(4, 2, -1)[:, 0])
    state = np.round(10.0 * first.pair[:, 0])
    np.testing.assert_array_equal(first.reward, 2.0 * state)
    np.testing.assert_array_equal(np.round(10.0 * first.next_pair[:, 0]), 1.0 - state)
