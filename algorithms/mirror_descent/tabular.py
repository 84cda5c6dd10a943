"""Stochastic policy mirror descent on a finite process, as one scan:

    Q_k = critic(π_k),   π_{k+1}(.|s) = argmax_p  η_k [<Q_k(s,.), p> - μ Σ p log p] - D(p, π_k(.|s)).

A critic is a function; what it has to remember (a warm start of its weights, the state of a Markov stream, a count of
samples) is its state, which the loop hands back to it. Nothing here knows where Q comes from.

Source: Li, Wu and Lan, "Stochastic first-order methods for average-reward Markov decision processes", arXiv 2205.05800.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.mirror_descent.divergences import MirrorStep
from algorithms.mirror_descent.schedules import Schedule
from l2t.config import check_count, check_range
from l2t.errors import ConfigurationError


class TabularCritic(Protocol):
    """What estimates Q^π, up to a constant."""

    def __call__(
        self, policy: Float[Array, "state action"], key: Key[Array, ""], state: Any, /
    ) -> tuple[Float[Array, "state action"], dict[str, Array], Any]:
        """Evaluate a policy.

        Args:
            policy: π[s, a]; may hold zeros.
            key: for this call alone.
            state: what the last call returned, or the caller's `critic_state` at first.

        Returns:
            Q[s, a], in units of reward; scalars by name, to be recorded, such as `reward_rate` and `samples` (how many
            transitions this call drew); the critic's next state.
        """
        ...


@struct.dataclass
class PolicyPath:
    """The policies of K iterations.

    Attributes:
        log_policy: log π_0, log π_n, log π_2n, ..., log π_K with n = `record_every`.
        metrics: what the critic said of π_0, ..., π_{K-1}, each [K].
        critic_state: the critic's last state.
    """

    log_policy: Float[Array, "record state action"]
    metrics: dict[str, Array]
    critic_state: PyTree

    @property
    def policy(self) -> Float[Array, "record state action"]:
        """π of each record."""
        return jnp.exp(self.log_policy)


def mirror_descent(
    critic: TabularCritic,
    step: MirrorStep,
    schedule: Schedule,
    policy: Float[Array, "state action"],
    iterations: int,
    entropy: float,
    key: Key[Array, ""],
    critic_state: PyTree = (),
    record_every: int = 1,
) -> PolicyPath:
    """Run the loop. Can be compiled, and vmapped over `key`, `policy` and `critic_state`.

    Args:
        critic: see `TabularCritic`. It must use the same μ.
        step: `kl_step`, `tsallis_step` or `euclidean_step`.
        schedule: k -> η_k.
        policy: π_0[s, a]; its dtype is that of the run.
        iterations: K.
        entropy: μ >= 0, in units of reward.
        key: every iteration's critic gets its own.
        critic_state: the critic's first state.
        record_every: n, which divides K.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    check_range("entropy", entropy, 0.0)

    def update(x: Array, step_size: Array, key: Array, state: PyTree) -> tuple[Array, dict[str, Array], PyTree]:
        q, metrics, state = critic(jnp.exp(x), key, state)
        return step(x, q.astype(x.dtype), step_size, entropy), metrics, state

    start = jnp.log(jnp.asarray(policy))
    recorded, metrics, state = iterate(update, schedule, start, iterations, key, critic_state, record_every)
    return PolicyPath(recorded, metrics, state)


def in_stages(critics: Sequence[TabularCritic], iterations: int) -> TabularCritic:
    """The first critic for so many iterations, the next for as many, and so on; the last goes on. So batches grow.

    Its state is (iterations done, the critics' state); start with (jnp.zeros((), jnp.int32), that of the first).

    Args:
        critics: at least one. They share the forms of their states and metrics; each is compiled.
        iterations: of each.

    Raises:
        ConfigurationError: there is no critic, or `iterations` is no count.
    """
    check_count("iterations", iterations)
    check_count("len(critics)", len(critics))

    def critic(
        policy: Float[Array, "state action"], key: Key[Array, ""], state: tuple[Int[Array, ""], Any]
    ) -> tuple[Float[Array, "state action"], dict[str, Array], Any]:
        done, state = state
        # Clamped at the last. The index is no batch axis's, so that mapped over seeds only one branch is computed.
        q, metrics, state = jax.lax.switch(done // iterations, critics, policy, key, state)
        return q, metrics, (done + 1, state)

    return critic


def iterate(
    update: Callable[[Array, Array, Array, PyTree], tuple[Array, dict[str, Array], PyTree]],
    schedule: Schedule,
    start: Float[Array, "..."],
    iterations: int,
    key: Key[Array, ""],
    state: PyTree,
    record_every: int,
) -> tuple[Float[Array, "record ..."], dict[str, Array], PyTree]:
    """x_{k+1} = update(x_k, η_k, key_k, state_k) for any parameter x of a policy.

    Returns:
        x_0, x_n, ..., x_K; the metrics of all K updates; the last state.

    Raises:
        ConfigurationError: `iterations` or `record_every` is no count, or the second does not divide the first.
    """
    check_count("iterations", iterations)
    check_count("record_every", record_every)
    if iterations % record_every:
        raise ConfigurationError(
            f"record_every={record_every} must divide iterations={iterations}, so that the last policy is recorded."
        )

    def once(carry: tuple[Array, PyTree], inputs: tuple[Array, Array]) -> tuple[tuple[Array, PyTree], dict[str, Array]]:
        x, state = carry
        k, key = inputs
        x, metrics, state = update(x, jnp.asarray(schedule(k), x.dtype), key, state)
        return (x, state), metrics

    def chunk(carry: tuple[Array, PyTree], inputs: Any) -> tuple[tuple[Array, PyTree], tuple[Array, dict[str, Array]]]:
        carry, metrics = jax.lax.scan(once, carry, inputs)
        return carry, (carry[0], metrics)

    chunks = (iterations // record_every, record_every)
    inputs = (jnp.arange(iterations).reshape(chunks), jax.random.split(key, chunks))
    (_, state), (recorded, metrics) = jax.lax.scan(chunk, (start, state), inputs)
    return (
        jnp.concatenate([start[None], recorded]),
        jax.tree.map(lambda leaf: leaf.reshape(iterations, *leaf.shape[2:]), metrics),
        state,
    )
