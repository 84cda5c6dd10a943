"""Off-policy learners on tasks with known answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from algorithms.build import build
from algorithms.replay.config import RVISACConfig, SACConfig, SPMDReplayConfig
from algorithms.replay.learner import ReplayActorCritic
from algorithms.teaching.config import LearnToTeachConfig, StudentConfig
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError, DivergenceError
from l2t.rl.algorithm import BuildContext
from l2t.rl.types import Trajectory
from l2t.run.guard import check_finite
from l2t.run.rows import metric_rows
from tests.support.probes import Probe, constant_reward, delayed_credit, signal_following, tempting_end
from tests.support.trajectories import random_trajectory

FAST = {
    "num_steps": 8,
    "updates_per_step": 0.5,
    "batch_size": 32,
    "buffer_size": 4_096,
    "warm_up": 512,
    "learning_rate": 3e-3,
    "polyak": 0.05,
    "actor_delay": 1,
    "network": NetworkConfig((16,), "tanh"),
}
FAMILY = [SACConfig(**FAST, discount=0.5), RVISACConfig(**FAST), SPMDReplayConfig(**FAST)]
NAMES = ["sac", "rvi_sac", "spmd_replay"]


def _train(config: Any, probe: Probe, iterations: int, num_envs: int = 8) -> tuple[Any, Any, Any]:
    algorithm = build(config, BuildContext(probe, num_envs, 10_000, NetworkConfig((16,))))
    state = jax.jit(algorithm.init)(jax.random.key(0))
    iterate = jax.jit(algorithm.iterate, donate_argnums=0)
    metrics = {}
    for _ in range(iterations):
        state, metrics = iterate(state)
    return algorithm, state, metrics


def _actions(algorithm: Any, state: Any, role: str, observation: Any) -> np.ndarray:
    policy, first = algorithm.policy(state.learnt, role), jnp.ones(len(observation), bool)
    _, distribution = policy.step(policy.initial(len(observation)), {role: jnp.asarray(observation)}, first)
    return 2.0 * np.asarray(distribution.mode())[:, 0]


@pytest.mark.parametrize(
    "config",
    [
        *FAMILY,
        replace(FAMILY[2], n_step=3),
        replace(FAMILY[2], horizon=10.0),
        replace(FAMILY[2], critic="crossq", polyak=0.005, actor_delay=2),
    ],
    ids=[*NAMES, "three_steps", "horizon", "crossq"],
)
def test_the_policy_follows_its_signals(config: Any) -> None:
    # Three steps take longer: of five seeds none is there after 110 iterations, and all are after 220.
    algorithm, state, _ = _train(config, signal_following(), 220 if config.n_step > 1 else 110)
    signals = np.array([[0.5, 0.5], [-0.5, 0.5], [0.8, -0.8], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(
        _actions(algorithm, state, "teacher", signals), signals[:, 0] + 0.5 * signals[:, 1], atol=0.2
    )


def test_credit_reaches_an_action_that_is_paid_later() -> None:
    config = replace(FAMILY[2], actor_delay=2)
    algorithm, state, _ = _train(config, delayed_credit(), 120)
    assert _actions(algorithm, state, "teacher", np.array([[0.5]], np.float32))[0] == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(("reset_cost", "ends"), [(0.0, True), (3.0, False)])
def test_the_reset_cost_decides_whether_an_end_is_worth_it(reset_cost: float, ends: bool) -> None:
    algorithm, state, _ = _train(SPMDReplayConfig(**FAST), tempting_end(reset_cost), 60)
    action = _actions(algorithm, state, "teacher", np.ones((1, 1), np.float32))[0]
    assert (action > 0.1) if ends else (action < -0.1)


def test_an_adaptive_reset_cost_rises_until_resets_are_rare() -> None:
    config = RVISACConfig(**FAST, reset_cost_step=1.6)  # 0.1 an iteration, of 64 steps
    algorithm, state, metrics = _train(config, tempting_end(0.0), 150)
    assert float(state.learnt.agent.reset_cost.cost) > 1.0  # below it an end is worth it
    assert _actions(algorithm, state, "teacher", np.ones((1, 1), np.float32))[0] < -0.1
    assert int(metrics["train/terminations"]) <= 3


def _cost_after(steps: int, config: RVISACConfig, num_envs: int) -> float:
    """From 0 on, when every step ends an episode."""
    learner = ReplayActorCritic(config, tempting_end(0.0).spec, num_envs)
    size = (config.num_steps, num_envs)
    zeros, false, seen = jnp.zeros(size), jnp.zeros(size, bool), {"teacher": jnp.ones((*size, 1))}
    batch = Trajectory(seen, false, seen, jnp.zeros((*size, 1)), zeros, zeros, ~false, false, {})

    def iteration(k: Any, state: Any) -> Any:
        return replace(state, reset_cost=learner._next_cost(replace(state, iteration=k), batch))

    iterations = steps // (config.num_steps * num_envs)
    return float(jax.lax.fori_loop(0, iterations, iteration, learner.init(jax.random.key(0))).reset_cost.cost)


def test_the_reset_cost_moves_by_the_step_and_not_by_the_batch() -> None:
    settings = FAST | {"warm_up": 0}
    small = _cost_after(65_536, RVISACConfig(**(settings | {"num_steps": 8})), 8)
    large = _cost_after(65_536, RVISACConfig(**(settings | {"num_steps": 32})), 32)
    assert small == pytest.approx(large, rel=0.05)
    # Adam's step is about as long as it is set while the share is above what is allowed: 0.5 for each 1,024 steps.
    assert large == pytest.approx(64 * 0.5, rel=0.15)


def test_the_reset_cost_waits_for_the_end_of_the_warm_up() -> None:
    config = RVISACConfig(**(FAST | {"warm_up": 4_096}))
    assert _cost_after(4_096, config, 8) == 0.0
    assert _cost_after(5_120, config, 8) == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("gain", ["relative_value", "td_error"])
def test_the_gain_of_a_constant_reward_is_the_reward_and_the_price_of_entropy(gain: str) -> None:
    # A fixed temperature and a reward that no action changes: π is uniform on [-1, 1], of entropy log 2.
    config = SPMDReplayConfig(**FAST, temperature=0.5, gain=gain, gain_step=0.05, step_size=1e6)
    _, state, metrics = _train(config, constant_reward(1.5), 80)
    assert float(metrics["train/entropy"]) == pytest.approx(np.log(2.0), abs=0.03)
    assert float(state.learnt.agent.weights.gain) == pytest.approx(1.5 + 0.5 * np.log(2.0), abs=0.05)
    assert float(metrics["train/reward_rate"]) == pytest.approx(1.5, abs=1e-4)


def test_nothing_is_learnt_and_actions_fill_the_box_while_warming_up() -> None:
    algorithm, state, _ = _train(FAMILY[2], signal_following(), 7)
    fresh = algorithm.agent.learner.init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, state.learnt.agent.weights.optimisers, fresh.weights.optimisers)
    policy = algorithm.policy(state.learnt, "teacher")
    _, distribution = policy.step((), {"teacher": jnp.zeros((20_000, 2))}, jnp.ones(20_000, bool))
    action = np.asarray(distribution.sample(jax.random.key(1)))[:, 0]
    shares = np.histogram(action, bins=10, range=(-1, 1))[0] / len(action)
    assert shares.min() > 0.08
    assert shares.max() < 0.12
    # The next batch is the untrained actor's: an iteration acts before it learns.
    _, state, _ = _train(FAMILY[2], signal_following(), 8)
    assert not bool(algorithm.policy(state.learnt, "teacher").warming_up)
    jax.tree.map(np.testing.assert_array_equal, state.learnt.agent.weights.optimisers, fresh.weights.optimisers)


def test_rows_say_nothing_of_updates_before_the_first() -> None:
    student = StudentConfig(rl_coefficient=0.1, epochs=1, minibatches=1, network=FAST["network"])
    algorithm, state, metrics = _train(LearnToTeachConfig(FAMILY[2], student), signal_following(), 8)
    iterate, rows = jax.jit(algorithm.iterate), [metrics]
    for _ in range(2):
        state, metrics = iterate(state)
        rows.append(metrics)
    names = [set(metric_rows(jax.device_get(row), 0, None)[0]) for row in rows]
    told = {"loss/critic", "loss/actor", "train/q", "train/entropy", "train/kl"}
    assert [name - {"train/episode_return", "train/episode_length"} - names[0] for name in names] == [
        set(),
        told,
        told | {"loss/student_rl"},  # of critics that have been updated
    ]
    assert {"loss/student_imitation", "train/reward_rate"} < names[0] < names[1] < names[2]


def test_a_loss_that_is_not_a_number_after_the_warm_up_is_a_divergence() -> None:
    algorithm, state, _ = _train(FAMILY[0], signal_following(), 8)
    weights = state.learnt.agent.weights
    lost = replace(weights, actor=jax.tree.map(lambda x: x + jnp.nan, weights.actor))
    state = replace(state, learnt=replace(state.learnt, agent=replace(state.learnt.agent, weights=lost)))
    metrics = jax.jit(algorithm.iterate)(state)[1]
    with pytest.raises(DivergenceError, match="loss/actor became nan"):
        check_finite(metric_rows(jax.device_get({"loss/actor": metrics["loss/actor"]}), 576, None), 9, 576)


def _learner_and_rows() -> tuple[ReplayActorCritic, Any, dict[str, Any]]:
    learner = ReplayActorCritic(SPMDReplayConfig(**FAST), signal_following().spec, 8)
    state = learner.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 2)
    rows = {"features": jax.random.normal(keys[0], (64, 1, 2)), "action": jax.random.uniform(keys[1], (64, 1, 1))}
    return learner, state, rows


def test_the_old_policys_term_pulls_only_away_from_the_old_policy() -> None:
    learner, state, rows = _learner_and_rows()

    def moved(learner: Any, weights: Any, old: Any) -> np.ndarray:
        after, _ = learner._update_actor(weights, rows, old, jax.random.key(2))
        # Adam's first moment is the gradient: 0.1 of it after one step.
        return 10.0 * np.asarray(jax.tree.leaves(after.optimisers["actor"])[1])

    free = ReplayActorCritic(replace(learner.config, step_size=float("inf")), learner.spec, 8)
    old = state.weights.actor
    other = replace(state.weights, actor=jax.tree.map(lambda x: x + 0.3, old))
    away = moved(learner, other, old) - moved(free, other, old)
    assert np.abs(away).max() > 1e-3

    # The price is α/η: twice α, or half of η, pulls twice as hard.
    cautious = ReplayActorCritic(replace(learner.config, step_size=0.5), learner.spec, 8)
    np.testing.assert_allclose(moved(cautious, other, old) - moved(free, other, old), 2.0 * away, rtol=1e-3, atol=1e-6)
    warmer = replace(other, log_temperature=other.log_temperature + jnp.log(2.0))
    np.testing.assert_allclose(moved(learner, warmer, old) - moved(free, warmer, old), 2.0 * away, rtol=1e-3, atol=1e-6)

    # At π_k the term's mean gradient vanishes: E[∇ log π] = 0, and along the reparametrised action the two cancel.
    def mean_gradient(learner: Any) -> np.ndarray:
        keys = jax.random.split(jax.random.key(3), 400)
        update = jax.jit(lambda key: learner._update_actor(state.weights, rows, old, key)[0].optimisers["actor"])
        return 10.0 * np.mean([np.asarray(jax.tree.leaves(update(key))[1]) for key in keys], axis=0)

    near = mean_gradient(learner) - mean_gradient(free)
    assert np.abs(near).max() < 0.1 * np.abs(away).max()


@pytest.mark.parametrize("config", [SACConfig, SPMDReplayConfig])
def test_a_longer_backup_pays_for_todays_entropy_and_not_for_actions_that_are_improbable_today(config: Any) -> None:
    learner = ReplayActorCritic(config(**FAST, n_step=3), signal_following().spec, 8)
    weights, temperature = learner.init(jax.random.key(0)).weights, 0.2
    features = jax.random.normal(jax.random.key(1), (64, 3, 2))
    shape = features.shape[:2]
    rows = {"features": features, "reward": jnp.zeros(shape), "terminated": jnp.zeros(shape, bool)}
    rows |= {"truncated": jnp.zeros(shape, bool)}

    def paid(action: Any) -> np.ndarray:
        return np.asarray(learner._backup(weights, rows | {"action": action}, jnp.asarray(temperature)).paid)

    # Another policy's actions: on the faces of the box, where -log π of this one is large and beside the point.
    policy = learner.actor.apply(weights.actor, features)
    mode, faces = policy.mode(), jnp.where(jnp.arange(64)[:, None, None] % 2, 0.999, -0.999) * jnp.ones((64, 3, 1))
    assert float((policy.log_prob(mode) - policy.log_prob(faces)).mean()) > 3.0
    draws = np.asarray(jax.vmap(policy.sample)(jax.random.split(jax.random.key(2), 4_000)), np.float64)
    mean, deviation, z = np.asarray(policy.mean), np.exp(np.asarray(policy.log_std)), np.arctanh(draws)
    density = scipy.stats.norm.logpdf(z, mean, deviation) - np.log1p(-(draws**2))
    entropy, power = -density.sum(-1).mean(0), getattr(learner.config, "discount", 1.0)
    expected = temperature * (power * entropy[:, 1] + power**2 * entropy[:, 2])
    for action in (mode, faces):
        np.testing.assert_allclose(paid(action), expected, atol=0.03)


def test_a_student_learns_from_a_teacher_that_replays() -> None:
    config = LearnToTeachConfig(
        teacher=SPMDReplayConfig(**FAST),
        student=StudentConfig(epochs=2, minibatches=2, learning_rate=3e-3, network=NetworkConfig((16,))),
    )
    algorithm, state, metrics = _train(config, signal_following(), 110)
    assert int(metrics["env_steps/student"]) == 0
    x = np.array([[0.6], [-0.6], [0.0]], np.float32)
    np.testing.assert_allclose(_actions(algorithm, state, "student", x), x[:, 0], atol=0.25)


def test_a_student_without_imitation_learns_what_the_replaying_teachers_critics_prefer() -> None:
    student = StudentConfig(imitation_coefficient=0.0, rl_coefficient=1.0, minibatches=2, network=NetworkConfig((16,)))
    config = LearnToTeachConfig(teacher=SPMDReplayConfig(**FAST), student=student)
    algorithm, state, metrics = _train(config, signal_following(), 110)
    x = np.array([[0.6], [-0.6], [0.0]], np.float32)
    np.testing.assert_allclose(_actions(algorithm, state, "student", x), x[:, 0], atol=0.25)
    assert np.isfinite(float(metrics["loss/student_rl"]))


def test_critics_that_were_never_updated_tell_a_student_nothing() -> None:
    learner = ReplayActorCritic(SPMDReplayConfig(**FAST), signal_following().spec, 8)
    state, batch = learner.init(jax.random.key(0)), random_trajectory(0)
    last = learner.warm_up.iterations
    # From inherited networks (below 0) they know what they knew.
    for iteration, told in ((last, False), (last + 1, True), (-1, True), (-1 - last, True)):
        critic = learner.judge(replace(state, iteration=jnp.asarray(iteration)), batch).critic
        assert critic is not None
        assert bool(jnp.any(critic.value(critic.features, batch.action) != 0.0)) is told
        assert float(critic.temperature) == pytest.approx(0.1 if told else 0.0)
        assert bool(critic.known) is told


def _certain(state: Any, by: float = 1.0) -> Any:
    """With an actor whose mean is higher by so much everywhere: tanh(1) = 0.76 and not the middle of the box."""

    def raised(path: Any, leaf: Any) -> Any:
        last = "Dense_1" in jax.tree_util.keystr(path) and leaf.ndim == 1
        return leaf.at[0].add(by) if last else leaf

    actor = jax.tree_util.tree_map_with_path(raised, state.weights.actor)
    return replace(state, weights=replace(state.weights, actor=actor))


@pytest.mark.parametrize("made", [0, 8, 20])
def test_a_judgement_is_the_actors_own_whoever_acts(made: int) -> None:
    learner = ReplayActorCritic(SPMDReplayConfig(**FAST), signal_following().spec, 8)
    state, shape = _certain(learner.init(jax.random.key(0))), (200, 100)
    state = replace(state, iteration=jnp.asarray(made))
    zeros, false = jnp.zeros(shape), jnp.zeros(shape, bool)
    seen = {"teacher": jnp.broadcast_to(jnp.array([0.3, -0.4]), (*shape, 2))}
    acting = learner.policy(state).distribution(seen)
    action = acting.sample(jax.random.key(1))
    batch = Trajectory(seen, false, seen, action, acting.log_prob(action), zeros, false, false, {})
    judged = learner.judge(state, batch)

    own = learner.actor.apply(state.weights.actor, state.normaliser(seen["teacher"]))
    mean, deviation = float(own.mean[0, 0, 0]), float(jnp.exp(own.log_std[0, 0, 0]))
    assert mean == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(judged.distribution.mean, np.tanh(mean), rtol=1e-5)
    np.testing.assert_allclose(judged.distribution.log_std, np.log(deviation * (1.0 - np.tanh(mean) ** 2)), atol=1e-4)
    # The action that it would have taken: of its own distribution, and the one that was taken where it acted.
    z = np.arctanh(np.asarray(judged.action, np.float64)).ravel()
    assert (z.mean(), z.std()) == pytest.approx((mean, deviation), abs=0.01)
    assert (made >= learner.warm_up.iterations) == np.array_equal(judged.action, action)


@pytest.mark.parametrize("imitation", ["mse", "kl", "nll"])
def test_a_student_learns_what_the_teacher_knows_and_not_its_warm_up(imitation: str) -> None:
    student = StudentConfig(
        imitation,
        epochs=8,
        minibatches=2,
        learning_rate=1e-2,
        learning_rate_schedule="constant",
        network=FAST["network"],
    )
    config = LearnToTeachConfig(SPMDReplayConfig(**FAST), student)
    algorithm, state, _ = _train(config, signal_following(), 0)
    agent = replace(state.learnt.agent, teacher=_certain(state.learnt.agent.teacher))
    state, iterate = replace(state, learnt=replace(state.learnt, agent=agent)), jax.jit(algorithm.iterate)
    for _ in range(7):  # of the warm-up's 8
        state, _ = iterate(state)
    assert bool(algorithm.policy(state.learnt, "teacher").warming_up)
    x = np.array([[0.6], [-0.6], [0.0]], np.float32)
    np.testing.assert_allclose(_actions(algorithm, state, "student", x), 2.0 * np.tanh(1.0), atol=0.3)


def test_inherited_networks_act_from_the_first_step_and_learn_no_sooner() -> None:
    config = SPMDReplayConfig(**(FAST | {"warm_up": 128}))  # two iterations
    algorithm, state, _ = _train(config, signal_following(), 0)
    old = replace(state.learnt, agent=_certain(state.learnt.agent))
    heir, _ = algorithm.heir(state.learnt, algorithm, old)
    shapes, _ = algorithm.heir(jax.eval_shape(lambda: state.learnt), algorithm, old)  # as a run is checked
    assert jax.tree.structure(heir) == jax.tree.structure(state.learnt) == jax.tree.structure(shapes)
    run, fresh, iterate = replace(state, learnt=heir), state, jax.jit(algorithm.iterate)
    for made in range(4):
        policies = [algorithm.policy(each.learnt, "teacher") for each in (run, fresh)]
        assert [bool(policy.warming_up) for policy in policies] == [False, made < 2]
        weights = run.learnt.agent.weights
        (run, metrics), (fresh, told) = iterate(run), iterate(fresh)
        assert bool(metrics["loss/critic"].known) == bool(told["loss/critic"].known) == (made >= 2)
        same = jax.tree.map(np.array_equal, weights.actor, run.learnt.agent.weights.actor)
        assert jax.tree.all(same) == (made < 2)
        if made == 0:  # the first estimate is the first batch's mean
            assert float(metrics["train/reward_rate"]) == pytest.approx(float(metrics["train/mean_reward"]), rel=1e-5)


def test_a_clip_of_ratios_that_a_replaying_teacher_has_not_is_refused() -> None:
    config = LearnToTeachConfig(SPMDReplayConfig(**FAST), StudentConfig(rl_coefficient=0.1, rl_clip=0.1, minibatches=2))
    with pytest.raises(ConfigurationError, match=r"rl_clip=0\.1 would change nothing"):
        build(config, BuildContext(signal_following(), 8, 10_000, NetworkConfig((16,))))


def test_student_and_replaying_teacher_can_share_the_environments() -> None:
    student = StudentConfig(imitation="kl", epochs=1, minibatches=1)
    config = LearnToTeachConfig(teacher=SPMDReplayConfig(**FAST), student=student, student_share=0.5)
    _, _, metrics = _train(config, signal_following(), 10)
    assert int(metrics["env_steps/student"]) == 8 * 8 * 0.5
    assert np.isfinite(float(metrics["loss/student_imitation"]))


def test_a_ring_that_memory_cannot_hold_is_refused_with_one_that_it_can() -> None:
    config = replace(FAMILY[2], buffer_size=10**13)
    with pytest.raises(ConfigurationError, match=r"buffer_size=10,000,000,000,000 steps.*GiB are free; half of that"):
        build(config, BuildContext(signal_following(), 8, 10_000, NetworkConfig((16,))))
