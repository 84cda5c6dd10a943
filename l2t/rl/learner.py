"""What a learner is: it turns batches of experience into policies, and knows nothing of who runs the environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from jaxtyping import Array, Bool, Float, Key, PyTree

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


class ActionCritic(NamedTuple):
    """A critic that can be asked about other actions than those that were taken.

    Attributes:
        features: what it sees at every step, `[time, env, n]`; rows can be cut out of it.
        value: Q(s, a) of features and actions, in units of reward, differentiable in the action.
        temperature: α, the price of -log π beside it.
        known: whether it has learnt anything; before, value and temperature are 0.
    """

    features: Float[Array, "time env n"]
    value: Callable[[Array, Array], Array]
    temperature: Float[Array, ""]
    known: Bool[Array, ""] | bool = True


class Judgement(NamedTuple):
    """What a teacher thinks of a batch.

    Attributes:
        distribution: its policy at every step.
        advantage: of every action that was taken.
        replayed: its policy at every step of `Trajectory.replayed`, where there is such.
        critic: of actions, where it has one.
        action: what it would have done itself by the same chance, where something else acted for it; None: as was done.
    """

    distribution: Distribution
    advantage: Float[Array, "time env"]
    replayed: Distribution | None = None
    critic: ActionCritic | None = None
    action: Float[Array, "time env action"] | None = None


class Teacher(Learner, Protocol):
    """A learner that a student can learn from."""

    def judge(self, state: PyTree, trajectory: Trajectory) -> Judgement:
        """What it has learnt to do, whoever acted for it, and its judgement of each action, as the critic stands."""
        ...
