"""Learn-to-Teach: one loop trains a privileged teacher and a student with noisy or partial observations.

At every step the environment shows s to the teacher and o to the student. The teacher acts; both learn from the very
same transitions, in the same iteration, so the student costs no environment steps. The student can be given
`student_envs` of the environments to drive: there the teacher labels what the student does, and learns from the rest.

Source: Wu, Gu, Zhao and Wu, "Learn to Teach", arXiv 2402.06783.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key, PyTree

from algorithms.student import Student, StudentState
from l2t.rl.algorithm import Metrics, Policy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import Learner, sample_behaviour
from l2t.rl.rollout import collect
from l2t.rl.types import Environment, Observation, Trajectory
from l2t.rl.vector import VectorEnvironment, VectorState


@struct.dataclass
class LearnToTeachState:
    """Everything that decides the future of the run."""

    teacher: PyTree
    student: StudentState
    environments: VectorState
    env_steps: dict[str, Int[Array, ""]]
    key: Key[Array, ""]


@dataclass(frozen=True)
class LearnToTeach:
    """See the module's docstring.

    Attributes:
        environment: the task.
        teacher: any on-policy learner.
        student: the student learner.
        num_envs, num_steps: size of a batch.
        student_envs: how many of the environments, the first ones, the student drives.
    """

    environment: Environment
    teacher: Learner
    student: Student
    num_envs: int
    num_steps: int
    student_envs: int = 0

    roles = ("teacher", "student")

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration, whoever takes them."""
        return self.num_envs * self.num_steps

    def init(self, key: Key[Array, ""]) -> LearnToTeachState:
        """Fresh teacher, student and environments."""
        key, teacher_key, student_key, environment_key = jax.random.split(key, 4)
        return LearnToTeachState(
            teacher=self.teacher.init(teacher_key),
            student=self.student.init(student_key),
            environments=self._vector.init(environment_key),
            env_steps={role: jnp.zeros((), jnp.int32) for role in self.roles},
            key=key,
        )

    def iterate(self, state: LearnToTeachState) -> tuple[LearnToTeachState, Metrics]:
        """Collect once; teacher and student learn from the same batch."""
        key, collect_key, teacher_key, student_key = jax.random.split(state.key, 4)
        behaviour = sample_behaviour(partial(self._behaviour, state))
        environments, trajectory, metrics = collect(
            self._vector, behaviour, state.environments, collect_key, self.num_steps
        )
        # Labels and advantages are those of the teacher that collected the batch, not of the one it becomes.
        labels = self.teacher.distribution(state.teacher, trajectory.observation)
        advantage = self.teacher.advantage(state.teacher, trajectory)
        learned = self.teacher.learn(state.teacher, self._driven_by_teacher(trajectory), teacher_key)
        student, student_metrics = self.student.learn(state.student, trajectory, labels, advantage, student_key)
        student_steps = self.student_envs * self.num_steps
        env_steps = {
            "teacher": state.env_steps["teacher"] + (self.steps_per_iteration - student_steps),
            "student": state.env_steps["student"] + student_steps,
        }
        metrics = metrics | learned.metrics | student_metrics
        metrics |= {f"env_steps/{role}": steps for role, steps in env_steps.items()}
        return LearnToTeachState(learned.state, student, environments, env_steps, key), metrics

    def policy(self, state: LearnToTeachState, role: str) -> Policy:
        """Mean actions of the teacher or the student."""
        if role == "student":
            return lambda observation, key: self.student.distribution(state.student, observation).mean
        return lambda observation, key: self.teacher.distribution(state.teacher, observation).mean

    def _behaviour(self, state: LearnToTeachState, observation: Observation) -> DiagonalGaussian:
        teacher = self.teacher.distribution(state.teacher, observation)
        if self.student_envs == 0:
            return teacher
        student = self.student.distribution(state.student, observation)
        drives = (jnp.arange(self.num_envs) < self.student_envs)[:, None]
        return DiagonalGaussian(
            jnp.where(drives, student.mean, teacher.mean), jnp.where(drives, student.log_std, teacher.log_std)
        )

    def _driven_by_teacher(self, trajectory: Trajectory) -> Trajectory:
        first = self.student_envs
        rest = jax.tree.map(lambda x: x[:, first:], replace(trajectory, final_observation={}))
        last = jax.tree.map(lambda x: x[first:], trajectory.final_observation)
        return rest.replace(final_observation=last)

    @property
    def _vector(self) -> VectorEnvironment:
        return VectorEnvironment(self.environment, self.num_envs)
