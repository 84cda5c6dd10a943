"""Exact solutions of average-reward problems, in float64: the oracles that estimates are held against.

For a policy π with regulariser h^π(s) = μ Σ_a π(a|s) log π(a|s):

    ρ = Σ_s ν(s) [r^π(s) - h^π(s)],            ν P^π = ν,
    V = r^π - h^π - ρ + P^π V,   ν V = 0,      the Poisson equation and the choice of its free constant,
    Q(s,a) = r(s,a) - h^π(s) - ρ + Σ_s' P(s'|s,a) V(s').

Source: Puterman, "Markov Decision Processes", chapter 8; the regularised form of Li, Wu and Lan, arXiv 2205.05800.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import linprog
from scipy.special import logsumexp, xlogy

from envs.tabular.model import TabularMDP, check_unichain
from l2t.errors import ModelError


@dataclass(frozen=True)
class Solution:
    """A policy and what it is worth.

    Attributes:
        policy: π[s, a].
        reward_rate: ρ.
        bias: V[s], with Σ ν V = 0.
        q: Q[s, a], with Σ_a π(a|s) Q(s,a) = V(s).
        stationary: ν[s].
    """

    policy: Float[ndarray, "state action"]
    reward_rate: float
    bias: Float[ndarray, " state"]
    q: Float[ndarray, "state action"]
    stationary: Float[ndarray, " state"]


@dataclass(frozen=True)
class Optimum:
    """An optimal policy, the optimal reward rate, and values that solve Bellman's equation.

    Attributes:
        policy: π*[s, a]. Where several actions are best it takes the first, so its chain may have several recurrent
            classes; all of them earn ρ*.
        reward_rate: ρ*.
        bias: V[s], with V(0) = 0.
        q: Q[s, a] = r - ρ* + P V.
    """

    policy: Float[ndarray, "state action"]
    reward_rate: float
    bias: Float[ndarray, " state"]
    q: Float[ndarray, "state action"]


def stationary_distribution(chain: Float[ndarray, "state state"]) -> Float[ndarray, " state"]:
    """ν with ν P = ν, from the linear system ν (I - P + 1 1ᵀ) = 1ᵀ. Zero at transient states.

    Raises:
        ReducibleChainError: there are several recurrent classes, so there is no one ν.
    """
    check_unichain(chain)
    size = len(chain)
    weights = np.linalg.solve((np.eye(size) - chain + 1.0).T, np.ones(size))
    weights = np.maximum(weights, 0.0)  # rounding, at transient states
    return weights / weights.sum()


def evaluate(mdp: TabularMDP, policy: Float[ndarray, "state action"], entropy: float = 0.0) -> Solution:
    """Reward rate, bias and Q of a policy, by linear solves.

    Args:
        mdp: the process.
        policy: π[s, a].
        entropy: μ of the regulariser.

    Raises:
        ModelError: the policy is not one.
        ReducibleChainError: the policy's chain has several recurrent classes.
    """
    policy = mdp.check_policy(policy)
    chain = mdp.chain(policy)
    stationary = stationary_distribution(chain)
    regulariser = entropy * xlogy(policy, policy).sum(1)
    reward = (policy * mdp.reward).sum(1) - regulariser
    rate = float(stationary @ reward)
    size = mdp.num_states
    # I - P + 1 νᵀ is regular for a unichain P, and its solution has ν V = 0.
    bias = np.linalg.solve(np.eye(size) - chain + stationary[None, :], reward - rate)
    q = mdp.reward - regulariser[:, None] - rate + mdp.transition @ bias
    return Solution(policy, rate, bias, q, stationary)


def relative_value_iteration(
    mdp: TabularMDP, entropy: float = 0.0, tolerance: float = 1e-12, max_iterations: int = 1_000_000
) -> Optimum:
    """The optimal reward rate, bias and policy by relative value iteration.

    V <- V + ½ (T V - V), less a constant, with T V = max_a [r + P V], or μ log Σ_a exp((r + P V)/μ) where μ > 0. The
    half step makes every chain aperiodic and moves no fixed point. Stops when the span of T V - V is below `tolerance`,
    in units of the largest reward: ρ* lies within that span.

    Args:
        mdp: the process; ρ* must be the same for every start.
        entropy: μ.
        tolerance: see above.
        max_iterations: when to give up.

    Raises:
        ModelError: it did not converge.
    """
    value = np.zeros(mdp.num_states)
    scale = max(1.0, float(np.abs(mdp.reward).max()))
    change = np.zeros_like(value)
    for _ in range(max_iterations):
        gain = mdp.reward + mdp.transition @ value
        change = _best(gain, entropy) - value
        if np.ptp(change) <= tolerance * scale:
            rate = 0.5 * float(change.max() + change.min())
            return Optimum(greedy_policy(gain, entropy), rate, value, gain - rate)
        value = value + 0.5 * change
        value -= value[0]
    raise ModelError(
        f"{mdp.name}: value iteration did not converge in {max_iterations:,} steps (the span of the change is "
        f"{np.ptp(change):.1e}): the optimal reward rate may differ between states, or the chain mixes too slowly."
    )


def linear_programme(mdp: TabularMDP) -> Solution:
    """An optimal policy by the dual linear programme, without a regulariser, and its exact evaluation.

    maximise Σ x r  over  x >= 0,  Σ_a x(s',a) = Σ_{s,a} x(s,a) P(s'|s,a),  Σ x = 1;

    x is how often the policy visits each pair in the long run, and in proportion to it the policy acts. States that x
    does not visit are led to those that it does. The solver drops coefficients below 1e-9, so its own objective is not
    exact and is not used.

    Raises:
        ModelError: the solver failed.
        ReducibleChainError: the visited states cannot be reached from everywhere.
    """
    states, actions = mdp.reward.shape
    leaving = np.repeat(np.eye(states), actions, axis=1)
    entering = mdp.transition.reshape(states * actions, states).T
    # One balance equation is the sum of the others.
    equalities = np.vstack([(leaving - entering)[1:], np.ones(states * actions)])
    found = linprog(
        -mdp.reward.reshape(-1),
        A_eq=equalities,
        b_eq=np.append(np.zeros(states - 1), 1.0),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not found.success:
        raise ModelError(f"{mdp.name}: the linear programme was not solved: {found.message}")
    visits = np.asarray(found.x).reshape(states, actions).clip(0.0)
    reached = visits.sum(1) > 1e-9
    policy = mdp.uniform_policy()
    policy[reached] = visits[reached] / visits[reached].sum(1, keepdims=True)
    while not reached.all():
        towards = mdp.transition[:, :, reached].sum(-1)
        new = ~reached & (towards.max(1) > 0.0)
        if not new.any():
            break  # `evaluate` will say what is wrong
        policy[new] = np.eye(actions)[towards[new].argmax(1)]
        reached |= new
    return evaluate(mdp, policy)


def greedy_policy(q: Float[ndarray, "state action"], entropy: float = 0.0) -> Float[ndarray, "state action"]:
    """argmax_π Σ π q - μ Σ π log π: the first best action, or softmax(q/μ)."""
    if entropy > 0.0:
        return np.exp(q / entropy - logsumexp(q / entropy, axis=1, keepdims=True))
    policy = np.zeros_like(q)
    policy[np.arange(len(q)), q.argmax(1)] = 1.0
    return policy


def _best(q: Float[ndarray, "state action"], entropy: float) -> Float[ndarray, " state"]:
    return entropy * np.asarray(logsumexp(q / entropy, axis=1)) if entropy > 0.0 else q.max(1)
