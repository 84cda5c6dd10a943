"""How much of a reward is shaping: r(x, x') ~ g(x) + Φ(s') - Φ(s) + c, of which only g can change what is optimal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import subspace_angles

from l2t.errors import L2TError
from l2t.rewards.samples import Estimates, as_column, as_table, episode_of, estimates

PARTS = ("task", "shaping", "residual")


@dataclass(frozen=True)
class ShapingSplit:
    """r = w·ψ(x) + v·(φ(s') - φ(s)) + c + residual.

    Attributes:
        task_weights: w, with intervals.
        potential_weights: v, with intervals.
        constant: c.
        shares: Cov(part, r) / Var(r) of the three parts; they sum to 1, and one may be negative.
        overlap: largest canonical correlation between the two families of features on these samples. Near 1 a function
            is in both families, and which part it belongs to cannot be told: a velocity is a difference of positions.
        task: w·ψ(x), centred.
        shaping: v·(φ(s') - φ(s)), centred.
    """

    task_weights: Estimates
    potential_weights: Estimates
    constant: float
    shares: Estimates
    overlap: float
    task: Float[ndarray, " sample"]
    shaping: Float[ndarray, " sample"]


def split_shaping(
    reward: Any,
    features: Any,
    potential: Any,
    next_potential: Any,
    *,
    feature_names: Sequence[str] | None = None,
    potential_names: Sequence[str] | None = None,
    episode: Any = None,
    resamples: int = 200,
    seed: int = 0,
) -> ShapingSplit:
    """Least squares in w, v and c; where features depend on each other, the solution of least norm.

    Potential-based shaping leaves the average-reward ordering of policies as it is: along any long path Φ telescopes,
    and a reward that differs from another by Φ' - Φ + c has the same optimal policies (Ng, Harada and Russell, ICML
    1999, for discounted problems; without a discount the difference is Φ' - Φ). At the end of an episode the following
    state is the next episode's first, or the telescope breaks there: leave such samples out, or give them that state.

    Args:
        reward: r(x, x'), `[sample]`.
        features: ψ(x), `[sample, p]`, without a constant column.
        potential, next_potential: φ(s) and φ(s'), `[sample, q]`.
        feature_names, potential_names: of the columns.
        episode: the episode that each sample is from; intervals are over episodes.
        resamples: refits to resampled episodes.
        seed: of the resampling.

    Raises:
        L2TError: tables do not fit, r is the same everywhere, or there are too few samples.
    """
    ψ = as_table("The features", features, feature_names)
    before, after = (
        as_table("The potential", potential, potential_names),
        as_table("The next potential", next_potential),
    )
    if before.shape != after.shape or len(before) != len(ψ):
        raise L2TError(
            f"features {ψ.shape}, potential {before.shape} and next potential {after.shape} must be of the same "
            "samples, and the last two of the same columns."
        )
    r = as_column("The reward", reward, len(ψ))
    if np.ptp(r) == 0.0:
        raise L2TError("The reward is the same on all samples: there is nothing to split.")
    design = np.column_stack([ψ, after - before])
    if len(design) <= design.shape[1] + 1:
        raise L2TError(f"{len(design)} samples are too few for {design.shape[1]} features; give more samples.")
    number = np.unique(episode_of(episode, len(ψ)), return_inverse=True)[1]
    size, count = ψ.shape[1], int(number.max()) + 1

    weights, constant, shares = _fit(design, r, np.ones(len(r)), size)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1.0 / count), size=resamples)
    fits = [_fit(design, r, draw[number].astype(float), size) for draw in draws]
    weight_replicates, share_replicates = np.stack([fit[0] for fit in fits]), np.stack([fit[2] for fit in fits])
    names = _names(feature_names, "ψ", size), _names(potential_names, "φ", design.shape[1] - size)
    task, shaping = ψ @ weights[:size], (after - before) @ weights[size:]
    return ShapingSplit(
        estimates(names[0], weights[:size], weight_replicates[:, :size]),
        estimates(names[1], weights[size:], weight_replicates[:, size:]),
        constant,
        estimates(PARTS, shares, share_replicates),
        _overlap(ψ, after - before),
        task - task.mean(),
        shaping - shaping.mean(),
    )


def _fit(design: ndarray, r: ndarray, weight: ndarray, size: int) -> tuple[ndarray, float, ndarray]:
    """Weights, constant and the three variance shares of a weighted fit."""
    total = weight.sum()
    centre, level = weight @ design / total, weight @ r / total
    x, y = design - centre, r - level
    scale = np.sqrt(weight @ x**2 / total)
    scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(centre)), scale, np.inf)  # a constant column has no weight
    root = np.sqrt(weight)
    scaled = np.linalg.lstsq((x / scale) * root[:, None], y * root, rcond=1e-10)[0]
    weights = scaled / scale
    parts = x[:, :size] @ weights[:size], x[:, size:] @ weights[size:]
    variance = max(float(weight @ y**2), 1e-300)
    explained = [float(weight @ (part * y)) / variance for part in parts]
    return weights, float(level - centre @ weights), np.array([*explained, 1.0 - sum(explained)])


def _overlap(ψ: ndarray, difference: ndarray) -> float:
    """The largest canonical correlation: the cosine of the smallest angle between the centred column spaces."""
    families = [_centred_columns(table) for table in (ψ, difference)]
    if any(family.shape[1] == 0 for family in families):
        return 0.0
    return float(np.cos(subspace_angles(*families).min()))


def _centred_columns(table: ndarray) -> ndarray:
    """An orthonormal basis of the columns without their means."""
    centred = table - table.mean(0)
    norm = np.linalg.norm(centred, axis=0)
    varies = norm > 1e-12 * np.maximum(1.0, np.linalg.norm(table, axis=0))
    left, singular, _ = np.linalg.svd(centred[:, varies] / norm[varies], full_matrices=False)
    return left[:, singular > 1e-10 * singular.max(initial=0.0)]


def _names(given: Sequence[str] | None, symbol: str, count: int) -> tuple[str, ...]:
    return tuple(given) if given else tuple(f"{symbol}{i + 1}" for i in range(count))
