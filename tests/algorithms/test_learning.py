"""Every algorithm on probe environments whose answers are known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.build import build
from algorithms.config import PPOConfig, SPMDConfig
from algorithms.teaching.config import DistillationConfig, LearnToTeachConfig, StudentConfig
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext, FrozenPolicy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.evaluation import evaluate
from l2t.rl.policy import Memoryless
from l2t.rl.rollout import collect
from l2t.rl.vector import VectorEnvironment
from tests.support.probes import (
    constant_reward,
    delayed_credit,
    recall,
    signal_following,
    tempting_end,
    two_state_cycle,
)
from tests.support.training import FAST, SLOW_STEPS, actions, train


def test_spmd_finds_the_reward_rate_of_a_constant_reward() -> None:
    _, state, _ = train(SPMDConfig(**FAST), constant_reward(1.5), 3)
    assert float(state.learnt.agent.reward_rate) == pytest.approx(1.5, abs=1e-5)


def test_spmd_learns_the_reward_rate_and_the_bias_of_a_two_state_cycle() -> None:
    algorithm, state, _ = train(SPMDConfig(**FAST), two_state_cycle(), 150)
    learner = state.learnt.agent
    assert float(learner.reward_rate) == pytest.approx(1.0, abs=0.05)
    critic = algorithm.agent.learner.models.critic
    value = learner.value_scale * critic.value(learner.models.critic, {"teacher": jnp.array([[0.0], [1.0]])})
    assert float(value[1] - value[0]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("config", [SPMDConfig(**FAST), PPOConfig(**FAST)], ids=["spmd", "ppo"])
def test_the_policy_follows_its_signals(config: Any) -> None:
    algorithm, state, _ = train(config, signal_following(), 150)
    signals = np.array([[0.5, 0.5], [-0.5, 0.5], [0.8, -0.8], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(
        actions(algorithm, state, "teacher", signals), signals[:, 0] + 0.5 * signals[:, 1], atol=0.12
    )


@pytest.mark.parametrize("config", [SPMDConfig(**FAST), PPOConfig(**FAST)], ids=["spmd", "ppo"])
def test_credit_reaches_an_action_that_is_paid_later(config: Any) -> None:
    algorithm, state, _ = train(config, delayed_credit(), 120)
    assert actions(algorithm, state, "teacher", [[0.5]])[0] == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(("reset_cost", "ends"), [(0.0, True), (3.0, False)])
def test_the_reset_cost_decides_whether_an_end_is_worth_it(reset_cost: float, ends: bool) -> None:
    """Ending at once has ρ = 1 - cost against 0 for living."""
    algorithm, state, metrics = train(SPMDConfig(**FAST), tempting_end(reset_cost), 100)
    assert (actions(algorithm, state, "teacher", [[1.0]])[0] > 0.0) == ends
    assert float(metrics["train/reward_rate"]) == pytest.approx(1.0 if ends else 0.0, abs=0.15)


def test_an_adaptive_reset_cost_rises_until_resets_are_rare() -> None:
    config = SPMDConfig(**FAST, adapt_reset_cost=True, reset_cost_step=0.1)
    algorithm, state, metrics = train(config, tempting_end(0.0), 150)
    assert float(metrics["train/reset_cost"]) > 1.0  # below it an end is worth it
    assert actions(algorithm, state, "teacher", np.ones((1, 1), np.float32))[0] < 0.0
    assert int(metrics["train/terminations"]) <= 5


@pytest.mark.parametrize("schedule", ["constant", "sqrt", "adaptive"])
def test_every_step_schedule_improves_the_policy(schedule: str) -> None:
    probe = signal_following()
    algorithm, state, metrics = train(SPMDConfig(step_schedule=schedule, **FAST), probe, 60)
    score = evaluate(probe, algorithm.policy(state.learnt, "teacher"), jax.random.key(9), 64)
    # Doing nothing scores -E[(x + y/2)²] = -5/12 a step.
    assert float(score["average_reward"]) > -0.15
    step_size = float(metrics["train/step_size"])
    if schedule == "adaptive":  # its own test below; here it has left where it began, by factors of 1.5
        factors = np.log(step_size) / np.log(1.5)
        assert abs(factors) > 0.5
        assert factors == pytest.approx(round(factors), abs=1e-3)
    else:
        assert step_size == pytest.approx({"constant": 1.0, "sqrt": 60**-0.5}[schedule])


def test_a_narrow_clip_holds_the_policy_back() -> None:
    steps = {}
    for clip in (1e-3, float("inf")):
        config = SPMDConfig(ratio_clip=clip, step_schedule="constant", step_size=10.0, **FAST)
        steps[clip] = float(train(config, signal_following(), 3)[2]["train/kl"])
    assert steps[1e-3] < 0.1 * steps[float("inf")]


def test_the_adaptive_step_keeps_the_divergence_near_its_target() -> None:
    config = SPMDConfig(target_kl=0.01, **FAST)
    algorithm, state, _ = train(config, signal_following(), 40)
    iterate = jax.jit(algorithm.iterate)
    divergences = []
    for _ in range(30):
        state, metrics = iterate(state)
        divergences.append(float(metrics["train/kl"]))
    assert 0.003 < np.mean(divergences) < 0.03


@pytest.mark.parametrize("imitation", ["mse", "nll", "kl"])
def test_the_student_learns_the_best_guess_from_what_it_sees(imitation: str) -> None:
    """The teacher plays x + ½y; the student sees x alone and y has mean zero, so its best guess is x."""
    config = LearnToTeachConfig(
        teacher=SPMDConfig(**SLOW_STEPS),
        student=StudentConfig(imitation=imitation, epochs=4, minibatches=4, learning_rate=3e-3),
    )
    algorithm, state, metrics = train(config, signal_following(), 150)
    x = np.array([[-0.8], [0.0], [0.6]], np.float32)
    np.testing.assert_allclose(actions(algorithm, state, "student", x), x[:, 0], atol=0.15)
    assert int(metrics["env_steps/student"]) == 0
    assert int(metrics["env_steps/teacher"]) == 16 * 16


def test_asymmetric_imitation_comes_close_to_the_best_student() -> None:
    """Its weights follow the critic's errors too, so its guess is not exact; the best student scores -1/12 a step."""
    student = StudentConfig(imitation="asymmetric", epochs=4, minibatches=4, learning_rate=3e-3)
    probe = signal_following()
    algorithm, state, _ = train(LearnToTeachConfig(teacher=SPMDConfig(**SLOW_STEPS), student=student), probe, 150)
    score = evaluate(probe, algorithm.policy(state.learnt, "student"), jax.random.key(9), 64)
    assert -1 / 12 - 0.04 < float(score["average_reward"]) < -1 / 12 + 0.02


def test_the_student_never_changes_the_teacher() -> None:
    """Whatever the student's losses, the teacher's state after ten iterations is the same, bit for bit."""
    states = []
    for student in (StudentConfig(), StudentConfig(imitation="nll", rl_coefficient=1.0, learning_rate=1e-2)):
        student = StudentConfig(**{**student.__dict__, "minibatches": 4})
        config = LearnToTeachConfig(teacher=SPMDConfig(**FAST), student=student)
        _, state, _ = train(config, signal_following(), 10)
        states.append(state.learnt.agent.teacher)
    for one, other in zip(*(jax.tree.leaves(s) for s in states), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_student_drives_its_share_and_the_teacher_learns_from_the_rest() -> None:
    config = LearnToTeachConfig(
        teacher=SPMDConfig(**FAST), student=StudentConfig(epochs=4, minibatches=4), student_share=0.25
    )
    algorithm, _, metrics = train(config, signal_following(), 4)
    assert algorithm.agent.student_envs == 4
    assert int(metrics["env_steps/student"]) == 16 * 4
    assert int(metrics["env_steps/teacher"]) == 16 * 12


def test_the_student_is_given_its_share_one_environment_after_the_other() -> None:
    config = LearnToTeachConfig(
        teacher=SPMDConfig(**FAST),
        student=StudentConfig(epochs=1, minibatches=4),
        student_share=0.25,
        student_share_schedule="linear",
    )
    eight_iterations = 8 * 16 * 16
    algorithm = build(config, BuildContext(signal_following(), 16, eight_iterations, NetworkConfig((16,))))
    state, iterate = algorithm.init(jax.random.key(0)), jax.jit(algorithm.iterate)
    driven = []
    for _ in range(10):
        state, metrics = iterate(state)
        driven.append(int(metrics["env_steps/student"]) // 16)
        assert int(metrics["env_steps/student"]) + int(metrics["env_steps/teacher"]) == 16 * 16
    assert driven == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4]  # round(4 k / 8), halves to even; a run that goes on keeps them all


def _perfect_teacher(environment: str = "probe") -> Any:
    """A saved policy that plays x + ½y, in policy units."""

    def policy(parameters: Any) -> Any:
        def distribution(observation: Any) -> DiagonalGaussian:
            signals = observation["teacher"]
            return DiagonalGaussian(0.5 * (signals[..., :1] + parameters * signals[..., 1:]), jnp.zeros(1))

        return Memoryless(distribution)

    return lambda run, role: FrozenPolicy(policy, lambda: jnp.float32(0.5), environment, 1234)


@pytest.mark.parametrize("method", ["behaviour_cloning", "dagger"])
def test_a_frozen_teacher_is_distilled_into_the_best_guess(method: str) -> None:
    student = StudentConfig(epochs=4, minibatches=4, learning_rate=3e-3)
    config = DistillationConfig("runs/teacher", method=method, num_steps=16, student=student)
    algorithm, state, metrics = train(config, signal_following(), 60, load_policy=_perfect_teacher())
    x = np.array([[-0.8], [0.0], [0.6]], np.float32)
    np.testing.assert_allclose(actions(algorithm, state, "student", x), x[:, 0], atol=0.1)
    driver, other = ("student", "teacher") if method == "dagger" else ("teacher", "student")
    assert int(metrics[f"env_steps/{driver}"]) == 16 * 16
    assert int(metrics[f"env_steps/{other}"]) == 0
    assert algorithm.prior_steps == {"pretraining": 1234}


def test_a_teacher_of_another_task_is_refused() -> None:
    config = DistillationConfig("runs/teacher", num_steps=16)
    with pytest.raises(ConfigurationError, match="trained on ant, not on probe"):
        train(config, signal_following(), 1, load_policy=_perfect_teacher("ant"))


def test_copying_the_students_own_actions_is_refused() -> None:
    copying = StudentConfig(imitation="nll")
    with pytest.raises(ConfigurationError, match="student's own"):
        DistillationConfig("runs/teacher", method="dagger", student=copying)
    with pytest.raises(ConfigurationError, match="use mse or kl"):
        LearnToTeachConfig(student=copying, student_share=0.5)


def test_an_actor_on_the_student_group_can_have_a_privileged_critic() -> None:
    config = SPMDConfig(observation="student", critic_observation="teacher", **FAST)
    algorithm, state, _ = train(config, signal_following(), 120)
    assert algorithm.roles == ("student",)
    x = np.array([[-0.7], [0.7]], np.float32)
    np.testing.assert_allclose(actions(algorithm, state, "student", x), x[:, 0], atol=0.15)


@pytest.mark.parametrize(
    ("memory", "method"), [("none", "behaviour_cloning"), ("gru", "behaviour_cloning"), ("gru", "dagger")]
)
def test_only_a_student_with_a_memory_recalls_what_it_saw_once(memory: str, method: str) -> None:
    """The frozen teacher plays the cue; a student without a memory can do no better than -7/24 a step."""

    def cue(parameters: Any) -> Any:
        return Memoryless(lambda o: DiagonalGaussian(0.5 * o["teacher"][..., 1:2] + parameters, jnp.zeros(1)))

    student = StudentConfig(
        memory=memory,
        memory_size=16,
        memory_chunk=8,
        epochs=4,
        minibatches=4,
        learning_rate=5e-3,
        network=NetworkConfig((32,)),
    )
    config = DistillationConfig("runs/teacher", method=method, num_steps=16, student=student)
    frozen = FrozenPolicy(cue, lambda: jnp.float32(0.0), "probe", 0)
    algorithm, state, _ = train(config, recall(), 120, num_envs=32, load_policy=lambda run, role: frozen)
    score = float(
        evaluate(recall(), algorithm.policy(state.learnt, "student"), jax.random.key(9), 256)["average_reward"]
    )
    assert score > -0.03 if memory == "gru" else -7 / 24 - 0.05 < score < -7 / 24 + 0.03


def test_a_students_memory_goes_on_from_batch_to_batch_with_its_environments() -> None:
    """After a batch it remembers, in each environment, what stepping the old weights through the batch leaves."""
    config = LearnToTeachConfig(
        teacher=SPMDConfig(**FAST),
        student=StudentConfig(memory="gru", memory_size=5, memory_chunk=4, epochs=1, minibatches=4),
    )
    algorithm, state, _ = train(config, recall(5), 2)
    agent = algorithm.agent
    student = state.learnt.agent.student
    policy = agent.behaviour(state.learnt.agent)
    vector = VectorEnvironment(algorithm.environment, 16)
    key = jax.random.split(state.key, 4)[1]
    _, trajectory, _ = jax.jit(lambda: collect(vector, policy, state.transient.environments, key, 16))()
    memory = student.carry
    for t in range(16):
        observation = jax.tree.map(lambda x, t=t: x[t], trajectory.observation)
        memory, _ = agent.student.policy(student).step(memory, observation, trajectory.first[t])
    after, _ = jax.jit(algorithm.iterate)(state)
    np.testing.assert_allclose(after.learnt.agent.student.carry, memory, atol=1e-5)


def test_a_student_that_drives_goes_on_from_what_it_remembered_at_the_last_batchs_end() -> None:
    config = LearnToTeachConfig(
        teacher=SPMDConfig(**FAST),
        student=StudentConfig(memory="gru", memory_size=5, memory_chunk=4, epochs=1, minibatches=4),
        student_share=0.5,
    )
    algorithm, state, _ = train(config, recall(5), 2)
    agent, student = algorithm.agent, state.learnt.agent.student
    vector = VectorEnvironment(algorithm.environment, 16)
    policy = agent.behaviour(state.learnt.agent)
    _, batch, _ = jax.jit(lambda: collect(vector, policy, state.transient.environments, jax.random.key(1), 4))()
    observation, first = jax.tree.map(lambda x: x[0], batch.observation), batch.first[0]
    going_on = np.flatnonzero(~np.asarray(first[:8]))  # of the eight that the student drives
    assert len(going_on) > 0
    told = []
    for memory in (student.carry, agent.student.actor.memory.start(16)):
        _, distribution = agent.student.policy(student).step(memory, observation, first)
        told.append(np.asarray(distribution.log_prob(batch.action[0]))[going_on])
    np.testing.assert_allclose(batch.log_prob[0, going_on], told[0], atol=1e-5)
    assert np.abs(told[1] - told[0]).max() > 1e-3


def test_chunks_that_do_not_fit_are_refused() -> None:
    student = StudentConfig(memory="gru", memory_chunk=5, minibatches=4)
    config = LearnToTeachConfig(teacher=SPMDConfig(**FAST), student=student)
    with pytest.raises(ConfigurationError, match=r"does not split into chunks of algorithm\.student\.memory_chunk=5"):
        train(config, recall(), 1)
