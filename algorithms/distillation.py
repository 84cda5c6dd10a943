"""Two-stage distillation: a frozen teacher from a finished run labels what the driver does.

Behaviour cloning lets the teacher drive; DAgger lets the student drive (Ross, Gordon and Bagnell, arXiv 1011.0686, with
no share of the driving for the teacher). Both are the Learn-to-Teach loop with a teacher that does not learn.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from l2t.rl.algorithm import FrozenPolicy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import Learned
from l2t.rl.types import Observation, Trajectory


class FrozenTeacher:
    """A learner that does not learn.

    Args:
        policy: the saved policy; its parameters become the learner's state, so that checkpoints stand alone.
        action_size: number of action coordinates.
        exploration: standard deviation of the actions around the policy's mean, in policy units.
    """

    def __init__(self, policy: FrozenPolicy, action_size: int, exploration: float) -> None:
        self._policy = policy
        self._log_std = jnp.full(action_size, jnp.log(exploration), jnp.float32)

    def init(self, key: Key[Array, ""]) -> PyTree:
        """The saved parameters."""
        del key
        return self._policy.parameters

    def distribution(self, state: PyTree, observation: Observation) -> DiagonalGaussian:
        """The saved mean action, with a little exploration."""
        return DiagonalGaussian(self._policy.apply(state, observation, None), self._log_std)

    def advantage(self, state: PyTree, trajectory: Trajectory) -> Float[Array, "time env"]:
        """Zero: a frozen teacher judges nothing."""
        return jnp.zeros_like(trajectory.reward)

    def learn(self, state: PyTree, trajectory: Trajectory, key: Key[Array, ""]) -> Learned:
        """Nothing; reports what the teacher's own training cost, for a fair budget."""
        pretraining = jnp.asarray(self._policy.env_steps, jnp.int32)
        return Learned(state, self.advantage(state, trajectory), {"env_steps/pretraining": pretraining})
