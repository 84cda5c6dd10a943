"""SPMD with a VRTD critic: its parts against explicit sums and linear solves, the whole on probes."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.build import build
from algorithms.config import SPMDConfig, SPMDVRTDConfig
from algorithms.features import FourierFeatures, TableFeatures
from algorithms.policy_evaluation.operator import mean_operator, reduced_step
from algorithms.spmd_vrtd import batch_vrtd, expected_features
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.optimise import flatten_time
from l2t.rl.rollout import collect
from l2t.rl.transitions import PairTransitions
from l2t.rl.types import Trajectory
from l2t.rl.vector import VectorEnvironment
from tests.support.probes import Probe, constant_reward, delayed_credit, signal_following, tempting_end
from tests.support.training import actions

FAST = {
    "num_steps": 16,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "constant",
    "trace_decay": 0.9,
}


def _config(critic: Any = None, **actor: Any) -> SPMDVRTDConfig:
    return SPMDVRTDConfig(
        SPMDConfig(**{**FAST, **actor}), **{"features": 64, "critic_minibatches": 4, **(critic or {})}
    )


def _build(config: SPMDVRTDConfig | LearnToTeachConfig, probe: Probe, num_envs: int = 16) -> Any:
    return build(config, BuildContext(probe, num_envs, 10_000, NetworkConfig((16,))))


def _train(config: SPMDVRTDConfig | LearnToTeachConfig, probe: Probe, iterations: int) -> tuple[Any, Any]:
    algorithm = _build(config, probe)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    iterate = jax.jit(algorithm.iterate)
    for _ in range(iterations):
        state, _ = iterate(state)
    return algorithm, state


def _action(algorithm: Any, state: Any, observation: Any) -> np.ndarray:
    """Deterministic actions in the probe's units, [-2, 2]."""
    policy = algorithm.policy(state.learnt, "teacher")
    return 2.0 * np.asarray(policy.distribution({"teacher": jnp.asarray(observation)}).mean)[:, 0]


def _batch(algorithm: Any, state: Any) -> Trajectory:
    vector = VectorEnvironment(algorithm.environment, 16)
    behaviour = algorithm.agent.behaviour(state.learnt.agent)
    return jax.jit(lambda: collect(vector, behaviour, state.transient.environments, jax.random.key(5), 16)[1])()


def test_the_expected_feature_is_the_mean_over_sampled_actions() -> None:
    features = FourierFeatures.create(jax.random.key(0), 5, 32, 1.5)
    observation = jax.random.normal(jax.random.key(1), (3, 2))
    policy = DiagonalGaussian(jax.random.normal(jax.random.key(2), (3, 3)), jnp.array([-1.0, -0.3, 0.2]))
    seen = jnp.broadcast_to(observation, (50_000, 3, 2))
    actions = policy.mean + jnp.exp(policy.log_std) * jax.random.normal(jax.random.key(3), (50_000, 3, 3))
    sampled = features(jnp.concatenate([seen, actions], -1)).mean(0)
    np.testing.assert_allclose(expected_features(features, observation, policy), sampled, atol=1e-2)


def test_a_step_is_the_difference_of_operators_plus_the_anchor_by_explicit_sums() -> None:
    rng = np.random.default_rng(0)
    table, theta, anchor = rng.normal(size=(10, 3)), rng.normal(size=3), rng.normal(size=3)
    reward, rate, rows = rng.normal(size=5), 0.3, np.array([1, 4])

    def explicit(theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        terms = [table[i] * ((table[i] - table[5 + i]) @ theta - reward[i] + rate) for i in rows]
        return np.mean(terms, axis=0)

    operator = explicit(anchor, np.arange(5))
    expected = theta - 0.1 * (explicit(theta, rows) - explicit(anchor, rows) + operator)
    features = TableFeatures.create(table)
    batch = PairTransitions(jnp.arange(5), jnp.asarray(reward, jnp.float32), 5 + jnp.arange(5))
    np.testing.assert_allclose(
        mean_operator(features, jnp.asarray(anchor), batch, jnp.asarray(rate)), operator, rtol=1e-4
    )
    offset = reduced_step(
        features, jnp.asarray(theta - anchor), rows, 5 + rows, jnp.asarray(operator), jnp.asarray(0.1)
    )
    np.testing.assert_allclose(anchor + offset, expected, rtol=1e-4)


@pytest.mark.parametrize("minibatches", [1, 8])
def test_the_critic_ends_at_lstds_solution_of_the_same_batch(minibatches: int) -> None:
    """On a probe whose reward waits one step; a dense solve in float64 of the same rows is the oracle."""
    config = _config({"features": 4, "length_scale": 0.8, "critic_minibatches": minibatches, "critic_epochs": 200})
    algorithm = _build(config, delayed_credit())
    state = jax.jit(algorithm.init)(jax.random.key(3))
    trajectory = _batch(algorithm, state)
    rows = algorithm.agent.learner._rows(state.learnt.agent, trajectory)
    feature, next_feature, reward = flatten_time((rows.pair, rows.next_state, trajectory.reward))
    theta, _ = jax.jit(batch_vrtd, static_argnums=0)(
        config, feature, next_feature, reward, jnp.ones(4), jax.random.key(1)
    )
    psi, next_psi, paid = (np.asarray(x, np.float64) for x in (feature, next_feature, reward))
    test_function = psi - psi.mean(0)
    solution = np.linalg.solve(test_function.T @ (psi - next_psi), test_function.T @ (paid - paid.mean()))
    centred = test_function @ solution
    np.testing.assert_allclose(test_function @ np.asarray(theta), centred, atol=1e-3 * centred.std())


def test_ends_lead_where_the_process_goes_on() -> None:
    """After a termination the next start, after a time limit the true successor, else what was seen next."""
    algorithm = _build(_config(), tempting_end(1.0))
    state = jax.jit(algorithm.init)(jax.random.key(0)).learnt.agent
    shape = (3, 1)
    trajectory = Trajectory(
        observation={"teacher": jnp.array([[[0.0]], [[1.0]], [[2.0]]])},
        first=jnp.array([[True], [True], [True]]),
        successor={"teacher": jnp.array([[[5.0]], [[6.0]], [[7.0]]])},
        action=jnp.zeros((*shape, 1)),
        log_prob=jnp.zeros(shape),
        reward=jnp.zeros(shape),
        terminated=jnp.array([[True], [False], [True]]),
        truncated=jnp.array([[False], [True], [False]]),
        final_observation={"teacher": jnp.array([[3.0]])},
    )
    rows = algorithm.agent.learner._rows(state, trajectory)
    expected = {"teacher": jnp.array([[[1.0]], [[6.0]], [[3.0]]])}
    policy = algorithm.agent.learner.policy(state).distribution(expected)
    wanted = expected_features(state.critic.features, state.critic.normaliser(expected["teacher"]), policy)
    np.testing.assert_allclose(rows.next_state, wanted, atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_the_advantage_is_its_sum_by_an_explicit_loop(decay: float) -> None:
    algorithm = _build(_config(trace_decay=decay), signal_following())
    state = jax.jit(algorithm.init)(jax.random.key(0))
    learner = dataclasses.replace(state.learnt.agent, reward_rate=jnp.asarray(-0.4))
    critic = dataclasses.replace(learner.critic, theta=jax.random.normal(jax.random.key(4), (64,)))
    learner = dataclasses.replace(learner, critic=critic)
    trajectory = _batch(algorithm, state)
    # At every second time limit the robot falls as well, which makes it a fall.
    falls = trajectory.truncated & (jnp.arange(16) % 2 == 0)
    trajectory = dataclasses.replace(trajectory, terminated=falls)
    rows = algorithm.agent.learner._rows(learner, trajectory)
    q, value, following = (
        np.asarray(row @ critic.theta, np.float64) for row in (rows.pair, rows.state, rows.next_state)
    )
    residual = np.asarray(trajectory.reward) + 0.4 + following - q
    expected = q - value
    for env in range(16):
        for start in range(16):
            for step in range(start, 16):
                expected[start, env] += decay ** (step - start + 1) * residual[step, env]
                if trajectory.truncated[step, env] and not falls[step, env]:
                    break
    assert bool(falls[:-1].any())
    assert bool((trajectory.truncated & ~falls)[:-1].any())
    np.testing.assert_allclose(
        algorithm.agent.learner.judge(learner, trajectory).advantage, expected, rtol=1e-3, atol=1e-3
    )


def test_the_actors_gradient_never_reaches_the_critic() -> None:
    """The critic ends where VRTD left it wherever the actor's optimiser stands, and its features never move."""
    algorithm = _build(_config(), signal_following())
    state = jax.jit(algorithm.init)(jax.random.key(0))
    trajectory = _batch(algorithm, state)
    before, ends = state.learnt.agent.critic, []
    learn = jax.jit(algorithm.agent.learner.learn)
    for shift in (0, 1):
        optimiser = jax.tree.map(lambda x, shift=shift: x + jnp.asarray(shift, x.dtype), state.learnt.agent.optimiser)
        learner = dataclasses.replace(state.learnt.agent, optimiser=optimiser)
        ends.append(learn(learner, trajectory, jax.random.key(1))[0])
    for one, other in zip(*(jax.tree.leaves(after.critic) for after in ends), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(jax.tree.leaves(before.features), jax.tree.leaves(ends[0].critic.features), strict=True):
        np.testing.assert_array_equal(one, other)
    actors = [jax.tree.leaves(after.actor.weights)[0] for after in ends]
    assert float(jnp.abs(actors[0] - actors[1]).max()) > 1e-4
    assert float(jnp.abs(ends[0].critic.theta).sum()) > 0.0


def test_two_seeds_in_one_program_find_the_reward_rate_of_a_constant_reward_with_features_of_their_own() -> None:
    algorithm = _build(_config(), constant_reward(1.5))
    state = jax.jit(jax.vmap(algorithm.init))(jax.random.split(jax.random.key(0), 2))
    structure = jax.tree.structure(state)
    iterate = jax.jit(jax.vmap(algorithm.iterate))
    for _ in range(3):
        state, metrics = iterate(state)
    assert jax.tree.structure(state) == structure
    np.testing.assert_allclose(state.learnt.agent.reward_rate, 1.5, atol=1e-5)
    np.testing.assert_allclose(metrics["loss/critic"], 0.0, atol=1e-8)
    frequency = state.learnt.agent.critic.features.frequency
    assert not jnp.array_equal(frequency[0], frequency[1])


def test_the_policy_follows_its_signals() -> None:
    algorithm, state = _train(_config(), signal_following(), 150)
    signals = np.array([[0.5, 0.5], [-0.5, 0.5], [0.8, -0.8], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(_action(algorithm, state, signals), signals[:, 0] + 0.5 * signals[:, 1], atol=0.15)


def test_a_student_of_such_a_teacher_learns_the_best_guess_from_what_it_sees() -> None:
    """The teacher plays x + ½y; the student sees x alone and y has mean zero, so its best guess is x."""
    student = StudentConfig(epochs=4, minibatches=4, learning_rate=3e-3)
    algorithm, state = _train(LearnToTeachConfig(_config(target_kl=0.015), student), signal_following(), 150)
    x = np.array([[-0.8], [0.0], [0.6]], np.float32)
    np.testing.assert_allclose(actions(algorithm, state, "student", x), x[:, 0], atol=0.15)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_credit_reaches_an_action_that_is_paid_later(decay: float) -> None:
    """With λ = 0 the credit comes through the critic alone."""
    algorithm, state = _train(_config(trace_decay=decay), delayed_credit(), 120)
    assert _action(algorithm, state, [[0.5]])[0] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("reset_cost", "ends"), [(0.0, True), (3.0, False)])
def test_the_reset_cost_decides_whether_an_end_is_worth_it(reset_cost: float, ends: bool) -> None:
    """Ending at once has ρ = 1 - cost against 0 for living."""
    algorithm, state = _train(_config(), tempting_end(reset_cost), 100)
    assert (_action(algorithm, state, [[1.0]])[0] > 0.0) == ends
    assert float(state.learnt.agent.reward_rate) == pytest.approx(1.0 if ends else 0.0, abs=0.15)


@pytest.mark.parametrize(
    ("critic", "actor", "message"),
    [
        ({"features": 0}, {}, "algorithm.features=0 is too small"),
        ({"length_scale": 0.0}, {}, "algorithm.length_scale=0.0 is out of range"),
        ({"critic_epochs": 1.5}, {}, "algorithm.critic_epochs=1.5 must be a whole number"),
        ({"critic_passes": 0}, {}, "algorithm.critic_passes=0 is too small"),
        ({"critic_step_size": 1.5}, {}, "algorithm.critic_step_size=1.5 is out of range"),
        ({}, {"trace_decay": 2.0}, "trace_decay=2.0 is out of range"),
        ({}, {"step_schedule": "cubic"}, "step_schedule='cubic' is not known"),
        ({}, {"max_step_size": float("nan")}, "max_step_size=nan is out of range"),
        ({}, {"step_size": 100.0}, "step_size=100.0 is out of range"),
        ({}, {"critic_coefficient": 1.0}, "algorithm.actor.critic_coefficient belongs to SPMD's neural critic"),
        ({}, {"reward_rate_step": 0.5}, "algorithm.actor.reward_rate_step belongs to"),
    ],
)
def test_a_wrong_value_is_refused(critic: dict[str, Any], actor: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _config(critic, **actor)


@pytest.mark.parametrize("name", ["actor.minibatches", "critic_minibatches"])
def test_a_batch_that_does_not_split_is_refused(name: str) -> None:
    part, _, _ = name.partition(".")
    config = _config(minibatches=7) if part == "actor" else _config({"critic_minibatches": 7})
    with pytest.raises(ConfigurationError, match=f"algorithm.{name}=7 equal parts"):
        _build(config, signal_following())
