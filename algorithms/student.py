"""The student: learns, from what a teacher did, to act on noisy or partial observations.

    L = c_im L_imitation + c_rl L_rl,

L_imitation compares with the teacher's policy π_T(·|s) at the same step:
    mse         ½ |μ_S(o) - μ_T(s)|² + ½ |log σ_S - log σ_T|²
    nll         -log π_S(a|o), a the behaviour's action
    kl          KL(π_T(·|s) || π_S(·|o))
    asymmetric  the mse, weighted by the positive part of the standardised advantage
L_rl = -E[ min(r A, clip(r) A) ], r = π_S(a|o)/π_behaviour(a) corrects for who acted, A from the teacher's critic.

Source: Wu, Gu, Zhao and Wu, "Learn to Teach", arXiv 2402.06783.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from algorithms.config import StudentConfig
from l2t.rl.algorithm import Metrics
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import adam, clipped_surrogate, flatten_time, minimise, standardise
from l2t.rl.models import Actor, ModelState
from l2t.rl.types import EnvironmentSpec, Observation, Trajectory


@struct.dataclass
class StudentState:
    """The student's model and its optimiser."""

    actor: ModelState
    optimiser: PyTree


class Student:
    """Learns a policy on the `student` group from a teacher's batch.

    Args:
        config: losses, optimiser and network.
        spec: the task.
        iterations: length of the run, for the schedule of Adam's step.
    """

    group = "student"

    def __init__(self, config: StudentConfig, spec: EnvironmentSpec, iterations: int) -> None:
        self.config = config
        self.actor = Actor(self.group, spec.observation_sizes[self.group], spec.action_size, config.network)
        self.optimiser = adam(config, iterations)

    def init(self, key: Key[Array, ""]) -> StudentState:
        """A fresh student."""
        actor = self.actor.init(key)
        return StudentState(actor, self.optimiser.init(actor.weights))

    def distribution(self, state: StudentState, observation: Observation) -> DiagonalGaussian:
        """π_S at a batch of observations."""
        return self.actor.distribution(state.actor, observation)

    def learn(
        self,
        state: StudentState,
        trajectory: Trajectory,
        teacher: DiagonalGaussian,
        advantage: Float[Array, "time env"],
        key: Key[Array, ""],
    ) -> tuple[StudentState, Metrics]:
        """Learn from one batch.

        Args:
            state: the student.
            trajectory: what happened, whoever acted.
            teacher: the teacher's policy at each step. No gradient flows into it.
            advantage: the teacher's judgement of each action.
            key: for shuffling.
        """
        config = self.config
        batch = flatten_time(
            {
                "features": state.actor.normaliser(trajectory.observation[self.group]),
                "action": trajectory.action,
                "log_prob": trajectory.log_prob,
                "teacher_mean": teacher.mean,
                "teacher_log_std": jnp.broadcast_to(teacher.log_std, teacher.mean.shape),
                "advantage": advantage,
            }
        )
        batch = jax.lax.stop_gradient(batch)

        def loss(weights: PyTree, batch: dict[str, Array]) -> tuple[Float[Array, ""], Metrics]:
            policy = self.actor.apply(weights, batch["features"])
            imitation = imitation_loss(config.imitation, policy, batch)
            total = config.imitation_coefficient * imitation
            metrics = {"loss/student_imitation": imitation}
            if config.rl_coefficient > 0.0:
                ratio = jnp.exp(policy.log_prob(batch["action"]) - batch["log_prob"])
                rl = -clipped_surrogate(ratio, standardise(batch["advantage"]), config.rl_clip).mean()
                total = total + config.rl_coefficient * rl
                metrics["loss/student_rl"] = rl
            return total, metrics

        weights, optimiser, metrics = minimise(
            loss, self.optimiser, state.actor.weights, state.optimiser, batch, key, config.epochs, config.minibatches
        )
        normaliser = state.actor.normaliser.update(trajectory.observation[self.group])
        return StudentState(ModelState(weights, normaliser), optimiser), metrics


def imitation_loss(kind: str, policy: DiagonalGaussian, batch: dict[str, Array]) -> Float[Array, ""]:
    """One of the losses of the module's docstring, averaged over a minibatch."""
    if kind == "nll":
        return -policy.log_prob(batch["action"]).mean()
    teacher = DiagonalGaussian(batch["teacher_mean"], batch["teacher_log_std"])
    if kind == "kl":
        return teacher.kl(policy).mean()
    error = 0.5 * jnp.sum((policy.mean - teacher.mean) ** 2 + (policy.log_std - teacher.log_std) ** 2, axis=-1)
    if kind == "asymmetric":
        return (jax.nn.relu(standardise(batch["advantage"])) * error).mean()
    return error.mean()
