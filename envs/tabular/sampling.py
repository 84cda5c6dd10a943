"""Drawing from a finite process in compiled programs: a generative model, and the Markov chain of a policy."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.scipy.special import xlogy
from jaxtyping import Array, Float, Int, Key

from envs.tabular.model import TabularMDP, cumulated
from l2t.rl.transitions import PairTransitions


@struct.dataclass
class Sampler:
    """A process and a policy, laid out for drawing.

    Only successors with a positive probability are kept, so a draw costs as much as the process branches. Probabilities
    are float32: a draw errs from the exact distribution by some 1e-7.

    Attributes:
        successor: state numbers, those of probability 0 last.
        cumulative: their cumulative probabilities, see `cumulated`.
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
        return self.successor[state, action, _invert(self.cumulative[state, action], jax.random.uniform(key))]

    def action(self, key: Key[Array, ""], state: Int[Array, ""]) -> Int[Array, ""]:
        """One action of the policy."""
        return _invert(self.policy[state], jax.random.uniform(key))


@struct.dataclass
class MarkovSource:
    """The Markov chain of a policy, or of one that explores more, as one endless path.

    Pairs are numbered s A + a. The stream's state is the pair that comes next.

    Attributes:
        sampler: the process under the policy π that is evaluated.
        reward: r(s,a) - h^π(s), by pair.
        exploration: ε: the action taken is uniform with this probability, else it is the a' that was drawn from π.
    """

    sampler: Sampler
    reward: Float[Array, " pair"]
    exploration: Float[Array, ""]

    @classmethod
    def create(
        cls,
        sampler: Sampler,
        policy: Float[Array, "state action"],
        entropy: float | Array = 0.0,
        exploration: float | Array = 0.0,
    ) -> MarkovSource:
        """The stream of a policy, also inside a compiled program; μ = `entropy` prices h^π = μ Σ π log π."""
        return cls(
            sampler.with_policy(policy),
            _regularised_reward(sampler, policy, entropy),
            jnp.asarray(exploration, jnp.float32),
        )

    @property
    def num_pairs(self) -> int:
        """S A."""
        return self.reward.shape[0]

    def init(self, key: Key[Array, ""]) -> Int[Array, ""]:
        """A uniformly drawn state, and an action of the policy there."""
        uniform = jax.random.uniform(key, (2,))
        states, actions = self.sampler.reward.shape
        state = jnp.minimum((uniform[0] * states).astype(jnp.int32), states - 1)
        return state * actions + _invert(self.sampler.policy[state], uniform[1])

    def draw(self, state: Int[Array, ""], key: Key[Array, ""], length: int) -> tuple[Int[Array, ""], PairTransitions]:
        """The next `length` transitions of the path."""
        sampler, actions = self.sampler, self.sampler.reward.shape[1]

        def step(pair: Array, uniform: Array) -> tuple[Array, tuple[Array, Array]]:
            source, action = pair // actions, pair % actions
            state = sampler.successor[source, action, _invert(sampler.cumulative[source, action], uniform[0])]
            drawn = _invert(sampler.policy[state], uniform[1])
            # One number decides whether to explore and, stretched, where to.
            other = jnp.minimum((uniform[2] / self.exploration * actions).astype(jnp.int32), actions - 1)
            taken = jnp.where(uniform[2] < self.exploration, other, drawn)
            return state * actions + taken, (pair, state * actions + drawn)

        last, (pair, next_pair) = jax.lax.scan(step, state, jax.random.uniform(key, (length, 3)))
        return last, PairTransitions(pair, self.reward[pair], next_pair)


@struct.dataclass
class GenerativeSource:
    """Independent transitions: pairs from a fixed distribution, a successor, and an action of π there.

    Attributes:
        sampler, reward: as in `MarkovSource`.
        pair: cumulative probabilities of the pairs.
    """

    sampler: Sampler
    reward: Float[Array, " pair"]
    pair: Float[Array, " pair"]

    @classmethod
    def create(
        cls,
        sampler: Sampler,
        policy: Float[Array, "state action"],
        weight: Float[np.ndarray, " pair"],
        entropy: float | Array = 0.0,
    ) -> GenerativeSource:
        """Draw pairs with the probabilities `weight`; with ν(s) π(a|s) this is the stationary distribution itself."""
        return cls(
            sampler.with_policy(policy), _regularised_reward(sampler, policy, entropy), _cumulate(np.asarray(weight))
        )

    @property
    def num_pairs(self) -> int:
        """S A."""
        return self.reward.shape[0]

    def init(self, key: Key[Array, ""]) -> Int[Array, ""]:
        """Nothing is remembered."""
        del key
        return jnp.zeros((), jnp.int32)

    def draw(self, state: Int[Array, ""], key: Key[Array, ""], length: int) -> tuple[Int[Array, ""], PairTransitions]:
        """`length` independent transitions."""
        sampler, actions = self.sampler, self.sampler.reward.shape[1]
        uniform = jax.random.uniform(key, (length, 3))
        pair = jnp.searchsorted(self.pair, uniform[:, 0], side="right").astype(jnp.int32)
        source, action = pair // actions, pair % actions
        branch = jax.vmap(_invert)(sampler.cumulative[source, action], uniform[:, 1])
        next_state = sampler.successor[source, action, branch]
        drawn = jax.vmap(_invert)(sampler.policy[next_state], uniform[:, 2])
        return state, PairTransitions(pair, self.reward[pair], next_state * actions + drawn)


def _regularised_reward(
    sampler: Sampler, policy: Float[Array, "state action"], entropy: float | Array
) -> Float[Array, " pair"]:
    regulariser = entropy * xlogy(policy, policy).sum(1, keepdims=True)
    return (sampler.reward - regulariser).reshape(-1).astype(jnp.float32)


def _cumulate(probability: Float[np.ndarray, "*batch n"]) -> Float[Array, "*batch n"]:
    return jnp.asarray(cumulated(probability), jnp.float32)


def _invert(cumulative: Float[Array, " n"], uniform: Float[Array, ""]) -> Int[Array, ""]:
    """The index whose interval holds a number of [0, 1)."""
    return (uniform >= cumulative).sum().astype(jnp.int32)
