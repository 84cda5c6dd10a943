"""The student of Learn-to-Teach under inverse reinforcement learning: a reward and a critic of its own.

r_ψ(o, a) is learnt as the teacher's reward is, between the student's actions a ~ π_S(·|o) at what the teacher visits
and the expert's. The expert's observations pass through the student's own observation model first, with fresh noise in
each iteration: between clean and noisy observations a reward would tell nothing but the noise.

The critic holds differential values of r_ψ - c [terminated] along the teacher's steps, c being the task's cost of a
reset (one that adapts is the teacher's alone), with the teacher's λ and horizon where it has them. Its advantages stand
in the student's policy-gradient term, whose ratio π_S/π_behaviour corrects for who acted. It is fitted with the
student's Adam step, held constant, and its number of passes, in minibatches of some 512 steps: the student's own
minibatches and schedule are those of the imitation.

Source: Wu, Gu, Zhao and Wu, "Learn to Teach", arXiv 2402.06783; that the expert is noised is this project's correction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Key, PyTree

from algorithms.inverse.reward import Expert, RewardLearner, RewardLearnerState
from algorithms.teaching.student import Student, StudentState
from l2t.rl.learner import Judgement
from l2t.rl.models import ActorPolicy, Critic, ModelState
from l2t.rl.optimise import POLICY_EPSILON, bounded_adam, flatten_time, minimise
from l2t.rl.policy import along
from l2t.rl.returns import differential_advantage, differential_target, explained_variance
from l2t.rl.types import Metrics, Trajectory, Transitions

RATE_STEP, SCALE_STEP = 0.1, 0.01
"""As SPMD's defaults: steps of the estimates of ρ and of the critic's scale."""

LEARNED = "learned_reward/"
"""Where metrics of a learned reward stand; the task's own terms have `reward/`."""

StudentEyes = Callable[[Array, Array, Array, Array], Array]
"""How a student would have seen what was recorded: `ShowsStudents.as_student`."""


@struct.dataclass
class InverseStudentState:
    """The student, its reward, its critic, and the critic's estimates.

    Attributes:
        reward_rate: ρ of what the critic values, under the teacher's steps.
        value_scale: the critic predicts differential values divided by this.
        fresh: before the first iteration.
    """

    student: StudentState
    reward: RewardLearnerState
    critic: ModelState
    optimiser: PyTree
    reward_rate: Float[Array, ""]
    value_scale: Float[Array, ""]
    fresh: Bool[Array, ""]


@dataclass(frozen=True)
class InverseStudent:
    """A student with a learned reward; see the module's docstring.

    Attributes:
        student: who learns to act.
        reward: r_ψ, on the `student` group.
        critic: of r_ψ, on the same group.
        eyes: the student's observation model.
        reset_cost: c, in units of r_ψ.
        trace_decay: λ.
        horizon: H, in steps.
    """

    student: Student
    reward: RewardLearner
    critic: Critic
    eyes: StudentEyes
    reset_cost: float = 0.0
    trace_decay: float = 0.95
    horizon: float = math.inf

    def init(self, key: Key[Array, ""]) -> InverseStudentState:
        """Fresh networks; the reward's normaliser has seen the demonstrations once as the student would have."""
        student_key, reward_key, critic_key, view_key = jax.random.split(key, 4)
        critic = self.critic.init(critic_key)
        expert = seen_by_student(self.reward.demonstrations(), self.eyes, view_key)
        return InverseStudentState(
            student=self.student.init(student_key),
            reward=self.reward.start(expert, reward_key),
            critic=critic,
            optimiser=self._optimiser.init(critic.weights),
            reward_rate=jnp.zeros(()),
            value_scale=jnp.ones(()),
            fresh=jnp.asarray(True),
        )

    def policy(self, state: InverseStudentState) -> ActorPolicy:
        """π_S, on episodes of its own."""
        return self.student.policy(state.student)

    def behaviour(self, state: InverseStudentState) -> ActorPolicy:
        """π_S, in the run's own environments."""
        return self.student.behaviour(state.student)

    def learn(
        self, state: InverseStudentState, trajectory: Trajectory, judgement: Judgement, key: Key[Array, ""]
    ) -> tuple[InverseStudentState, Metrics]:
        """A step of the reward, one of the critic, one of the student."""
        view_key, action_key, reward_key, critic_key, student_key = jax.random.split(key, 5)
        policy = self.student.behaviour(state.student)

        own = along(policy, trajectory.observation, trajectory.first).sample(action_key)
        own_steps = replace(trajectory, action=jnp.clip(own, -1.0, 1.0), executed=None, replayed=None)
        shown = replace(state.reward, expert=seen_by_student(state.reward.expert, self.eyes, view_key))
        reward, reward_metrics = self.reward.learn(shown, own_steps, policy, reward_key)
        reward = replace(reward, expert=state.reward.expert)

        paid = self.reward.relabel(reward, replace(trajectory, replayed=None))
        state, advantage, critic_metrics = self._evaluate(replace(state, reward=reward), paid, critic_key)
        judged = judgement._replace(advantage=advantage, critic=None)  # a teacher's critic is of its own reward
        student, metrics = self.student.learn(state.student, trajectory, judged, student_key)
        mine = {
            name.replace(LEARNED, f"{LEARNED}student_"): value
            for name, value in reward_metrics.items()
            if name.startswith(LEARNED)
        }
        return replace(state, student=student), metrics | critic_metrics | mine

    def _evaluate(
        self, state: InverseStudentState, paid: Trajectory, key: Key[Array, ""]
    ) -> tuple[InverseStudentState, Float[Array, "time env"], Metrics]:
        """Differential advantages of r_ψ - c [terminated], and the critic one step on."""
        rate_step, scale_step = (jnp.where(state.fresh, 1.0, step) for step in (RATE_STEP, SCALE_STEP))
        earned = paid.reward - self.reset_cost * paid.terminated
        rate = state.reward_rate + rate_step * (earned.mean() - state.reward_rate)
        value, after = (
            state.value_scale * self.critic.value(state.critic, observation)
            for observation in (paid.observation, paid.following())
        )
        advantage = differential_advantage(earned, value, after, paid.cut(), rate, self.trace_decay, self.horizon)
        target, scale = differential_target(advantage, value, state.value_scale, scale_step)
        features = self.critic.features(state.critic, paid.observation)
        batch = flatten_time({"features": features, "target": target / scale})

        def loss(weights: PyTree, rows: dict[str, Array]) -> tuple[Float[Array, ""], Metrics]:
            error = 0.5 * ((self.critic.apply(weights, rows["features"]) - rows["target"]) ** 2).mean()
            return error, {"loss/student_critic": error}

        config = self.student.config
        weights, optimiser, metrics = minimise(
            loss, self._optimiser, state.critic.weights, state.optimiser, batch, key, config.epochs, _parts(batch)
        )
        critic = ModelState(weights, state.critic.normaliser).seen(paid.observation[self.critic.group])
        metrics |= {
            "train/student_reward_rate": rate,
            "train/student_explained_variance": explained_variance(value, target),
        }
        state = replace(
            state,
            critic=critic,
            optimiser=optimiser,
            reward_rate=rate,
            value_scale=scale,
            fresh=jnp.asarray(False),
        )
        return state, advantage, metrics

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        config = self.student.config
        return bounded_adam(config.learning_rate, config.max_grad_norm, eps=POLICY_EPSILON)


def _parts(batch: PyTree) -> int:
    """Minibatches of some 512 steps, as many as divide the batch."""
    size = jax.tree.leaves(batch)[0].shape[0]
    return next(parts for parts in range(max(1, size // 512), 0, -1) if size % parts == 0)


def seen_by_student(expert: Expert, eyes: StudentEyes, key: Key[Array, ""]) -> Expert:
    """Demonstrations with a `student` group, as the student would have seen them: noise, stack and all."""
    one, other = jax.random.split(key)
    return replace(
        expert, learnt_from=_shown(expert.learnt_from, eyes, one), held_out=_shown(expert.held_out, eyes, other)
    )


def _shown(steps: Transitions, eyes: StudentEyes, key: Key[Array, ""]) -> Transitions:
    if steps.terminated.shape[0] == 0:
        return steps
    ended = (steps.terminated | steps.truncated)[:-1]
    first = jnp.concatenate([jnp.ones(1, bool), ended])
    seen = eyes(key, steps.observation["teacher"], steps.action, first)
    return replace(
        steps, observation=steps.observation | {"student": seen}, following=steps.following | {"student": seen}
    )
