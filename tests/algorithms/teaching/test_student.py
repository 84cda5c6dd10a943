"""The student's losses against closed forms, and its gradient on batches whose best direction is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from algorithms.teaching.config import StudentConfig
from algorithms.teaching.student import Student, imitation_loss
from l2t.config import NetworkConfig
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import ActionCritic, Judgement
from l2t.rl.policy import along
from l2t.rl.types import Trajectory
from tests.support.probes import signal_following
from tests.support.trajectories import ENVS, TIME, random_trajectory

POLICY = DiagonalGaussian(jnp.array([[0.5, -1.0], [0.0, 0.0]]), jnp.array([0.0, 0.1]))
BATCH = {
    "teacher": DiagonalGaussian(jnp.array([[0.0, 0.0], [0.0, 2.0]]), jnp.array([[0.2, 0.1], [0.2, 0.1]])),
    "action": jnp.array([[0.1, 0.2], [0.3, 0.4]]),
    "advantage": jnp.array([1.0, -1.0]),
}


def test_mse_is_half_the_squared_distance_of_means_and_log_stds() -> None:
    expected = np.mean([0.5 * (0.25 + 1.0 + 0.04), 0.5 * (4.0 + 0.04)])
    assert imitation_loss("mse", POLICY, BATCH, clip_labels=False) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["mse", "asymmetric", "kl", "nll"])
def test_a_label_beyond_the_actions_that_there_are_is_the_last_of_these(kind: str) -> None:
    """The second label is 2 and acts as 1; what students do beyond it they are taken back from, for 1 is enough."""
    means = jnp.array([[0.0, 0.0], [0.0, 2.0]])
    batch = BATCH | {"action": means, "advantage": jnp.array([-1.0, 1.0])}
    teacher = BATCH["teacher"].replace(mean=means.clip(-1.0, 1.0))
    clipped = batch | {"action": means.clip(-1.0, 1.0), "teacher": teacher}
    assert imitation_loss(kind, POLICY, batch) == imitation_loss(kind, POLICY, clipped, clip_labels=False)
    assert imitation_loss(kind, POLICY, batch) < imitation_loss(kind, POLICY, batch, clip_labels=False)
    slope = jax.grad(lambda mean: imitation_loss(kind, DiagonalGaussian(mean, POLICY.log_std), batch))
    assert slope(jnp.full((2, 2), 1.5))[1, 1] > 0.0


def test_asymmetric_counts_only_actions_better_than_average() -> None:
    """Standardised advantages are +1 and -1: only the first row counts, with weight 1, in a mean over two."""
    assert imitation_loss("asymmetric", POLICY, BATCH) == pytest.approx(0.5 * 0.5 * (0.25 + 1.0 + 0.04), rel=1e-4)


def test_kl_runs_from_the_teacher_to_the_student() -> None:
    """∫ π_T log(π_T/π_S), coordinate by coordinate on a fine grid."""
    grid = np.linspace(-12.0, 12.0, 200_001)
    expected = np.zeros(2)
    for row in range(2):
        for i in range(2):
            mean, deviation = BATCH["teacher"].mean[row, i], np.exp(BATCH["teacher"].log_std[row, i])
            teacher = scipy.stats.norm(mean, deviation)
            student = scipy.stats.norm(POLICY.mean[row, i], np.exp(POLICY.log_std[i]))
            terms = teacher.pdf(grid) * (teacher.logpdf(grid) - student.logpdf(grid))
            expected[row] += np.trapezoid(terms, grid)
    assert imitation_loss("kl", POLICY, BATCH, clip_labels=False) == pytest.approx(expected.mean(), rel=1e-5)


def test_nll_is_of_the_behaviours_action() -> None:
    """SciPy's density of the actions that were taken, under the student."""
    density = scipy.stats.norm(np.asarray(POLICY.mean), np.exp(np.asarray(POLICY.log_std)))
    expected = -density.logpdf(np.asarray(BATCH["action"])).sum(axis=-1).mean()
    assert imitation_loss("nll", POLICY, BATCH) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_the_policy_gradient_term_moves_towards_better_actions(direction: float) -> None:
    """Advantage = ± action on the student's own draws: its mean must move that way, with no imitation at all."""
    config = StudentConfig(imitation_coefficient=0.0, rl_coefficient=1.0, epochs=2, minibatches=2)
    student = Student(replace(config, network=NetworkConfig((16,))), signal_following().spec, 16, iterations=100)
    state = student.init(jax.random.key(0))
    observation = {"student": jax.random.normal(jax.random.key(1), (32, 16, 1))}
    policy = student.policy(state).distribution(observation)
    action = policy.sample(jax.random.key(2))
    zeros = jnp.zeros((32, 16))
    trajectory = Trajectory(
        observation=observation,
        first=zeros.astype(bool),
        successor=observation,
        action=action,
        log_prob=policy.log_prob(action),
        reward=zeros,
        terminated=zeros.astype(bool),
        truncated=zeros.astype(bool),
        final_observation={},
    )
    judgement = Judgement(policy, direction * action[..., 0])
    after, _ = jax.jit(student.learn)(state, trajectory, judgement, jax.random.key(3))
    # The same normaliser before and after: only the weights' effect is asked for.
    moved = student.actor.apply(after.actor.weights, observation["student"]).mean
    before = student.actor.apply(state.actor.weights, observation["student"]).mean
    assert float((moved - before).mean()) * direction > 0.001


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_of_a_critic_of_actions_the_student_learns_the_soft_optimum(memory: str) -> None:
    """Q = -(a - o)²: the mean is o, and E[α log π - Q] = σ² - α log σ + ... is least at σ² = α/2, whoever acted."""
    temperature, size = 0.08, (32, 16)
    config = StudentConfig(
        imitation_coefficient=0.0,
        rl_coefficient=1.0,
        epochs=4,
        minibatches=4,
        learning_rate=1e-2,
        memory=memory,
        memory_size=8,
        memory_chunk=8,
        network=NetworkConfig((16,)),
    )
    student = Student(config, signal_following().spec, 16, iterations=100)
    state, learn = student.init(jax.random.key(0)), jax.jit(_learn_from_a_critic, static_argnums=0)
    for seed in range(100):
        state = learn(student, state, jax.random.key(seed), jnp.asarray(temperature), _shown(-0.5, 0.5, seed, size))
    shown = _shown(-0.5, 0.5, 999, size)
    trajectory = replace(random_trajectory(0), observation={"student": shown, "previous_action": jnp.zeros((*size, 1))})
    policy = along(student.policy(state), trajectory.observation, jnp.zeros(size, bool))
    np.testing.assert_allclose(policy.mean, shown, atol=0.1)
    assert float(jnp.exp(policy.log_std).mean()) == pytest.approx(np.sqrt(temperature / 2.0), rel=0.1)


def _learn_from_a_critic(student: Student, state: Any, key: Any, temperature: Any, shown: Any) -> Any:
    zeros, false = jnp.zeros(shown.shape[:2]), jnp.zeros(shown.shape[:2], bool)
    action = jax.random.uniform(key, shown.shape, minval=-1.0)
    seen = {"student": shown, "previous_action": jnp.zeros_like(shown)}
    trajectory = Trajectory(seen, false, seen, action, zeros, zeros, false, false, {})
    critic = ActionCritic(shown, lambda o, a: -((a - o) ** 2)[..., 0], temperature)
    judgement = Judgement(DiagonalGaussian(action, jnp.zeros(1)), zeros, critic=critic)
    return student.learn(state, trajectory, judgement, key)[0]


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_a_student_learns_the_statistics_of_what_it_sees(memory: str) -> None:
    """Its group, and with a memory the previous actions too."""
    config = StudentConfig(memory=memory, memory_size=4, memory_chunk=4, minibatches=2, network=NetworkConfig((8,)))
    student = Student(config, signal_following().spec, ENVS, iterations=100)
    trajectory = random_trajectory(0)
    judgement = Judgement(DiagonalGaussian(trajectory.action, jnp.zeros(1)), trajectory.reward)
    state, _ = jax.jit(student.learn)(student.init(jax.random.key(0)), trajectory, judgement, jax.random.key(1))
    groups = ("student", "previous_action") if memory == "gru" else ("student",)
    seen = np.concatenate([np.asarray(trajectory.observation[g]).reshape(TIME * ENVS, -1) for g in groups], axis=1)
    np.testing.assert_allclose(state.actor.normaliser.mean, seen.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(state.actor.normaliser.variance, seen.var(axis=0), rtol=1e-3)


def _shown(low: float, high: float, seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.uniform(jax.random.key(seed), (*shape, 1), minval=low, maxval=high)


def _teacher(observation: jax.Array) -> DiagonalGaussian:
    """Wants the square of what it sees."""
    return DiagonalGaussian(observation**2, jnp.full(observation.shape, -1.0))


@pytest.mark.parametrize(("replay", "forgets"), [(0, True), (4096, False)])
def test_a_student_that_replays_keeps_what_the_batch_no_longer_shows(replay: int, forgets: bool) -> None:
    config = StudentConfig(
        epochs=2, minibatches=2, learning_rate=3e-3, learning_rate_schedule="constant", network=NetworkConfig((32,))
    )
    student = Student(replace(config, replay=replay), signal_following().spec, ENVS, iterations=100)
    state, learn = student.init(jax.random.key(0)), jax.jit(student.learn)
    early = _shown(-1.0, 0.0, 9, (4, 64, 1))
    for seed in range(100):
        late = _shown(0.0, 1.0, seed, (TIME, ENVS))
        trajectory = replace(random_trajectory(seed), observation={"student": late}, final_observation={})
        judgement = Judgement(_teacher(late), jnp.zeros((TIME, ENVS)))
        if replay:
            steps = random_trajectory(0).transitions()
            steps = replace(steps, observation={"student": early}, action=jnp.zeros_like(early), following={})
            judgement = judgement._replace(replayed=_teacher(early))
            trajectory = replace(trajectory, replayed=steps)
        state, metrics = learn(state, trajectory, judgement, jax.random.key(seed))
    assert ("loss/student_replayed" in metrics) is not forgets
    for seen, known in ((jnp.array([[0.5], [0.9]]), True), (jnp.array([[-0.5], [-0.9]]), not forgets)):
        answer = student.policy(state).distribution({"student": seen}).mean
        assert bool(jnp.abs(answer - seen**2).max() < 0.2) is known  # from 0.5 or more
