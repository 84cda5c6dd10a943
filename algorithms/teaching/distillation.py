"""Two-stage distillation: a frozen teacher from a finished run labels what the driver does.

Behaviour cloning lets the teacher drive; DAgger lets the student drive (Ross, Gordon and Bagnell, arXiv 1011.0686, with
no share of the driving for the teacher). Both are the Learn-to-Teach loop with a teacher that does not learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from l2t.rl.algorithm import FrozenPolicy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import Judgement
from l2t.rl.policy import Memory, Policy, ask
from l2t.rl.types import Metrics, Observation, Trajectory


@dataclass(frozen=True)
class FrozenTeacher:
    """A learner that does not learn.

    Attributes:
        frozen: the saved policy; its parameters become the learner's state, so that checkpoints stand alone.
        exploration: standard deviation of the actions around the policy's mode, in policy units.
    """

    frozen: FrozenPolicy
    exploration: float

    def init(self, key: Key[Array, ""]) -> PyTree:
        """The saved parameters."""
        del key
        return self.frozen.parameters()

    def policy(self, state: PyTree) -> Policy:
        """The saved mode, with a little exploration."""
        return _Exploring(self.frozen.policy(state), self.exploration)

    def judge(self, state: PyTree, trajectory: Trajectory) -> Judgement:
        """Labels; a frozen teacher judges nothing, so that advantages are zero.

        Raises:
            ConfigurationError: the saved policy has a memory.
        """
        distribution = ask(self.policy(state), trajectory.observation)
        return Judgement(distribution, jnp.zeros_like(trajectory.reward))

    def learn(self, state: PyTree, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[PyTree, Metrics]:
        """Nothing."""
        del trajectory, key
        return state, {}


@dataclass(frozen=True)
class _Exploring:
    """Another policy's mode with a standard deviation of its own."""

    policy: Policy
    deviation: float

    def initial(self, instances: int) -> Memory:
        """The other's."""
        return self.policy.initial(instances)

    def step(
        self, memory: Memory, observation: Observation, first: Bool[Array, " env"]
    ) -> tuple[Memory, DiagonalGaussian]:
        """See the class."""
        memory, distribution = self.policy.step(memory, observation, first)
        mode = distribution.mode()
        return memory, DiagonalGaussian(mode, jnp.full(mode.shape[-1], jnp.log(self.deviation), jnp.float32))
