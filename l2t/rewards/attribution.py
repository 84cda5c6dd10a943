"""Integrated Gradients: how much of r(x) - r(b) each input column accounts for, b being what the expert does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from l2t.config import check_count
from l2t.errors import L2TError
from l2t.rewards.samples import (
    Estimates,
    Groups,
    Reward,
    as_table,
    check_groups,
    correlated_groups,
    episode_of,
    group_names,
    mean_estimates,
    values_of,
)
from l2t.rewards.support import Support, fit_support

NODES, MOST_NODES, BASELINES = 64, 4096, 8


@dataclass(frozen=True)
class Attribution:
    """What the columns of x account for.

    Attributes:
        names: of the columns.
        values: A[sample, column], the mean over the sample's baselines.
        mean: E A_i, signed; they sum to E r(x) - E r(b).
        magnitude: E |A_i|, what columns are ranked by.
        slope: E[∂r/∂x_i along the paths] times the standard deviation of x_i: the direction in which a column acts.
        groups: columns that say the same, by `correlated_groups`. Within a group the split is arbitrary.
        group_magnitude: E |Σ_{i in group} A_i|.
        completeness_error: max |Σ_i A_i - (r(x) - r(b))| / std(r(x) - r(b)) over all pairs (x, b).
        outside: share of the paths that lies outside the support, on average; there the gradient is a guess.
        outside_by_sample: the same for each sample.
    """

    names: tuple[str, ...]
    values: Float[ndarray, "sample column"]
    mean: Estimates
    magnitude: Estimates
    slope: Estimates
    groups: Groups
    group_magnitude: Estimates
    completeness_error: float
    outside: float
    outside_by_sample: Float[ndarray, " sample"]


def path_gradient(
    reward: Reward, x: Float[Array, "pair n"], baseline: Float[Array, "pair n"], nodes: int = NODES
) -> Float[Array, "pair n"]:
    """∫₀¹ ∂r/∂x (b + t (x - b)) dt, by Gauss-Legendre quadrature.

    A reward that is smooth needs few nodes. One with kinks (ReLU) has a gradient that jumps along the path, where the
    quadrature converges slowly: see `completeness_error`.
    """
    node, weight = quadrature(nodes)
    gradient = jax.vmap(jax.grad(lambda row: jnp.sum(reward(row))))

    def add(total: Array, one: tuple[Array, Array]) -> tuple[Array, None]:
        t, w = one
        return total + w * gradient(baseline + t * (x - baseline)), None

    steps = (jnp.asarray(node, x.dtype), jnp.asarray(weight, x.dtype))
    return jax.lax.scan(add, jnp.zeros_like(x), steps)[0]


def integrated_gradients(
    reward: Reward, x: Float[Array, "pair n"], baseline: Float[Array, "pair n"], nodes: int = NODES
) -> Float[Array, "pair n"]:
    """A_i = (x_i - b_i) ∫₀¹ ∂r/∂x_i (b + t (x - b)) dt, so that Σ_i A_i = r(x) - r(b).

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017.
    """
    return (x - baseline) * path_gradient(reward, x, baseline, nodes)


def quadrature(nodes: int) -> tuple[Float[ndarray, " node"], Float[ndarray, " node"]]:
    """Nodes and weights of Gauss and Legendre on [0, 1]."""
    check_count("nodes", nodes)
    node, weight = np.polynomial.legendre.leggauss(nodes)
    return 0.5 * (node + 1.0), 0.5 * weight


def attribute(
    reward: Reward,
    samples: Any,
    expert: Any,
    names: tuple[str, ...],
    *,
    baselines: int = BASELINES,
    nodes: int = NODES,
    tolerance: float = 0.01,
    episode: Any = None,
    groups: Groups | None = None,
    support: Support | None = None,
    seed: int = 0,
) -> Attribution:
    """Attribute r at the policy's samples, against baselines drawn from the expert's.

    Args:
        reward: r, differentiable by JAX.
        samples: x, `[sample, n]`: what is explained; a few hundred will do.
        expert: b, `[expert, n]`; each x is paired with `baselines` of them, drawn at random.
        names: of the columns.
        baselines, nodes: per sample, per path to begin with.
        tolerance: of the completeness error; paths beyond it, such as those over a kink, get up to `MOST_NODES`.
        episode: the episode that each sample is from; intervals are over episodes.
        groups: columns that are reported together; by default those that correlate in samples and expert together.
        support: where the reward was trained; by default where samples and expert are.
        seed: of the draws.

    Raises:
        L2TError: tables do not fit, r is not finite, or r does not differ between any x and b.
    """
    check_count("baselines", baselines)
    x, b = as_table("The sample", samples, names), as_table("The expert's sample", expert, names)
    episode_of(episode, len(x))
    everything = np.vstack([x, b])
    groups = check_groups(groups or correlated_groups(everything), len(names))
    support = support or fit_support(everything, seed=seed)

    x_pairs = np.repeat(x, baselines, axis=0)
    b_pairs = b[np.random.default_rng(seed).integers(len(b), size=len(x_pairs))]
    difference = values_of(reward, x_pairs) - values_of(reward, b_pairs)
    spread = float(difference.std())
    if spread == 0.0:
        raise L2TError(
            "The reward does not differ between the samples and the baselines: there is nothing to attribute."
        )
    gradient = _path_gradients(reward, x_pairs, b_pairs, nodes, difference, tolerance * spread)
    attributions = (x_pairs - b_pairs) * gradient
    error = np.abs(attributions.sum(1) - difference).max() / spread

    per_sample = attributions.reshape(len(x), baselines, -1)
    grouped = np.stack([per_sample[:, :, list(group)].sum(-1) for group in groups], -1)
    slope = gradient.reshape(len(x), baselines, -1).mean(1) * everything.std(0)
    outside = _share_outside(support, x_pairs, b_pairs).reshape(len(x), baselines).mean(1)
    return Attribution(
        names=tuple(names),
        values=per_sample.mean(1),
        mean=mean_estimates(names, per_sample.mean(1), episode, seed=seed),
        magnitude=mean_estimates(names, np.abs(per_sample).mean(1), episode, seed=seed),
        slope=mean_estimates(names, slope, episode, seed=seed),
        groups=groups,
        group_magnitude=mean_estimates(group_names(names, groups), np.abs(grouped).mean(1), episode, seed=seed),
        completeness_error=float(error),
        outside=float(outside.mean()),
        outside_by_sample=outside,
    )


def _path_gradients(
    reward: Reward,
    x: Float[ndarray, "pair n"],
    b: Float[ndarray, "pair n"],
    nodes: int,
    difference: Float[ndarray, " pair"],
    tolerance: float,
) -> Float[ndarray, "pair n"]:
    """`path_gradient`, with four times as many nodes for pairs whose sum misses r(x) - r(b), until none does."""

    @partial(jax.jit, static_argnums=2)
    def average(x: Float[Array, "pair n"], b: Float[Array, "pair n"], nodes: int) -> Float[Array, "pair n"]:
        return path_gradient(reward, x, b, nodes)

    gradient = np.zeros_like(x, np.float64)
    wrong = np.ones(len(x), bool)
    while True:
        rows = jnp.asarray(x[wrong], jnp.float32), jnp.asarray(b[wrong], jnp.float32)
        gradient[wrong] = average(*rows, nodes)
        wrong = np.abs(((x - b) * gradient).sum(1) - difference) > tolerance
        if not wrong.any() or 4 * nodes > MOST_NODES:
            return gradient
        nodes *= 4


def _share_outside(
    support: Support, x: Float[ndarray, "pair n"], b: Float[ndarray, "pair n"], points: int = 16
) -> Float[ndarray, " pair"]:
    """Share of each path, in `points` equal parts, whose middle lies outside the support."""
    middle = (np.arange(points) + 0.5) / points
    return np.mean([~support.contains(b + t * (x - b)) for t in middle], axis=0)
