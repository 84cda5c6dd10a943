"""Configuration of SPMD with a linear critic, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from algorithms.config import SPMDConfig
from l2t.config import check_count, check_range
from l2t.errors import ConfigurationError

if TYPE_CHECKING:
    from l2t.rl.algorithm import Algorithm, BuildContext
    from l2t.rl.learner import Learner

_ACTOR = (
    "observation",
    "critic_observation",
    "num_steps",
    "epochs",
    "minibatches",
    "learning_rate",
    "learning_rate_schedule",
    "max_grad_norm",
    "trace_decay",
    "step_size",
    "step_schedule",
    "min_step_size",
    "max_step_size",
    "target_kl",
    "ratio_clip",
    "entropy",
)


@dataclass(frozen=True)
class SPMDVRTDConfig:
    """SPMD whose critic is linear in random Fourier features and evaluated by VRTD; see `algorithms.spmd_vrtd`.

    Attributes:
        observation, critic_observation, num_steps: as `SPMDConfig` has them.
        epochs, minibatches, learning_rate, learning_rate_schedule, max_grad_norm: of the actor alone.
        step_size, step_schedule, min_step_size, max_step_size, target_kl, ratio_clip, entropy: as there.
        trace_decay: λ; 0 takes the critic's advantage as it is.
        features: d.
        length_scale: ℓ of the features, over normalised observations and actions in policy units.
        critic_epochs: anchors in each iteration.
        critic_passes, critic_minibatches: inner steps of an epoch are `critic_passes` shuffled passes over the batch in
            `critic_minibatches` parts each.
        critic_step_size: VRTD's step times the largest eigenvalue of the features' covariance.
    """

    observation: str = "teacher"
    critic_observation: str = ""
    num_steps: int = 64
    epochs: int = 8
    minibatches: int = 8
    learning_rate: float = 1e-3
    learning_rate_schedule: str = "linear"
    max_grad_norm: float = 0.5
    trace_decay: float = 0.9
    step_size: float = 1.0
    step_schedule: str = "adaptive"
    min_step_size: float = 1e-3
    max_step_size: float = 10.0
    target_kl: float = 0.015
    ratio_clip: float = 0.5
    entropy: float = 0.0
    features: int = 256
    length_scale: float = 1.5
    critic_epochs: int = 8
    critic_passes: int = 2
    critic_minibatches: int = 16
    critic_step_size: float = 1.0

    def __post_init__(self) -> None:
        _ = self.actor  # building it checks its values
        for name in ("features", "critic_epochs", "critic_passes", "critic_minibatches"):
            check_count(f"algorithm.{name}", getattr(self, name))
        check_range("algorithm.length_scale", self.length_scale, 0.0, open_low=True)
        check_range("algorithm.critic_step_size", self.critic_step_size, 0.0, 1.0, open_low=True)

    @property
    def actor(self) -> SPMDConfig:
        """What SPMD's own functions need to know."""
        return SPMDConfig(**{name: getattr(self, name) for name in _ACTOR})

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return "spmd_vrtd"

    @property
    def identity(self) -> dict[str, object]:
        """See `ActorCriticConfig.identity`."""
        return self.actor.identity | {"features": self.features, "length_scale": self.length_scale}

    def learner(self, context: BuildContext) -> Learner:
        """The learner alone, for algorithms that compose it."""
        from algorithms.spmd_vrtd import SPMDVRTD

        return SPMDVRTD(self, context.environment.spec, context.network, context.iterations(self.num_steps))

    def build(self, context: BuildContext) -> Algorithm:
        """The learner on its own roll-outs."""
        from l2t.rl.on_policy import OnPolicy

        batch = self.num_steps * context.num_envs
        for name in ("minibatches", "critic_minibatches"):
            if batch % getattr(self, name):
                raise ConfigurationError(
                    f"A batch of {batch} transitions (num_steps x environments) does not split into algorithm.{name}="
                    f"{getattr(self, name)} equal parts; change num_envs, algorithm.num_steps or algorithm.{name}."
                )
        return OnPolicy(context.environment, self.learner(context), self.observation, context.num_envs, self.num_steps)
