"""SPMD with a linear critic: Q(s,a) ≈ ψ(s,a)ᵀθ on random Fourier features, evaluated by VRTD on each batch.

The actor and its mirror-descent step are those of `algorithms.spmd`. The critic evaluates π_k before the actor moves.

1. Features. x = (normalised observation, action), ψ frozen within an iteration. As a' ~ π_k(·|s') is Gaussian, the
   mean over it has a closed form, and no a' has to be sampled:

       ψ̄(s) = E_a[ψ(s,a)],   ψ̄_i(s) = ψ_i(s, mean(s)) exp(-½ Σ_j σ_j² w_ij²),   V(s) = ψ̄(s)ᵀθ.

   The batch mean of ψ is taken off ψ and ψ̄: Q is unique up to a constant, and so the constants are excluded.

2. VRTD (`batch_vrtd`). Transitions x → s', with the reset cost paid and s' the next start after a termination, and the
   true successor after a time limit. Each epoch anchors the operator in the whole batch; its inner steps average over
   minibatches of the same batch instead of taking fresh single transitions. θ starts where the last iteration left it.

3. Advantage. With the residual of Q, whose trace is free of the noise of later actions,

       δ_t = r_t - ρ + V(s_{t+1}) - Q(s_t,a_t),   B_t = δ_t + λ B_{t+1},   A_t = Q(s_t,a_t) - V(s_t) + λ B_t.

   The trace is cut at time limits. λ = 0 trusts the critic alone, λ = 1 the rewards alone.

Sources: Li, Wu and Lan, "Stochastic first-order methods for average-reward Markov decision processes", arXiv
2205.05800; the trace on Q: Harutyunyan et al., "Q(λ) with off-policy corrections", arXiv 1602.04951, here on-policy
and undiscounted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.config import SPMDVRTDConfig
from algorithms.features import FourierFeatures, TableFeatures
from algorithms.policy_evaluation.operator import mean_operator, reduced_step
from algorithms.spmd import adapted_step, mirror_descent_loss, paid_reward, scheduled_step
from l2t.config import NetworkConfig
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import Judgement
from l2t.rl.models import Actor, ActorPolicy, ModelState
from l2t.rl.normaliser import Normaliser
from l2t.rl.optimise import adam, flatten_time, minimise
from l2t.rl.returns import accumulate_trace, explained_variance
from l2t.rl.transitions import PairTransitions
from l2t.rl.types import EnvironmentSpec, Metrics, Observation, Trajectory

_POWER_STEPS = 20
"""Power iterations for the largest eigenvalue of the features' covariance; the first few per cent do not matter."""


@struct.dataclass
class CriticState:
    """Q(s,a) = ψ(normalised s, a)ᵀθ, up to a constant."""

    normaliser: Normaliser
    features: FourierFeatures
    theta: Float[Array, " d"]


@struct.dataclass
class SPMDVRTDState:
    """Actor, critic, the actor's optimiser and the scalar estimates.

    Attributes:
        reward_rate: ρ̂ of the last batch.
        step_size: η_k.
        iteration: k, from 0.
    """

    actor: ModelState
    critic: CriticState
    optimiser: PyTree
    reward_rate: Float[Array, ""]
    step_size: Float[Array, ""]
    iteration: Int[Array, ""]


@struct.dataclass
class _Rows:
    """ψ(s_t,a_t), ψ̄(s_t) and ψ̄(s_{t+1}), the last at the next start where step t terminated."""

    pair: Float[Array, "time env d"]
    state: Float[Array, "time env d"]
    next_state: Float[Array, "time env d"]


class SPMDVRTD:
    """The learner; see the module's docstring.

    Args:
        config: settings of the actor's step and of the critic.
        spec: the task, with its `reset_cost`.
        network: size of the actor.
        iterations: length of the run, for the schedule of Adam's step.
    """

    def __init__(self, config: SPMDVRTDConfig, spec: EnvironmentSpec, network: NetworkConfig, iterations: int) -> None:
        self.config = config
        self.reset_cost = spec.reset_cost
        settings = config.actor
        self.critic_group = settings.critic_observation or settings.observation
        self.critic_size = spec.size_of(self.critic_group)
        self.actor = Actor.of_group(settings.observation, spec, network)
        self.optimiser = adam(settings, iterations)

    def init(self, key: Key[Array, ""]) -> SPMDVRTDState:
        """Fresh actor and features; Q is zero."""
        config = self.config
        actor_key, feature_key = jax.random.split(key)
        actor = self.actor.init(actor_key)
        inputs = self.critic_size + self.actor.action_size
        features = FourierFeatures.create(feature_key, inputs, config.features, config.length_scale)
        return SPMDVRTDState(
            actor=actor,
            critic=CriticState(Normaliser.create(self.critic_size), features, jnp.zeros(config.features)),
            optimiser=self.optimiser.init(actor.weights),
            reward_rate=jnp.zeros(()),
            step_size=jnp.asarray(config.actor.step_size, jnp.float32),
            iteration=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: SPMDVRTDState) -> ActorPolicy:
        """π_k."""
        return self.actor.policy(state.actor)

    def judge(self, state: SPMDVRTDState, trajectory: Trajectory) -> Judgement:
        """π_k, and A_t with the reward rate and critic of `state`."""
        policy = self.actor.policy(state.actor).distribution(trajectory.observation)
        reward = paid_reward(trajectory, policy, self.reset_cost, self.config.actor.entropy)
        return Judgement(policy, self._evaluate(state, trajectory, self._rows(state, trajectory), reward)[1])

    def learn(self, state: SPMDVRTDState, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[SPMDVRTDState, Metrics]:
        """Evaluate π_k on its batch, then take one mirror-descent step."""
        config, settings = self.config, self.config.actor
        critic_key, actor_key = jax.random.split(key)
        observation = trajectory.observation
        old = self.actor.policy(state.actor).distribution(observation)
        reward = paid_reward(trajectory, old, self.reset_cost, settings.entropy)
        rows = self._rows(state, trajectory)
        forecast = rows.state @ state.critic.theta
        pair, next_state, paid = flatten_time((rows.pair, rows.next_state, reward))
        theta, residual = batch_vrtd(config, pair, next_state, paid, state.critic.theta, critic_key)
        state = replace(state, critic=replace(state.critic, theta=theta), reward_rate=reward.mean())
        value, advantage = self._evaluate(state, trajectory, rows, reward)

        batch = flatten_time(
            {
                "actor_features": self.actor.features(state.actor, observation),
                "action": trajectory.action,
                "log_prob": trajectory.log_prob,
                "old": old.batched(),
                "advantage": advantage,
            }
        )
        step_size = scheduled_step(settings, state.step_size, state.iteration)

        def loss(weights: PyTree, batch: dict[str, Any]) -> tuple[Float[Array, ""], Metrics]:
            policy = self.actor.apply(weights, batch["actor_features"])
            actor = mirror_descent_loss(settings, policy, batch, step_size)
            return actor, {"loss/actor": actor}

        weights, optimiser, metrics = minimise(
            loss,
            self.optimiser,
            state.actor.weights,
            state.optimiser,
            batch,
            actor_key,
            settings.epochs,
            settings.minibatches,
        )
        actor = replace(state.actor, weights=weights)
        divergence = old.kl(self.actor.policy(actor).distribution(observation)).mean()
        metrics |= {
            "loss/critic": residual,
            "train/kl": divergence,
            "train/step_size": step_size,
            "train/entropy": old.entropy().mean(),
            "train/reward_rate": state.reward_rate,
            "train/value_scale": value.std(),
            "train/explained_variance": explained_variance(forecast, advantage + value),
        }
        critic_normaliser = state.critic.normaliser.update(observation[self.critic_group])
        state = SPMDVRTDState(
            actor=actor.seen(self.actor.inputs(observation)),
            critic=replace(state.critic, normaliser=critic_normaliser),
            optimiser=optimiser,
            reward_rate=state.reward_rate,
            step_size=adapted_step(settings, state.step_size, divergence),
            iteration=state.iteration + 1,
        )
        return state, metrics

    def _rows(self, state: SPMDVRTDState, trajectory: Trajectory) -> _Rows:
        critic, features = state.critic, state.critic.features

        def mean_features(observation: Observation) -> Float[Array, "time env d"]:
            policy = self.actor.policy(state.actor).distribution(observation)
            return expected_features(features, critic.normaliser(observation[self.critic_group]), policy)

        seen = critic.normaliser(trajectory.observation[self.critic_group])
        return _Rows(
            pair=features(jnp.concatenate([seen, trajectory.action], -1)),
            state=mean_features(trajectory.observation),
            next_state=mean_features(trajectory.following()),
        )

    def _evaluate(
        self, state: SPMDVRTDState, trajectory: Trajectory, rows: _Rows, reward: Float[Array, "time env"]
    ) -> tuple[Float[Array, "time env"], Float[Array, "time env"]]:
        """V(s_t) and A_t."""
        q, value, next_value = (row @ state.critic.theta for row in (rows.pair, rows.state, rows.next_state))
        decay = self.config.actor.trace_decay
        trace = accumulate_trace(
            reward - state.reward_rate + next_value - q, decay * (1.0 - trajectory.cut().astype(value.dtype))
        )
        return value, q - value + decay * trace


def expected_features(
    features: FourierFeatures, observation: Float[Array, "*batch n"], policy: DiagonalGaussian
) -> Float[Array, "*batch d"]:
    """ψ̄(s) = E ψ(s,a) over a ~ π(·|s): a Gaussian's characteristic function damps each feature at the mean action."""
    frequency = features.frequency[observation.shape[-1] :]
    damping = jnp.exp(-0.5 * jnp.exp(2.0 * policy.log_std) @ frequency**2)
    return damping * features(jnp.concatenate([observation, policy.mean], -1))


def batch_vrtd(
    config: SPMDVRTDConfig,
    feature: Float[Array, "n d"],
    next_feature: Float[Array, "n d"],
    reward: Float[Array, " n"],
    theta: Float[Array, " d"],
    key: Key[Array, ""],
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """VRTD on one batch: towards the root of mean_i (ψ_i - c) [ (ψ_i - ψ̄'_i)ᵀθ - r_i + ρ̂ ], c = mean ψ, ρ̂ = mean r.

    `critic_epochs` times: ĝ is the operator at the anchor θ̃, over the batch; then, minibatch after minibatch,

        θ_{t+1} = θ_t - η [ g(θ_t) - g(θ̃) + ĝ ],   η = `critic_step_size` / λ_max(cov ψ),

    g averaged over the minibatch; θ̃ <- the last θ_t. Noise vanishes at the root, so that no averaging is needed.

    Args:
        config: epochs, passes, minibatches, step.
        feature: ψ_i.
        next_feature: ψ̄'_i.
        reward: r_i.
        theta: the first anchor.
        key: of the shuffles.

    Returns:
        θ, and the mean square of the temporal differences.
    """
    count, size = feature.shape
    centre = feature.mean(axis=0)
    centred = feature - centre
    table = TableFeatures(jnp.concatenate([centred, next_feature - centre]), None)
    index = jnp.arange(count)
    batch = PairTransitions(index, reward, count + index)
    rate = reward.mean()
    step_size = config.critic_step_size / _largest_eigenvalue(centred)

    def step(
        carry: tuple[Float[Array, " d"], Float[Array, " d"]], rows: Int[Array, " part"]
    ) -> tuple[tuple[Float[Array, " d"], Float[Array, " d"]], None]:
        offset, operator = carry
        return (reduced_step(table, offset, rows, count + rows, operator, step_size), operator), None

    def epoch(anchor: Float[Array, " d"], key: Key[Array, ""]) -> tuple[Float[Array, " d"], None]:
        operator = mean_operator(table, anchor, batch, rate)
        shuffled = jax.vmap(lambda key: jax.random.permutation(key, count))(jax.random.split(key, config.critic_passes))
        parts = shuffled.reshape(config.critic_passes * config.critic_minibatches, -1)
        (offset, _), _ = jax.lax.scan(step, (jnp.zeros(size), operator), parts)
        return anchor + offset, None

    theta = jax.lax.scan(epoch, theta, jax.random.split(key, config.critic_epochs))[0]
    return theta, jnp.mean((reward - rate + (next_feature - feature) @ theta) ** 2)


def _largest_eigenvalue(rows: Float[Array, "n d"]) -> Float[Array, ""]:
    """λ_max of mean_i ψ_i ψ_iᵀ, by power iteration."""

    def power(vector: Float[Array, " d"], _: None) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        vector = (rows @ vector) @ rows / rows.shape[0]
        norm = jnp.linalg.norm(vector)
        return vector / (norm + 1e-20), norm

    start = jax.random.normal(jax.random.key(0), (rows.shape[1],))
    return jax.lax.scan(power, start / jnp.linalg.norm(start), length=_POWER_STEPS)[1][-1] + 1e-6
