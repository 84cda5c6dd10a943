"""Do the data determine every direction of θ? A deterministic policy never shows the actions that it does not take."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from algorithms.policy_evaluation.problem import BLOCK, EvaluationWarning, Problem, over_blocks
from algorithms.policy_evaluation.wide_sum import WideSum
from l2t.errors import ConfigurationError
from l2t.rl.keys import aside
from l2t.rl.transitions import PairTransitions

SINGULAR = 1e-7
"""Eigenvalues of E[ψψᵀ] below this share of the largest count as zero: float32 resolves no less."""


class ExcitationWarning(EvaluationWarning):
    """The transitions leave directions of θ undetermined."""


def check_excitation(problem: Problem, key: Key[Array, ""], samples: int = 100_000) -> float:
    """Smallest eigenvalue of E[ψψᵀ] over a stretch of the stream, on the complement of the constants.

    VRTD's operator is monotone only where this is above zero. Warns, with the eigenvalue, where it is not.

    Args:
        problem: features and source.
        key: of the stretch, which has nothing in common with what `split(key, n)` draws for the estimates themselves.
        samples: its length.

    Raises:
        ConfigurationError: `samples` is less than one block.
    """
    if samples < BLOCK:
        raise ConfigurationError(f"samples={samples} is too small; give at least {BLOCK}.")
    moment = np.asarray(jax.jit(lambda key: _moment(problem, key, samples // BLOCK))(key), np.float64)
    if problem.features.constant is not None:
        constant = np.asarray(problem.features.constant, np.float64)
        constant /= np.linalg.norm(constant)
        projector = np.eye(len(constant)) - np.outer(constant, constant)
        # The constants' direction goes above all others, out of the way.
        moment = projector @ moment @ projector + np.trace(moment) * np.outer(constant, constant)
    eigenvalues = np.linalg.eigvalsh(moment)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    if smallest < SINGULAR * largest:
        unseen = int((eigenvalues < SINGULAR * largest).sum())
        warnings.warn(
            f"The data leave {unseen} of {problem.features.size} directions of θ undetermined: the smallest eigenvalue "
            f"of E[ψψᵀ] is {smallest:.1e} in {samples:,} transitions. The policy takes too few actions (or the stretch "
            "was short): EVRTD (exploration > 0) sees the others.",
            ExcitationWarning,
            stacklevel=2,
        )
    return smallest


def _moment(problem: Problem, key: Key[Array, ""], blocks: int) -> Float[Array, "d d"]:
    features = problem.features

    def update(moment: WideSum[Array], batch: PairTransitions) -> WideSum[Array]:
        return moment.add(features.outer_sum(batch.pair, batch.pair) / BLOCK)

    start_key, key = jax.random.split(aside(key))
    zero = WideSum.zero(jnp.zeros((features.size, features.size)))
    moment, _ = over_blocks(update, problem.source, zero, problem.source.init(start_key), key, jnp.asarray(blocks))
    return moment.over(jnp.asarray(blocks, jnp.float32))
