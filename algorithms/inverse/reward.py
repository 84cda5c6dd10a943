"""A reward that is learnt from demonstrations while a policy learns on it.

Each iteration: some steps on the objective, between what the policy has just done and what the expert did; then the
batch, and what is replayed with it, is relabelled. The task's own reward is only ever logged.

A part of the demonstrations is held out. Where the reward would pay the demonstrations that it learns from much more
than those, it has begun to memorise them: it takes no step but one that makes the difference smaller.

The last reward has only had to tell the expert from the latest policy; what is left can be the mean of rewards from all
over the run, in which what earlier policies did wrong is still said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Key, PyTree

from algorithms.inverse.config import RewardConfig
from algorithms.inverse.f_irl import FIRL
from algorithms.inverse.objectives import KEPT, Features, Objective
from algorithms.inverse.past import PastRewards
from l2t.rewards.model import RewardModel
from l2t.rl.models import ModelState
from l2t.rl.normaliser import Normaliser
from l2t.rl.optimise import bounded_adam, descend, flatten_time
from l2t.rl.policy import Policy
from l2t.rl.types import Metrics, Trajectory, Transitions


@struct.dataclass
class Expert:
    """Demonstrations as a learner holds them, so that a checkpoint stands alone.

    Attributes:
        learnt_from, held_out: steps; the second may be empty.
        score: mean true return of an episode, and mean true reward of a step: for the log alone.
    """

    learnt_from: Transitions
    held_out: Transitions
    score: Float[Array, " 2"]

    def compared(self, trajectory: Trajectory, new: Bool[Array, ""]) -> Metrics:
        """How the batch's true reward stands beside the expert's; for the log and its warnings alone.

        Args:
            trajectory: before it is relabelled.
            new: whether the policy has learnt nothing yet.
        """
        score, rate = self.score
        earned = trajectory.reward.mean()
        return {
            "expert/return": score,
            "expert/mean_reward": rate,
            "expert/reward_gap": rate - earned,
            "warning/poor_expert": (new & (earned >= rate)).astype(jnp.float32),
        }


@struct.dataclass
class RewardLearnerState:
    """Networks and normalisers by name, optimisers, and the demonstrations.

    Attributes:
        excess: by how much the part that is learnt from stands out, in standard deviations of the last batch's pay. For
            whoever reads a checkpoint: learning goes by the batch at hand.
        new: before the first step.
        past_rewards: where the last reward is not all that is left.
    """

    weights: PyTree
    normalisers: dict[str, Normaliser]
    optimisers: dict[str, PyTree]
    expert: Expert
    excess: Float[Array, ""]
    new: Bool[Array, ""]
    past_rewards: PastRewards | None = None


@dataclass(frozen=True)
class RewardLearner:
    """A `Reward`; see the module's docstring.

    Attributes:
        objective: what it is trained for.
        config: network and training.
        demonstrations: gives the expert's steps; called once, as the run begins.
        iterations: length of the run, for the schedule of Adam's step.
        stretch_rate: Adam's first step on whole stretches, for f-IRL.
    """

    objective: Objective
    config: RewardConfig
    demonstrations: Callable[[], Expert]
    iterations: int
    stretch_rate: float = 0.0

    @property
    def groups(self) -> tuple[str, ...]:
        """Those of its networks."""
        return tuple(dict.fromkeys(model.group for model in self.objective.models.values()))

    def init(self, key: Key[Array, ""]) -> RewardLearnerState:
        """Fresh networks; the normalisers have seen the demonstrations."""
        return self.start(self.demonstrations(), key)

    def start(self, expert: Expert, key: Key[Array, ""]) -> RewardLearnerState:
        """The same on demonstrations that are given: as somebody would have seen them."""
        models = self.objective.models
        keys = jax.random.split(key, len(models))
        states = {name: model.init(k) for (name, model), k in zip(models.items(), keys, strict=True)}
        weights = {name: state.weights for name, state in states.items()}
        optimisers = {"loss": self._optimiser.init(weights), "stretch": self._stretch_optimiser.init(weights)}
        normalisers = self._seen({name: state.normaliser for name, state in states.items()}, expert.learnt_from)
        start = RewardLearnerState(weights, normalisers, optimisers, expert, jnp.zeros(()), jnp.asarray(True))
        if self.config.mean_of > 1:
            start = replace(start, past_rewards=PastRewards.create(_newest(start), self.config.mean_of))
        return start

    def learn(
        self, state: RewardLearnerState, trajectory: Trajectory, policy: Policy, key: Key[Array, ""]
    ) -> tuple[RewardLearnerState, Metrics]:
        """Steps of the objective, on what the policy has just done."""
        steps = trajectory.transitions()
        # Its view of the inputs takes in the batch first: the batch is paid as the weights were fitted to see it.
        seen = replace(state, normalisers=self._seen(state.normalisers, steps))
        ours, theirs = self._views(seen, trajectory, policy)
        weights, optimisers, metrics = self._descend(seen, ours, theirs, key)
        stepped = replace(seen, weights=weights, optimisers=optimisers)
        found = self._gaps(stepped, ours, theirs, policy)

        def unless_it_helps() -> tuple[Bool[Array, ""], tuple[Metrics, Float[Array, ""]]]:
            before = self._gaps(state, *self._views(state, trajectory, policy), policy)
            resting = found[1] >= before[1]
            return resting, jax.tree.map(partial(jnp.where, resting), before, found)

        resting, (gaps, excess) = jax.lax.cond(
            found[1] > self.config.overfit, unless_it_helps, lambda: (jnp.asarray(False), found)
        )
        state = jax.tree.map(partial(jnp.where, resting), state, stepped)
        if state.past_rewards is not None:
            kept = state.past_rewards.followed_by(_newest(state), self.iterations)
            state = replace(state, past_rewards=kept)
        told = {"learned_reward/resting": resting.astype(jnp.float32)} | state.expert.compared(trajectory, state.new)
        return replace(state, excess=excess, new=jnp.asarray(False)), metrics | gaps | told

    def relabel(self, state: RewardLearnerState, trajectory: Trajectory) -> Trajectory:
        """The batch, and what is replayed with it, paid by this reward."""
        fresh = self._pay(state, trajectory.transitions(), trajectory.log_prob)
        replayed = trajectory.replayed
        if replayed is not None:
            replayed = replace(replayed, reward=self._pay(state, replayed, jnp.zeros_like(replayed.reward)))
        return replace(trajectory, reward=fresh, replayed=replayed)

    def kept(self, state: RewardLearnerState) -> tuple[RewardModel, ModelState]:
        """What is left when the run is over: the network called `reward`, and its normaliser; or a mean of such."""
        model = self.objective.models[KEPT]
        if state.past_rewards is None:
            return model, _newest(state)
        return replace(model, members=self.config.mean_of), state.past_rewards.rewards

    def _pay(
        self, state: RewardLearnerState, steps: Transitions, log_prob: Float[Array, " *batch"]
    ) -> Float[Array, " *batch"]:
        return self.objective.pay(state.weights, self.objective.features(state.normalisers, steps, log_prob))

    def _views(self, state: RewardLearnerState, trajectory: Trajectory, policy: Policy) -> tuple[Features, Features]:
        """What the reward sees of the batch, and of the demonstrations that it learns from."""
        ours = self.objective.features(state.normalisers, trajectory.transitions(), trajectory.log_prob)
        return ours, self._of_expert(state, state.expert.learnt_from, policy)

    def _of_expert(self, state: RewardLearnerState, steps: Transitions, policy: Policy) -> Features:
        rows = steps.terminated.shape[0]
        log_prob = jnp.zeros(rows)
        if self.objective.asks_policy:
            _, distribution = policy.step(policy.initial(rows), steps.observation, jnp.ones(rows, bool))
            log_prob = distribution.log_prob(steps.action)
        return self.objective.features(state.normalisers, steps, log_prob)

    def _descend(
        self, state: RewardLearnerState, ours: Features, theirs: Features, key: Key[Array, ""]
    ) -> tuple[PyTree, dict[str, PyTree], Metrics]:
        objective, batch = self.objective, self.config.batch_size
        flat = flatten_time(ours)

        def rows(features: Features, key: Key[Array, ""]) -> Features:
            count = features["x"].shape[0]
            return jax.tree.map(lambda x: x[jax.random.randint(key, (batch,), 0, count)], features)

        def loss(weights: PyTree, key: Key[Array, ""]) -> tuple[Float[Array, ""], Metrics]:
            keys = jax.random.split(key, 3)
            return objective.loss(weights, rows(flat, keys[0]), rows(theirs, keys[1]), keys[2])

        keys = jax.random.split(key, self.config.updates)
        weights, optimiser, metrics = descend(loss, self._optimiser, state.weights, state.optimisers["loss"], keys)
        optimisers = state.optimisers | {"loss": optimiser}
        if isinstance(objective, FIRL):

            def stretch_loss(weights: PyTree, _: None) -> tuple[Float[Array, ""], None]:
                return objective.stretch_loss(weights, ours), None

            # As many steps on the whole batch, or the policy would be ahead of its reward.
            weights, stretch, _ = descend(
                stretch_loss, self._stretch_optimiser, weights, optimisers["stretch"], None, self.config.updates
            )
            optimisers = optimisers | {"stretch": stretch}
        return weights, optimisers, jax.tree.map(jnp.mean, metrics)

    def _gaps(
        self, state: RewardLearnerState, ours: Features, theirs: Features, policy: Policy
    ) -> tuple[Metrics, Float[Array, ""]]:
        """How much more than the policy the expert is paid, on both parts; and how far the first part stands out."""
        objective, weights = self.objective, state.weights
        paid, learnt = objective.pay(weights, ours), objective.pay(weights, theirs)
        gaps = {
            "learned_reward/gap": learnt.mean() - paid.mean(),
            "learned_reward/policy": paid.mean(),
            "learned_reward/rms": jnp.sqrt(0.5 * ((paid**2).mean() + (learnt**2).mean())),
        }
        if state.expert.held_out.terminated.shape[0] == 0:
            return gaps, jnp.zeros(())
        held = objective.pay(weights, self._of_expert(state, state.expert.held_out, policy))
        spread = jnp.sqrt(0.5 * (paid.var() + learnt.var())) + 1e-6
        excess = (learnt.mean() - held.mean()) / spread
        gaps |= {"learned_reward/held_out_gap": held.mean() - paid.mean(), "learned_reward/excess": excess}
        return gaps, excess

    def _seen(self, normalisers: Mapping[str, Normaliser], steps: Transitions) -> dict[str, Normaliser]:
        models = self.objective.models
        return {name: normaliser.update(models[name].stack(steps)) for name, normaliser in normalisers.items()}

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        return self._adam(self.config.learning_rate)

    @property
    def _stretch_optimiser(self) -> optax.GradientTransformation:
        """Of whole stretches; the ratio's gradient is zero there, and Adam leaves it where it is."""
        return self._adam(self.stretch_rate)

    def _adam(self, first: float) -> optax.GradientTransformation:
        linear = self.config.learning_rate_schedule == "linear"
        return bounded_adam(first, self.config.max_grad_norm, self.iterations * self.config.updates if linear else None)


def _newest(state: RewardLearnerState) -> ModelState:
    return ModelState(state.weights[KEPT], state.normalisers[KEPT])
