"""The correlation time that a stream shows of itself, against the eigenvalues of its chain."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.features import OneHot, TableFeatures, random_features
from algorithms.policy_evaluation.mixing import Mixing
from algorithms.policy_evaluation.problem import BLOCK, over_blocks
from envs.tabular.exact import evaluate
from envs.tabular.families import garnet, ring, river_swim, two_state_cycle
from envs.tabular.model import TabularMDP
from envs.tabular.sampling import GenerativeSource, MarkovSource, Sampler


def _shown(mdp, blocks, features=None, source=None, seeds=6):
    """The time of each of some streams of the uniform policy."""
    policy = mdp.uniform_policy()
    sampler = Sampler.create(mdp, policy)
    source = source or MarkovSource.create(sampler, jnp.asarray(policy, jnp.float32))
    features = features or OneHot(mdp.reward.size)

    def watch(key):
        start, key = jax.random.split(key)
        nothing = Mixing.nothing(features.size, blocks)
        seen, _ = over_blocks(
            lambda mixing, batch: mixing.add(features, batch.pair),
            source,
            nothing,
            source.init(start),
            key,
            jnp.asarray(blocks),
        )
        return seen.time()

    return np.asarray(jax.jit(jax.vmap(watch))(jax.random.split(jax.random.key(0), seeds)))


def _exact(mdp, table=None):
    """1 + 2 Σ c_ℓ/c_0 of each coordinate, and of all together, by the eigenvalues λ of the pairs' chain: Σ λ^ℓ =
    λ/(1-λ)."""
    policy = mdp.uniform_policy()
    chain = mdp.pair_chain(policy)
    weight = (evaluate(mdp, policy).stationary[:, None] * policy).reshape(-1)
    table = np.eye(len(chain)) if table is None else table
    values, vectors = np.linalg.eig(chain)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.where(np.abs(values - 1.0) < 1e-9, 0.0, values / (1.0 - values))
    later = np.real(vectors @ (sums[:, None] * np.linalg.solve(vectors, table.astype(complex))))
    centred = table - weight @ table
    energy, covariance = weight @ centred**2, weight @ (centred * later)
    held = energy > 1e-12
    return 1.0 + 2.0 * covariance[held] / energy[held], 1.0 + 2.0 * covariance.sum() / energy.sum()


@pytest.mark.parametrize("move", [0.6, 0.06, 0.006])
def test_it_is_that_of_the_eigenvalues_on_rings_of_every_speed(move) -> None:
    """Of a ring of three, λ = 1 - 1.5 move twice, and by symmetry all pairs are alike."""
    alone, together = _exact(ring(3, move))
    value = 1.0 - 1.5 * move
    np.testing.assert_allclose(alone, 1.0 + 0.8 * value / (1.0 - value))
    np.testing.assert_allclose(together, alone[0])
    assert np.median(_shown(ring(3, move), 512)) == pytest.approx(together, rel=0.25)


@pytest.mark.parametrize("mdp", [river_swim(6), garnet(6, 2, 3, teleport=0.1, seed=1), ring(8, 0.2)])
def test_elsewhere_it_lies_between_that_of_all_coordinates_and_the_longest(mdp) -> None:
    alone, together = _exact(mdp)
    shown = _shown(mdp, 512)
    assert max(0.8 * together, 1.0) <= np.median(shown) <= 1.4 * max(alone.max(), 1.0)  # a maximum errs upwards


def test_slow_chains_are_seen_as_far_as_the_stream_is_long() -> None:
    """τ = 890 is longer than a block: a short stream shows a part of it, never more."""
    mdp = ring(3, 0.0006)
    longest = _exact(mdp)[1]
    short, long = np.median(_shown(mdp, 16)), np.median(_shown(mdp, 1024))
    assert 1.0 < short < 0.5 * longest
    assert long == pytest.approx(longest, rel=0.35)


@pytest.mark.parametrize(
    "mdp", [two_state_cycle(), TabularMDP(np.roll(np.eye(10), 1, axis=1)[:, None], np.arange(10.0)[:, None], "clock")]
)
def test_a_chain_with_a_period_is_not_a_slow_one(mdp) -> None:
    np.testing.assert_allclose(_shown(mdp, 64), 1.0)


@pytest.mark.parametrize("blocks", [2, 6, 40, 300])
def test_independent_draws_are_not_taken_for_a_slow_chain_by_their_noise(blocks) -> None:
    mdp = garnet(20, 4, 3, teleport=0.05)
    policy = mdp.uniform_policy()
    weight = (evaluate(mdp, policy).stationary[:, None] * policy).reshape(-1)
    source = GenerativeSource.create(Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32), weight)
    assert _shown(mdp, blocks, source=source, seeds=20).max() < 1.3


def test_a_place_that_is_rarely_visited_and_seldom_left_counts() -> None:
    """All coordinates together hide it."""
    chain = np.full((31, 31), 0.999 / 30)
    chain[:, -1] = 0.001
    chain[-1] = 0.02 / 30
    chain[-1, -1] = 0.98
    mdp = TabularMDP(chain[:, None], np.zeros((31, 1)), "trap")
    alone, together = _exact(mdp)
    assert together < 0.15 * alone.max()
    assert 0.5 * alone.max() < np.median(_shown(mdp, 1024)) < 1.2 * alone.max()


def test_the_units_of_the_features_and_a_constant_coordinate_change_nothing() -> None:
    mdp = ring(4, 0.05)
    table = np.asarray(random_features(8, 4).table, np.float64)  # the last coordinate is constant
    plain, scaled = (
        np.median(_shown(mdp, 256, TableFeatures.create(rows))) for rows in (table, table * [3.0, 0.2, 10.0, 7.0])
    )
    alone, together = _exact(mdp, table)
    assert 0.7 * together < plain < 1.3 * alone.max()
    assert 0.7 * alone.min() < scaled < 1.3 * alone.max()


def test_the_squares_are_those_of_neighbouring_sums() -> None:
    """Against a loop, with a stretch that breaks off."""
    features, rng = OneHot(3), np.random.default_rng(0)
    stretches = [rng.integers(0, 3, (blocks, BLOCK)) for blocks in (7, 4)]
    mixing = Mixing.nothing(3, 7)
    for stretch in stretches:
        mixing = mixing.new_stretch()
        for pair in stretch:
            mixing = mixing.add(features, jnp.asarray(pair))
    counts = [np.stack([np.bincount(pair, minlength=3) for pair in stretch]) for stretch in stretches]
    for level in range(2):
        size, found = 2**level, []
        for count in counts:
            for start in range(0, len(count) - 2 * size + 1, 2 * size):
                u, v = count[start : start + size].sum(0), count[start + size : start + 2 * size].sum(0)
                found.append(0.5 * (u - v) ** 2 / (size * BLOCK))
        assert int(mixing.levels.pairs[level]) == len(found)
        np.testing.assert_allclose(mixing.levels.square[level], np.mean(found, axis=0), rtol=1e-5)
        np.testing.assert_allclose(mixing.levels.fourth[level], np.mean(np.square(found), axis=0), rtol=1e-5)
    np.testing.assert_allclose(mixing.mean, np.concatenate(counts).mean(0) / BLOCK, rtol=1e-5)
