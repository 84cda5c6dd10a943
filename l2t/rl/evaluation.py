"""Evaluation of a policy on fresh episodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from l2t.rl.algorithm import Algorithm, RunState
from l2t.rl.policy import Memory, Policy
from l2t.rl.types import Environment, EnvironmentState, judged
from l2t.rl.vector import as_seen, scale_action, with_action

Evaluation = dict[str, Any]
"""`return_mean`, `return_std`, `average_reward`, `episode_length_mean`, `episodes`."""


def evaluate(environment: Environment, policy: Policy, key: Key[Array, ""], episodes: int) -> Evaluation:
    """Play the modes of `policy` in `episodes` whole episodes in parallel, one per environment instance.

    Returns:
        Mean and standard deviation of the undiscounted return, reward per step, mean length, and how many.
    """
    reset_key, _ = jax.random.split(key)
    spec = environment.spec

    class Carry(NamedTuple):
        state: EnvironmentState
        action: Float[Array, "env action"]
        memory: Memory
        alive: Bool[Array, " env"]
        total: Float[Array, " env"]
        length: Int[Array, " env"]
        time: Int[Array, ""]

    def step(carry: Carry) -> Carry:
        observation = with_action(carry.state.observation, carry.action)
        memory, distribution = policy.step(carry.memory, observation, jnp.full(episodes, carry.time == 0))
        action = distribution.mode()
        state = jax.vmap(environment.step)(carry.state, scale_action(spec, action))
        return Carry(
            state=state,
            action=as_seen(environment, carry.state, state, jnp.clip(action, -1.0, 1.0)),
            memory=memory,
            alive=carry.alive & ~(state.terminated | state.truncated),
            total=carry.total + jnp.where(carry.alive, state.reward, 0.0),
            length=carry.length + carry.alive,
            time=carry.time + 1,
        )

    start = Carry(
        state=jax.vmap(environment.reset)(jax.random.split(reset_key, episodes)),
        action=jnp.zeros((episodes, spec.action_size)),
        memory=policy.initial(episodes),
        alive=jnp.ones(episodes, bool),
        total=jnp.zeros(episodes),
        length=jnp.zeros(episodes, jnp.int32),
        time=jnp.zeros((), jnp.int32),
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
