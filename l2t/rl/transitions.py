"""What a source of data gives to the evaluation of a policy: transitions between state-action pairs."""

from __future__ import annotations

from typing import Protocol

from flax import struct
from jaxtyping import Array, Float, Key, PyTree


@struct.dataclass
class PairTransitions:
    """n transitions x → x' between state-action pairs x = (s, a), x' = (s', a').

    Attributes:
        pair: x: pair numbers of a finite process, `[n, size]` vectors of a continuous one.
        reward: r(s,a) - h^π(s).
        next_pair: x', with a' drawn from the policy that is evaluated, whoever chose a.
    """

    pair: PyTree
    reward: Float[Array, " n"]
    next_pair: PyTree


class Source(Protocol):
    """A stream of transitions as pure functions, to be compiled and vmapped by whoever draws from it."""

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Where the stream starts."""
        ...

    def draw(self, state: PyTree, key: Key[Array, ""], length: int) -> tuple[PyTree, PairTransitions]:
        """The next `length` transitions."""
        ...
