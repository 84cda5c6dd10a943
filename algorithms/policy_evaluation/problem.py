"""What every estimator of this room is given and gives back, and how a budget of samples is cut into segments.

All look for θ with ψ(x)ᵀθ ≈ Q^π(x), where Q^π solves the Poisson equation

    Q(s,a) = r(s,a) - h^π(s) - ρ + Σ_{s',a'} P(s'|s,a) π(a'|s') Q(s',a'),

from transitions x = (s,a) → x' = (s',a') that they may see once each. Q is unique up to a constant; where the constants
are within reach of the features, estimates have none: θ ⟂ c.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.features import Features
from l2t.errors import ConfigurationError, FeatureError
from l2t.rl.transitions import PairTransitions, Source

BLOCK = 500
"""Transitions drawn at a time; budgets are multiples of it."""

POINTS = 17
"""Points of a curve of estimates that are not made in epochs."""

Carry = TypeVar("Carry")


@dataclass(frozen=True)
class Problem:
    """A policy to evaluate.

    Attributes:
        features: ψ.
        source: transitions of the policy, or of one that explores more; x' is always drawn from the policy.
        rate_source: transitions of the policy itself, where `source` explores. Both streams share their state.

    Raises:
        FeatureError: features and source number different pairs.
    """

    features: Features
    source: Source
    rate_source: Source | None = None

    def __post_init__(self) -> None:
        described, drawn = (getattr(part, "num_pairs", None) for part in (self.features, self.source))
        if described != drawn and None not in (described, drawn):  # JAX would clamp an index without a word
            raise FeatureError(f"The features describe {described} pairs, and the source draws from {drawn}.")


class EvaluationWarning(UserWarning):
    """An estimate is not to be relied on, for a reason that the data or the method itself has shown."""


def warnings_of(check: Callable[[], object]) -> list[str]:
    """What a check would warn of, as text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EvaluationWarning)
        check()
    return [str(warning.message) for warning in caught if issubclass(warning.category, EvaluationWarning)]


@struct.dataclass
class Estimate:
    """θ and ρ; along a curve, with a leading axis of its points.

    Attributes:
        theta, reward_rate: θ, ρ.
        misfit: ‖ĝ(θ̃)‖/‖ĝ(0)‖ of the epoch that ends at each point, where a method has epochs: how well the anchor that
            it started from solves its transitions, next to θ = 0. See `stability`.
        growth: the same next to the anchor of the epoch before, over the same transitions, or to twice what the noise
            of these amounts to, if that is more.
        correlation_time: τ that the epoch's step was divided by, in transitions; None where `skip` is given. See
            `mixing`.
    """

    theta: Float[Array, "*points d"]
    reward_rate: Float[Array, "*points"]
    misfit: Float[Array, "*points"] | None = None
    growth: Float[Array, "*points"] | None = None
    correlation_time: Float[Array, "*points"] | None = None


class Estimator(Protocol):
    """A method with its budget."""

    @property
    def samples(self) -> Int[np.ndarray, " points"]:
        """Transitions drawn, all of them, before each point of the curve."""
        ...

    def run(self, problem: Problem, key: Key[Array, ""]) -> Estimate:
        """The curve of estimates. Pure; to be jitted, and vmapped over keys."""
        ...


def geometric_blocks(samples: int, points: int = POINTS, first: int = 2) -> list[int]:
    """Lengths, in blocks, of segments that end at about geometrically spaced places, the last at `samples`."""
    blocks = samples // BLOCK
    if blocks < first:
        raise ConfigurationError(f"samples={samples} is too small; at least {first * BLOCK} are needed.")
    ends = np.unique(np.round(np.geomspace(first, blocks, points)).astype(int))
    return np.diff(ends, prepend=0).tolist()


def drawn_by(segments: Sequence[int]) -> Int[np.ndarray, " points"]:
    """Transitions drawn by the end of each segment."""
    return BLOCK * np.cumsum(segments)


def over_blocks(
    update: Callable[[Carry, PairTransitions], Carry],
    source: Source,
    carry: Carry,
    stream: PyTree,
    key: Key[Array, ""],
    blocks: Int[Array, ""],
) -> tuple[Carry, PyTree]:
    """Draw `blocks` blocks and let `update` take each in. The count may be traced; it must not be vmapped over."""

    def step(index: Array, state: tuple[Carry, PyTree]) -> tuple[Carry, PyTree]:
        carry, stream = state
        stream, batch = source.draw(stream, jax.random.fold_in(key, index), BLOCK)
        return update(carry, batch), stream

    return jax.lax.fori_loop(0, blocks, step, (carry, stream))


def run_segments(
    update: Callable[[Carry, PairTransitions], Carry],
    readout: Callable[[Carry], Estimate],
    problem: Problem,
    carry: Carry,
    segments: Sequence[int],
    key: Key[Array, ""],
) -> Estimate:
    """Take in blocks, and read out an estimate at the end of each segment."""
    start_key, key = jax.random.split(key)

    def segment(state: tuple[Carry, PyTree], inputs: tuple[Array, Array]) -> tuple[tuple[Carry, PyTree], Estimate]:
        key, blocks = inputs
        carry, stream = over_blocks(update, problem.source, *state, key, blocks)
        return (carry, stream), readout(carry)

    state = (carry, problem.source.init(start_key))
    return jax.lax.scan(segment, state, (jax.random.split(key, len(segments)), jnp.asarray(segments)))[1]


def without_constant(features: Features, theta: Float[Array, " d"]) -> Float[Array, " d"]:
    """θ less its component along the constants."""
    return theta if features.constant is None else theta - features.constant * (features.constant @ theta)
