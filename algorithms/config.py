"""Algorithm configurations, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from l2t.config import NetworkConfig, check_choice, check_count, check_range
from l2t.errors import ConfigurationError

if TYPE_CHECKING:
    from l2t.rl.algorithm import Algorithm, BuildContext
    from l2t.rl.learner import Learner

GROUPS = ("teacher", "student")
SCHEDULES = ("constant", "linear")
_BATCH = ("epochs", "minibatches", "learning_rate_schedule")


@dataclass(frozen=True)
class ActorCriticConfig:
    """What on-policy actor-critic learners share.

    Attributes:
        observation: group the actor sees; `student` is reinforcement learning without privileged information.
        critic_observation: group the critic sees; empty means the actor's. `teacher` with a `student` actor is the
            asymmetric actor-critic.
        num_steps: roll-out length T; a batch holds T x num_envs transitions.
        epochs, minibatches: passes over a batch, and parts of each pass.
        learning_rate, max_grad_norm: Adam's first step, and the bound on the gradient's norm.
        learning_rate_schedule: `linear` (to zero at `total_steps`) or `constant`.
        trace_decay: λ of the advantage's eligibility trace.
        critic_coefficient: weight of the critic's loss.
    """

    observation: str = "teacher"
    critic_observation: str = ""
    num_steps: int = 64
    epochs: int = 8
    minibatches: int = 8
    learning_rate: float = 1e-3
    learning_rate_schedule: str = "linear"
    max_grad_norm: float = 0.5
    trace_decay: float = 0.95
    critic_coefficient: float = 0.5

    def __post_init__(self) -> None:
        check_choice("algorithm.observation", self.observation, GROUPS)
        check_choice("algorithm.critic_observation", self.critic_observation, (*GROUPS, ""))
        for name in ("num_steps", "epochs", "minibatches"):
            check_count(f"algorithm.{name}", getattr(self, name))
        check_range("algorithm.learning_rate", self.learning_rate, 0.0, 1.0, open_low=True)
        check_choice("algorithm.learning_rate_schedule", self.learning_rate_schedule, SCHEDULES)
        check_range("algorithm.max_grad_norm", self.max_grad_norm, 0.0, open_low=True, allow_infinite=True)
        check_range("algorithm.trace_decay", self.trace_decay, 0.0, 1.0)
        check_range("algorithm.critic_coefficient", self.critic_coefficient, 0.0)

    @property
    def identity(self) -> dict[str, object]:
        """What cannot change between a run and its resumption: shapes, batches, and the clock of the schedules."""
        return {name: getattr(self, name) for name in (*_BATCH, "num_steps", "observation", "critic_observation")}


@dataclass(frozen=True)
class SPMDConfig(ActorCriticConfig):
    """Average-reward stochastic policy mirror descent.

    Attributes:
        step_size: initial η.
        step_schedule: `adaptive` (steer each iteration's KL to `target_kl`), `constant`, or `sqrt` (η/√k).
        min_step_size, max_step_size, target_kl: bounds and aim of the adaptive schedule.
        ratio_clip: half-width of the interval that probability ratios are clipped to; inf leaves them alone.
        entropy: μ of the regulariser h = μ Σ π log π.
        reward_rate_step: step of the exponential average that estimates ρ.
        value_scale_step: step of the critic's running scale.
    """

    step_size: float = 1.0
    step_schedule: str = "adaptive"
    min_step_size: float = 1e-3
    max_step_size: float = 10.0
    target_kl: float = 0.015
    ratio_clip: float = 0.5
    entropy: float = 0.0
    reward_rate_step: float = 0.1
    value_scale_step: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("algorithm.min_step_size", self.min_step_size, 0.0, self.max_step_size, open_low=True)
        check_choice("algorithm.step_schedule", self.step_schedule, ("adaptive", "constant", "sqrt"))
        check_range("algorithm.step_size", self.step_size, 0.0, open_low=True)
        if self.step_schedule == "adaptive":
            check_range("algorithm.step_size", self.step_size, self.min_step_size, self.max_step_size)
        check_range("algorithm.target_kl", self.target_kl, 0.0, open_low=True)
        check_range("algorithm.ratio_clip", self.ratio_clip, 0.0, open_low=True, allow_infinite=True)
        check_range("algorithm.entropy", self.entropy, 0.0)
        check_range("algorithm.reward_rate_step", self.reward_rate_step, 0.0, 1.0, open_low=True)
        check_range("algorithm.value_scale_step", self.value_scale_step, 0.0, 1.0, open_low=True)

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return "spmd"

    def learner(self, context: BuildContext) -> Learner:
        """The learner alone, for algorithms that compose it."""
        from algorithms.spmd import SPMD

        return SPMD(self, context.environment.spec, context.network, context.iterations(self.num_steps))

    def build(self, context: BuildContext) -> Algorithm:
        """SPMD on its own roll-outs."""
        return _on_policy(self, self.learner(context), context)


@dataclass(frozen=True)
class PPOConfig(ActorCriticConfig):
    """Proximal policy optimisation, discounted: the reference that SPMD is compared with.

    Attributes:
        discount: γ.
        clip: half-width of the interval that the probability ratio is clipped to.
        entropy: weight of the entropy bonus.
        value_scale_step: step of the critic's running mean and scale.
    """

    discount: float = 0.99
    clip: float = 0.2
    entropy: float = 0.0
    value_scale_step: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("algorithm.discount", self.discount, 0.0, 1.0, open_high=True)
        check_range("algorithm.clip", self.clip, 0.0, open_low=True, allow_infinite=True)
        check_range("algorithm.entropy", self.entropy, 0.0)
        check_range("algorithm.value_scale_step", self.value_scale_step, 0.0, 1.0, open_low=True)

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return "ppo"

    def learner(self, context: BuildContext) -> Learner:
        """The learner alone, for algorithms that compose it."""
        from algorithms.ppo import PPO

        return PPO(self, context.environment.spec, context.network, context.iterations(self.num_steps))

    def build(self, context: BuildContext) -> Algorithm:
        """PPO on its own roll-outs."""
        return _on_policy(self, self.learner(context), context)


class LearnerConfig(Protocol):
    """A configuration that can build a learner for Learn-to-Teach's teacher."""

    @property
    def num_steps(self) -> int:
        """Roll-out length."""
        ...

    @property
    def minibatches(self) -> int:
        """Parts of each pass over a batch."""
        ...

    def learner(self, context: BuildContext) -> Learner:
        """Build it."""
        ...


@dataclass(frozen=True)
class StudentConfig:
    """How the student learns from a batch.

    Attributes:
        imitation: `mse` (on mean actions), `nll` (of the behaviour's actions), `kl` (to the teacher's distribution) or
            `asymmetric` (squared error weighted by the positive part of the advantage).
        imitation_coefficient, rl_coefficient: weights of the imitation loss and of the policy-gradient term.
        rl_clip: half-width of the interval that the ratio student/behaviour is clipped to.
        epochs, minibatches, learning_rate, learning_rate_schedule, max_grad_norm: as for actor-critics.
        network: the student's own; to read a state out of noise takes more than to act on the state.
    """

    imitation: str = "mse"
    imitation_coefficient: float = 1.0
    rl_coefficient: float = 0.0
    rl_clip: float = 0.2
    epochs: int = 8
    minibatches: int = 8
    learning_rate: float = 1e-3
    learning_rate_schedule: str = "linear"
    max_grad_norm: float = 0.5
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig((256, 256)))

    def __post_init__(self) -> None:
        check_choice("algorithm.student.imitation", self.imitation, ("mse", "nll", "kl", "asymmetric"))
        check_range("algorithm.student.imitation_coefficient", self.imitation_coefficient, 0.0)
        check_range("algorithm.student.rl_coefficient", self.rl_coefficient, 0.0)
        check_range("algorithm.student.rl_clip", self.rl_clip, 0.0, open_low=True, allow_infinite=True)
        for name in ("epochs", "minibatches"):
            check_count(f"algorithm.student.{name}", getattr(self, name))
        check_range("algorithm.student.learning_rate", self.learning_rate, 0.0, 1.0, open_low=True)
        check_choice("algorithm.student.learning_rate_schedule", self.learning_rate_schedule, SCHEDULES)
        check_range("algorithm.student.max_grad_norm", self.max_grad_norm, 0.0, open_low=True, allow_infinite=True)
        if self.imitation_coefficient == 0.0 and self.rl_coefficient == 0.0:
            raise ConfigurationError("The student has nothing to learn from: both loss coefficients are 0.")

    @property
    def identity(self) -> dict[str, object]:
        """See `ActorCriticConfig.identity`."""
        return {name: getattr(self, name) for name in (*_BATCH, "network")}


@dataclass(frozen=True)
class LearnToTeachConfig:
    """Learn-to-Teach: a privileged teacher and a noisy student, trained in one loop.

    Attributes:
        teacher: any on-policy learner (`algorithm.teacher=spmd|ppo`).
        student: the student's losses and optimiser.
        student_share: fraction of the environments that the student drives; 0 means that only the teacher ever acts.
    """

    teacher: LearnerConfig = field(default_factory=lambda: SPMDConfig(entropy=0.05, ratio_clip=float("inf")))
    student: StudentConfig = field(default_factory=StudentConfig)
    student_share: float = 0.0

    def __post_init__(self) -> None:
        check_range("algorithm.student_share", self.student_share, 0.0, 1.0, open_high=True)
        if self.student_share > 0.0 and self.student.imitation == "nll":
            raise ConfigurationError(
                "imitation=nll copies the actions taken, and with student_share some are the student's: use mse or kl."
            )

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return "l2t"

    @property
    def identity(self) -> dict[str, object]:
        """See `ActorCriticConfig.identity`."""
        return _prefixed("teacher", self.teacher) | _prefixed("student", self.student)

    def build(self, context: BuildContext) -> Algorithm:
        """Teacher and student on the same roll-outs."""
        from algorithms.learn_to_teach import LearnToTeach
        from algorithms.student import Student

        spec = context.environment.spec
        student_envs = round(self.student_share * context.num_envs)
        _check_batch(self.teacher.num_steps * (context.num_envs - student_envs), self.teacher.minibatches)
        _check_batch(self.teacher.num_steps * context.num_envs, self.student.minibatches)
        return LearnToTeach(
            environment=context.environment,
            teacher=self.teacher.learner(context),
            student=Student(self.student, spec, context.iterations(self.teacher.num_steps)),
            num_envs=context.num_envs,
            num_steps=self.teacher.num_steps,
            student_envs=student_envs,
        )


@dataclass(frozen=True)
class DistillationConfig:
    """The second stage of the usual pipeline: a student learns from a finished run's frozen teacher.

    Attributes:
        teacher_run: run directory of the teacher.
        method: `behaviour_cloning` (the teacher drives) or `dagger` (the student drives, the teacher labels).
        exploration: standard deviation of the labels, and so of the driver's actions, in policy units.
        num_steps: roll-out length.
        student: the student's losses and optimiser.
    """

    teacher_run: str
    method: str = "dagger"
    exploration: float = 0.2
    num_steps: int = 64
    student: StudentConfig = field(default_factory=StudentConfig)

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

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return "distillation"

    @property
    def identity(self) -> dict[str, object]:
        """See `ActorCriticConfig.identity`."""
        return {"teacher_run": self.teacher_run, "num_steps": self.num_steps} | _prefixed("student", self.student)

    def build(self, context: BuildContext) -> Algorithm:
        """Frozen teacher and student on fresh roll-outs."""
        from algorithms.distillation import FrozenTeacher
        from algorithms.learn_to_teach import LearnToTeach
        from algorithms.student import Student

        spec = context.environment.spec
        _check_batch(self.num_steps * context.num_envs, self.student.minibatches)
        policy = context.load_policy(self.teacher_run, "teacher")
        if policy.environment != spec.name:
            raise ConfigurationError(
                f"The teacher of {self.teacher_run} was trained on {policy.environment}, not on {spec.name}."
            )
        return LearnToTeach(
            environment=context.environment,
            teacher=FrozenTeacher(policy, spec.action_size, self.exploration),
            student=Student(self.student, spec, context.iterations(self.num_steps)),
            num_envs=context.num_envs,
            num_steps=self.num_steps,
            student_envs=context.num_envs if self.method == "dagger" else 0,
        )


def _prefixed(part: str, config: object) -> dict[str, object]:
    return {f"{part}.{name}": value for name, value in getattr(config, "identity", {}).items()}


def _on_policy(config: ActorCriticConfig, learner: Learner, context: BuildContext) -> Algorithm:
    from l2t.rl.on_policy import OnPolicy

    _check_batch(config.num_steps * context.num_envs, config.minibatches)
    return OnPolicy(context.environment, learner, config.observation, context.num_envs, config.num_steps)


def _check_batch(batch: int, minibatches: int) -> None:
    if batch == 0 or batch % minibatches:
        raise ConfigurationError(
            f"A batch of {batch} transitions (num_steps x environments) does not split into minibatches={minibatches} "
            "equal parts; change num_envs, algorithm.num_steps or algorithm.minibatches."
        )
