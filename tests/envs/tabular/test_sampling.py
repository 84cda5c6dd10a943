"""Draws against the distributions they come from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from envs.tabular.exact import evaluate
from envs.tabular.families import garnet, ring, river_swim
from envs.tabular.sampling import GenerativeSource, MarkovSource, Sampler


def _policy(mdp, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(mdp.num_actions), mdp.num_states)


def _markov(mdp, policy, **options):
    return MarkovSource.create(Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32), **options)


def test_independent_draws_follow_their_distributions() -> None:
    mdp = garnet(8, 3, 3, seed=2)
    policy = _policy(mdp)
    weight = evaluate(mdp, policy).stationary[:, None] * policy
    source = GenerativeSource.create(Sampler.create(mdp, policy), jnp.asarray(policy), weight.reshape(-1))
    draws = 60_000
    _, batch = source.draw(source.init(jax.random.key(0)), jax.random.key(1), draws)
    pairs = np.bincount(batch.pair, minlength=24)
    assert chisquare(pairs, draws * weight.reshape(-1)).pvalue > 1e-3
    pair = int(pairs.argmax())
    following = np.asarray(batch.next_pair)[np.asarray(batch.pair) == pair]
    expected = mdp.pair_chain(policy)[pair]
    counts = np.bincount(following, minlength=24)
    assert counts[expected == 0.0].sum() == 0
    assert chisquare(counts[expected > 0.0], len(following) * expected[expected > 0.0]).pvalue > 1e-3
    np.testing.assert_allclose(batch.reward, mdp.reward.reshape(-1)[batch.pair], rtol=1e-6)


def test_a_stream_is_one_path_whose_averages_are_those_of_the_chain() -> None:
    mdp = river_swim()
    policy = np.tile([0.3, 0.7], (6, 1))
    source = _markov(mdp, policy)

    def stream(key):
        start, key = jax.random.split(key)
        return source.draw(source.init(start), key, 4000)[1]

    found = jax.jit(jax.vmap(stream))(jax.random.split(jax.random.key(1), 64))
    np.testing.assert_array_equal(found.pair[:, 1:], found.next_pair[:, :-1])
    exact = evaluate(mdp, policy)
    per_path = np.asarray(found.reward[:, 500:]).mean(1)
    assert per_path.mean() == pytest.approx(exact.reward_rate, abs=float(4.0 * per_path.std() / 8.0))
    visits = np.bincount(np.asarray(found.pair[:, 500:]).ravel() // 2, minlength=6) / found.pair[:, 500:].size
    np.testing.assert_allclose(visits, exact.stationary, atol=0.02)


def test_a_stream_goes_on_where_it_stopped() -> None:
    mdp = garnet(6, 2, 2)
    source = _markov(mdp, mdp.uniform_policy())
    state, first = source.draw(jnp.asarray(3), jax.random.key(0), 10)
    _, second = source.draw(state, jax.random.key(1), 10)
    assert int(first.pair[0]) == 3
    assert int(second.pair[0]) == int(first.next_pair[-1])


def test_exploring_changes_who_acts_and_not_whose_value_it_is() -> None:
    """The chain of the pairs is that of the perturbed policy; a' is drawn from the policy itself."""
    mdp = garnet(6, 3, 3, teleport=0.1, seed=1)
    policy, share = _policy(mdp, 3), 0.4
    source = _markov(mdp, policy, exploration=share)
    _, stream = source.draw(jnp.asarray(0), jax.random.key(2), 200_000)
    acting = (1.0 - share) * policy + share / 3
    weight = (evaluate(mdp, acting).stationary[:, None] * acting).reshape(-1)
    np.testing.assert_allclose(np.bincount(stream.pair, minlength=18) / 200_000, weight, atol=0.006)
    pairs, following = np.asarray(stream.pair), np.asarray(stream.next_pair)
    for pair in np.argsort(-weight)[:4]:
        found = np.bincount(following[pairs == pair], minlength=18) / (pairs == pair).sum()
        np.testing.assert_allclose(found, mdp.pair_chain(policy)[pair], atol=0.02)


def test_the_reward_of_a_stream_has_paid_the_regulariser() -> None:
    mdp = garnet(5, 3, 2)
    policy = _policy(mdp, 1)
    source = _markov(mdp, policy, entropy=0.5)
    expected = mdp.reward - 0.5 * (policy * np.log(policy)).sum(1, keepdims=True)
    np.testing.assert_allclose(source.reward, expected.reshape(-1), rtol=1e-5)


def test_what_has_no_probability_is_never_drawn() -> None:
    """Also where rounding leaves the sum of a row just below 1."""
    mdp = ring(7, 1.0)
    source = _markov(mdp, np.tile([1.0, 0.0], (7, 1)))
    state, stream = source.draw(jnp.asarray(0), jax.random.key(0), 70)
    assert int(state) == 0
    np.testing.assert_array_equal(stream.pair % 2, 0)
    np.testing.assert_array_equal(stream.next_pair // 2, (stream.pair // 2 - 1) % 7)
    assert np.all(np.asarray(Sampler.create(garnet(), garnet().uniform_policy()).cumulative[..., -1]) == 2.0)


def test_a_policy_set_inside_a_program_is_the_one_set_outside() -> None:
    mdp = garnet(5, 4, 2)
    policy = _policy(mdp, 5)
    policy[0] = [0.5, 0.5, 0.0, 0.0]
    outside = Sampler.create(mdp, policy)
    inside = jax.jit(Sampler.create(mdp, mdp.uniform_policy()).with_policy)(jnp.asarray(policy))
    np.testing.assert_allclose(inside.policy, outside.policy, atol=1e-6)
