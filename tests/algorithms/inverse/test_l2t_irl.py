"""Learn-to-Teach under a learned reward."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from algorithms.inverse.config import AIRLConfig, FIRLConfig, GAILConfig, IPMDConfig
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.rl.algorithm import BuildContext
from tests.support.demonstrated import demonstrate
from tests.support.imitation import NETWORK, REWARD, SPMD, actions_of, build_context, train_inverse
from tests.support.probes import signal_following


def _l2t(**student: Any) -> LearnToTeachConfig:
    return LearnToTeachConfig(
        teacher=IPMDConfig("x", optimizer=SPMD, reward=REWARD),
        student=StudentConfig(epochs=4, minibatches=4, learning_rate=3e-3, network=NETWORK, **student),
    )


def test_a_student_learns_from_a_teacher_that_learns_its_reward() -> None:
    algorithm, state, rows = train_inverse(_l2t(rl_coefficient=0.1), build_context(), 200)
    x = np.array([[0.6], [-0.6], [0.0]], np.float32)
    np.testing.assert_allclose(actions_of(algorithm, state, "student", x), x[:, 0], atol=0.2)
    assert rows[-1]["env_steps/student"] == 0
    assert {"learned_reward/student_gap", "loss/student_critic", "loss/student_rl"} <= set(rows[-1])


# F-IRL needs short stretches and many of them, and a policy that is slower than its reward; see test_learning.
_SLOW = replace(SPMD, num_steps=2, epochs=2, entropy=0.5, target_kl=0.003, max_step_size=1.0)
_FAST_REWARD = replace(REWARD, learning_rate=1e-2, updates=24)


@pytest.mark.parametrize(
    ("teacher", "num_envs", "iterations", "tolerance"),
    [
        (GAILConfig("x", optimizer=SPMD, reward=REWARD), 16, 120, 0.2),
        (AIRLConfig("x", optimizer=SPMD, reward=REWARD), 16, 120, 0.25),
        (FIRLConfig("x", optimizer=_SLOW, reward=_FAST_REWARD, reward_learning_rate=3e-3), 256, 120, 0.25),
    ],
    ids=["gail", "airl", "f_irl"],
)
def test_a_student_of_every_such_teacher_learns_the_best_guess_from_what_it_sees(
    teacher: Any, num_envs: int, iterations: int, tolerance: float
) -> None:
    """The expert plays x + ½y, unknown to all; the student sees x alone, and y has mean zero: its best guess is x."""
    context = build_context(num_envs=num_envs)
    # The teacher needs its reward first: a student whose step falls to zero by then would have learnt too early.
    config = replace(_l2t(learning_rate_schedule="constant"), teacher=teacher)
    algorithm, state, rows = train_inverse(config, context, iterations)
    x = np.array([[0.6], [-0.6], [0.0]], np.float32)
    np.testing.assert_allclose(actions_of(algorithm, state, "student", x), x[:, 0], atol=tolerance)
    assert rows[-1]["env_steps/student"] == 0


class _Noisy:
    """The probe, whose student sees both signals with noise of its own."""

    def __init__(self, seen: bool) -> None:
        self._probe, self._seen = replace(signal_following(), student_size=2), seen

    @property
    def spec(self) -> Any:
        return self._probe.spec

    def reset(self, key: Any, needed: Any = True) -> Any:
        return self._noise(self._probe.reset(key))

    def step(self, state: Any, action: Any) -> Any:
        return self._noise(self._probe.step(state, action))

    def as_student(self, key: Any, exact: Any, action: Any, first: Any) -> Any:
        return exact + 3.0 * jax.random.normal(key, exact.shape) if self._seen else exact

    def _noise(self, state: Any) -> Any:
        exact = state.observation["teacher"]
        noisy = exact + 3.0 * jax.random.normal(jax.random.fold_in(state.key, 3), exact.shape)
        return replace(state, observation=state.observation | {"student": noisy})


@pytest.mark.parametrize(("seen", "low", "high"), [(True, 0.0, 0.55), (False, 0.9, 1.0)])
def test_without_the_students_noise_on_the_expert_its_reward_would_tell_nothing_but_noise(
    seen: bool, low: float, high: float
) -> None:
    # Expert and student do the same, nothing, so that a reward can tell them apart by what they see alone.
    probe = _Noisy(seen)
    found = demonstrate(probe, lambda o: 0.0 * o[:, 0], 60)
    context = BuildContext(probe, 16, 10_000, NETWORK, load_demonstrations=lambda path: found)
    reward = replace(REWARD, inputs="state", updates=32, learning_rate=1e-2, gradient_penalty=0.0)
    config = replace(_l2t(rl_coefficient=0.1), teacher=GAILConfig("x", optimizer=SPMD, reward=reward))
    rows = train_inverse(config, context, 60)[2]
    accuracy = np.mean([row["learned_reward/student_accuracy"] for row in rows[-10:]])
    assert low <= accuracy <= high
