"""Configurations of the off-policy family: data and checks, no more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from algorithms.config import GROUPS
from l2t.config import FIXED, NetworkConfig, check_choice, check_count, check_flag, check_idle, check_range
from l2t.errors import ConfigurationError


@dataclass(frozen=True)
class ReplayConfig:
    """What off-policy actor-critics share.

    Attributes:
        observation: group that actor and critic see; `student` is learning without privileged information.
        num_steps: steps of each environment between two blocks of updates.
        updates_per_step: critic updates for each step of an environment, over all of them.
        batch_size: transitions of a minibatch.
        buffer_size: transitions that are remembered.
        warm_up: steps of nearly uniform actions, or of inherited networks, in whole iterations; the untrained actor
            plays the next iteration, which has the first updates.
        actor_delay: critic updates between two of the actor.
        learning_rate: Adam's step, of actor, critics and temperature.
        polyak: step of the target networks.
        critic: `twin` (the smaller of two, with target networks), or `crossq` (batch renormalisation, no targets; then
            `actor_delay=3` is usual).
        temperature: α, the price of -log π; null adapts it until the entropy is -dim A.
        initial_temperature: where an adapted α begins.
        n_step: length of the backups.
        network: hidden layers of actor and critics.
    """

    observation: str = field(default="teacher", metadata=FIXED)
    num_steps: int = field(default=32, metadata=FIXED)
    updates_per_step: float = field(default=0.25, metadata=FIXED)
    batch_size: int = field(default=256, metadata=FIXED)
    buffer_size: int = field(default=1_000_000, metadata=FIXED)
    warm_up: int = field(default=10_000, metadata=FIXED)
    actor_delay: int = field(default=2, metadata=FIXED)
    learning_rate: float = 3e-4
    polyak: float = 0.005
    critic: str = field(default="twin", metadata=FIXED)
    temperature: float | None = field(default=None, metadata=FIXED)
    initial_temperature: float = 0.1
    n_step: int = field(default=1, metadata=FIXED)
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig((256, 256), "relu"))

    minibatches = 1

    def __post_init__(self) -> None:
        check_choice("algorithm.observation", self.observation, GROUPS)
        for name in ("num_steps", "batch_size", "buffer_size", "actor_delay", "n_step"):
            check_count(f"algorithm.{name}", getattr(self, name))
        check_count("algorithm.warm_up", self.warm_up, 0)
        if self.batch_size > self.buffer_size:
            raise ConfigurationError(
                f"algorithm.batch_size={self.batch_size:,} is more than algorithm.buffer_size={self.buffer_size:,} "
                "steps, so that every minibatch would hold copies; give a larger buffer or a smaller batch."
            )
        check_range("algorithm.updates_per_step", self.updates_per_step, 0.0, open_low=True)
        check_range("algorithm.learning_rate", self.learning_rate, 0.0, 1.0, open_low=True)
        check_range("algorithm.polyak", self.polyak, 0.0, 1.0, open_low=True)
        check_choice("algorithm.critic", self.critic, ("twin", "crossq"))
        if self.temperature is not None:
            check_range("algorithm.temperature", self.temperature, 0.0)
        check_range("algorithm.initial_temperature", self.initial_temperature, 0.0, open_low=True)
        if self.temperature is not None:
            check_idle("algorithm", self, ("initial_temperature",), "algorithm.temperature is fixed")
        if self.critic == "crossq":
            check_idle("algorithm", self, ("polyak",), "algorithm.critic=crossq has no target networks")
        idle = ("initial_log_std",)
        check_idle("algorithm.network", self.network, idle, "the deviation of a squashed policy depends on the state")
        if self.n_step > self.num_steps:
            raise ConfigurationError(
                f"algorithm.n_step={self.n_step} is longer than algorithm.num_steps={self.num_steps}; the ring is "
                "filled by so many steps at a time."
            )

    def updates(self, num_envs: int) -> int:
        """Critic updates of an iteration, a multiple of the actor's delay."""
        wanted = self.num_steps * num_envs * self.updates_per_step
        return max(1, round(wanted / self.actor_delay)) * self.actor_delay


@dataclass(frozen=True)
class SACConfig(ReplayConfig):
    """Soft actor-critic, discounted: the reference that the average-reward ones are compared with.

    Attributes:
        discount: γ.
    """

    discount: float = 0.99

    name = "sac"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("algorithm.discount", self.discount, 0.0, 1.0, open_high=True)


@dataclass(frozen=True)
class AverageRewardReplayConfig(ReplayConfig):
    """What the average-reward ones share.

    Attributes:
        gain: where the gain comes from: `relative_value` (f(Q), as relative value iteration has it) or `td_error`.
        gain_step: κ of the one, β of the other.
        horizon: H, after how many steps the process is taken to begin anew, on average; inf for never.
        adapt_reset_cost: raise the cost of a reset, from the task's own on, until few steps are resets.
        reset_rate: how many that may be, as a share of the steps.
        reset_cost_step: Adam's step on the cost, in reward units for 1,024 steps of an environment.
    """

    gain: str = "relative_value"
    gain_step: float = 0.005
    horizon: float = math.inf
    adapt_reset_cost: bool = field(default=False, metadata=FIXED)
    reset_rate: float = 1e-3
    reset_cost_step: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("algorithm.gain", self.gain, ("relative_value", "td_error"))
        check_range("algorithm.gain_step", self.gain_step, 0.0, 1.0, open_low=True)
        check_range("algorithm.horizon", self.horizon, 1.0, open_low=True, allow_infinite=True)
        check_flag("algorithm.adapt_reset_cost", self.adapt_reset_cost)
        check_range("algorithm.reset_rate", self.reset_rate, 0.0, 1.0, open_low=True)
        check_range("algorithm.reset_cost_step", self.reset_cost_step, 0.0, open_low=True)
        if not self.adapt_reset_cost:
            check_idle("algorithm", self, ("reset_rate", "reset_cost_step"), "algorithm.adapt_reset_cost is off")


@dataclass(frozen=True)
class RVISACConfig(AverageRewardReplayConfig):
    """RVI-SAC: soft actor-critic without a discount, the gain by relative value iteration (arXiv 2408.01972)."""

    adapt_reset_cost: bool = field(default=True, metadata=FIXED)

    name = "rvi_sac"


@dataclass(frozen=True)
class SPMDReplayConfig(AverageRewardReplayConfig):
    """Off-policy stochastic policy mirror descent, average-reward.

    Attributes:
        step_size: η of the mirror-descent step in units of 1/α: log π/π_k has the price α/η beside log π's α.
    """

    step_size: float = 1.0

    name = "spmd_replay"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("algorithm.step_size", self.step_size, 0.0, open_low=True, allow_infinite=True)
        if self.temperature == 0.0 and self.step_size < math.inf:
            raise ConfigurationError(
                "algorithm.temperature=0 leaves no price on the policy's change: algorithm.step_size is in units of "
                "1/temperature. Give a small temperature and step_size, or step_size=inf."
            )
