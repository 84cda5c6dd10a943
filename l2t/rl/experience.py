"""What becomes of the steps that were collected: handed on once, or kept and drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Array, Key, PyTree

from l2t.rl.types import Trajectory


class Experience(Protocol):
    """A store of experience; its state is part of the run's transient state."""

    def init(self, example: Callable[[], Trajectory]) -> PyTree:
        """An empty store; `example()` gives the shapes and types of a batch."""
        ...

    def exchange(self, store: PyTree, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[PyTree, Trajectory]:
        """Put in what was just collected; take out what is learnt from now. Rewards are the task's on both sides."""
        ...


class Fresh:
    """On-policy: what was just collected is learnt from, and then forgotten."""

    def init(self, example: Callable[[], Trajectory]) -> PyTree:
        """Nothing is kept."""
        del example
        return ()

    def exchange(self, store: PyTree, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[PyTree, Trajectory]:
        """The batch itself."""
        del key
        return store, trajectory
