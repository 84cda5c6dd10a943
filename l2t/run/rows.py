"""What an iteration and an evaluation measured, as rows of numbers: one for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from l2t.rl.measured import Measured


def metric_rows(metrics: Mapping[str, Any], step: int, num_seeds: int | None) -> list[dict[str, Any]]:
    """One row of metrics per seed; what is not known is left out.

    Args:
        metrics: by name, one number, or one per seed where seeds are batched; any may be `Measured`.
        step: environment steps that each seed has taken.
        num_seeds: how many seeds are batched; None where the metrics are of a single one.
    """
    if num_seeds is None:
        return [{"step": step} | _known(metrics)]
    seeds = (jax.tree.map(lambda values, seed=seed: values[seed], dict(metrics)) for seed in range(num_seeds))
    return [{"step": step, "seed": seed} | _known(each) for seed, each in enumerate(seeds)]


def evaluations(found: dict[str, dict[str, Any]], num_seeds: int | None) -> list[dict[str, dict[str, float]]]:
    """What an evaluation found, by role, of each seed; the arguments are as for `metric_rows`."""
    if num_seeds is None:
        found = jax.tree.map(lambda value: np.asarray(value)[None], found)
    return [jax.tree.map(lambda value, i=i: value[i].item(), found) for i in range(num_seeds or 1)]


def pool(evaluations: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Several seeds' evaluations as if all their episodes were one sample."""
    means = {name: float(np.mean([e[name] for e in evaluations])) for name in evaluations[0]}
    spread = np.mean([e["return_std"] ** 2 for e in evaluations]) + np.var([e["return_mean"] for e in evaluations])
    episodes = sum(int(e["episodes"]) for e in evaluations)
    if means.get("episode_length_mean", 0.0) > 0.0:  # of all steps: long episodes have more of them
        means["average_reward"] = means["return_mean"] / means["episode_length_mean"]
    return means | {"return_std": float(np.sqrt(spread)), "episodes": episodes}


def _known(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that there are."""
    values = {name: x.value if isinstance(x, Measured) else x for name, x in metrics.items()}
    unknown = {name for name, x in metrics.items() if isinstance(x, Measured) and not x.known}
    return {name: np.asarray(value).item() for name, value in values.items() if name not in unknown}
