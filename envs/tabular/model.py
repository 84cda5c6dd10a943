"""A finite Markov decision process, and the Markov chain that a policy makes of it. NumPy, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from l2t.errors import ModelError, ReducibleChainError

_TOLERANCE = 1e-12
"""How far the sum of a row of probabilities may be from 1."""


@dataclass(frozen=True)
class TabularMDP:
    """S states, A actions, P(s'|s,a) and r(s,a), continuing for ever.

    Attributes:
        transition: P[s, a, s'].
        reward: r[s, a].
        name: for tables and messages.

    Raises:
        ModelError: shapes do not fit, a row is not a distribution, or a number is not finite.
    """

    transition: Float[ndarray, "state action state"]
    reward: Float[ndarray, "state action"]
    name: str = "mdp"

    def __post_init__(self) -> None:
        transition, reward = np.asarray(self.transition, np.float64), np.asarray(self.reward, np.float64)
        shape = transition.shape
        if transition.ndim != 3 or shape[0] != shape[2] or 0 in shape:
            raise ModelError(f"{self.name}: transition has shape {shape}; it must be [states, actions, states].")
        if reward.shape != shape[:2]:
            raise ModelError(
                f"{self.name}: reward has shape {reward.shape}; with this transition it must be {shape[:2]}."
            )
        if not np.isfinite(reward).all():
            raise ModelError(f"{self.name}: reward holds a number that is not finite.")
        _check_distributions(f"{self.name}: transition", transition)
        for array in (transition, reward):
            array.setflags(write=False)
        object.__setattr__(self, "transition", transition)
        object.__setattr__(self, "reward", reward)

    @property
    def num_states(self) -> int:
        """S."""
        return self.reward.shape[0]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.reward.shape[1]

    def uniform_policy(self) -> Float[ndarray, "state action"]:
        """π(a|s) = 1/A."""
        return np.full(self.reward.shape, 1.0 / self.num_actions)

    def chain(self, policy: Float[ndarray, "state action"]) -> Float[ndarray, "state state"]:
        """P^π(s'|s) = Σ_a π(a|s) P(s'|s,a)."""
        return np.einsum("sa,sat->st", self.check_policy(policy), self.transition)

    def pair_chain(self, policy: Float[ndarray, "state action"]) -> Float[ndarray, "pair pair"]:
        """P^π((s',a')|(s,a)) = P(s'|s,a) π(a'|s'), with pairs numbered s A + a."""
        size = self.reward.size
        return np.einsum("sat,tb->satb", self.transition, self.check_policy(policy)).reshape(size, size)

    def check_policy(self, policy: Float[ndarray, "state action"]) -> Float[ndarray, "state action"]:
        """The policy as float64.

        Raises:
            ModelError: it is no policy of this process.
        """
        policy = np.asarray(policy, np.float64)
        if policy.shape != self.reward.shape:
            raise ModelError(f"{self.name}: the policy has shape {policy.shape}; it must be {self.reward.shape}.")
        _check_distributions("policy", policy)
        return policy


def recurrent_classes(chain: Float[ndarray, "state state"]) -> list[np.ndarray]:
    """The closed communicating classes of a chain, each as an array of its states."""
    links = csr_array(chain > 0.0)
    count, label = connected_components(links, directed=True, connection="strong")
    leaves = np.zeros(count, bool)
    source, target = links.nonzero()
    leaves[label[source[label[source] != label[target]]]] = True
    return [np.flatnonzero(label == c) for c in range(count) if not leaves[c]]


def check_unichain(chain: Float[ndarray, "state state"]) -> None:
    """Raise `ReducibleChainError` unless the chain has one recurrent class (transient states are allowed)."""
    classes = recurrent_classes(chain)
    if len(classes) > 1:
        shown = "; ".join(str(members[:5].tolist()) for members in classes[:3])
        raise ReducibleChainError(
            f"The chain has {len(classes)} recurrent classes (states {shown}): its reward rate depends on the start. "
            "Give every action some probability, or link the classes."
        )


def cumulated(probability: Float[ndarray, "*batch n"]) -> Float[ndarray, "*batch n"]:
    """Cumulative sums; 2 from the last possible entry on, which no draw reaches, whatever rounding does to the sum."""
    after = np.flip(np.cumsum(np.flip(probability, -1), -1), -1) - probability
    return np.where(after > 0.0, np.cumsum(probability, -1), 2.0)


def _check_distributions(name: str, rows: np.ndarray) -> None:
    if not np.isfinite(rows).all() or rows.min() < 0.0:
        raise ModelError(f"{name} holds a negative probability, or a number that is not finite.")
    excess = np.abs(rows.sum(-1) - 1.0)
    if excess.max() > _TOLERANCE * rows.shape[-1]:
        worst = tuple(int(i) for i in np.unravel_index(excess.argmax(), excess.shape))
        raise ModelError(f"{name}: the probabilities of row {worst} sum to {float(rows[worst].sum())!r}, not to 1.")
