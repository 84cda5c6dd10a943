"""From configurations of learning from demonstrations to algorithms; `algorithms.build` asks here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms.config import SPMDConfig
from algorithms.inverse.cloning import GROUP
from algorithms.inverse.config import (
    AIRLConfig,
    CloningConfig,
    DemonstrationsConfig,
    FIRLConfig,
    GAILConfig,
    InverseConfig,
    IPMDConfig,
    RewardConfig,
)
from algorithms.inverse.f_irl import FIRL
from algorithms.inverse.objectives import AIRL, GAIL, IPMD, Objective
from algorithms.inverse.reward import Expert, RewardLearner
from algorithms.inverse.student import InverseStudent
from algorithms.replay.config import ReplayConfig
from algorithms.teaching.student import Student
from l2t.demonstrations.summary import at_bound
from l2t.errors import ConfigurationError
from l2t.rewards.model import RewardModel
from l2t.rl.algorithm import BuildContext
from l2t.rl.models import Critic
from l2t.rl.types import EnvironmentSpec, ShowsStudents

WARNINGS = {
    "learned_reward/resting": "the reward would pay the demonstrations it learns from much more than the held-out "
    "ones: it has begun to memorise them, or those are of another kind. It rests, but for steps that lessen that. "
    "Record more episodes, raise algorithm.reward.gradient_penalty, or hold out others with algorithm.split_seed.",
    "warning/poor_expert": "the policy earns as much as the expert before it has learnt anything: the demonstrations "
    "are no better than chance, or of another task. Look at what l2t-collect says of them.",
    "train/terminations": "episodes of the policy end early: where they end tells it what was good, whatever reward is "
    "learnt. Compare with env.reset_cost=0, for every method alike.",
}
"""What a run that learns a reward from demonstrations may have to say; see `Algorithm.warnings`.

The experts may never have fallen: that episodes can end early shows in the learner's own.
"""

WARNINGS_OF_TEACHER = {name: text.replace("algorithm.", "algorithm.teacher.") for name, text in WARNINGS.items()}
"""With the keys of Learn-to-Teach, whose teacher has the reward."""

WARNINGS_OF_IQ_LEARN = {name: WARNINGS[name] for name in ("warning/poor_expert", "train/terminations")}
"""IQ-Learn's reward never rests; its Q is worth 0 after an end, which tells as much."""

WARNINGS_OF_CLONING = {name: WARNINGS[name] for name in ("warning/poor_expert",)}
"""A clone learns actions alone: ends tell it nothing. DAgger knows no more of its expert than what it answers."""


class AdviceWarning(UserWarning):
    """What may go wrong in a training that begins; nothing to say of one that is over."""


class VariableHorizonWarning(AdviceWarning):
    """Episodes can end early, so that their end gives the reward away."""


class SaturatedExpertWarning(AdviceWarning):
    """Many recorded actions lie at the faces of the box, where the likelihood of a Gaussian is a spike."""


class UnidentifiedScaleWarning(AdviceWarning):
    """The price of entropy follows the reward, so that the policy says nothing about the reward's scale."""


class UnpaidEntropyWarning(AdviceWarning):
    """Entropy has no price, so that AIRL's policy is best at the expert's modes, without the expert's spread."""


SHARED = ("trace_decay", "horizon")
"""Settings of a teacher's critic that its student's has too."""

MUCH_AT_BOUND = 0.2
"""Share of the recorded actions from which on methods that ask for their likelihood are warned."""


def expert_of(config: DemonstrationsConfig, context: BuildContext) -> Callable[[], Expert]:
    """The demonstrations that a configuration names, split; read now, put on the device when the run begins.

    Raises:
        DemonstrationError: they cannot be read, or are of another task or shape.
        ConfigurationError: there are not enough of them.
    """
    demonstrations = context.load_demonstrations(config.demonstrations)
    if config.episodes is not None:
        demonstrations = demonstrations.subset(config.episodes, config.split_seed)
    lengths = demonstrations.lengths
    early = lengths.min() != lengths.max() or bool(np.asarray(demonstrations.transitions.terminated).any())
    if early and not isinstance(config, CloningConfig):
        warnings.warn(
            f"Episodes of {context.environment.spec.name} end early ({lengths.min():,} to {lengths.max():,} steps in "
            "the demonstrations): where they end tells learners what was good, whatever the reward. Compare with "
            "env.reset_cost=0, for every method alike.",
            VariableHorizonWarning,
            stacklevel=2,
        )
    share = at_bound(demonstrations)
    if isinstance(config, CloningConfig | AIRLConfig) and share > MUCH_AT_BOUND:
        warnings.warn(
            f"{share:.0%} of the expert's actions lie at a bound, where what {config.name} maximises, the likelihood "
            "of an action under a Gaussian, has no maximum: record sampled actions (l2t-collect --actions sampled), "
            "or use ipmd.",
            SaturatedExpertWarning,
            stacklevel=2,
        )
    score = jnp.asarray([demonstrations.returns.mean(), demonstrations.returns.sum() / lengths.sum()], jnp.float32)
    if config.held_out == 0:
        kept = demonstrations.transitions
        return lambda: Expert(kept, jax.tree.map(lambda x: x[:0], kept), score)
    learnt_from, held_out = demonstrations.split(config.held_out, config.split_seed)
    return lambda: Expert(learnt_from.transitions, held_out.transitions, score)


def learned_reward(config: InverseConfig, context: BuildContext, path: str = "algorithm") -> RewardLearner:
    """The reward that a configuration describes; `path` is where the configuration is on the command line.

    Raises:
        ConfigurationError: it asks for what the demonstrations do not hold.
    """
    spec = context.environment.spec
    if config.reward.observation != GROUP:
        raise ConfigurationError(
            f"{path}.reward.observation={config.reward.observation} is not in the demonstrations, which hold the "
            f"{GROUP} group; a student's reward is part of algorithm=l2t."
        )
    if isinstance(config, AIRLConfig) and config.optimizer.observation != GROUP:
        raise ConfigurationError(
            f"airl asks the policy about the demonstrations, which hold the {GROUP} group: use "
            f"{path}.optimizer.observation={GROUP}."
        )
    if isinstance(config.optimizer, ReplayConfig) and config.optimizer.temperature is None:
        warnings.warn(
            "The temperature adapts to whatever the learned reward's scale is, so that demonstrations do not identify "
            f"that scale: fix it, as with {path}.optimizer.temperature=0.1 (airl: 1).",
            UnidentifiedScaleWarning,
            stacklevel=2,
        )
    spmd = getattr(config.optimizer, "actor", config.optimizer)  # spmd_vrtd keeps its entropy with its actor
    if isinstance(config, AIRLConfig) and isinstance(spmd, SPMDConfig) and spmd.entropy == 0.0:
        warnings.warn(
            "airl without a price of entropy imitates the expert's mean actions and not their spread, and its reward "
            "does not come to rest: give it algorithm.optimizer.entropy=1 (under l2t "
            "algorithm.teacher.optimizer.entropy=1).",
            UnpaidEntropyWarning,
            stacklevel=2,
        )
    stretch_rate = config.reward_learning_rate if isinstance(config, FIRLConfig) else 0.0
    iterations = context.iterations(config.num_steps)
    return RewardLearner(objective(config, spec), config.reward, expert_of(config, context), iterations, stretch_rate)


def inverse_student(
    student: Student, config: InverseConfig, teacher: RewardLearner, context: BuildContext
) -> InverseStudent:
    """A student with a reward and a critic of its own, learnt as its teacher's reward is.

    Raises:
        ConfigurationError: the reward is one of what follows, which the demonstrations do not show to a student.
    """
    if config.reward.inputs == "state_action_next" or isinstance(config, AIRLConfig):
        raise ConfigurationError(
            "A student's reward is a function of what it sees now: use algorithm.teacher.reward.inputs=state_action or "
            "state, and another teacher than airl."
        )
    environment, spec, group = context.environment, context.environment.spec, student.group
    if not isinstance(environment, ShowsStudents):
        raise ConfigurationError(
            f"{spec.name} cannot say what a student would have seen of demonstrations (it has no method as_student): "
            "use algorithm.student.rl_coefficient=0."
        )
    # Named features are the teacher's; a student's reward looks at all that a student sees.
    settings = replace(config.reward, observation=group, features=(), network=student.config.network)
    own = replace(teacher, objective=objective(replace(config, reward=settings), spec), config=settings)
    critic = Critic(group, spec.size_of(group), student.config.network)
    # What values stand for is the teacher's choice, where it has made one.
    valued = getattr(config.optimizer, "actor", config.optimizer)  # spmd_vrtd keeps them with its actor
    shared = {name: getattr(valued, name) for name in SHARED if hasattr(valued, name)}
    return InverseStudent(student, own, critic, environment.as_student, spec.reset_cost, **shared)


@singledispatch
def objective(config: Any, spec: EnvironmentSpec) -> Objective:
    """What the reward is trained for."""
    raise TypeError(f"{type(config).__name__} describes no objective.")


@objective.register
def _(config: IPMDConfig, spec: EnvironmentSpec) -> Objective:
    return IPMD(_model(config.reward, spec, bound=config.bound), config.penalty, config.reward.gradient_penalty)


@objective.register
def _(config: GAILConfig, spec: EnvironmentSpec) -> Objective:
    return GAIL(_model(config.reward, spec, output="softplus"), config.reward.gradient_penalty)


@objective.register
def _(config: AIRLConfig, spec: EnvironmentSpec) -> Objective:
    reward = config.reward
    potential = RewardModel.of_task(spec, "state", reward.observation, reward.network, output="linear")
    return AIRL(_model(reward, spec, output="linear"), potential, reward.gradient_penalty)


@objective.register
def _(config: FIRLConfig, spec: EnvironmentSpec) -> Objective:
    ratio = _model(config.reward, spec, output="linear")
    return FIRL(_model(config.reward, spec, output="linear"), ratio, config.divergence, config.reward.gradient_penalty)


def _model(config: RewardConfig, spec: EnvironmentSpec, **options: Any) -> RewardModel:
    return RewardModel.of_task(spec, config.inputs, config.observation, config.network, config.features, **options)
