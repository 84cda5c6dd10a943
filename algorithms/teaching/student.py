"""The student: learns, from what a teacher did, to act on noisy or partial observations.

    L = c_im L_imitation + c_rl L_rl,

L_imitation compares with the teacher's policy π_T(·|s) at the same step:
    mse         ½ |μ_S(o) - μ_T(s)|² + ½ |log σ_S - log σ_T|²
    nll         -log π_S(a|o), a the behaviour's action; in a warm-up, what the teacher itself makes of the same chance
    kl          KL(π_T(·|s) || π_S(·|o))
    asymmetric  the mse, weighted by the positive part of the standardised advantage
where μ_T and a are clipped to [-1, 1], as everybody's actions are before they act.
L_rl = -E[ min(r A, clip(r) A) ], r = π_S(a|o)/π_behaviour(a) corrects for who acted, A from the teacher's critic.
Of a teacher with critics of actions (those that replay) the student asks what they think of its own action instead,
L_rl = E[ α log π_S(a_S|o) - min_j Q_j(s, a_S) ], a_S = μ_S + σ_S ε: nothing then depends on who acted.

A student with a memory sees the previous action too. It learns from chunks of the roll-out: the carry at a chunk's
start is that of the weights before the iteration, and gradients go back to there.

A student that replays makes more updates, on steps of earlier iterations that today's teacher labels. In distillation
with the student at the wheel that is DAgger as it was meant: every state it has visited counts.

Source: Wu, Gu, Zhao and Wu, "Learn to Teach", arXiv 2402.06783.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from algorithms.teaching.config import StudentConfig
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.keys import aside
from l2t.rl.learner import ActionCritic, Judgement
from l2t.rl.losses import clipped_surrogate, standardise
from l2t.rl.measured import Measured
from l2t.rl.memory import GRU, NoMemory
from l2t.rl.models import Actor, ActorPolicy, ModelState
from l2t.rl.optimise import adam, descend, minimise
from l2t.rl.types import EnvironmentSpec, Metrics, Trajectory, Transitions
from l2t.rl.vector import PREVIOUS_ACTION


@struct.dataclass
class StudentState:
    """The student's model, its optimiser, and what it remembers in each environment of the run."""

    actor: ModelState
    optimiser: PyTree
    carry: PyTree


class Student:
    """Learns a policy on the `student` group from a teacher's batch.

    Args:
        config: losses, optimiser, memory and network.
        spec: the task.
        num_envs: environments of a batch.
        iterations: length of the run, for the schedule of Adam's step.
    """

    group = "student"

    def __init__(self, config: StudentConfig, spec: EnvironmentSpec, num_envs: int, iterations: int) -> None:
        self.config = config
        self.num_envs = num_envs
        size = spec.size_of(self.group)
        if config.memory == "gru":
            memory, groups = GRU(size + spec.action_size, config.memory_size), (self.group, PREVIOUS_ACTION)
        else:
            memory, groups = NoMemory(size), (self.group,)
        self.actor = Actor(groups, memory, spec.action_size, config.network)
        self.optimiser = adam(config, iterations, config.replay_updates if config.replay else 0)

    @property
    def remembers(self) -> bool:
        """Whether the order of steps matters to it."""
        return self.config.memory != "none"

    def chunk(self, num_steps: int) -> int:
        """Steps of a roll-out that stay together in a minibatch."""
        return min(self.config.memory_chunk, num_steps) if self.remembers else 1

    def init(self, key: Key[Array, ""]) -> StudentState:
        """A fresh student."""
        actor = self.actor.init(key)
        return StudentState(actor, self.optimiser.init(actor.weights), self.actor.memory.start(self.num_envs))

    def policy(self, state: StudentState) -> ActorPolicy:
        """π_S, on episodes of its own."""
        return self.actor.policy(state.actor)

    def behaviour(self, state: StudentState) -> ActorPolicy:
        """π_S, in the run's own environments."""
        return self.actor.policy(state.actor, state.carry)

    def learn(
        self, state: StudentState, trajectory: Trajectory, judgement: Judgement, key: Key[Array, ""]
    ) -> tuple[StudentState, Metrics]:
        """Learn from one batch.

        Args:
            state: the student.
            trajectory: what happened, whoever acted.
            judgement: the teacher's, of each step. No gradient flows into it.
            key: for shuffling.
        """
        config, actor = self.config, self.actor
        steps = {
            "features": actor.features(state.actor, trajectory.observation),
            "first": trajectory.first,
            "action": trajectory.action,
            "log_prob": trajectory.log_prob,
            "teacher": judgement.distribution.batched(),
            "advantage": judgement.advantage,
            "label": trajectory.action if judgement.action is None else judgement.action,
        }
        critic = judgement.critic if config.rl_coefficient > 0.0 else None
        if critic is not None:
            noise = jax.random.normal(aside(key), trajectory.action.shape)
            steps |= {"critic_features": critic.features, "noise": noise}
        chunks = jax.lax.stop_gradient(cut(steps, self.chunk(trajectory.reward.shape[0])))

        def pass_on(carry: PyTree, chunk: dict[str, Any]) -> tuple[PyTree, PyTree]:
            weights = state.actor.weights["memory"]
            return actor.memory.unroll(weights, carry, chunk["features"], chunk["first"])[0], carry

        carry, starts = jax.lax.scan(pass_on, state.carry, chunks)
        # Rows of a minibatch are chunks of one environment: [chunk, time, env] -> [chunk * env, time].
        rows = jax.tree.map(lambda x: x.swapaxes(1, 2).reshape(-1, x.shape[1], *x.shape[3:]), chunks)
        batch = rows | {"carry": jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), starts)}

        def loss(weights: PyTree, rows: dict[str, Any]) -> tuple[Float[Array, ""], Metrics]:
            carry = rows.pop("carry")
            steps = jax.tree.map(lambda x: x.swapaxes(0, 1), rows)
            _, policy = actor.unroll(weights, carry, steps["features"], steps["first"])
            imitation = self._imitation(policy, steps | {"action": steps["label"]})
            total = config.imitation_coefficient * imitation
            metrics = {"loss/student_imitation": imitation}
            if config.rl_coefficient > 0.0:
                if critic is not None:
                    rl = soft_policy_loss(policy, critic, steps["critic_features"], steps["noise"])
                else:
                    ratio = jnp.exp(policy.log_prob(steps["action"]) - steps["log_prob"])
                    rl = -clipped_surrogate(ratio, standardise(steps["advantage"]), config.rl_clip).mean()
                total = total + config.rl_coefficient * rl
                metrics["loss/student_rl"] = rl
            return total, metrics

        weights, optimiser, metrics = minimise(
            loss, self.optimiser, state.actor.weights, state.optimiser, batch, key, config.epochs, config.minibatches
        )
        if critic is not None:
            metrics["loss/student_rl"] = Measured(metrics["loss/student_rl"], jnp.asarray(critic.known))
        if judgement.replayed is not None:
            weights, optimiser, told = self._relearn(state.actor, weights, optimiser, trajectory.replayed, judgement)
            metrics |= told
        model = ModelState(weights, state.actor.normaliser).seen(actor.inputs(trajectory.observation))
        return StudentState(model, optimiser, carry), metrics

    def _imitation(self, policy: DiagonalGaussian, batch: dict[str, Any]) -> Float[Array, ""]:
        return imitation_loss(self.config.imitation, policy, batch, self.config.clip_labels)

    def _relearn(
        self, actor: ModelState, weights: PyTree, optimiser: PyTree, steps: Transitions | None, judgement: Judgement
    ) -> tuple[PyTree, PyTree, Metrics]:
        """An update on each minibatch of what is remembered, `[update, row, 1]`."""
        assert steps is not None
        rows = {
            "features": self.actor.features(actor, steps.observation),
            "action": steps.action,
            "teacher": judgement.replayed,
        }

        def loss(weights: PyTree, rows: dict[str, Any]) -> tuple[Float[Array, ""], Float[Array, ""]]:
            policy = self.actor.apply(weights, rows["features"])
            value = self.config.imitation_coefficient * self._imitation(policy, rows)
            return value, value

        weights, optimiser, losses = descend(loss, self.optimiser, weights, optimiser, jax.lax.stop_gradient(rows))
        return weights, optimiser, {"loss/student_replayed": losses.mean() / self.config.imitation_coefficient}


def cut(steps: PyTree, length: int) -> PyTree:
    """`[time, env, ...]` leaves to `[chunk, length, env, ...]`."""
    return jax.tree.map(lambda x: x.reshape(-1, length, *x.shape[1:]), steps)


def soft_policy_loss(
    policy: DiagonalGaussian,
    critic: ActionCritic,
    features: Float[Array, "*batch n"],
    noise: Float[Array, "*batch action"],
) -> Float[Array, ""]:
    """mean[-Q(s, clip(a)) - α H(π)], a = μ + σ ε: E[α log π(a) - Q(s, a)], in units of reward.

    The entropy is that of the Gaussian, and no more of it is paid for than an action in [-1, 1] can have. Where an
    action is clipped, Q has no gradient: it does not pull back a mean that is far outside [-1, 1].

    Args:
        policy: π_S at each row.
        critic: Q and α.
        features: what Q sees of s.
        noise: ε ~ N(0, 1).
    """
    action = jnp.clip(policy.mean + jnp.exp(policy.log_std) * noise, -1.0, 1.0)
    return -critic.value(features, action).mean() - critic.temperature * policy.paid_entropy().mean()


def imitation_loss(
    kind: str, policy: DiagonalGaussian, batch: dict[str, Any], clip_labels: bool = True
) -> Float[Array, ""]:
    """One of the losses of the module's docstring, averaged over a minibatch of any shape."""
    label = partial(jnp.clip, min=-1.0, max=1.0) if clip_labels else lambda action: action
    if kind == "nll":
        return -policy.log_prob(label(batch["action"])).mean()
    teacher: DiagonalGaussian = batch["teacher"].replace(mean=label(batch["teacher"].mean))
    if kind == "kl":
        return teacher.kl(policy).mean()
    error = 0.5 * jnp.sum((policy.mean - teacher.mean) ** 2 + (policy.log_std - teacher.log_std) ** 2, axis=-1)
    if kind == "asymmetric":
        return (jax.nn.relu(standardise(batch["advantage"])) * error).mean()
    return error.mean()
