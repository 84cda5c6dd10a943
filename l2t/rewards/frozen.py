"""Training on a reward that was learnt before, alone or beside the task's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Array, Float, Key, PyTree

from l2t.rewards.model import RewardModel
from l2t.rl.models import ModelState
from l2t.rl.policy import Policy
from l2t.rl.types import Metrics, Trajectory, Transitions


@dataclass(frozen=True)
class FrozenReward:
    """A `Reward` that pays w r_φ + v r, and learns nothing. What is logged and evaluated stays the task's own.

    Attributes:
        model: r_φ's network.
        parameters: a function that gives its weights and normaliser; they become part of the run's state.
        weight, task_weight: w and v.
    """

    model: RewardModel
    parameters: Callable[[], ModelState]
    weight: float
    task_weight: float

    @property
    def groups(self) -> tuple[str, ...]:
        """The model's."""
        return (self.model.group,)

    def init(self, key: Key[Array, ""]) -> ModelState:
        """The frozen parameters."""
        del key
        return self.parameters()

    def learn(
        self, state: PyTree, trajectory: Trajectory, policy: Policy, key: Key[Array, ""]
    ) -> tuple[PyTree, Metrics]:
        """Nothing; reports what the batch is paid."""
        del policy, key
        return state, {"learned_reward/paid": self.model(state, trajectory.transitions()).mean()}

    def relabel(self, state: PyTree, trajectory: Trajectory) -> Trajectory:
        """The batch, and what is replayed with it, paid so."""
        replayed = trajectory.replayed
        if replayed is not None:
            replayed = replace(replayed, reward=self._pay(state, replayed))
        return replace(trajectory, reward=self._pay(state, trajectory.transitions()), replayed=replayed)

    def _pay(self, state: ModelState, steps: Transitions) -> Float[Array, " *batch"]:
        learned = self.weight * self.model(state, steps)
        # 0 times a reward that is not a number is not 0.
        return learned if self.task_weight == 0.0 else learned + self.task_weight * steps.reward
