"""Draws against the distributions they come from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from envs.tabular.exact import evaluate
from envs.tabular.families import garnet, ring, river_swim
from envs.tabular.sampling import Sampler, generative_sample, markov_stream


def test_successors_and_actions_follow_their_distributions() -> None:
    mdp = garnet(8, 3, 3, seed=2)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), 8)
    sampler = Sampler.create(mdp, policy)
    draws = 20_000
    batch = generative_sample(sampler, jax.random.key(0), jnp.full(draws, 5), jnp.full(draws, 1))
    possible = mdp.transition[5, 1] > 0.0
    counts = np.bincount(batch.next_state, minlength=8)
    assert counts[~possible].sum() == 0
    assert chisquare(counts[possible], draws * mdp.transition[5, 1][possible]).pvalue > 1e-3
    target = int(np.flatnonzero(possible)[0])
    actions = np.bincount(np.asarray(batch.next_action)[np.asarray(batch.next_state) == target], minlength=3)
    assert chisquare(actions, actions.sum() * policy[target]).pvalue > 1e-3
    np.testing.assert_allclose(batch.reward, mdp.reward[5, 1], rtol=1e-6)


def test_a_stream_is_one_path_whose_averages_are_those_of_the_chain() -> None:
    mdp = river_swim()
    policy = np.tile([0.3, 0.7], (6, 1))
    sampler = Sampler.create(mdp, policy)
    keys = jax.random.split(jax.random.key(1), 64)
    stream = jax.jit(jax.vmap(lambda key: markov_stream(sampler, key, jnp.asarray(0), 4000)[1]))(keys)
    np.testing.assert_array_equal(stream.state[:, 1:], stream.next_state[:, :-1])
    np.testing.assert_array_equal(stream.action[:, 1:], stream.next_action[:, :-1])
    exact = evaluate(mdp, policy)
    per_path = np.asarray(stream.reward[:, 500:]).mean(1)
    assert per_path.mean() == pytest.approx(exact.reward_rate, abs=float(4.0 * per_path.std() / 8.0))
    visits = np.bincount(np.asarray(stream.state[:, 500:]).ravel(), minlength=6) / stream.state[:, 500:].size
    np.testing.assert_allclose(visits, exact.stationary, atol=0.02)


def test_what_has_no_probability_is_never_drawn() -> None:
    """Also where rounding leaves the sum of a row just below 1."""
    mdp = ring(7, 1.0)
    sampler = Sampler.create(mdp, np.tile([1.0, 0.0], (7, 1)))
    state, stream = markov_stream(sampler, jax.random.key(0), jnp.asarray(0), 70)
    assert int(state) == 0
    np.testing.assert_array_equal(stream.action, 0)
    np.testing.assert_array_equal(stream.next_state, (stream.state - 1) % 7)
    assert np.all(np.asarray(Sampler.create(garnet(), garnet().uniform_policy()).cumulative[..., -1]) == 2.0)
