"""Algorithm configurations: data and checks, no more, so that a wrong value answers before anything heavy is imported.

`algorithms.build` makes algorithms of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from l2t.config import (
    FIXED,
    check_choice,
    check_count,
    check_flag,
    check_idle,
    check_range,
)
from l2t.errors import ConfigurationError

GROUPS = ("teacher", "student")
SCHEDULES = ("constant", "linear")


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

    observation: str = field(default="teacher", metadata=FIXED)
    critic_observation: str = field(default="", metadata=FIXED)
    num_steps: int = field(default=64, metadata=FIXED)
    epochs: int = field(default=8, metadata=FIXED)
    minibatches: int = field(default=8, metadata=FIXED)
    learning_rate: float = 1e-3
    learning_rate_schedule: str = field(default="linear", metadata=FIXED)
    max_grad_norm: float = 0.5
    trace_decay: float = 0.95
    critic_coefficient: float = 0.5

    def __post_init__(self) -> None:
        check_choice("algorithm.observation", self.observation, GROUPS)
        check_choice("algorithm.critic_observation", self.critic_observation, (*GROUPS, ""))
        check_count("algorithm.num_steps", self.num_steps)
        check_optimiser("algorithm", self)
        check_range("algorithm.trace_decay", self.trace_decay, 0.0, 1.0)
        check_range("algorithm.critic_coefficient", self.critic_coefficient, 0.0)


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
        horizon: H, after how many steps the process is taken to begin anew, on average; inf for never, as in the paper.
            A time limit, which the policy does not see, as a reset of rate 1/H.
        value_scale_step: step of the critic's running scale.
        spread: how wide values and advantages lie: `deviation`, their standard deviation, or `quartiles`, the distance
            between their quartiles. With it what lies more than `outlier` of them away weighs no more than that, in the
            critic's loss (Huber's) and among the advantages: a robot on its back must not set the scale for the others.
        outlier: see `spread`.
        adapt_reset_cost: raise the cost of a reset, from the task's own on, until few steps are resets.
        reset_rate: how many that may be, as a share of the steps.
        reset_cost_step: Adam's step on the cost, in reward units, once an iteration.
    """

    step_size: float = 1.0
    step_schedule: str = "adaptive"
    min_step_size: float = 1e-3
    max_step_size: float = 10.0
    target_kl: float = 0.015
    ratio_clip: float = 0.5
    entropy: float = 0.0
    reward_rate_step: float = 0.1
    horizon: float = float("inf")
    value_scale_step: float = 0.01
    spread: str = "deviation"
    outlier: float = 20.0
    adapt_reset_cost: bool = False
    reset_rate: float = 1e-3
    reset_cost_step: float = 0.5

    name = "spmd"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("algorithm.max_step_size", self.max_step_size, 0.0, open_low=True)
        check_range("algorithm.min_step_size", self.min_step_size, 0.0, self.max_step_size, open_low=True)
        check_choice("algorithm.step_schedule", self.step_schedule, ("adaptive", "constant", "sqrt"))
        check_range("algorithm.step_size", self.step_size, 0.0, open_low=True)
        if self.step_schedule == "adaptive":
            check_range("algorithm.step_size", self.step_size, self.min_step_size, self.max_step_size)
        check_range("algorithm.target_kl", self.target_kl, 0.0, open_low=True)
        if self.step_schedule != "adaptive":
            idle = ("target_kl", "min_step_size", "max_step_size")
            check_idle("algorithm", self, idle, f"algorithm.step_schedule={self.step_schedule}")
        check_range("algorithm.ratio_clip", self.ratio_clip, 0.0, open_low=True, allow_infinite=True)
        check_range("algorithm.entropy", self.entropy, 0.0)
        check_flag("algorithm.adapt_reset_cost", self.adapt_reset_cost)
        check_range("algorithm.reset_rate", self.reset_rate, 0.0, 1.0, open_low=True)
        check_range("algorithm.reset_cost_step", self.reset_cost_step, 0.0, open_low=True)
        if not self.adapt_reset_cost:
            check_idle("algorithm", self, ("reset_rate", "reset_cost_step"), "algorithm.adapt_reset_cost is off")
        check_range("algorithm.reward_rate_step", self.reward_rate_step, 0.0, 1.0, open_low=True)
        check_range("algorithm.horizon", self.horizon, 1.0, open_low=True, allow_infinite=True)
        check_range("algorithm.value_scale_step", self.value_scale_step, 0.0, 1.0, open_low=True)
        check_choice("algorithm.spread", self.spread, ("deviation", "quartiles"))
        check_range("algorithm.outlier", self.outlier, 0.0, open_low=True)
        if self.spread == "deviation":
            check_idle("algorithm", self, ("outlier",), "algorithm.spread=deviation")


@dataclass(frozen=True)
class PPOConfig(ActorCriticConfig):
    """Proximal policy optimisation, discounted: the reference that SPMD is compared with.

    Attributes:
        discount: γ.
        clip: half-width of the interval that the probability ratio is clipped to.
        entropy: weight of the entropy bonus.
        value_scale_step: step of the critic's running scale.
    """

    discount: float = 0.99
    clip: float = 0.2
    entropy: float = 0.0
    value_scale_step: float = 0.01

    name = "ppo"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("algorithm.discount", self.discount, 0.0, 1.0, open_high=True)
        check_range("algorithm.clip", self.clip, 0.0, open_low=True, allow_infinite=True)
        check_range("algorithm.entropy", self.entropy, 0.0)
        check_range("algorithm.value_scale_step", self.value_scale_step, 0.0, 1.0, open_low=True)


@dataclass(frozen=True)
class SPMDVRTDConfig:
    """SPMD whose critic is linear in random Fourier features and evaluated by VRTD; see `algorithms.spmd_vrtd`.

    Attributes:
        actor: as SPMD has it, the optimiser being that of the actor alone. λ = 0 takes the critic's advantage as it is.
        features: d.
        length_scale: ℓ of the features, over normalised observations and actions in policy units.
        critic_epochs: anchors in each iteration.
        critic_passes, critic_minibatches: inner steps of an epoch are `critic_passes` shuffled passes over the batch in
            `critic_minibatches` parts each.
        critic_step_size: VRTD's step times the largest eigenvalue of the features' covariance.
    """

    actor: SPMDConfig = field(default_factory=lambda: SPMDConfig(trace_decay=0.9))
    features: int = field(default=256, metadata=FIXED)
    length_scale: float = field(default=1.5, metadata=FIXED)
    critic_epochs: int = 8
    critic_passes: int = 2
    critic_minibatches: int = 16
    critic_step_size: float = 1.0

    name = "spmd_vrtd"

    def __post_init__(self) -> None:
        for name in ("features", "critic_epochs", "critic_passes", "critic_minibatches"):
            check_count(f"algorithm.{name}", getattr(self, name))
        check_range("algorithm.length_scale", self.length_scale, 0.0, open_low=True)
        check_range("algorithm.critic_step_size", self.critic_step_size, 0.0, 1.0, open_low=True)
        defaults = {f.name: f.default for f in fields(SPMDConfig)}
        for name in ("critic_coefficient", "reward_rate_step", "horizon", "value_scale_step", "spread"):
            if getattr(self.actor, name) != defaults[name]:
                raise ConfigurationError(
                    f"algorithm.actor.{name} belongs to SPMD's neural critic; spmd_vrtd has none: leave it out."
                )
        if self.actor.adapt_reset_cost:
            raise ConfigurationError(
                "algorithm.actor.adapt_reset_cost is for spmd alone; leave it out and set env.reset_cost."
            )

    @property
    def observation(self) -> str:
        """Group that the actor sees."""
        return self.actor.observation

    @property
    def num_steps(self) -> int:
        """Roll-out length."""
        return self.actor.num_steps

    @property
    def minibatches(self) -> int:
        """Parts of each of the actor's passes."""
        return self.actor.minibatches


class TeacherConfig(Protocol):
    """A configuration that `algorithms.build.learner` can make a teacher of."""

    @property
    def observation(self) -> str:
        """Group that its policy sees."""
        ...

    @property
    def num_steps(self) -> int:
        """Roll-out length."""
        ...

    @property
    def minibatches(self) -> int:
        """Parts of each pass over a batch."""
        ...


def check_optimiser(path: str, config: Any) -> None:
    """Refuse passes, parts, and a step of Adam that cannot be; `path` is where `config` is on the command line."""
    for name in ("epochs", "minibatches"):
        check_count(f"{path}.{name}", getattr(config, name))
    check_range(f"{path}.learning_rate", config.learning_rate, 0.0, 1.0, open_low=True)
    check_choice(f"{path}.learning_rate_schedule", config.learning_rate_schedule, SCHEDULES)
    check_range(f"{path}.max_grad_norm", config.max_grad_norm, 0.0, open_low=True, allow_infinite=True)
