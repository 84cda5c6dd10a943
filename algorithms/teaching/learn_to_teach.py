"""Learn-to-Teach: one loop trains a privileged teacher and a student with noisy or partial observations.

At every step the environment shows s to the teacher and o to the student. The teacher acts; both learn from the very
same transitions, in the same iteration, so the student costs no environment steps. The student can be given
`student_envs` of the environments to drive, from the beginning or one after the other: there the teacher labels what
the student does, and it learns from the rest.

A teacher can be asked to do what its student can follow: it is paid r - λ (log π_T(a|s) - log π_S(a|o)), the student as
it stands, whose mean is r - λ KL(π_T(·|s) || π_S(·|o)). The divergence itself in its place would say which states to
seek and not what to do there: it is the same whatever the action.

Sources: Wu, Gu, Zhao and Wu, "Learn to Teach", arXiv 2402.06783; the penalty: Messikommer et al., "Student-informed
teacher training", arXiv 2412.09149.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Int, Key, PyTree

from algorithms.teaching.distillation import FrozenTeacher
from l2t.rl.distributions import Distribution, choose
from l2t.rl.learner import Judgement, Teacher
from l2t.rl.policy import Memory, Policy, along, ask
from l2t.rl.types import Metrics, Observation, Trajectory


@struct.dataclass
class LearnToTeachState:
    """Both learners.

    Attributes:
        iteration: how many have been made; `None` where nothing depends on it.
    """

    teacher: PyTree
    student: PyTree
    iteration: Int[Array, ""] | None = None


class StudentLearner(Protocol):
    """Learns from what a teacher did and thinks of it."""

    def init(self, key: Key[Array, ""]) -> PyTree:
        """A fresh student."""
        ...

    def policy(self, state: PyTree) -> Policy:
        """On episodes of its own."""
        ...

    def behaviour(self, state: PyTree) -> Policy:
        """In the run's own environments."""
        ...

    def learn(
        self, state: PyTree, trajectory: Trajectory, judgement: Judgement, key: Key[Array, ""]
    ) -> tuple[PyTree, Metrics]:
        """One iteration on one batch."""
        ...


@dataclass(frozen=True)
class LearnToTeach:
    """An `Agent` of two; see the module's docstring.

    Attributes:
        teacher: any learner that can judge.
        student: the student learner.
        num_envs: environments of a batch.
        student_envs: how many of them, the first ones, are the student's to drive. The teacher learns from the rest.
        handed_over: iterations after which the student drives all of those; before, it is given one after the other, in
            proportion. 0: from the first iteration on.
        penalty: λ.
        replays: whether what is replayed is the student's to learn from, labelled by the teacher as it is now.
    """

    teacher: Teacher
    student: StudentLearner
    num_envs: int
    student_envs: int = 0
    handed_over: int = 0
    penalty: float = 0.0
    replays: bool = False

    learners = 2
    roles = ("teacher", "student")

    def drivers(self, state: LearnToTeachState) -> Mapping[str, int | Int[Array, ""]]:
        """See `Agent.drivers`."""
        driven = self._driven(state)
        return {"teacher": self.num_envs - driven, "student": driven}

    def init(self, keys: Sequence[Key[Array, ""]]) -> LearnToTeachState:
        """Fresh teacher and student."""
        iteration = jnp.zeros((), jnp.int32) if self.handed_over else None
        return LearnToTeachState(self.teacher.init(keys[0]), self.student.init(keys[1]), iteration)

    def behaviour(self, state: LearnToTeachState) -> Policy:
        """The teacher, or both, each in its share of the environments."""
        teacher = self.teacher.policy(state.teacher)
        if self.student_envs == 0:
            return teacher
        return SharedDriving(teacher, self.student.behaviour(state.student), self._driven(state))

    def paid(self, state: LearnToTeachState, trajectory: Trajectory) -> tuple[Trajectory, Policy]:
        """The teacher's environments alone: a reward that is learnt compares it with experts, and not a mixture."""
        return trajectory.of_environments(slice(self.student_envs, None)), self.teacher.policy(state.teacher)

    def policy(self, state: LearnToTeachState, role: str) -> Policy:
        """The teacher's or the student's."""
        return self.student.policy(state.student) if role == "student" else self.teacher.policy(state.teacher)

    def learn(
        self, state: LearnToTeachState, trajectory: Trajectory, keys: Sequence[Key[Array, ""]]
    ) -> tuple[LearnToTeachState, Metrics]:
        """Teacher and student learn from the same batch."""
        paid, gap = self._informed(state, trajectory) if self.penalty > 0.0 else (trajectory, {})
        # Labels and advantages are those of the teacher that collected the batch, not of the one it becomes.
        judgement = self.teacher.judge(state.teacher, paid)
        if self.replays:
            judgement = judgement._replace(replayed=self._labels(state, trajectory))
        own = paid.of_environments(slice(self.student_envs, None))
        teacher, teacher_metrics = self.teacher.learn(state.teacher, own, keys[0])
        student, student_metrics = self.student.learn(state.student, trajectory, judgement, keys[1])
        iteration = None if state.iteration is None else state.iteration + 1
        return LearnToTeachState(teacher, student, iteration), teacher_metrics | student_metrics | gap

    def learner_states(self, state: LearnToTeachState) -> dict[str, PyTree]:
        """Of those who learn: a frozen teacher is no learner."""
        states = {"teacher": state.teacher, "student": state.student}
        return states if not isinstance(self.teacher, FrozenTeacher) else {"student": state.student}

    def with_learner_states(self, state: LearnToTeachState, states: Mapping[str, PyTree]) -> LearnToTeachState:
        """With both learners' states replaced."""
        return replace(state, **states)

    def _driven(self, state: LearnToTeachState) -> int | Int[Array, ""]:
        """How many environments the student drives."""
        if state.iteration is None:
            return self.student_envs
        progress = jnp.minimum(state.iteration / self.handed_over, 1.0)
        return jnp.round(progress * self.student_envs).astype(jnp.int32)

    def _informed(self, state: LearnToTeachState, trajectory: Trajectory) -> tuple[Trajectory, Metrics]:
        """The batch with λ (log π_T(a|s) - log π_S(a|o)) taken off its reward."""
        student = along(self.student.behaviour(state.student), trajectory.observation, trajectory.first)
        gap = trajectory.log_prob - student.log_prob(trajectory.action)
        told = {"train/student_gap": gap[:, self.student_envs :].mean()}  # where the student drives there is none
        return replace(trajectory, reward=trajectory.reward - self.penalty * gap), told

    def _labels(self, state: LearnToTeachState, trajectory: Trajectory) -> Distribution:
        if trajectory.replayed is None:
            raise TypeError("A student that replays needs a Loop whose experience is a Replay.")
        return ask(self.teacher.policy(state.teacher), trajectory.replayed.observation)


@dataclass(frozen=True)
class SharedDriving:
    """A policy that is the student's in the first `student_envs` environments, the teacher's in the rest."""

    teacher: Policy
    student: Policy
    student_envs: int | Int[Array, ""]

    def initial(self, instances: int) -> Memory:
        """Both memories."""
        return self.teacher.initial(instances), self.student.initial(instances)

    def step(self, memory: Memory, observation: Observation, first: Bool[Array, " env"]) -> tuple[Memory, Distribution]:
        """Both remember everything, whoever drives."""
        teacher_memory, teacher = self.teacher.step(memory[0], observation, first)
        student_memory, student = self.student.step(memory[1], observation, first)
        drives = jnp.arange(first.shape[0]) < self.student_envs
        return (teacher_memory, student_memory), choose(drives, student, teacher)
