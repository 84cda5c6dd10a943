"""Demonstrations in a few lines of text."""

from __future__ import annotations

import numpy as np

from l2t.demonstrations.record import Demonstrations

AT_BOUND = 1.0 - 1e-6
"""From here on an action in policy units counts as one at its bound."""


def summary(demonstrations: Demonstrations) -> str:
    """Who was recorded, how, how long and how well; one fact a line.

    The standard deviation is that of the episodes (not of their mean), as in evaluations.
    """
    facts, returns, lengths = demonstrations.facts, demonstrations.returns, demonstrations.lengths
    steps = demonstrations.transitions
    terminated = int(np.sum(steps.terminated))
    action, bound = np.asarray(steps.action), at_bound(demonstrations)
    rows = [
        ("task", f"{facts.task}, {len(returns):,} episodes, {len(action):,} steps of {facts.timestep:g} s"),
        ("actions", f"{facts.actions}, recorded on {facts.engine}"),
    ]
    for number, name in enumerate(facts.policies):
        mine = np.asarray(facts.policy) == number
        if mine.any():
            rows.append(("policy", f"{name}: {mine.sum():,} episodes, return {_spread(returns[mine])}"))
    rows += [
        ("return", f"{_spread(returns)}, from {returns.min():,.1f} to {returns.max():,.1f}"),
        ("length", f"{lengths.mean():,.1f} on average, from {lengths.min():,} to {lengths.max():,}"),
        ("ends", f"{terminated:,} terminated, {len(returns) - terminated:,} at the time limit"),
        (
            "range",
            f"{action.min():.3f} to {action.max():.3f} in policy units, {bound:.1%} at a bound",
        ),
        ("seeds", f"{min(facts.seeds)} to {max(facts.seeds)}"),
    ]
    return "\n".join(f"{name:<8} {text}" for name, text in rows)


def _spread(returns: np.ndarray) -> str:
    return f"{returns.mean():,.1f} ± {returns.std():,.1f}"


def at_bound(demonstrations: Demonstrations) -> float:
    """Share of the recorded numbers in actions that lie at a bound."""
    return float((np.abs(np.asarray(demonstrations.transitions.action)) >= AT_BOUND).mean())
