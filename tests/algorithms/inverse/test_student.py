"""Learn-to-Teach under learned rewards, piece by piece: whose steps they learn from, what the student's begins with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.build import build
from algorithms.config import PPOConfig, SPMDConfig, SPMDVRTDConfig
from algorithms.inverse.config import AIRLConfig, FIRLConfig, GAILConfig, IPMDConfig, RewardConfig
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.config import DisturbanceConfig, NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from l2t.rl.learner import Judgement
from l2t.rl.policy import along
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following
from tests.support.trajectories import (
    discounted_sum_by_a_loop,
    following_by_a_loop,
    limited,
    random_trajectory,
    with_values,
)

NETWORK = NetworkConfig((16,), "tanh")
STEPS: dict[str, Any] = {"num_steps": 12, "epochs": 1, "minibatches": 1}
REWARD = RewardConfig(network=NETWORK, updates=2, batch_size=64)


def _context(reset_cost: float = 0.0, episodes: int = 20) -> BuildContext:
    probe = signal_following(reset_cost)
    found = demonstrate(probe, lambda o: o[:, 0] + 0.5 * o[:, 1] + 0.3, episodes)
    return BuildContext(probe, 4, 10_000, NETWORK, load_demonstrations=lambda path: found)


def _l2t(teacher: Any, share: float = 0.0, rl_coefficient: float = 0.1) -> LearnToTeachConfig:
    student = StudentConfig(epochs=1, minibatches=1, network=NETWORK, rl_coefficient=rl_coefficient)
    return LearnToTeachConfig(teacher=teacher, student=student, student_share=share)


def _loop(config: LearnToTeachConfig, context: BuildContext) -> Any:
    return build(config, context)


def test_the_students_reward_begins_with_the_scale_of_what_the_student_would_have_seen() -> None:
    context = _context()
    agent = _loop(_l2t(IPMDConfig("x", optimizer=SPMDConfig(**STEPS), reward=REWARD, held_out=0)), context).agent
    found = context.load_demonstrations("x").transitions
    # A student of this probe sees the first signal; its reward sees that and the action.
    seen = np.concatenate([np.asarray(found.observation["teacher"])[:, :1], np.asarray(found.action)], axis=1)
    normaliser = jax.jit(agent.student.init)(jax.random.key(0)).reward.normalisers["reward"]
    assert float(normaliser.count) == pytest.approx(len(seen), abs=0.1)
    np.testing.assert_allclose(normaliser.mean, seen.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(normaliser.variance, seen.var(axis=0), atol=1e-4)


def test_the_warning_of_a_teachers_reward_names_the_teachers_key() -> None:
    config = _l2t(IPMDConfig("x", optimizer=SPMDConfig(**STEPS), reward=REWARD))
    told = _loop(config, _context()).warnings["learned_reward/resting"]
    assert "algorithm.teacher.reward.gradient_penalty" in told
    assert hasattr(config.teacher.reward, "gradient_penalty")  # type: ignore[attr-defined]


def test_airl_is_not_taught_by_disturbed_actions() -> None:
    config = _l2t(AIRLConfig("x", optimizer=SPMDConfig(**STEPS), reward=REWARD), rl_coefficient=0.0)
    _loop(config, _context())
    with pytest.raises(ConfigurationError, match=r"AIRL weighs what was done by how likely the teacher was to do it"):
        _loop(replace(config, disturbance=DisturbanceConfig(scale=0.1)), _context())


class _Recorder:
    """A reward that hands on, as metrics, what it is given to learn from."""

    def __init__(self, reward: Any) -> None:
        self.init, self.relabel, self.groups = reward.init, reward.relabel, reward.groups

    def learn(self, state: Any, trajectory: Any, policy: Any, key: Any) -> Any:
        del key
        again = along(policy, trajectory.observation, trajectory.first).log_prob(trajectory.action)
        return state, {"given": trajectory.log_prob, "again": again, "seen": trajectory.observation["teacher"]}


def test_the_teachers_reward_learns_from_what_the_teacher_did_where_the_student_drives_too() -> None:
    loop = _loop(_l2t(IPMDConfig("x", optimizer=SPMDConfig(**STEPS), reward=REWARD), share=0.25), _context())
    loop = replace(loop, reward=_Recorder(loop.reward))
    state = jax.jit(loop.init)(jax.random.key(0))
    shown = state.transient.environments.observation["teacher"]
    _, metrics = jax.jit(loop.iterate)(state)
    # One of the four environments is the student's. In the others the actions have the density that the teacher gives.
    np.testing.assert_array_equal(metrics["seen"][0], shown[1:])
    np.testing.assert_allclose(metrics["given"], metrics["again"], atol=1e-5)


class _Spy:
    """A reward that hands on what was done in the transitions that it learns from."""

    def __init__(self, reward: Any) -> None:
        self.start, self.relabel, self.demonstrations = reward.start, reward.relabel, reward.demonstrations

    def learn(self, state: Any, trajectory: Any, policy: Any, key: Any) -> Any:
        del policy, key
        return state, {"learned_reward/done": trajectory.transitions().action}


def test_the_students_reward_learns_from_the_students_own_actions_where_the_drivers_are_disturbed() -> None:
    config = _l2t(IPMDConfig("x", optimizer=SPMDConfig(**STEPS), reward=REWARD, held_out=0))
    student = _loop(config, _context()).agent.student
    spied = replace(student, reward=_Spy(student.reward))
    state = jax.jit(spied.init)(jax.random.key(0))
    batch = random_trajectory(1)
    disturbed = replace(batch, executed=jnp.full_like(batch.action, 0.75))
    np.testing.assert_array_equal(disturbed.transitions().action, 0.75)
    judged = Judgement(along(spied.behaviour(state), batch.observation, batch.first), batch.reward)
    learn = jax.jit(
        lambda steps: spied.learn(state, steps, judged, jax.random.key(2))[1]["learned_reward/student_done"]
    )
    np.testing.assert_array_equal(learn(disturbed), learn(batch))
    assert float(jnp.std(learn(disturbed))) > 0.1


@pytest.mark.parametrize("kind", [AIRLConfig, GAILConfig, FIRLConfig])
def test_a_teacher_may_learn_any_reward_while_its_student_drives(kind: Any) -> None:
    # AIRL asks the policy about the demonstrations, in which there is nothing for a student to see.
    config = _l2t(kind("x", optimizer=SPMDConfig(**STEPS), reward=REWARD), 0.25, 0.0)
    loop = _loop(config, _context())
    _, metrics = jax.jit(loop.iterate)(jax.jit(loop.init)(jax.random.key(0)))
    assert np.isfinite(metrics["loss/reward"])


@pytest.mark.parametrize(
    ("optimizer", "decay", "horizon"),
    [
        (SPMDConfig(**STEPS, trace_decay=0.8, horizon=10.0), 0.8, 10.0),
        (PPOConfig(**STEPS, trace_decay=0.7), 0.7, float("inf")),
        (SPMDVRTDConfig(SPMDConfig(**STEPS, trace_decay=0.6), critic_minibatches=2), 0.6, float("inf")),
    ],
    ids=["spmd", "ppo", "spmd_vrtd"],
)
def test_the_students_critic_charges_for_resets_and_looks_as_far_as_its_teacher(
    optimizer: Any, decay: float, horizon: float
) -> None:
    cost, scale = 3.0, 2.0
    teacher = IPMDConfig("x", optimizer=optimizer, reward=REWARD)
    student = _loop(_l2t(teacher), _context(cost)).agent.student
    state, batch = student.init(jax.random.key(0)), random_trajectory(1)
    # Not the first iteration, and a critic whose scale is known: ρ goes a tenth of the way from its estimate.
    state = with_values(state, reward_rate=0.5, value_scale=scale).replace(fresh=jnp.asarray(False))
    after, found, _ = student._evaluate(state, batch, jax.random.key(1))

    reward = np.asarray(batch.reward, np.float64) - cost * np.asarray(batch.terminated)
    rate = 0.5 + 0.1 * (reward.mean() - 0.5)
    seen = (np.asarray(batch.observation["student"]), following_by_a_loop(batch, "student"))
    value, later = (scale * np.asarray(student.critic.value(state.critic, {"student": jnp.asarray(o)})) for o in seen)
    keeps = 1.0 - 1.0 / horizon
    delta = reward - rate + keeps * later - value
    wanted = discounted_sum_by_a_loop(delta, keeps * decay, limited(batch))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert float(after.reward_rate) == pytest.approx(rate, abs=1e-5)
