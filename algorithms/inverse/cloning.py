"""Imitation as regression: behaviour cloning of demonstrations, and DAgger, which asks the expert.

Behaviour cloning maximises E_E log π(a|s), with the normaliser of the demonstrations. Part of them is held out; the
policy that is played is the one that was likeliest there.

DAgger minimises E |mean π(s) - a_E(s)|² over all states visited so far, by whoever drove; the expert drives a share β^k
of the environments in round k, and is asked about every state. The loss has no standard deviation, so that the policy's
learns nothing: whoever drives plays its mode, the learner with `exploration` around it.

Sources: Pomerleau, 1991; Ross, Gordon and Bagnell, arXiv 1011.0686.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from algorithms.inverse.config import RegressionConfig
from algorithms.inverse.reward import Expert
from l2t.rl.algorithm import FrozenPolicy
from l2t.rl.distributions import DiagonalGaussian, Distribution, choose
from l2t.rl.models import Actor, ActorPolicy, ModelState
from l2t.rl.optimise import bounded_adam, descend
from l2t.rl.policy import Memory, Policy, ask
from l2t.rl.types import EnvironmentSpec, Metrics, Observation, Trajectory

GROUP = "teacher"


@dataclass(frozen=True)
class Regression:
    """Fits a Gaussian policy to labelled states."""

    config: RegressionConfig
    actor: Actor

    @classmethod
    def of_task(cls, config: RegressionConfig, spec: EnvironmentSpec) -> Regression:
        """On the exact observation."""
        return cls(config, Actor.of_group(GROUP, spec, config.network))

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Adam behind a bound on the gradient's norm."""
        return bounded_adam(self.config.learning_rate, self.config.max_grad_norm)


@struct.dataclass
class CloneState:
    """The policy that learns, the weights of the best one so far, which is played, and the demonstrations."""

    actor: ModelState
    optimiser: PyTree
    best: PyTree
    best_loss: Float[Array, ""]
    expert: Expert

    def heirloom(self) -> CloneState:
        """What other runs start from: the policy that is played, and not the one that has begun to memorise."""
        return replace(self, actor=replace(self.actor, weights=self.best))


@dataclass(frozen=True)
class Cloning:
    """Behaviour cloning, a learner to which the environments teach nothing; see the module's docstring."""

    regression: Regression
    demonstrations: Callable[[], Expert]

    def init(self, key: Key[Array, ""]) -> CloneState:
        """A fresh policy that knows the demonstrations' mean and spread."""
        expert, actor = self.demonstrations(), self.regression.actor
        state = actor.init(key).seen(actor.inputs(expert.learnt_from.observation))
        optimiser = self.regression.optimiser.init(state.weights)
        return CloneState(state, optimiser, state.weights, jnp.asarray(jnp.inf), expert)

    def policy(self, state: CloneState) -> ActorPolicy:
        """The one that was likeliest on what was held out."""
        return self.regression.actor.policy(ModelState(state.best, state.actor.normaliser))

    def learn(self, state: CloneState, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[CloneState, Metrics]:
        """Some updates on the demonstrations."""
        actor, config, expert = self.regression.actor, self.regression.config, state.expert
        batch = self._labelled(state, expert.learnt_from)
        count = batch["action"].shape[0]

        def surprise(weights: PyTree, rows: dict[str, Any]) -> Float[Array, ""]:
            return -actor.apply(weights, rows["features"]).log_prob(rows["action"]).mean()

        def drawn(weights: PyTree, key: Key[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
            rows = jax.random.randint(key, (config.batch_size,), 0, count)
            value = surprise(weights, jax.tree.map(lambda x: x[rows], batch))
            return value, value

        keys = jax.random.split(key, config.updates)
        weights, optimiser, losses = descend(
            drawn, self.regression.optimiser, state.actor.weights, state.optimiser, keys
        )
        held = loss = losses.mean()
        if expert.held_out.terminated.shape[0] > 0:
            held = surprise(weights, self._labelled(state, expert.held_out))
        better = held < state.best_loss
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), weights, state.best)
        metrics = {"loss/clone": loss, "loss/held_out": held}
        metrics |= expert.compared(trajectory, new=jnp.isinf(state.best_loss))
        actor_state = ModelState(weights, state.actor.normaliser)
        return CloneState(actor_state, optimiser, best, jnp.minimum(held, state.best_loss), expert), metrics

    def _labelled(self, state: CloneState, steps: Any) -> dict[str, Any]:
        return {
            "features": self.regression.actor.features(state.actor, steps.observation),
            "action": steps.action,
        }


@struct.dataclass
class DAggerState:
    """The policy, its optimiser, the expert's parameters, and the round."""

    actor: ModelState
    optimiser: PyTree
    expert: PyTree
    round: Int[Array, ""]


@dataclass(frozen=True)
class DAgger:
    """An `Agent` that asks its expert; see the module's docstring.

    Attributes:
        regression: how the policy is fitted.
        expert: who is asked; its parameters become part of the state, so that checkpoints stand alone.
        decay: β.
        exploration: standard deviation of the learner's actions around its mode, in policy units.
        num_envs: environments of a batch.
    """

    regression: Regression
    expert: FrozenPolicy
    decay: float
    exploration: float
    num_envs: int
    learners = 1

    @property
    def roles(self) -> tuple[str, ...]:
        """The learner's alone."""
        return (GROUP,)

    def drivers(self, state: DAggerState) -> Mapping[str, int]:
        """All; the steps that the expert drives count as the learner's."""
        del state
        return {GROUP: self.num_envs}

    def init(self, keys: Sequence[Key[Array, ""]]) -> DAggerState:
        """A fresh policy."""
        actor = self.regression.actor.init(keys[0])
        return DAggerState(
            actor,
            self.regression.optimiser.init(actor.weights),
            self.expert.parameters(),
            jnp.zeros((), jnp.int32),
        )

    def policy(self, state: DAggerState, role: str = GROUP) -> ActorPolicy:
        """What was learnt, alone."""
        del role
        return self.regression.actor.policy(state.actor)

    def behaviour(self, state: DAggerState) -> Policy:
        """The expert in a share of the environments, the learner in the rest."""
        share = self.decay**state.round
        return _Driving(self.expert.policy(state.expert), self.policy(state), share, self.exploration)

    def paid(self, state: DAggerState, trajectory: Trajectory) -> tuple[Trajectory, Policy]:
        """All of it; no reward is learnt."""
        return trajectory, self.behaviour(state)

    def learn(
        self, state: DAggerState, trajectory: Trajectory, keys: Sequence[Key[Array, ""]]
    ) -> tuple[DAggerState, Metrics]:
        """Some updates on all states visited so far, labelled by the expert."""
        actor, replayed = self.regression.actor, trajectory.replayed
        if replayed is None:
            raise TypeError("DAgger keeps every round: it needs a Loop whose experience is a Replay.")
        expert = self.expert.policy(state.expert)
        batch = {
            "features": actor.features(state.actor, replayed.observation)[:, :, 0],
            "label": _answers(expert, replayed.observation)[:, :, 0],
        }

        def loss(weights: PyTree, rows: dict[str, Any]) -> tuple[Float[Array, ""], Float[Array, ""]]:
            value = ((actor.apply(weights, rows["features"]).mean - rows["label"]) ** 2).sum(axis=-1).mean()
            return value, value

        del keys  # the rows were drawn already
        weights, optimiser, losses = descend(
            loss, self.regression.optimiser, state.actor.weights, state.optimiser, batch
        )
        state = DAggerState(
            actor=ModelState(weights, state.actor.normaliser).seen(actor.inputs(trajectory.observation)),
            optimiser=optimiser,
            expert=state.expert,
            round=state.round + 1,
        )
        return state, {"loss/clone": losses.mean(), "expert/queries": jnp.asarray(trajectory.reward.size)}

    def learner_states(self, state: DAggerState) -> dict[str, PyTree]:
        """The only one."""
        return {GROUP: state}

    def with_learner_states(self, state: DAggerState, states: Mapping[str, PyTree]) -> DAggerState:
        """The only one."""
        del state
        return states[GROUP]


def _answers(expert: Policy, observation: Observation) -> Float[Array, "*batch action"]:
    """The expert's modes, as an environment plays them."""
    return jnp.clip(ask(expert, observation).mode(), -1.0, 1.0)


@dataclass(frozen=True)
class _Driving:
    """The expert's mode in the first `share` of the environments, the learner's with `deviation` in the rest."""

    expert: Policy
    learner: Policy
    share: Float[Array, ""]
    deviation: float

    def initial(self, instances: int) -> Memory:
        """Both memories."""
        return self.expert.initial(instances), self.learner.initial(instances)

    def step(self, memory: Memory, observation: Observation, first: Any) -> tuple[Memory, Distribution]:
        """See `Policy.step`."""
        theirs, expert = self.expert.step(memory[0], observation, first)
        ours, learner = self.learner.step(memory[1], observation, first)
        drives = jnp.arange(first.shape[0]) < jnp.round(self.share * first.shape[0])
        return (theirs, ours), choose(drives, _around(expert.mode(), 0.0), _around(learner.mode(), self.deviation))


def _around(mode: Float[Array, "env action"], deviation: float) -> DiagonalGaussian:
    log_std = math.log(max(deviation, _CERTAIN))
    return DiagonalGaussian(mode, jnp.full(mode.shape[-1:], log_std))


_CERTAIN = 1e-9
"""As good as no standard deviation, and still a density."""
