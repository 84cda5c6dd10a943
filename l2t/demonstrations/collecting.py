"""Recording a policy: whole episodes, many at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from l2t.config import check_choice
from l2t.demonstrations.record import GROUP, Episode
from l2t.errors import DemonstrationError
from l2t.rl.distributions import Distribution
from l2t.rl.playing import Playing, begin, modes, proceed
from l2t.rl.policy import Policy
from l2t.rl.types import Environment

ACTIONS = ("mean", "sampled")
AT_ONCE = 64
"""Episodes that are played side by side; their observations of a whole episode fit into any memory."""
STRETCH = 128
"""Steps of one call of the compiled program; between two calls the host looks whether anybody still plays."""


class _Players(NamedTuple):
    playing: Playing
    key: Key[Array, " env"]


class _Seen(NamedTuple):
    """Of one step: what came of it, and the action in the task's units."""

    observation: Float[Array, "env n"]
    action: Float[Array, "env action"]
    reward: Float[Array, " env"]
    terminated: Bool[Array, " env"]
    truncated: Bool[Array, " env"]


def play(environment: Environment, policy: Policy, seeds: Sequence[int], actions: str = "mean") -> list[Episode]:
    """Record one whole episode for each seed.

    Episode i starts where `environment.reset(split(key(seed_i))[1])` does, which is where the task's Gymnasium face
    starts after `reset(seed=seed_i)`. Its sampled actions come from the other half of that split, so that the seed
    alone decides it, up to what rounding makes of batches of different sizes.

    Args:
        environment: the task; it must show the group `teacher`.
        policy: who acts, from its initial memory on.
        seeds: one for each episode.
        actions: `mean` plays the modes of the policy's distributions, `sampled` draws from them.

    Returns:
        The episodes in the order of their seeds. What is recorded as an action is what the environment was given.

    Raises:
        ConfigurationError: `actions` is unknown, or the task does not show the group.
        DemonstrationError: an episode does not end at the task's time limit.
    """
    check_choice("actions", actions, ACTIONS)
    environment.spec.size_of(GROUP)  # raises where it is not shown
    width = min(AT_ONCE, len(seeds))
    length = environment.spec.episode_length
    start = jax.jit(lambda keys: _start(environment, policy, keys))
    go_on = jax.jit(lambda players: _go_on(environment, policy, players, actions, min(STRETCH, length)))
    episodes: list[Episode] = []
    for at in range(0, len(seeds), width or 1):
        part = list(seeds[at : at + width])
        padded = [*part, *[part[-1]] * (width - len(part))]  # one size, one program
        players = start(jax.vmap(jax.random.key)(np.array(padded, np.uint32)))
        starts, seen = np.asarray(players.playing.state.observation[GROUP]), []
        playing = np.ones(width, bool)
        for _ in range(math.ceil(length / min(STRETCH, length))):
            players, stretch = go_on(players)
            seen.append(jax.device_get(stretch))
            playing &= ~(seen[-1].terminated | seen[-1].truncated).any(axis=0)
            if not playing.any():
                break
        if playing.any():
            raise DemonstrationError(f"{environment.spec.name} has episodes that do not end after {length:,} steps.")
        joined = jax.tree.map(lambda *stretches: np.concatenate(stretches), *seen)
        episodes += [_episode(joined, starts, row, seed) for row, seed in enumerate(part)]
    return episodes


def _start(environment: Environment, policy: Policy, keys: Key[Array, " env"]) -> _Players:
    halves = jax.vmap(jax.random.split)(keys)
    return _Players(begin(environment, policy, halves[:, 1]), halves[:, 0])


def _go_on(
    environment: Environment, policy: Policy, players: _Players, actions: str, steps: int
) -> tuple[_Players, _Seen]:
    """The next steps, also of those whose episode is over: what they do then is cut off."""

    def step(players: _Players, _: None) -> tuple[_Players, _Seen]:
        def sample(distribution: Distribution) -> Float[Array, "env action"]:
            keys = jax.vmap(lambda key: jax.random.fold_in(key, players.playing.time))(players.key)
            return jax.vmap(lambda own, key: own.sample(key))(distribution.batched(), keys)

        choice = modes if actions == "mean" else sample
        playing, taken = proceed(environment, policy, players.playing, choice)
        state = playing.state
        seen = _Seen(state.observation[GROUP], taken, state.reward, state.terminated, state.truncated)
        return _Players(playing, players.key), seen

    return jax.lax.scan(step, players, length=steps)


def _episode(seen: _Seen, starts: np.ndarray, row: int, seed: int) -> Episode:
    """Of one player, up to and with the first step that ends the episode."""
    length = int(np.argmax(seen.terminated[:, row] | seen.truncated[:, row])) + 1
    own = {name: getattr(seen, name)[:length, row] for name in _Seen._fields}
    return Episode(
        np.concatenate([starts[row][None], own["observation"]]),
        *(own[name] for name in ("action", "reward", "terminated", "truncated")),
        seed=seed,
    )
