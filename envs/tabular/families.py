"""Families of finite Markov decision processes with known structure. Every one goes on for ever."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from envs.tabular.model import TabularMDP
from l2t.config import check_count, check_range


def garnet(
    num_states: int = 20, num_actions: int = 4, branching: int = 3, *, teleport: float = 0.0, seed: int = 0
) -> TabularMDP:
    """Random sparse process: each pair has `branching` successors drawn without replacement.

    Probabilities are the gaps between sorted uniform cuts of [0, 1]; rewards are uniform on [0, 1].

    Args:
        num_states, num_actions, branching: S, A, b <= S.
        teleport: probability of a jump to a uniform state instead; above 0 every policy is ergodic.
        seed: of the draw.

    Source: Archibald, McKinnon and Thomas, "On the generation of Markov decision processes", JORS 1995.
    """
    check_count("num_actions", num_actions)
    check_count("branching", branching)
    check_count("num_states", num_states, branching)
    check_range("teleport", teleport, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    transition = np.zeros((num_states, num_actions, num_states))
    for row in transition.reshape(-1, num_states):
        cuts = np.sort(rng.uniform(size=branching - 1))
        row[rng.choice(num_states, branching, replace=False)] = np.diff(cuts, prepend=0.0, append=1.0)
    transition = (1.0 - teleport) * transition + teleport / num_states
    return TabularMDP(transition, rng.uniform(size=(num_states, num_actions)), f"garnet-{num_states}-{num_actions}")


def grid_world(width: int = 5, height: int = 5, slip: float = 0.1) -> TabularMDP:
    """Walk from the first cell to the last, where any action pays 1 and leads back to the first.

    Actions are right, left, down and up; with probability `slip` a uniformly drawn one happens instead. Walls hold.

    Args:
        width, height: of the grid; cells are numbered row by row.
        slip: in [0, 1].
    """
    check_count("width", width)
    check_count("height", height)
    check_range("slip", slip, 0.0, 1.0)
    cells = width * height
    moves = np.zeros((cells, 4, cells))
    for (row, column), (action, (down, right)) in product(
        product(range(height), range(width)), enumerate([(0, 1), (0, -1), (1, 0), (-1, 0)])
    ):
        target = min(max(row + down, 0), height - 1) * width + min(max(column + right, 0), width - 1)
        moves[row * width + column, action, target] = 1.0
    transition = (1.0 - slip) * moves + slip * moves.mean(1, keepdims=True)
    reward = np.zeros((cells, 4))
    transition[-1] = np.eye(cells)[0]
    reward[-1] = 1.0
    return TabularMDP(transition, reward, f"grid-{width}x{height}")


def access_control(
    servers: int = 10, priorities: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0), release: float = 0.06
) -> TabularMDP:
    """A queue before identical servers: reject or accept the customer at its head, who pays his priority if accepted.

    A state is (free servers, priority at the head), numbered with the priority fastest. Actions: 0 rejects, 1 accepts
    (without a free server it rejects). Then each busy server becomes free with probability `release`, and the next
    customer's priority is uniform.

    Source: Sutton and Barto, "Reinforcement Learning", 2nd edition, example 10.2.
    """
    check_count("servers", servers)
    check_range("release", release, 0.0, 1.0, open_low=True)
    kinds = len(priorities)
    transition = np.zeros((servers + 1, kinds, 2, servers + 1, kinds))
    reward = np.zeros((servers + 1, kinds, 2))
    for free, kind, action in product(range(servers + 1), range(kinds), range(2)):
        accepted = int(action == 1 and free > 0)
        reward[free, kind, action] = accepted * priorities[kind]
        left = free - accepted
        busy = servers - left
        for released in range(busy + 1):
            chance = math.comb(busy, released) * release**released * (1.0 - release) ** (busy - released)
            transition[free, kind, action, left + released] += chance / kinds
    size = (servers + 1) * kinds
    flat = transition.reshape(size, 2, size)
    return TabularMDP(flat / flat.sum(-1, keepdims=True), reward.reshape(size, 2), "access-control")


def river_swim(num_states: int = 6) -> TabularMDP:
    """A chain with a current: action 0 drifts left, action 1 swims right against it; the far end pays 1, the near .005.

    Source: Strehl and Littman, "An analysis of model-based interval estimation", JCSS 2008.
    """
    check_count("num_states", num_states, 2)
    transition = np.zeros((num_states, 2, num_states))
    for state in range(num_states):
        transition[state, 0, max(state - 1, 0)] = 1.0
        last = num_states - 1
        stay, right = (0.4, 0.6) if state == 0 else (0.6, 0.0 if state == last else 0.35)
        transition[state, 1, state] += stay
        transition[state, 1, min(state + 1, last)] += right
        transition[state, 1, max(state - 1, 0)] += 1.0 - stay - right
    reward = np.zeros((num_states, 2))
    reward[0, 0], reward[-1, 1] = 0.005, 1.0
    return TabularMDP(transition, reward, "river-swim")


def coin_games(levels: int = 10, largest_edge: float = 0.8) -> TabularMDP:
    """Ties at every scale: in game j one of two coins wins more often, by δ_j = δ_0 2^-j. Every step is a game.

    A state is (game, whether the last toss won), numbered 2 j + won; it pays 1 if it did. Coin j mod 2 wins with
    probability (1 + δ_j)/2, the other with (1 - δ_j)/2, and the next game is drawn uniformly. So ρ* = (1 + mean δ)/2,
    and whoever tosses the worse coin in game j with probability w_j is mean(δ_j w_j) below it.

    To tell the coins of game j apart takes some 1/δ_j² tosses, so after n tosses of each the games with δ_j < 1/√n are
    guesses, and the gap falls as 1/√n until n δ² is large for the least edge: the worst case of every n in one process.

    Args:
        levels: games, J.
        largest_edge: δ_0 in (0, 1].
    """
    check_count("levels", levels)
    check_range("largest_edge", largest_edge, 0.0, 1.0, open_low=True)
    edge = largest_edge * 0.5 ** np.arange(levels)
    better = np.arange(levels)[:, None] % 2 == np.arange(2)
    win = 0.5 * (1.0 + np.where(better, edge[:, None], -edge[:, None]))
    chance = np.stack([1.0 - win, win], -1) / levels  # of what comes of the toss, and of each next game
    transition = np.repeat(np.tile(chance, levels), 2, axis=0)
    reward = np.tile([[0.0], [1.0]], (levels, 2))
    return TabularMDP(transition, reward, f"coin-games-{levels}")


def two_state_cycle(
    leave_first: float = 1.0, leave_second: float = 1.0, rewards: tuple[float, float] = (2.0, 0.0)
) -> TabularMDP:
    """Two states, one action, everything in closed form.

    With p, q the probabilities of leaving: ν = (q, p)/(p + q), ρ = ν r, V(0) - V(1) = (r0 - r1)/(p + q). With p = q = 1
    the chain has period 2.
    """
    for name, value in (("leave_first", leave_first), ("leave_second", leave_second)):
        check_range(name, value, 0.0, 1.0, open_low=True)
    chain = np.array([[1.0 - leave_first, leave_first], [leave_second, 1.0 - leave_second]])
    return TabularMDP(chain[:, None, :], np.array(rewards)[:, None], "two-state-cycle")


def ring(num_states: int = 20, move: float = 0.5) -> TabularMDP:
    """A lazy walk on a circle, which mixes as slowly as one likes; state 0 pays 1.

    Action 0 moves left and action 1 right, each with probability `move`. Under the uniform policy the second eigenvalue
    is 1 - move (1 - cos(2π/S)), and the mixing time about its distance from 1, inverted.
    """
    check_count("num_states", num_states, 3)
    check_range("move", move, 0.0, 1.0, open_low=True)
    identity = np.eye(num_states)
    steps = np.stack([np.roll(identity, shift, axis=1) for shift in (-1, 1)], axis=1)
    reward = np.zeros((num_states, 2))
    reward[0] = 1.0
    return TabularMDP((1.0 - move) * identity[:, None] + move * steps, reward, f"ring-{num_states}")


def transient_start(num_transient: int = 3) -> TabularMDP:
    """A process that is unichain under every policy and never ergodic: a corridor into a two-state recurrent class.

    Action 1 walks the corridor surely, action 0 with probability ½. In the class, which cannot be left, action 0 stays
    and pays 1 in its first state, action 1 switches; from its second state both actions lead back with probability ½.
    """
    check_count("num_transient", num_transient)
    size = num_transient + 2
    first, second = num_transient, num_transient + 1
    transition, reward = np.zeros((size, 2, size)), np.zeros((size, 2))
    for state in range(num_transient):
        transition[state, 0, [state, state + 1]] = 0.5
        transition[state, 1, state + 1] = 1.0
    transition[first, 0, first], transition[first, 1, second] = 1.0, 1.0
    transition[second, :, first] = transition[second, :, second] = 0.5
    reward[first, 0], reward[second, 1] = 1.0, 0.5
    return TabularMDP(transition, reward, "transient-start")
