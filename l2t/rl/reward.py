"""Where the reward comes from that a learner is given: the task's own, or one that is learnt as the run goes on."""

from __future__ import annotations

from typing import Protocol

from jaxtyping import Array, Key, PyTree

from l2t.rl.policy import Policy
from l2t.rl.types import Metrics, Trajectory


class Reward(Protocol):
    """Stands between collecting and learning."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Observation groups that it looks at: a replay keeps them."""
        ...

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Parameters and optimiser; `()` where there are none."""
        ...

    def learn(
        self, state: PyTree, trajectory: Trajectory, policy: Policy, key: Key[Array, ""]
    ) -> tuple[PyTree, Metrics]:
        """One step on a batch that `policy` collected, before it is relabelled."""
        ...

    def relabel(self, state: PyTree, trajectory: Trajectory) -> Trajectory:
        """The batch, and what is replayed with it, with this reward in place of the task's."""
        ...


class TaskReward:
    """The task's own."""

    groups = ()

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Nothing to learn."""
        del key
        return ()

    def learn(
        self, state: PyTree, trajectory: Trajectory, policy: Policy, key: Key[Array, ""]
    ) -> tuple[PyTree, Metrics]:
        """Nothing."""
        del trajectory, policy, key
        return state, {}

    def relabel(self, state: PyTree, trajectory: Trajectory) -> Trajectory:
        """The batch as it is."""
        del state
        return trajectory
