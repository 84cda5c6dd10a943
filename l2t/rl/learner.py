"""What a learner is: it turns batches of experience into policies, and knows nothing of who runs the environments."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from jaxtyping import Array, Float, Key, PyTree

from l2t.rl.distributions import Distribution
from l2t.rl.policy import Policy
from l2t.rl.types import Metrics, Trajectory


class Learner(Protocol):
    """Learns from trajectories that its own policy collected."""

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Parameters, optimiser, normalisers, estimates."""
        ...

    def policy(self, state: PyTree) -> Policy:
        """The policy as it stands."""
        ...

    def learn(self, state: PyTree, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[PyTree, Metrics]:
        """One iteration on one batch."""
        ...


class Judgement(NamedTuple):
    """What a teacher thinks of a batch.

    Attributes:
        distribution: its policy at every step.
        advantage: of every action that was taken.
        replayed: its policy at every step of `Trajectory.replayed`, where there is such.
    """

    distribution: Distribution
    advantage: Float[Array, "time env"]
    replayed: Distribution | None = None


class Teacher(Learner, Protocol):
    """A learner that a student can learn from."""

    def judge(self, state: PyTree, trajectory: Trajectory) -> Judgement:
        """Its policy and its judgement of each action, as the critic stands."""
        ...
