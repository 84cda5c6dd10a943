"""Evaluation of a policy on fresh episodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from l2t.rl.algorithm import Algorithm, RunState
from l2t.rl.playing import Playing, begin, proceed
from l2t.rl.policy import Policy
from l2t.rl.types import Environment, judged

Evaluation = dict[str, Any]
"""`return_mean`, `return_std`, `average_reward`, `episode_length_mean`, `episodes`."""


def evaluate(environment: Environment, policy: Policy, key: Key[Array, ""], episodes: int) -> Evaluation:
    """Play the modes of `policy` in `episodes` whole episodes in parallel, one per environment instance.

    Returns:
        Mean and standard deviation of the undiscounted return, reward per step, mean length, and how many.
    """
    reset_key, _ = jax.random.split(key)  # half of it: start states are those of every evaluation stored so far

    class Carry(NamedTuple):
        playing: Playing
        alive: Bool[Array, " env"]
        total: Float[Array, " env"]
        length: Int[Array, " env"]

    def step(carry: Carry) -> Carry:
        playing, _ = proceed(environment, policy, carry.playing)
        state = playing.state
        return Carry(
            playing=playing,
            alive=carry.alive & ~(state.terminated | state.truncated),
            total=carry.total + jnp.where(carry.alive, state.reward, 0.0),
            length=carry.length + carry.alive,
        )

    start = Carry(
        playing=begin(environment, policy, jax.random.split(reset_key, episodes)),
        alive=jnp.ones(episodes, bool),
        total=jnp.zeros(episodes),
        length=jnp.zeros(episodes, jnp.int32),
    )
    end = jax.lax.while_loop(lambda carry: carry.alive.any(), step, start)
    return {
        "return_mean": end.total.mean(),
        "return_std": end.total.std(),
        "average_reward": end.total.sum() / end.length.sum(),
        "episode_length_mean": end.length.mean(),
        "episodes": jnp.asarray(episodes, jnp.int32),
    }


def make_evaluator(algorithm: Algorithm, episodes: int) -> Callable[[RunState, Key[Array, ""]], dict[str, Evaluation]]:
    """A jittable function that evaluates every role of `algorithm` on the same start states."""

    def evaluate_roles(state: RunState, key: Key[Array, ""]) -> dict[str, Evaluation]:
        play = partial(evaluate, judged(algorithm.environment), key=key, episodes=episodes)
        return {role: play(policy=algorithm.policy(state.learnt, role)) for role in algorithm.roles}

    return evaluate_roles
