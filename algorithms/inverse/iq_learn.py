"""IQ-Learn: a soft Q-function from demonstrations; its implied reward r = Q - γ V' separates expert and policy.

    max_Q  E_E[Q - γ V'] - E_mix[V - γ V'] - (1/4a) E_mix[(Q - γ V')²],      V(s) = Q(s, a_π) - α log π(a_π|s),

with a_π ~ π(·|s), nothing after a termination, and half of the mixture from the expert. The χ² term is over the
mixture: over the expert alone it diverges. It is discounted: at γ = 1 the term of V telescopes away. One critic, a
fixed temperature, and an actor that steps as far as the critic, by default: with a tenth of that it had learnt nothing
from 300k steps. Held-out demonstrations are paid and teach nothing.

Source: Garg et al., "IQ-Learn: inverse soft-Q learning for imitation", arXiv 2106.12142.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from algorithms.inverse.config import IQLearnConfig
from algorithms.inverse.reward import Expert
from algorithms.replay.networks import CriticNetwork, SquashedActor, SquashedPolicy, reparametrised
from algorithms.replay.warm_up import FRESH, INHERITED, WarmUp, another
from l2t.rl.keys import aside
from l2t.rl.measured import once
from l2t.rl.models import ModelState
from l2t.rl.optimise import update_one
from l2t.rl.types import EnvironmentSpec, Metrics, Trajectory, Transitions


@struct.dataclass
class IQLearnState:
    """Networks, optimisers, demonstrations and the counter of `WarmUp`; actor and critic share a normaliser."""

    actor: ModelState
    critic: PyTree
    target: PyTree
    optimisers: dict[str, PyTree]
    expert: Expert
    iteration: Int[Array, ""]

    def as_heir(self) -> IQLearnState:
        """See `Heir`."""
        return replace(self, iteration=jnp.full_like(self.iteration, INHERITED))


class IQLearn:
    """The learner; see the module's docstring.

    Args:
        config: which settings.
        spec: the task.
        num_envs: environments of a batch.
        demonstrations: gives the expert's steps; called once, as the run begins.
    """

    def __init__(
        self, config: IQLearnConfig, spec: EnvironmentSpec, num_envs: int, demonstrations: Callable[[], Expert]
    ) -> None:
        self.config = config
        self.demonstrations = demonstrations
        replay = config.replay
        self.actor = SquashedActor.of_group(replay.observation, spec, replay.network)
        self.critic = CriticNetwork(replay.network.hidden, replay.network.activation)
        self.inputs = self.actor.observation_size + spec.action_size
        self.optimisers = {
            "actor": optax.flatten(optax.adam(config.actor_learning_rate)),
            "critic": optax.flatten(optax.adam(replay.learning_rate)),
        }
        self.warm_up = WarmUp.of_steps(replay.warm_up, num_envs * replay.num_steps)

    def init(self, key: Key[Array, ""]) -> IQLearnState:
        """Fresh networks; the normaliser has seen the demonstrations."""
        actor_key, critic_key = jax.random.split(key)
        expert = self.demonstrations()
        actor = self.actor.init(actor_key).seen(expert.learnt_from.observation[self.actor.group])
        critic = self.critic.init(critic_key, jnp.zeros(self.inputs))
        moved = {"actor": actor.weights, "critic": critic}
        optimisers = {name: self.optimisers[name].init(weights) for name, weights in moved.items()}
        return IQLearnState(actor, critic, critic, optimisers, expert, jnp.asarray(FRESH, jnp.int32))

    def policy(self, state: IQLearnState) -> SquashedPolicy:
        """π; from fresh networks nearly uniform actions until the warm-up is over."""
        return SquashedPolicy(self.actor, state.actor, self.warm_up.blind(state.iteration))

    def learn(self, state: IQLearnState, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[IQLearnState, Metrics]:
        """A block of updates on what was drawn from the ring, and as much of the expert."""
        replayed = trajectory.replayed
        if replayed is None:
            raise TypeError("IQ-Learn needs a Loop whose experience is a Replay.")
        ours = jax.tree.map(lambda x: x[:, :, 0], replayed)
        updates, rows = ours.reward.shape
        draw_key, update_key = jax.random.split(key)
        theirs = _drawn(state.expert.learnt_from, (updates, rows), draw_key)
        holds = state.expert.held_out.terminated.shape[0] > 0
        held = _drawn(state.expert.held_out, (updates, rows), aside(draw_key)) if holds else None

        def update(state: IQLearnState, xs: Any) -> tuple[IQLearnState, Metrics]:
            ours, theirs, held, key = xs
            after, metrics = self._update(state, ours, theirs, key)
            if holds:
                reward = self._reward(state, held, aside(key))
                metrics["learned_reward/held_out_gap"] = reward.mean() - metrics["learned_reward/policy"]
            return after, metrics

        def block() -> tuple[IQLearnState, Metrics]:
            after, metrics = jax.lax.scan(update, state, (ours, theirs, held, jax.random.split(update_key, updates)))
            return after, jax.tree.map(jnp.mean, metrics)

        state, metrics = once(self.warm_up.over(state.iteration), block, state)
        told = state.expert.compared(trajectory, new=state.iteration == FRESH)
        state = replace(
            state, actor=state.actor.seen(trajectory.observation[self.actor.group]), iteration=another(state.iteration)
        )
        return state, metrics | told

    def _update(
        self, state: IQLearnState, ours: Transitions, theirs: Transitions, key: Key[Array, ""]
    ) -> tuple[IQLearnState, Metrics]:
        config, rows = self.config, ours.reward.shape[0]
        group = self.actor.group
        steps = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), _bare(ours, group), _bare(theirs, group))
        now, later = (state.actor.normaliser(steps[name]) for name in ("observation", "following"))
        now_key, later_key, actor_key = jax.random.split(key, 3)
        action, log_prob = reparametrised(self.actor.apply(state.actor.weights, now), now_key)
        next_value = self._next_value(state, later, steps["terminated"], later_key)

        def loss(critic: PyTree) -> tuple[Float[Array, ""], Metrics]:
            q = self._q(critic, now, steps["action"])
            value = self._q(critic, now, action) - config.temperature * log_prob
            return iq_loss(q, value, next_value, rows, config.chi2)

        gradient, metrics = jax.grad(loss, has_aux=True)(state.critic)
        critic, optimisers = update_one(self.optimisers["critic"], state.optimisers, "critic", state.critic, gradient)
        target = optax.incremental_update(critic, state.target, config.replay.polyak)

        def actor_loss(weights: PyTree) -> tuple[Float[Array, ""], Float[Array, ""]]:
            action, log_prob = reparametrised(self.actor.apply(weights, now), actor_key)
            return (config.temperature * log_prob - self._q(critic, now, action)).mean(), -log_prob.mean()

        (value, entropy), gradient = jax.value_and_grad(actor_loss, has_aux=True)(state.actor.weights)
        weights, optimisers = update_one(self.optimisers["actor"], optimisers, "actor", state.actor.weights, gradient)
        state = replace(
            state, actor=replace(state.actor, weights=weights), critic=critic, target=target, optimisers=optimisers
        )
        return state, metrics | {"loss/actor": value, "train/entropy": entropy}

    def _reward(self, state: IQLearnState, steps: Transitions, key: Key[Array, ""]) -> Float[Array, " batch"]:
        """r = Q - γ V' of single steps."""
        bare = _bare(steps, self.actor.group)
        now, later = (state.actor.normaliser(bare[name]) for name in ("observation", "following"))
        return self._q(state.critic, now, bare["action"]) - self._next_value(state, later, bare["terminated"], key)

    def _next_value(
        self, state: IQLearnState, later: Float[Array, "batch n"], ended: Bool[Array, " batch"], key: Key[Array, ""]
    ) -> Float[Array, " batch"]:
        """γ V', by the critic's slow copy; zero after a termination."""
        action, log_prob = reparametrised(self.actor.apply(state.actor.weights, later), key)
        value = self._q(state.target, later, action) - self.config.temperature * log_prob
        return self.config.discount * jnp.where(ended, 0.0, value)

    def _q(
        self, weights: PyTree, features: Float[Array, "batch n"], action: Float[Array, "batch action"]
    ) -> Float[Array, " batch"]:
        return jnp.asarray(self.critic.apply(weights, jnp.concatenate([features, action], axis=-1)))


def iq_loss(
    q: Float[Array, " batch"],
    value: Float[Array, " batch"],
    next_value: Float[Array, " batch"],
    ours: int,
    chi2: float,
) -> tuple[Float[Array, ""], Metrics]:
    """The negative of the module's objective on a mixture.

    Args:
        q, value: Q(s, a) and V(s) of each step.
        next_value: γ V(s') of each, zero after a termination.
        ours: how many steps, the first ones, are the policy's; the rest are the expert's.
        chi2: a.
    """
    reward = q - next_value
    size = (reward**2).mean()
    total = -reward[ours:].mean() + (value - next_value).mean() + size / (4.0 * chi2)
    paid = reward[:ours].mean()
    metrics = {
        "learned_reward/gap": reward[ours:].mean() - paid,
        "learned_reward/policy": paid,
        "learned_reward/rms": jnp.sqrt(size),
    }
    return total, {"loss/critic": total} | metrics


def _drawn(steps: Transitions, shape: tuple[int, int], key: Key[Array, ""]) -> Transitions:
    """Single steps, with replacement."""
    chosen = jax.random.randint(key, shape, 0, steps.terminated.shape[0])
    return jax.tree.map(lambda x: x[chosen], steps)


def _bare(steps: Transitions, group: str) -> dict[str, Array]:
    return {
        "observation": steps.observation[group],
        "following": steps.following[group],
        "action": steps.action,
        "terminated": steps.terminated,
    }
