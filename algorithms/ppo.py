"""PPO: proximal policy optimisation with a discount, the reference in the same harness as SPMD.

    maximise  E[ min(ratio A, clip(ratio, 1 - c, 1 + c) A) ] + β entropy,   ratio = π(a|s)/π_k(a|s).

Source: Schulman et al., "Proximal policy optimization algorithms", arXiv 1707.06347.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.config import PPOConfig
from l2t.config import NetworkConfig
from l2t.rl.actor_critic import ActorCritic, ActorCriticState
from l2t.rl.learner import Judgement
from l2t.rl.losses import clipped_surrogate, standardise
from l2t.rl.models import ActorPolicy
from l2t.rl.optimise import adam, flatten_time, minimise
from l2t.rl.returns import discounted_advantage, explained_variance
from l2t.rl.types import EnvironmentSpec, Metrics, Trajectory


@struct.dataclass
class PPOState:
    """Models, optimiser, and what the critic's output is of: values less `value_mean`, divided by `value_scale`."""

    models: ActorCriticState
    optimiser: PyTree
    value_mean: Float[Array, ""]
    value_scale: Float[Array, ""]
    iteration: Int[Array, ""]


class PPO:
    """The learner; see the module's docstring.

    Args:
        config: discount, clip, optimiser.
        spec: the task; PPO does not charge its `reset_cost`, a termination is worth 0 from then on.
        network: sizes of actor and critic.
        iterations: length of the run, for the schedule of Adam's step.
    """

    def __init__(self, config: PPOConfig, spec: EnvironmentSpec, network: NetworkConfig, iterations: int) -> None:
        self.config = config
        critic_group = config.critic_observation or config.observation
        self.models = ActorCritic.create(spec, network, config.observation, critic_group)
        self.optimiser = adam(config, iterations)

    def init(self, key: Key[Array, ""]) -> PPOState:
        """Fresh models; the estimates start from the first batch."""
        models = self.models.init(key)
        return PPOState(
            models=models,
            optimiser=self.optimiser.init(models.weights),
            value_mean=jnp.zeros(()),
            value_scale=jnp.ones(()),
            iteration=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: PPOState) -> ActorPolicy:
        """The policy as it stands."""
        return self.models.policy(state.models)

    def judge(self, state: PPOState, trajectory: Trajectory) -> Judgement:
        """The policy, and generalised advantages with the critic of `state`."""
        policy = self.models.policy(state.models).distribution(trajectory.observation)
        return Judgement(policy, self._evaluate(state, trajectory)[1])

    def learn(self, state: PPOState, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[PPOState, Metrics]:
        """One iteration on a batch from the current policy."""
        config = self.config
        value, advantage = self._evaluate(state, trajectory)
        target = advantage + value
        step = jnp.where(state.iteration == 0, 1.0, config.value_scale_step)
        # The batch's own centre, as SPMD has it: a running mean would lag behind values that rise for a million steps.
        value_mean = target.mean()
        value_scale = state.value_scale + step * (target.std() + 1e-6 - state.value_scale)
        old = self.models.policy(state.models).distribution(trajectory.observation)
        batch = flatten_time(
            self.models.features(state.models, trajectory.observation)
            | {
                "action": trajectory.action,
                "log_prob": trajectory.log_prob,
                "advantage": advantage,
                "target": (target - value_mean) / value_scale,
            }
        )

        def loss(weights: PyTree, batch: dict[str, Any]) -> tuple[Float[Array, ""], Metrics]:
            policy = self.models.actor.apply(weights["actor"], batch["actor_features"])
            ratio = jnp.exp(policy.log_prob(batch["action"]) - batch["log_prob"])
            surrogate = clipped_surrogate(ratio, standardise(batch["advantage"]), config.clip)
            actor = -surrogate.mean() - config.entropy * policy.paid_entropy().mean()
            error = self.models.critic.apply(weights["critic"], batch["critic_features"]) - batch["target"]
            critic = 0.5 * (error**2).mean()
            return actor + config.critic_coefficient * critic, {"loss/actor": actor, "loss/critic": critic}

        weights, optimiser, metrics = minimise(
            loss, self.optimiser, state.models.weights, state.optimiser, batch, key, config.epochs, config.minibatches
        )
        models = state.models.with_weights(weights)
        metrics |= {
            "train/kl": old.kl(self.models.policy(models).distribution(trajectory.observation)).mean(),
            "train/entropy": old.entropy().mean(),
            "train/value_scale": value_scale,
            "train/explained_variance": explained_variance(value, target),
        }
        models = self.models.seen(models, trajectory.observation)
        return PPOState(models, optimiser, value_mean, value_scale, state.iteration + 1), metrics

    def _evaluate(
        self, state: PPOState, trajectory: Trajectory
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"]]:
        value, successor = (
            state.value_mean + state.value_scale * self.models.value(state.models, observation)
            for observation in (trajectory.observation, trajectory.successor)
        )
        config = self.config
        advantage = discounted_advantage(
            trajectory.reward,
            value,
            successor,
            trajectory.terminated,
            trajectory.truncated,
            config.discount,
            config.trace_decay,
        )
        return value, advantage
