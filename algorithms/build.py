"""From configurations to algorithms.

A package of your own plugs in without an entry here: a configuration that no function below is registered for builds
itself, by its methods `build(context) -> Algorithm` and, to be a teacher, `learner(context) -> Teacher`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import Any

from algorithms.config import ActorCriticConfig, PPOConfig, SPMDConfig, SPMDVRTDConfig, TeacherConfig
from algorithms.experience import check_memory, experience_of, memories_of
from algorithms.inverse.build import (
    WARNINGS,
    WARNINGS_OF_CLONING,
    WARNINGS_OF_IQ_LEARN,
    WARNINGS_OF_TEACHER,
    expert_of,
    inverse_student,
    learned_reward,
)
from algorithms.inverse.cloning import Cloning, DAgger, Regression
from algorithms.inverse.config import AIRLConfig, CloningConfig, DAggerConfig, InverseConfig, IQLearnConfig
from algorithms.inverse.iq_learn import IQLearn
from algorithms.ppo import PPO
from algorithms.replay.config import ReplayConfig
from algorithms.replay.learner import ReplayActorCritic
from algorithms.reset_cost import free_resets
from algorithms.spmd import SPMD
from algorithms.spmd_vrtd import SPMDVRTD
from algorithms.teaching.config import DistillationConfig, LearnToTeachConfig, StudentConfig
from algorithms.teaching.distillation import FrozenTeacher
from algorithms.teaching.learn_to_teach import LearnToTeach
from algorithms.teaching.student import Student
from l2t.config import check_idle
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import Algorithm, BuildContext, FrozenPolicy
from l2t.rl.experience import Fresh
from l2t.rl.learner import Teacher
from l2t.rl.loop import Loop, Solo
from l2t.rl.replay import Replay
from l2t.rl.reward import TaskReward


@singledispatch
def build(config: Any, context: BuildContext) -> Algorithm:
    """The algorithm that a configuration describes.

    Raises:
        ConfigurationError: batches do not divide, or the configuration does not fit the task.
    """
    return config.build(context)


@singledispatch
def learner(config: Any, context: BuildContext) -> Teacher:
    """The learner alone, for algorithms that compose it."""
    return config.learner(context)


@learner.register
def _(config: SPMDConfig, context: BuildContext) -> Teacher:
    return SPMD(config, context.environment.spec, context.network, context.iterations(config.num_steps))


@learner.register
def _(config: PPOConfig, context: BuildContext) -> Teacher:
    return PPO(config, context.environment.spec, context.network, context.iterations(config.num_steps))


@learner.register
def _(config: SPMDVRTDConfig, context: BuildContext) -> Teacher:
    return SPMDVRTD(config, context.environment.spec, context.network, context.iterations(config.actor.num_steps))


@learner.register
def _(config: ReplayConfig, context: BuildContext) -> Teacher:
    return ReplayActorCritic(config, context.environment.spec, context.num_envs)


@learner.register
def _(config: InverseConfig, context: BuildContext) -> Teacher:
    return learner(config.optimizer, context)


@build.register
def _(config: ActorCriticConfig, context: BuildContext) -> Algorithm:
    return _solo(config, context)


@build.register
def _(config: SPMDVRTDConfig, context: BuildContext) -> Algorithm:
    return _solo(config, context)


@build.register
def _(config: ReplayConfig, context: BuildContext) -> Algorithm:
    return _solo(config, context)


@build.register
def _(config: InverseConfig, context: BuildContext) -> Algorithm:
    _check_task_reward(context)
    context = replace(context, reward=learned_reward(config, context))
    loop = _solo(config.optimizer, context, "algorithm.optimizer")
    return replace(loop, warnings=WARNINGS)


@build.register
def _(config: IQLearnConfig, context: BuildContext) -> Algorithm:
    _check_task_reward(context)
    learner = IQLearn(config, context.environment.spec, context.num_envs, expert_of(config, context))
    agent = Solo(learner, config.replay.observation, context.num_envs)
    return Loop(
        context.environment,
        agent,
        context.num_envs,
        config.num_steps,
        experience=experience_of(config.replay, context, "algorithm.replay"),
        warnings=WARNINGS_OF_IQ_LEARN,
    )


@build.register
def _(config: CloningConfig, context: BuildContext) -> Algorithm:
    _check_task_reward(context)
    regression = Regression.of_task(config.regression, context.environment.spec)
    agent = Solo(Cloning(regression, expert_of(config, context)), "teacher", context.num_envs)
    return Loop(context.environment, agent, context.num_envs, config.num_steps, warnings=WARNINGS_OF_CLONING)


@build.register
def _(config: DAggerConfig, context: BuildContext) -> Algorithm:
    _check_task_reward(context)
    spec, regression = context.environment.spec, config.regression
    policy = _frozen(context, config.expert_run, "teacher")
    agent = DAgger(Regression.of_task(regression, spec), policy, config.decay, config.exploration, context.num_envs)
    experience = Replay(config.buffer_size, regression.updates, regression.batch_size, ("teacher",), following=False)
    check_memory(experience, config.num_steps, context)
    prior = {"pretraining": policy.env_steps}
    return Loop(
        context.environment, agent, context.num_envs, config.num_steps, experience=experience, prior_steps=prior
    )


@build.register
def _(config: LearnToTeachConfig, context: BuildContext) -> Algorithm:
    num_steps, student_envs = config.teacher.num_steps, round(config.student_share * context.num_envs)
    _check_parts(config.teacher, num_steps * (context.num_envs - student_envs), "algorithm.teacher")
    if isinstance(config.teacher, ReplayConfig):
        check_idle("algorithm.student", config.student, ("rl_clip",), "no ratio is clipped with a teacher that replays")
    reward, student = context.reward, _student(config.student, context, num_steps)
    warnings = free_resets(config.teacher, context.environment.spec.reset_cost, "algorithm.teacher")
    if isinstance(config.teacher, InverseConfig):
        _check_task_reward(context)
        if isinstance(config.teacher, AIRLConfig) and config.disturbance.scale > 0.0:
            raise ConfigurationError(
                "algorithm.disturbance: AIRL weighs what was done by how likely the teacher was to do it, which a "
                "disturbed action does not tell. Leave algorithm.disturbance.scale at 0, or use algorithm.teacher=ipmd."
            )
        reward, warnings = learned_reward(config.teacher, context, "algorithm.teacher"), WARNINGS_OF_TEACHER
        if config.student.rl_coefficient > 0.0:
            student = inverse_student(student, config.teacher, reward, context)
    agent = LearnToTeach(
        teacher=learner(config.teacher, context),
        student=student,
        num_envs=context.num_envs,
        student_envs=student_envs,
        handed_over=context.iterations(num_steps) if config.student_share_schedule == "linear" else 0,
        penalty=config.student_penalty,
        replays=config.student.replay > 0,
    )
    context = replace(context, reward=reward)
    experience = experience_of(config.teacher, context, "algorithm.teacher")
    if config.student_penalty > 0.0 and not isinstance(experience, Fresh):
        raise ConfigurationError(
            "algorithm.student_penalty is for teachers that learn from fresh steps: what a teacher replays is paid as "
            "it was. Leave it at 0."
        )
    if config.student.replay > 0:
        if not isinstance(experience, Fresh):
            raise ConfigurationError(
                "algorithm.student.replay is for teachers that learn from fresh steps; with a teacher that replays, "
                "leave it at 0."
            )
        experience = memories_of(config.student, config.teacher.observation, num_steps, context)
    return Loop(
        context.environment,
        agent,
        context.num_envs,
        num_steps,
        reward,
        experience,
        disturbance=config.disturbance,
        warnings=warnings,
    )


@build.register
def _(config: DistillationConfig, context: BuildContext) -> Algorithm:
    _check_task_reward(context)
    policy = _frozen(context, config.teacher_run, "teacher")
    agent = LearnToTeach(
        teacher=FrozenTeacher(policy, config.exploration),
        student=_student(config.student, context, config.num_steps),
        num_envs=context.num_envs,
        student_envs=context.num_envs if config.method == "dagger" else 0,
        replays=config.student.replay > 0,
    )
    prior = {"pretraining": policy.env_steps}
    experience = Fresh()
    if config.student.replay > 0:
        experience = memories_of(config.student, "teacher", config.num_steps, context)
    return Loop(
        context.environment,
        agent,
        context.num_envs,
        config.num_steps,
        experience=experience,
        disturbance=config.disturbance,
        prior_steps=prior,
    )


def _check_task_reward(context: BuildContext) -> None:
    if not isinstance(context.reward, TaskReward):
        raise ConfigurationError(
            "env.reward would change nothing: this algorithm learns from demonstrations or a teacher, not from rewards."
        )


def _frozen(context: BuildContext, run: str, role: str) -> FrozenPolicy:
    name = context.environment.spec.name
    policy = context.load_policy(run, role)
    if policy.environment != name:
        raise ConfigurationError(f"The {role} of {run} was trained on {policy.environment}, not on {name}.")
    return policy


def _solo(config: TeacherConfig, context: BuildContext, path: str = "algorithm") -> Loop:
    _check_parts(config, config.num_steps * context.num_envs, path)
    agent = Solo(learner(config, context), config.observation, context.num_envs)
    experience = experience_of(config, context, path)
    warnings = free_resets(config, context.environment.spec.reset_cost)
    return Loop(
        context.environment, agent, context.num_envs, config.num_steps, context.reward, experience, warnings=warnings
    )


def _student(config: StudentConfig, context: BuildContext, num_steps: int) -> Student:
    student = Student(config, context.environment.spec, context.num_envs, context.iterations(num_steps))
    if num_steps % student.chunk(num_steps):
        raise ConfigurationError(
            f"A roll-out of {num_steps} steps does not split into chunks of algorithm.student.memory_chunk="
            f"{config.memory_chunk}; change one of the two."
        )
    rows, unit = num_steps * context.num_envs // student.chunk(num_steps), "chunks" if student.remembers else ""
    _check_batch(rows, "algorithm.student.minibatches", config.minibatches, unit)
    return student


def _check_parts(config: TeacherConfig, batch: int, path: str) -> None:
    if isinstance(config, InverseConfig):
        config, path = config.optimizer, f"{path}.optimizer"
    if isinstance(config, SPMDVRTDConfig):
        _check_batch(batch, f"{path}.critic_minibatches", config.critic_minibatches)
        path += ".actor"
    _check_batch(batch, f"{path}.minibatches", config.minibatches)


def _check_batch(batch: int, name: str, parts: int, unit: str = "") -> None:
    if batch == 0 or batch % parts:
        raise ConfigurationError(
            f"A batch of {batch} {unit or 'transitions'} (num_steps x environments) does not split into "
            f"{name}={parts} equal parts; change num_envs, the roll-out's num_steps or {name}."
        )
