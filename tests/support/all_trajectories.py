"""f-IRL's gradient by listing every trajectory of a small process: what a sampled one can be held against.

A trajectory τ of T pairs has the weight w(τ) = p(s_1) Π P(s_{t+1}|s_t,a_t), and under the reward r and temperature α

    p_r(τ) = w(τ) exp(Σ_t r(s_t,a_t)/α) / Z,      ρ_r(x) = (1/T) Σ_τ p_r(τ) n_τ(x),

where n_τ(x) counts how often τ visits x, which may be states or pairs. f-IRL minimises D_f(ρ_E ‖ ρ_r) =
Σ_x ρ_r(x) f(ρ_E(x)/ρ_r(x)). Its gradient is a covariance over *whole trajectories*, since r reweighs those:

    ∇_r D_f = -(1/(αT)) cov_τ(Σ_t h(log ρ_E/ρ_r)(x_t),  n_τ),       h = f'(u) u - f(u) as a function of log u.

The same covariance over single transitions is another gradient, unless T = 1.

p_r is the distribution of trajectories of the soft-optimal policy of horizon T where transitions are deterministic (and
the start is one state). Where they are not, exp(Σ r/α) also favours lucky transitions, which no policy can choose.

NumPy in float64; the list has S (A b)^T entries where pairs have b successors.

Source: Ni et al., "f-IRL: inverse reinforcement learning via state marginal matching" (arXiv 2011.04709).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import logsumexp

from l2t.config import check_choice, check_count, check_range
from l2t.errors import ConfigurationError

LIMIT = 1_000_000
"""Trajectories that are listed, at most."""


@dataclass(frozen=True)
class Trajectories:
    """All trajectories of T pairs that a process can produce.

    Attributes:
        states, actions: s_t and a_t of each.
        log_weight: log w(τ), the actions not counted.
        shape: S and A.
    """

    states: Int[ndarray, "trajectory time"]
    actions: Int[ndarray, "trajectory time"]
    log_weight: Float[ndarray, " trajectory"]
    shape: tuple[int, int]

    @property
    def horizon(self) -> int:
        """T."""
        return self.states.shape[1]

    def pair_counts(self) -> Float[ndarray, "trajectory state action"]:
        """n_τ(s,a)."""
        counts = np.zeros((len(self.states), *self.shape))
        np.add.at(counts, (np.arange(len(counts))[:, None], self.states, self.actions), 1.0)
        return counts

    def state_counts(self) -> Float[ndarray, "trajectory state"]:
        """n_τ(s)."""
        return self.pair_counts().sum(-1)


def enumerate_trajectories(
    transition: Float[ndarray, "state action state"], start: Float[ndarray, " state"], horizon: int
) -> Trajectories:
    """List them.

    Args:
        transition: P[s, a, s'].
        start: p(s_1).
        horizon: T.

    Raises:
        ConfigurationError: there are more than a million.
    """
    check_count("horizon", horizon)
    num_states, num_actions, _ = transition.shape
    states = np.repeat(np.flatnonzero(start > 0.0), num_actions)[:, None]
    actions = (np.arange(len(states)) % num_actions)[:, None]
    log_weight = np.log(start[states[:, 0]])
    for _ in range(horizon - 1):
        chances = transition[states[:, -1], actions[:, -1]]
        parent, successor = np.nonzero(chances > 0.0)
        if len(parent) * num_actions > LIMIT:
            raise ConfigurationError(f"horizon={horizon} makes more than {LIMIT:,} trajectories; give a smaller one.")
        log_weight = np.repeat(log_weight[parent] + np.log(chances[parent, successor]), num_actions)
        parent, successor = np.repeat(parent, num_actions), np.repeat(successor, num_actions)
        action = np.arange(len(parent)) % num_actions
        states = np.concatenate([states[parent], successor[:, None]], axis=1)
        actions = np.concatenate([actions[parent], action[:, None]], axis=1)
    return Trajectories(states, actions, log_weight, (num_states, num_actions))


def trajectory_distribution(
    paths: Trajectories, reward: Float[ndarray, "state action"], temperature: float = 1.0
) -> Float[ndarray, " trajectory"]:
    """p_r(τ).

    Args:
        paths: all trajectories.
        reward: r[s, a].
        temperature: α > 0, in units of reward.
    """
    check_range("temperature", temperature, 0.0, open_low=True)
    score = paths.log_weight + reward[paths.states, paths.actions].sum(1) / temperature
    return np.exp(score - logsumexp(score))


def f_divergence(expert: Float[ndarray, " x"], marginal: Float[ndarray, " x"], kind: str) -> float:
    """D_f(ρ_E ‖ ρ_r): `forward` is KL(ρ_E ‖ ρ_r), `reverse` KL(ρ_r ‖ ρ_E), `jensen_shannon` the sum of both KL to their
    middle, which is twice the usual one.

    Args:
        expert: ρ_E(x) > 0.
        marginal: ρ_r(x) > 0.
        kind: see above.
    """
    check_choice("kind", kind, _DIVERGENCES)
    ratio = expert / marginal
    return float((marginal * _DIVERGENCES[kind][0](ratio)).sum())


def f_irl_gradient(
    paths: Trajectories,
    reward: Float[ndarray, "state action"],
    expert: Float[ndarray, " x"],
    counts: Float[ndarray, "trajectory x"],
    kind: str,
    temperature: float = 1.0,
) -> Float[ndarray, "state action"]:
    """∂D_f(ρ_E ‖ ρ_r)/∂r(s,a), exactly; for a reward with parameters, pull it back through them.

    Args:
        paths: all trajectories.
        reward: r[s, a].
        expert: ρ_E(x) > 0.
        counts: n_τ(x) of what is matched: `paths.state_counts()`, or `paths.pair_counts()` with its last axes joined.
        kind: as for `f_divergence`.
        temperature: α > 0.
    """
    check_choice("kind", kind, _DIVERGENCES)
    chance = trajectory_distribution(paths, reward, temperature)
    marginal = chance @ counts / paths.horizon
    score = counts @ _DIVERGENCES[kind][1](np.log(expert / marginal))
    visits = paths.pair_counts()
    centred = chance * (score - chance @ score)
    return -np.einsum("n,nsa->sa", centred, visits) / (temperature * paths.horizon)


_Function = Callable[[ndarray], ndarray]

# f(u), and h(log u) = f'(u) u - f(u) less a constant, which no covariance sees.
_DIVERGENCES: dict[str, tuple[_Function, _Function]] = {
    "forward": (lambda u: u * np.log(u), np.exp),
    "reverse": (lambda u: -np.log(u), lambda log_u: log_u),
    "jensen_shannon": (
        lambda u: u * np.log(u) - (1.0 + u) * np.log(0.5 * (1.0 + u)),
        lambda log_u: np.logaddexp(0.0, log_u),
    ),
}
