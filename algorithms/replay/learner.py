"""Off-policy actor-critics: SAC, RVI-SAC and off-policy SPMD are one learner with different targets.

Critics Q_1, Q_2 regress, with a' ~ π(·|s'), α the temperature, c the cost of a reset and Q' slow copies of Q,

    y = r - c [reset] - f + V(s'),    V(s') = min_j Q'_j(s', a') - α log π(a'|s'),

where f, the gain of the regularised process, is what keeps Q from drifting: relative value iteration subtracts a
function of Q itself, f <- f + κ (mean V - f). A reset is a transition to the next episode's first state. With a finite
`horizon` H, after each step and with probability 1/H, the process begins anew at one of the replayed states: V(s')
becomes (1 - 1/H) V(s') + mean V / H. `sac` has y = r + γ V(s'), no f, and y = r where the step terminated. The actor
minimises, at a reparametrised action a ~ π(·|s),

    E[ α log π(a|s) - min_j Q_j(s, a) + (α/η) (log π(a|s) - log π_k(a|s)) ],

the last term for `spmd_replay` alone; π_k is the policy that collected the newest steps, frozen for an iteration. η is
in units of 1/α, which follows the scale of the reward: of the optimum, π_k^(1/(1+η)) exp(η/(1+η) Q/α), half is π_k's
with η = 1, whatever the task pays.

Sources: Haarnoja et al., "Soft actor-critic", arXiv 1801.01290; Hisaki and Ono, "RVI-SAC", arXiv 2408.01972; for the
mirror-descent step Li, Wu and Lan, arXiv 2205.05800, and Wu, Ke and Wu, arXiv 2305.14608.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from algorithms.replay.config import AverageRewardReplayConfig, ReplayConfig, SACConfig, SPMDReplayConfig
from algorithms.replay.cross_critic import CrossCritic
from algorithms.replay.networks import CriticModel, SquashedActor, SquashedPolicy, TwinCritic, reparametrised, smaller
from algorithms.replay.reward_rate import relative_value_rate, soft_value, td_rate
from algorithms.replay.state import ReplayState, Weights
from algorithms.replay.targets import Backup, average_backup, discounted_backup
from algorithms.replay.warm_up import FRESH, WarmUp, another, made
from algorithms.reset_cost import ResetCost
from l2t.rl.learner import ActionCritic, Judgement
from l2t.rl.measured import once
from l2t.rl.models import ModelState
from l2t.rl.optimise import update_one
from l2t.rl.types import EnvironmentSpec, Metrics, Observation, Trajectory, Transitions, cut_off

STEPS_OF_A_COST_STEP = 1_024
"""The environment steps in which Adam moves the reset cost by `reset_cost_step`, however they are batched."""


class ReplayActorCritic:
    """The learner; see the module's docstring.

    Args:
        config: which one, and its settings.
        spec: the task, with its `reset_cost`.
        num_envs: environments of a batch.
    """

    def __init__(self, config: ReplayConfig, spec: EnvironmentSpec, num_envs: int) -> None:
        self.config = config
        self.spec = spec
        self.actor = SquashedActor.of_group(config.observation, spec, config.network)
        inputs = self.actor.observation_size + spec.action_size
        model = CrossCritic if config.critic == "crossq" else TwinCritic
        self.critic: CriticModel = model(inputs, config.network)
        self.optimiser = optax.flatten(optax.adam(config.learning_rate))
        self.target_entropy = -float(spec.action_size)
        self.warm_up = WarmUp.of_steps(config.warm_up, num_envs * config.num_steps)

    def init(self, key: Key[Array, ""]) -> ReplayState:
        """Fresh networks."""
        actor_key, critic_key = jax.random.split(key)
        actor, critics = self.actor.init(actor_key), self.critic.init(critic_key)
        log_temperature = jnp.log(jnp.asarray(self.config.initial_temperature, jnp.float32))
        moved = {"actor": actor.weights, "critics": critics.params, "temperature": log_temperature}
        optimisers = {name: self.optimiser.init(weights) for name, weights in moved.items()}
        return ReplayState(
            weights=Weights(actor.weights, critics, log_temperature, optimisers, jnp.zeros(())),
            normaliser=actor.normaliser,
            reset_cost=ResetCost.create(self.spec.reset_cost),
            reward_rate=jnp.zeros(()),
            iteration=jnp.asarray(FRESH, jnp.int32),
        )

    def policy(self, state: ReplayState) -> SquashedPolicy:
        """π_k; from fresh networks nearly uniform actions until the warm-up is over."""
        model = ModelState(state.weights.actor, state.normaliser)
        return SquashedPolicy(self.actor, model, self.warm_up.blind(state.iteration))

    def judge(self, state: ReplayState, trajectory: Trajectory) -> Judgement:
        """π_k as a Gaussian over actions, min_j Q_j(s, a) less its value at the mode, and the critics themselves.

        Always the actor's: the uniform actions of a warm-up are there to be learnt from, and nothing to imitate.
        """
        acting = self.policy(state)
        policy = acting.learnt(trajectory.observation)
        features = self._features(state, trajectory.observation)
        value, chosen = (
            smaller(self.critic.apply(state.weights.critics, features, action))
            for action in (policy.mode(), trajectory.action)
        )
        # Before the first update they have nothing to say of any action.
        knows = self.warm_up.learnt(state.iteration)
        critic = ActionCritic(
            features,
            lambda seen, action: knows * smaller(self.critic.apply(state.weights.critics, seen, action)),
            knows * self._temperature(state.weights),
            knows,
        )
        meant = acting.meant(trajectory.observation, trajectory.action)
        return Judgement(policy.linearised(), chosen - value, critic=critic, action=meant)

    def learn(self, state: ReplayState, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[ReplayState, Metrics]:
        """A block of updates on what was drawn from the ring."""
        replayed = trajectory.replayed
        if replayed is None:
            raise TypeError("An off-policy learner needs a Loop whose experience is a Replay.")
        cost = state.reset_cost.cost if self._averages else jnp.zeros(())
        ready = self.warm_up.over(state.iteration)
        weights, metrics = once(ready, lambda: self._updates(state, replayed, cost, key), state.weights)
        earned = (trajectory.reward - cost * trajectory.terminated).mean()
        rate_step = jnp.where(made(state.iteration) == 0, 1.0, 0.01)
        state = ReplayState(
            weights=weights,
            normaliser=state.normaliser.update(trajectory.observation[self.actor.group]),
            reset_cost=self._next_cost(state, trajectory),
            reward_rate=state.reward_rate + rate_step * (earned - state.reward_rate),
            iteration=another(state.iteration),
        )
        metrics |= {"train/reward_rate": state.reward_rate, "train/temperature": self._temperature(weights)}
        if self._averages:
            metrics |= {"train/soft_gain": weights.gain, "train/reset_cost": cost}
        return state, metrics

    def _features(self, state: ReplayState, observation: Observation) -> Float[Array, "*batch n"]:
        return state.normaliser(observation[self.actor.group])

    @property
    def _averages(self) -> bool:
        return isinstance(self.config, AverageRewardReplayConfig)

    def _temperature(self, weights: Weights) -> Float[Array, ""]:
        """α; a fixed one is the configuration's, whatever the weights were inherited from."""
        fixed = self.config.temperature
        return jnp.exp(weights.log_temperature) if fixed is None else jnp.asarray(fixed, jnp.float32)

    def _next_cost(self, state: ReplayState, trajectory: Trajectory) -> ResetCost:
        config, cost = self.config, state.reset_cost
        if not isinstance(config, AverageRewardReplayConfig) or not config.adapt_reset_cost:
            return cost
        # Where random actions fall is no fault of the policy's, and no cost teaches it anything yet.
        return jax.lax.cond(
            self.warm_up.over(state.iteration),
            lambda: cost.update(
                trajectory.terminated,
                config.reset_rate,
                config.reset_cost_step,
                weight=trajectory.terminated.size / STEPS_OF_A_COST_STEP,
            ),
            lambda: cost,
        )

    def _updates(
        self, state: ReplayState, steps: Transitions, cost: Float[Array, ""], key: Key[Array, ""]
    ) -> tuple[Weights, Metrics]:
        """Minibatches `[update, row, window]`, in groups of as many as the actor waits for."""
        delay = self.config.actor_delay
        batch: dict[str, Any] = {
            "features": self._features(state, steps.observation),
            "following": self._features(state, steps.following),
            "action": steps.action,
            "reward": steps.reward - cost * steps.terminated,
            "terminated": steps.terminated,
            "truncated": steps.truncated,
        }
        groups = jax.tree.map(lambda x: x.reshape(-1, delay, *x.shape[1:]), batch)
        keys = jax.random.split(key, (steps.reward.shape[0] // delay, delay + 1))
        old = state.weights.actor

        def group(weights: Weights, xs: tuple[dict[str, Any], Array]) -> tuple[Weights, Metrics]:
            batches, keys = xs
            metrics: Metrics = {}
            rows: dict[str, Any] = {}
            for i in range(delay):
                rows = jax.tree.map(lambda x, i=i: x[i], batches)
                weights, metrics = self._update_critics(weights, rows, keys[i])
            weights, actor_metrics = self._update_actor(weights, rows, old, keys[delay])
            return weights, metrics | actor_metrics

        weights, metrics = jax.lax.scan(group, state.weights, (groups, keys))
        return weights, jax.tree.map(jnp.mean, metrics)

    def _update_critics(self, weights: Weights, rows: dict[str, Any], key: Key[Array, ""]) -> tuple[Weights, Metrics]:
        config, temperature = self.config, self._temperature(weights)
        backup = self._backup(weights, rows, temperature)
        last = backup.last[:, None, None]
        following = jnp.take_along_axis(rows["following"], last, axis=1)[:, 0]
        policy = self.actor.apply(weights.actor, following)
        action, log_prob = reparametrised(policy, key)
        now, later = (rows["features"][:, 0], rows["action"][:, 0]), (following, action)

        def loss(params: PyTree) -> tuple[Float[Array, ""], tuple[Array, Array, Array, PyTree]]:
            (one, other), after, stats = self.critic.joint(params, weights.critics, now, later)
            value = soft_value(jax.lax.stop_gradient(jnp.stack(after)), log_prob, temperature)
            target = backup.paid + backup.weight * value + backup.anew * value.mean()
            error = 0.5 * ((one - target) ** 2 + (other - target) ** 2).mean()
            return error, (value, target, 0.5 * (one + other), stats)

        (error, aux), gradient = jax.value_and_grad(loss, has_aux=True)(weights.critics.params)
        value, target, predicted, stats = aux
        params, optimisers = update_one(self.optimiser, weights.optimisers, "critics", weights.critics.params, gradient)
        critics = self.critic.follow(replace(weights.critics, params=params, stats=stats), config.polyak)
        gain = weights.gain
        if isinstance(config, AverageRewardReplayConfig):
            if config.gain == "relative_value":
                gain = relative_value_rate(gain, value, config.gain_step)
            else:
                gain = td_rate(gain, target - predicted, config.gain_step)
        metrics = {"loss/critic": error, "train/q": predicted.mean()}
        return replace(weights, critics=critics, optimisers=optimisers, gain=gain), metrics

    def _backup(self, weights: Weights, rows: dict[str, Any], temperature: Float[Array, ""]) -> Backup:
        config, reward = self.config, rows["reward"]
        bonus = jnp.zeros_like(reward)
        if config.n_step > 1:
            # Of all actions, not of the stored one: an older policy took it, and today's need not know it at all.
            bonus = temperature * self.actor.apply(weights.actor, rows["features"]).entropy()
        if not isinstance(config, AverageRewardReplayConfig):
            assert isinstance(config, SACConfig)
            return discounted_backup(reward, bonus, rows["terminated"], rows["truncated"], config.discount)
        cut = cut_off(rows["terminated"], rows["truncated"])
        return average_backup(reward, bonus, cut, weights.gain, config.horizon)

    def _update_actor(
        self, weights: Weights, rows: dict[str, Any], old: PyTree, key: Key[Array, ""]
    ) -> tuple[Weights, Metrics]:
        config, temperature = self.config, self._temperature(weights)
        features = rows["features"][:, 0]
        step_size = config.step_size if isinstance(config, SPMDReplayConfig) else math.inf

        def loss(actor: PyTree) -> tuple[Float[Array, ""], Metrics]:
            policy, noise = self.actor.apply(actor, features), jax.random.normal(key, rows["action"][:, 0].shape)
            z = policy.mean + jnp.exp(policy.log_std) * noise
            log_prob = policy.log_prob_of(z)
            value = smaller(self.critic.apply(weights.critics, features, jnp.tanh(z)))
            total = temperature * log_prob - value
            told: Metrics = {"train/entropy": -log_prob.mean()}
            if step_size < math.inf:
                # tanh's slope is in both log-densities: the Gaussians behind say their difference.
                divergence = policy.base.log_prob(z) - self.actor.apply(old, features).base.log_prob(z)
                total = total + temperature / step_size * divergence
                told["train/kl"] = divergence.mean()
            return total.mean(), told

        (value, told), gradient = jax.value_and_grad(loss, has_aux=True)(weights.actor)
        actor, optimisers = update_one(self.optimiser, weights.optimisers, "actor", weights.actor, gradient)
        weights = replace(weights, actor=actor, optimisers=optimisers)
        if config.temperature is None:
            slope = temperature * (told["train/entropy"] - self.target_entropy)
            log_temperature, optimisers = update_one(
                self.optimiser, optimisers, "temperature", weights.log_temperature, slope
            )
            weights = replace(weights, log_temperature=log_temperature, optimisers=optimisers)
        return weights, {"loss/actor": value} | told
