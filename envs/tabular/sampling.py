"""Drawing from a finite process in compiled programs: a generative model, and the Markov chain of a policy."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from envs.tabular.model import TabularMDP


@struct.dataclass
class Sampler:
    """A process and a policy, laid out for drawing.

    Only successors with a positive probability are kept, so a draw costs as much as the process branches. Probabilities
    are float32: a draw errs from the exact distribution by some 1e-7.

    Attributes:
        successor: state numbers, those of probability 0 last.
        cumulative: their cumulative probabilities, see `_cumulate`.
        policy: cumulative π(a|s).
        reward: r[s, a].
    """

    successor: Int[Array, "state action branch"]
    cumulative: Float[Array, "state action branch"]
    policy: Float[Array, "state action"]
    reward: Float[Array, "state action"]

    @classmethod
    def create(cls, mdp: TabularMDP, policy: Float[np.ndarray, "state action"]) -> Sampler:
        """Lay out a process and a policy.

        Raises:
            ModelError: the policy is none of this process.
        """
        policy = mdp.check_policy(policy)
        branches = int((mdp.transition > 0.0).sum(-1).max())
        # A stable sort by "impossible" brings the possible successors to the front, in order.
        order = np.argsort(mdp.transition == 0.0, axis=-1, kind="stable")[..., :branches]
        chances = np.take_along_axis(mdp.transition, order, -1)
        return cls(
            successor=jnp.asarray(order, jnp.int32),
            cumulative=_cumulate(chances),
            policy=_cumulate(policy),
            reward=jnp.asarray(mdp.reward, jnp.float32),
        )

    def with_policy(self, policy: Float[Array, "state action"]) -> Sampler:
        """The same process under another policy, also inside a compiled program: probabilities are not checked."""
        policy = policy.astype(jnp.float32)
        after = jnp.flip(jnp.cumsum(jnp.flip(policy, -1), -1), -1) - policy
        return replace(self, policy=jnp.where(after > 0.0, jnp.cumsum(policy, -1), 2.0))

    def next_state(self, key: Key[Array, ""], state: Int[Array, ""], action: Int[Array, ""]) -> Int[Array, ""]:
        """One successor of a pair: the generative model."""
        return self.successor[state, action, _invert(self.cumulative[state, action], key)]

    def action(self, key: Key[Array, ""], state: Int[Array, ""]) -> Int[Array, ""]:
        """One action of the policy."""
        return _invert(self.policy[state], key)


@struct.dataclass
class Transitions:
    """(s, a, r, s', a'), with a' drawn from the policy; all leaves have the same leading axes."""

    state: Int[Array, "*batch"]
    action: Int[Array, "*batch"]
    reward: Float[Array, "*batch"]
    next_state: Int[Array, "*batch"]
    next_action: Int[Array, "*batch"]


def markov_stream(
    sampler: Sampler, key: Key[Array, ""], state: Int[Array, ""], length: int
) -> tuple[Int[Array, ""], Transitions]:
    """`length` consecutive transitions of the policy's chain from `state`; vmap over keys and states for more.

    The next action of one transition is the action of the next.

    Returns:
        The state after the last transition, and the transitions with a leading axis of `length`.
    """
    action_key, key = jax.random.split(key)

    def step(carry: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], Transitions]:
        state, action = carry
        state_key, action_key = jax.random.split(key)
        next_state = sampler.next_state(state_key, state, action)
        next_action = sampler.action(action_key, next_state)
        return (next_state, next_action), Transitions(
            state, action, sampler.reward[state, action], next_state, next_action
        )

    start = (jnp.asarray(state, jnp.int32), sampler.action(action_key, state))
    (state, _), transitions = jax.lax.scan(step, start, jax.random.split(key, length))
    return state, transitions


def generative_sample(
    sampler: Sampler, key: Key[Array, ""], state: Int[Array, " n"], action: Int[Array, " n"]
) -> Transitions:
    """One independent transition from each of n pairs."""
    state_key, action_key = jax.random.split(key)
    state, action = jnp.asarray(state, jnp.int32), jnp.asarray(action, jnp.int32)
    next_state = jax.vmap(sampler.next_state)(jax.random.split(state_key, len(state)), state, action)
    next_action = jax.vmap(sampler.action)(jax.random.split(action_key, len(state)), next_state)
    return Transitions(state, action, sampler.reward[state, action], next_state, next_action)


def _cumulate(probability: Float[np.ndarray, "*batch n"]) -> Float[Array, "*batch n"]:
    """Cumulative sums; 2 from the last possible entry on, which no draw reaches, whatever rounding does to the sum."""
    after = np.flip(np.cumsum(np.flip(probability, -1), -1), -1) - probability
    return jnp.asarray(np.where(after > 0.0, np.cumsum(probability, -1), 2.0), jnp.float32)


def _invert(cumulative: Float[Array, " n"], key: Key[Array, ""]) -> Int[Array, ""]:
    """The index whose interval holds a uniform draw."""
    return (jax.random.uniform(key) >= cumulative).sum().astype(jnp.int32)
