"""PPO: proximal policy optimisation with a discount, the reference in the same harness as SPMD.

    maximise  E[ min(ratio A, clip(ratio, 1 - c, 1 + c) A) ] + β entropy,   ratio = π(a|s)/π_k(a|s).

Source: Schulman et al., "Proximal policy optimization algorithms", arXiv 1707.06347.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.config import PPOConfig
from l2t.config import NetworkConfig
from l2t.rl.actor_critic import ActorCritic, ActorCriticState
from l2t.rl.algorithm import Metrics
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import Learned, adam, clipped_surrogate, flatten_time, minimise, standardise
from l2t.rl.returns import discounted_advantage, explained_variance
from l2t.rl.types import EnvironmentSpec, Observation, Trajectory


@struct.dataclass
class PPOState:
    """Models, optimiser, and the running mean and scale of the critic's targets."""

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

    def distribution(self, state: PPOState, observation: Observation) -> DiagonalGaussian:
        """The policy at a batch of observations."""
        return self.models.distribution(state.models, observation)

    def advantage(self, state: PPOState, trajectory: Trajectory) -> Float[Array, "time env"]:
        """Generalised advantage of each action, with the critic of `state`."""
        return self._evaluate(state, trajectory)[1]

    def learn(self, state: PPOState, trajectory: Trajectory, key: Key[Array, ""]) -> Learned:
        """One iteration on a batch from the current policy."""
        config = self.config
        value, advantage = self._evaluate(state, trajectory)
        target = advantage + value
        step = jnp.where(state.iteration == 0, 1.0, config.value_scale_step)
        value_mean = state.value_mean + step * (target.mean() - state.value_mean)
        value_scale = state.value_scale + step * (target.std() + 1e-6 - state.value_scale)
        old = self.distribution(state, trajectory.observation)
        batch = flatten_time(
            self.models.features(state.models, trajectory)
            | {
                "action": trajectory.action,
                "log_prob": trajectory.log_prob,
                "advantage": advantage,
                "target": (target - value_mean) / value_scale,
            }
        )

        def loss(weights: PyTree, batch: dict[str, Array]) -> tuple[Float[Array, ""], Metrics]:
            policy = self.models.actor.apply(weights["actor"], batch["actor_features"])
            ratio = jnp.exp(policy.log_prob(batch["action"]) - batch["log_prob"])
            surrogate = clipped_surrogate(ratio, standardise(batch["advantage"]), config.clip)
            actor = -surrogate.mean() - config.entropy * policy.entropy().mean()
            error = self.models.critic.apply(weights["critic"], batch["critic_features"]) - batch["target"]
            critic = 0.5 * (error**2).mean()
            return actor + config.critic_coefficient * critic, {"loss/actor": actor, "loss/critic": critic}

        weights, optimiser, metrics = minimise(
            loss, self.optimiser, state.models.weights, state.optimiser, batch, key, config.epochs, config.minibatches
        )
        models = state.models.with_weights(weights)
        metrics |= {
            "train/kl": old.kl(self.models.distribution(models, trajectory.observation)).mean(),
            "train/entropy": old.entropy().mean(),
            "train/value_scale": value_scale,
            "train/explained_variance": explained_variance(value, target),
        }
        models = self.models.observe(models, trajectory)
        return Learned(PPOState(models, optimiser, value_mean, value_scale, state.iteration + 1), advantage, metrics)

    def _evaluate(
        self, state: PPOState, trajectory: Trajectory
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"]]:
        value, successor, _ = (
            state.value_mean + state.value_scale * v for v in self.models.values(state.models, trajectory)
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
