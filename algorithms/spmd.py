"""SPMD: average-reward stochastic policy mirror descent, on-policy, with a Gaussian policy.

Each iteration solves approximately, by gradient steps on a batch from π_k,

    π_{k+1} = argmax_π  E_{s,a ~ π_k}[ π(a|s)/π_k(a|s) A_k(s,a) ] - (1/η_k) KL(π_k || π) - E[h^π(s)],
    h^π = μ Σ π log π,

with A_k a differential advantage: no discount, rewards relative to the reward rate ρ.

Source: Li, Wu and Lan, "Stochastic first-order methods for average-reward Markov decision processes", arXiv 2205.05800.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.config import SPMDConfig
from algorithms.reset_cost import ResetCost
from l2t.config import NetworkConfig
from l2t.rl.actor_critic import ActorCritic, ActorCriticState
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import Judgement
from l2t.rl.losses import clipped_surrogate, squared_error, standardise
from l2t.rl.models import ActorPolicy
from l2t.rl.optimise import adam, flatten_time, minimise
from l2t.rl.returns import (
    bounded,
    deviation,
    differential_advantage,
    differential_target,
    explained_variance,
    quartiles,
)
from l2t.rl.types import EnvironmentSpec, Metrics, Trajectory

_SPREADS = {"deviation": deviation, "quartiles": quartiles}

_STEP_FACTOR = 1.5
"""The adaptive schedule multiplies or divides η by this."""


@struct.dataclass
class SPMDState:
    """Models, optimiser and the scalar estimates.

    Attributes:
        reward_rate: ρ.
        value_scale: the critic predicts differential values divided by this.
        step_size: η_k.
        reset_cost: c.
        iteration: k, from 0.
    """

    models: ActorCriticState
    optimiser: PyTree
    reward_rate: Float[Array, ""]
    value_scale: Float[Array, ""]
    step_size: Float[Array, ""]
    reset_cost: ResetCost
    iteration: Int[Array, ""]


class SPMD:
    """The learner; see the module's docstring.

    Args:
        config: step sizes, schedule, estimators.
        spec: the task, with its `reset_cost`.
        network: sizes of actor and critic.
        iterations: length of the run, for the schedule of Adam's step.
    """

    def __init__(self, config: SPMDConfig, spec: EnvironmentSpec, network: NetworkConfig, iterations: int) -> None:
        self.config = config
        self.reset_cost = spec.reset_cost
        critic_group = config.critic_observation or config.observation
        self.models = ActorCritic.create(spec, network, config.observation, critic_group)
        self.optimiser = adam(config, iterations)

    def init(self, key: Key[Array, ""]) -> SPMDState:
        """Fresh models; the estimates start from the first batch."""
        models = self.models.init(key)
        return SPMDState(
            models=models,
            optimiser=self.optimiser.init(models.weights),
            reward_rate=jnp.zeros(()),
            value_scale=jnp.ones(()),
            step_size=jnp.asarray(self.config.step_size, jnp.float32),
            reset_cost=ResetCost.create(self.reset_cost),
            iteration=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: SPMDState) -> ActorPolicy:
        """π_k."""
        return self.models.policy(state.models)

    def judge(self, state: SPMDState, trajectory: Trajectory) -> Judgement:
        """π_k, and differential advantages with the reward rate and critic of `state`."""
        policy = self.models.policy(state.models).distribution(trajectory.observation)
        reward = paid_reward(trajectory, policy, state.reset_cost.cost, self.config.entropy)
        return Judgement(policy, self._evaluate(state, trajectory, reward)[1])

    def learn(self, state: SPMDState, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[SPMDState, Metrics]:
        """One mirror-descent step and one critic step on a batch from π_k."""
        config = self.config
        first = state.iteration == 0
        old = self.models.policy(state.models).distribution(trajectory.observation)
        reward = paid_reward(trajectory, old, state.reset_cost.cost, config.entropy)
        rate_step = jnp.where(first, 1.0, config.reward_rate_step)
        state = replace(state, reward_rate=state.reward_rate + rate_step * (reward.mean() - state.reward_rate))
        value, advantage = self._evaluate(state, trajectory, reward)

        scale_step = jnp.where(first, 1.0, config.value_scale_step)
        spread, outlier = _SPREADS[config.spread], config.outlier if config.spread == "quartiles" else None
        target, value_scale = differential_target(advantage, value, state.value_scale, scale_step, spread)

        batch = flatten_time(
            self.models.features(state.models, trajectory.observation)
            | {
                "action": trajectory.action,
                "log_prob": trajectory.log_prob,
                "old": old.batched(),
                "advantage": advantage if outlier is None else bounded(advantage, spread, outlier),
                "target": target / value_scale,
            }
        )
        step_size = scheduled_step(config, state.step_size, state.iteration)

        def loss(weights: PyTree, batch: dict[str, Any]) -> tuple[Float[Array, ""], Metrics]:
            policy = self.models.actor.apply(weights["actor"], batch["actor_features"])
            actor = mirror_descent_loss(config, policy, batch, step_size)
            error = self.models.critic.apply(weights["critic"], batch["critic_features"]) - batch["target"]
            critic = squared_error(error, outlier).mean()
            return actor + config.critic_coefficient * critic, {"loss/actor": actor, "loss/critic": critic}

        weights, optimiser, metrics = minimise(
            loss, self.optimiser, state.models.weights, state.optimiser, batch, key, config.epochs, config.minibatches
        )
        models = state.models.with_weights(weights)
        divergence = old.kl(self.models.policy(models).distribution(trajectory.observation)).mean()
        metrics |= {
            "train/kl": divergence,
            "train/step_size": step_size,
            "train/entropy": old.entropy().mean(),
            "train/reward_rate": state.reward_rate,
            "train/value_scale": value_scale,
            "train/reset_cost": state.reset_cost.cost,
            "train/explained_variance": explained_variance(value, target),
        }
        state = SPMDState(
            models=self.models.seen(models, trajectory.observation),
            optimiser=optimiser,
            reward_rate=state.reward_rate,
            value_scale=value_scale,
            step_size=adapted_step(config, state.step_size, divergence),
            reset_cost=adapted_cost(config, state.reset_cost, trajectory),
            iteration=state.iteration + 1,
        )
        return state, metrics

    def _evaluate(
        self, state: SPMDState, trajectory: Trajectory, reward: Float[Array, "time env"]
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"]]:
        value, next_value = (
            state.value_scale * self.models.value(state.models, observation)
            for observation in (trajectory.observation, trajectory.following())
        )
        advantage = differential_advantage(
            reward,
            value,
            next_value,
            trajectory.cut(),
            state.reward_rate,
            self.config.trace_decay,
            self.config.horizon,
        )
        return value, advantage


def paid_reward(
    trajectory: Trajectory, policy: DiagonalGaussian, reset_cost: float | Float[Array, ""], entropy: float
) -> Float[Array, "time env"]:
    """r - h^π - reset cost of the transitions that were terminations.

    Args:
        trajectory: a batch.
        policy: π at its observations.
        reset_cost: charged for a termination.
        entropy: μ.
    """
    reward = trajectory.reward - reset_cost * trajectory.terminated
    if entropy > 0.0:
        reward = reward + entropy * policy.paid_entropy()
    return reward


def mirror_descent_loss(
    config: SPMDConfig,
    policy: DiagonalGaussian,
    batch: Mapping[str, Any],
    step_size: Float[Array, ""],
) -> Float[Array, ""]:
    """-E[w A] + KL(π_k || π)/η_k + E[h^π], the first and last in standard deviations of A; w = π/π_k, clipped.

    Args:
        config: μ and the clip.
        policy: π at the minibatch.
        batch: `action`, its `log_prob` and `advantage` under π_k, and π_k itself as `old`.
        step_size: η_k.
    """
    ratio = jnp.exp(policy.log_prob(batch["action"]) - batch["log_prob"])
    divergence = batch["old"].kl(policy).mean()
    # Standardised advantages divide the objective by their scale; the regulariser goes with it.
    regulariser = -config.entropy * policy.paid_entropy().mean() / (batch["advantage"].std() + 1e-8)
    gain = clipped_surrogate(ratio, standardise(batch["advantage"]), config.ratio_clip).mean()
    return -gain + divergence / step_size + regulariser


def scheduled_step(config: SPMDConfig, step_size: Float[Array, ""], iteration: Int[Array, ""]) -> Float[Array, ""]:
    """η_k for iteration k; `step_size` is where the adaptive schedule stands."""
    if config.step_schedule == "sqrt":
        return config.step_size / jnp.sqrt(iteration + 1.0)
    if config.step_schedule == "constant":
        return jnp.asarray(config.step_size, jnp.float32)
    return step_size


def adapted_step(config: SPMDConfig, step_size: Float[Array, ""], divergence: Float[Array, ""]) -> Float[Array, ""]:
    """η_{k+1}: smaller after an iteration that moved too far, larger after one that moved too little."""
    if config.step_schedule != "adaptive":
        return step_size
    factor = jnp.where(
        divergence > _STEP_FACTOR * config.target_kl,
        1.0 / _STEP_FACTOR,
        jnp.where(divergence < config.target_kl / _STEP_FACTOR, _STEP_FACTOR, 1.0),
    )
    return jnp.clip(step_size * factor, config.min_step_size, config.max_step_size)


def adapted_cost(config: SPMDConfig, cost: ResetCost, trajectory: Trajectory) -> ResetCost:
    """c for the next iteration."""
    if not config.adapt_reset_cost:
        return cost
    return cost.update(trajectory.terminated, config.reset_rate, config.reset_cost_step)
