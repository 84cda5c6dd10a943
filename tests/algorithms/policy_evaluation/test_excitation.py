"""The smallest eigenvalue of E[ψψᵀ] beside the constants, against linear algebra over the same transitions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import null_space

from algorithms.features import OneHot, TableFeatures
from algorithms.policy_evaluation.excitation import ExcitationWarning, check_excitation
from algorithms.policy_evaluation.problem import BLOCK, Problem
from l2t.rl.transitions import PairTransitions

BLOCKS = 6


class Stored:
    """Blocks of given pairs in turn."""

    def __init__(self, chances):
        self.pair = np.random.default_rng(0).choice(len(chances), (BLOCKS, BLOCK), p=chances)

    def init(self, key):
        return jnp.asarray(0)

    def draw(self, state, key, length):
        pair = jnp.asarray(self.pair)[state]
        return state + 1, PairTransitions(pair, jnp.zeros(length), pair)


def test_it_is_that_of_the_moment_on_the_complement_of_the_constants() -> None:
    source = Stored([0.55, 0.25, 0.12, 0.08])
    moment = np.diag(np.bincount(source.pair.ravel()) / source.pair.size)
    for table in (np.eye(4), np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 5.0]])):
        features = OneHot(4) if len(table) == len(table.T) else TableFeatures.create(table)
        constant = np.linalg.lstsq(table, np.ones(4), rcond=None)[0]
        beside = null_space(constant[None])
        expected = np.linalg.eigvalsh(beside.T @ table.T @ moment @ table @ beside).min()
        found = check_excitation(Problem(features, Stored([0.55, 0.25, 0.12, 0.08])), jax.random.key(0), BLOCKS * BLOCK)
        assert found == pytest.approx(expected, rel=1e-4)


def test_what_float32_cannot_tell_from_zero_is_warned_of() -> None:
    """The third direction is seen as often as the others and is 1e-10 of them."""
    features = TableFeatures.create(np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1e-5], [0, 0, 0]]))
    problem = Problem(features, Stored([0.25] * 4))
    with pytest.warns(ExcitationWarning, match="leave 1 of 3 directions"):
        assert 0.0 < check_excitation(problem, jax.random.key(0), BLOCKS * BLOCK) < 1e-10


def test_the_stretch_shares_no_key_with_the_seeds_that_are_split_from_the_same_one() -> None:
    """As a study has it, which checks with `key` and estimates with `split(key, n)`."""
    drawn = set[tuple[int, ...]]()

    def note(data: np.ndarray) -> None:
        drawn.add(tuple(map(int, data)))

    class Noted(Stored):
        def init(self, key):
            jax.debug.callback(note, jax.random.key_data(key))
            return super().init(key)

        def draw(self, state, key, length):
            jax.debug.callback(note, jax.random.key_data(key))
            return super().draw(state, key, length)

    key = jax.random.key(3)
    check_excitation(Problem(OneHot(4), Noted([0.25] * 4)), key, BLOCKS * BLOCK)
    jax.effects_barrier()
    seeds = jax.random.split(key, 4)
    below = jax.vmap(lambda key: jax.random.split(key, 64))(seeds)
    theirs = {tuple(map(int, data)) for keys in (seeds, below) for data in jax.random.key_data(keys).reshape(-1, 2)}
    assert len(drawn) == 1 + BLOCKS
    assert not drawn & theirs
