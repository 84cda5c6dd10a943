"""Configurations of students, and of the two ways to teach them: data and checks, no more."""

from __future__ import annotations

from dataclasses import dataclass, field

from algorithms.config import SCHEDULES, SPMDConfig, TeacherConfig, check_optimiser
from l2t.config import (
    FIXED,
    DisturbanceConfig,
    NetworkConfig,
    check_choice,
    check_count,
    check_flag,
    check_idle,
    check_range,
    read_from,
)
from l2t.errors import ConfigurationError


@dataclass(frozen=True)
class StudentConfig:
    """How the student learns from a batch.

    Attributes:
        imitation: `mse` (on mean actions), `nll` (of the behaviour's actions), `kl` (to the teacher's distribution) or
            `asymmetric` (squared error weighted by the positive part of the advantage).
        clip_labels: clip what is imitated to the actions that there are, as everybody's are before they act: how far
            beyond the bound a teacher's lies is nothing to learn.
        imitation_coefficient, rl_coefficient: weights of the imitation loss and of the policy-gradient term.
        rl_clip: half-width of the interval that the ratio student/behaviour is clipped to.
        epochs, minibatches, learning_rate, learning_rate_schedule, max_grad_norm: as for actor-critics.
        memory: `none`, or `gru`: a recurrent state of everything seen in the episode, previous actions included.
        memory_size: units of the recurrent state.
        memory_chunk: steps that gradients go back; a roll-out is cut into chunks of this length.
        network: the student's own; to read a state out of noise takes more than to act on the state.
        replay: steps that are remembered and learnt from again, under the teacher's present labels; 0 for none.
        replay_updates, replay_batch_size: minibatches of them in each iteration, and steps of each.
    """

    imitation: str = "mse"
    clip_labels: bool = True
    imitation_coefficient: float = 1.0
    rl_coefficient: float = 0.0
    rl_clip: float = 0.2
    epochs: int = field(default=8, metadata=FIXED)
    minibatches: int = field(default=8, metadata=FIXED)
    learning_rate: float = 1e-3
    learning_rate_schedule: str = field(default="linear", metadata=FIXED)
    max_grad_norm: float = 0.5
    memory: str = field(default="none", metadata=FIXED)
    memory_size: int = field(default=64, metadata=FIXED)
    memory_chunk: int = 32
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig((256, 256)))
    replay: int = field(default=0, metadata=FIXED)
    replay_updates: int = field(default=64, metadata=FIXED)
    replay_batch_size: int = field(default=512, metadata=FIXED)

    def __post_init__(self) -> None:
        check_choice("algorithm.student.imitation", self.imitation, ("mse", "nll", "kl", "asymmetric"))
        check_flag("algorithm.student.clip_labels", self.clip_labels)
        check_range("algorithm.student.imitation_coefficient", self.imitation_coefficient, 0.0)
        check_range("algorithm.student.rl_coefficient", self.rl_coefficient, 0.0)
        check_range("algorithm.student.rl_clip", self.rl_clip, 0.0, open_low=True, allow_infinite=True)
        if self.rl_coefficient == 0.0:
            check_idle("algorithm.student", self, ("rl_clip",), "algorithm.student.rl_coefficient=0")
        check_optimiser("algorithm.student", self)
        check_choice("algorithm.student.memory", self.memory, ("none", "gru"))
        check_count("algorithm.student.memory_size", self.memory_size)
        check_count("algorithm.student.memory_chunk", self.memory_chunk)
        if self.imitation_coefficient == 0.0 and self.rl_coefficient == 0.0:
            raise ConfigurationError("The student has nothing to learn from: both loss coefficients are 0.")
        check_count("algorithm.student.replay", self.replay, 0)
        for name in ("replay_updates", "replay_batch_size"):
            check_count(f"algorithm.student.{name}", getattr(self, name))
        if self.replay == 0:
            check_idle("algorithm.student", self, ("replay_updates", "replay_batch_size"), "algorithm.student.replay=0")
        elif self.imitation_coefficient == 0.0:
            raise ConfigurationError(
                "What is replayed is imitated, which algorithm.student.imitation_coefficient=0 says not to do: use "
                "algorithm.student.replay=0 or a coefficient above 0."
            )
        elif self.memory != "none":
            raise ConfigurationError(
                "A student with a memory learns from whole stretches, and what is replayed are single steps: use "
                "algorithm.student.replay=0 or memory=none."
            )
        elif self.imitation not in ("mse", "kl"):
            raise ConfigurationError(
                f"imitation={self.imitation} needs what was thought of an action when it was taken, and what is "
                "replayed is labelled anew: use mse or kl."
            )


@dataclass(frozen=True)
class LearnToTeachConfig:
    """Learn-to-Teach: a privileged teacher and a noisy student, trained in one loop.

    Attributes:
        teacher: any learner (`algorithm.teacher=spmd|ppo|spmd_replay|ipmd|...`).
        student: the student's losses and optimiser.
        student_share: fraction of the environments that the student drives; 0 means that only the teacher ever acts.
        student_share_schedule: `constant`, or `linear`: the student is given them one after the other, the last one at
            `total_steps`. The teacher learns from the others only, from the beginning.
        student_penalty: λ of λ (log π_T - log π_S) of each action, which is taken off the teacher's reward, so that it
            does what the student can follow.
        disturbance: of the actions of whoever drives, which leads where a student's mistakes would.
    """

    teacher: TeacherConfig = field(default_factory=lambda: SPMDConfig(entropy=0.05, ratio_clip=float("inf")))
    student: StudentConfig = field(default_factory=StudentConfig)
    student_share: float = 0.0
    student_share_schedule: str = field(default="constant", metadata=FIXED)
    student_penalty: float = 0.0
    disturbance: DisturbanceConfig = field(default_factory=DisturbanceConfig)

    name = "l2t"

    def __post_init__(self) -> None:
        check_range("algorithm.student_penalty", self.student_penalty, 0.0)
        check_range("algorithm.student_share", self.student_share, 0.0, 1.0, open_high=True)
        check_choice("algorithm.student_share_schedule", self.student_share_schedule, SCHEDULES)
        if self.student_share == 0.0:
            check_idle("algorithm", self, ("student_share_schedule",), "algorithm.student_share=0")
        if self.student_share > 0.0 and self.student.imitation == "nll":
            raise ConfigurationError(
                "imitation=nll copies the actions taken, and with student_share some are the student's: use mse or kl."
            )


@dataclass(frozen=True)
class DistillationConfig:
    """The second stage of the usual pipeline: a student learns from a finished run's frozen teacher.

    Attributes:
        teacher_run: run directory of the teacher; read when the run starts, and never again.
        method: `behaviour_cloning` (the teacher drives) or `dagger` (the student drives, the teacher labels).
        exploration: standard deviation of the labels, and so of the driver's actions, in policy units.
        num_steps: roll-out length.
        student: the student's losses and optimiser.
        disturbance: of the driver's actions; unlike `exploration` it lasts, so that mistakes add up.
    """

    teacher_run: str = field(metadata=read_from("the run directory of a trained teacher"))
    method: str = "dagger"
    exploration: float = 0.2
    num_steps: int = field(default=64, metadata=FIXED)
    student: StudentConfig = field(default_factory=StudentConfig)
    disturbance: DisturbanceConfig = field(default_factory=DisturbanceConfig)

    name = "distillation"

    def __post_init__(self) -> None:
        check_choice("algorithm.method", self.method, ("behaviour_cloning", "dagger"))
        check_range("algorithm.exploration", self.exploration, 0.0, open_low=True)
        check_count("algorithm.num_steps", self.num_steps)
        if not self.teacher_run or self.teacher_run == "???":
            raise ConfigurationError("algorithm.teacher_run is missing: name the run directory of a trained teacher.")
        if self.method == "dagger" and self.student.imitation == "nll":
            raise ConfigurationError(
                "imitation=nll copies the actions taken; with method=dagger those are the student's own: use mse or kl."
            )
        if self.student.rl_coefficient > 0.0 or self.student.imitation == "asymmetric":
            raise ConfigurationError(
                "A frozen teacher has no advantages: use rl_coefficient=0 and imitation mse, nll or kl."
            )
