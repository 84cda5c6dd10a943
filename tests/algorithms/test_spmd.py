"""SPMD's parts against closed forms and explicit loops: what follows a step, what is paid, the loss, the statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from algorithms.build import learner
from algorithms.config import PPOConfig, SPMDConfig, SPMDVRTDConfig
from algorithms.spmd import adapted_step, mirror_descent_loss, paid_reward, scheduled_step
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from l2t.rl.distributions import DiagonalGaussian
from tests.support.probes import signal_following
from tests.support.trajectories import (
    ENVS,
    TIME,
    discounted_sum_by_a_loop,
    following_by_a_loop,
    limited,
    random_trajectory,
    with_values,
)

COST, RATE, SCALE, DECAY = 7.0, 0.3, 2.5, 0.8
SMALL: dict[str, Any] = {"num_steps": TIME, "minibatches": 4, "epochs": 2, "trace_decay": DECAY}
TRAJECTORY = random_trajectory(0)


def _learner(config: Any, reset_cost: float = COST, log_std: float = -0.5) -> Any:
    network = NetworkConfig((8,), initial_log_std=log_std)
    return learner(config, BuildContext(signal_following(reset_cost), ENVS, 10_000, network))


def _values(models: Any, state: Any, observation: np.ndarray) -> np.ndarray:
    return np.asarray(models.value(state, {"teacher": jnp.asarray(observation)}), np.float64)


@pytest.mark.parametrize("horizon", [float("inf"), 5.0])
def test_advantages_bootstrap_from_the_next_start_after_a_fall_and_from_the_true_successor_at_a_time_limit(
    horizon: float,
) -> None:
    spmd = _learner(SPMDConfig(**SMALL, horizon=horizon))
    goes_on = 1.0 - 1.0 / horizon
    state = with_values(spmd.init(jax.random.key(0)), reward_rate=RATE, value_scale=SCALE)
    value = SCALE * _values(spmd.models, state.models, np.asarray(TRAJECTORY.observation["teacher"]))
    next_value = SCALE * _values(spmd.models, state.models, following_by_a_loop(TRAJECTORY, "teacher"))
    reward = np.asarray(TRAJECTORY.reward) - COST * np.asarray(TRAJECTORY.terminated)
    delta = reward - RATE + goes_on * next_value - value
    expected = discounted_sum_by_a_loop(delta, goes_on * DECAY, limited(TRAJECTORY))
    np.testing.assert_allclose(spmd.judge(state, TRAJECTORY).advantage, expected, rtol=1e-4, atol=1e-4)


def test_ppo_takes_nothing_after_a_fall_and_the_true_successor_at_a_time_limit() -> None:
    ppo = _learner(PPOConfig(**SMALL, discount=0.9))
    state = with_values(ppo.init(jax.random.key(0)), value_mean=RATE, value_scale=SCALE)
    value = RATE + SCALE * _values(ppo.models, state.models, np.asarray(TRAJECTORY.observation["teacher"]))
    successor = RATE + SCALE * _values(ppo.models, state.models, np.asarray(TRAJECTORY.successor["teacher"]))
    terminated, truncated = np.asarray(TRAJECTORY.terminated), np.asarray(TRAJECTORY.truncated)
    delta = np.asarray(TRAJECTORY.reward) + 0.9 * np.where(terminated, 0.0, successor) - value
    expected = discounted_sum_by_a_loop(delta, 0.9 * DECAY, terminated | truncated)
    np.testing.assert_allclose(ppo.judge(state, TRAJECTORY).advantage, expected, rtol=1e-4, atol=1e-4)


def test_ppos_critic_is_centred_on_its_batch_and_scaled_by_a_running_deviation() -> None:
    """From the second iteration on; a running mean would be elsewhere."""
    ppo = _learner(PPOConfig(**SMALL, discount=0.9, value_scale_step=0.25))
    state = with_values(ppo.init(jax.random.key(0)), value_mean=100.0, value_scale=SCALE, iteration=1)
    value = 100.0 + SCALE * _values(ppo.models, state.models, np.asarray(TRAJECTORY.observation["teacher"]))
    target = np.asarray(ppo.judge(state, TRAJECTORY).advantage) + value
    learnt, _ = jax.jit(ppo.learn)(state, TRAJECTORY, jax.random.key(1))
    assert float(learnt.value_mean) == pytest.approx(target.mean(), rel=1e-5)
    assert float(learnt.value_scale) == pytest.approx(SCALE + 0.25 * (target.std() - SCALE), rel=1e-4)


def test_the_reward_that_is_paid_in_closed_form() -> None:
    """r - c 1[terminated] + μ ½ log(2πe σ²) per coordinate, and no more than for a uniform action."""
    policy = DiagonalGaussian(jnp.zeros((TIME, ENVS, 2)), jnp.array([-1.5, 0.3]))
    assert scipy.stats.norm(0.0, np.exp(0.3)).entropy() > scipy.stats.uniform(-1.0, 2.0).entropy()
    entropy = scipy.stats.norm(0.0, np.exp(-1.5)).entropy() + scipy.stats.uniform(-1.0, 2.0).entropy()
    expected = np.asarray(TRAJECTORY.reward) - COST * np.asarray(TRAJECTORY.terminated) + 0.2 * entropy
    np.testing.assert_allclose(paid_reward(TRAJECTORY, policy, COST, 0.2), expected, rtol=1e-5)
    np.testing.assert_allclose(paid_reward(TRAJECTORY, policy, 0.0, 0.0), np.asarray(TRAJECTORY.reward), rtol=0.0)


@pytest.mark.parametrize(
    ("clip", "entropy", "log_std"), [(float("inf"), 0.0, -0.2), (0.2, 0.0, -0.2), (0.2, 0.4, -0.9), (0.2, 0.4, -0.2)]
)
def test_the_mirror_descent_loss_in_closed_form(clip: float, entropy: float, log_std: float) -> None:
    """SciPy's densities, its integral for KL(π_k || π), and loops for the rest; η = 0.7."""
    rng = np.random.default_rng(1)
    mean, old_mean, action = (rng.normal(size=(5, 1)).astype(np.float32) for _ in range(3))
    log_std, old_log_std = np.float32(log_std), np.float32(0.4)
    advantage = rng.normal(size=5).astype(np.float32)
    grid = np.linspace(-15.0, 15.0, 300_001)
    gain, divergence = [], []
    standard = (advantage - advantage.mean()) / advantage.std()
    for i in range(5):
        new, old = (scipy.stats.norm(m[i, 0], np.exp(s)) for m, s in ((mean, log_std), (old_mean, old_log_std)))
        ratio = new.pdf(action[i, 0]) / old.pdf(action[i, 0])
        gain.append(min(ratio * standard[i], np.clip(ratio, 1.0 - clip, 1.0 + clip) * standard[i]))
        divergence.append(np.trapezoid(old.pdf(grid) * (old.logpdf(grid) - new.logpdf(grid)), grid))
    price = entropy * min(scipy.stats.norm(0.0, np.exp(log_std)).entropy(), np.log(2.0)) / advantage.std()
    expected = -np.mean(gain) + np.mean(divergence) / 0.7 - price
    old_policy = DiagonalGaussian(jnp.asarray(old_mean), jnp.full((5, 1), old_log_std))
    batch = {
        "action": jnp.asarray(action),
        "log_prob": old_policy.log_prob(jnp.asarray(action)),
        "advantage": jnp.asarray(advantage),
        "old": old_policy,
    }
    policy = DiagonalGaussian(jnp.asarray(mean), jnp.asarray([log_std]))
    config = SPMDConfig(ratio_clip=clip, entropy=entropy)
    assert float(mirror_descent_loss(config, policy, batch, jnp.asarray(0.7))) == pytest.approx(expected, rel=1e-4)


VRTD = SPMDVRTDConfig(SPMDConfig(**SMALL), features=16, critic_minibatches=4)


@pytest.mark.parametrize("config", [SPMDConfig(**SMALL), PPOConfig(**SMALL), VRTD], ids=["spmd", "ppo", "spmd_vrtd"])
def test_observation_statistics_are_those_of_what_was_seen(config: Any) -> None:
    """Almost: a new normaliser counts for a ten-thousandth of an observation."""
    built = _learner(config)
    state = built.init(jax.random.key(0))
    state, _ = jax.jit(built.learn)(state, TRAJECTORY, jax.random.key(1))
    second = random_trajectory(5)
    state, _ = jax.jit(built.learn)(state, second, jax.random.key(2))
    seen = np.concatenate([np.asarray(t.observation["teacher"]).reshape(-1, 2) for t in (TRAJECTORY, second)])
    models = state if config is VRTD else state.models
    for model in (models.actor, models.critic):
        np.testing.assert_allclose(model.normaliser.mean, seen.mean(axis=0), atol=1e-4)
        np.testing.assert_allclose(model.normaliser.variance, seen.var(axis=0), rtol=1e-3)


@pytest.mark.parametrize(
    ("with_price", "without"),
    [
        (SPMDConfig(**SMALL, entropy=5.0), SPMDConfig(**SMALL)),
        (PPOConfig(**SMALL, entropy=5.0), PPOConfig(**SMALL)),
        (replace(VRTD, actor=SPMDConfig(**SMALL, entropy=5.0)), VRTD),
    ],
    ids=["spmd", "ppo", "spmd_vrtd"],
)
@pytest.mark.parametrize("log_std", [-1.5, 0.0])
def test_a_price_on_entropy_widens_a_policy_that_is_narrower_than_what_the_task_can_tell_apart(
    with_price: Any, without: Any, log_std: float
) -> None:
    """From the same state on the same batch; beyond the uniform distribution's entropy nothing more is paid for."""
    ends = []
    for config in (with_price, without):
        built = _learner(config, log_std=log_std)
        state = built.init(jax.random.key(0))
        policy = built.policy(state).distribution(TRAJECTORY.observation)
        trajectory = replace(TRAJECTORY, log_prob=policy.log_prob(TRAJECTORY.action))
        state, _ = jax.jit(built.learn)(state, trajectory, jax.random.key(1))
        ends.append(float(built.policy(state).distribution(TRAJECTORY.observation).log_std.mean()))
    if log_std < -1.0:
        assert ends[0] > ends[1] + 1e-3
    else:
        assert ends[0] == pytest.approx(ends[1], abs=1e-3)


def test_the_reward_rate_starts_at_the_first_batchs_mean_and_then_follows_slowly() -> None:
    spmd = _learner(SPMDConfig(**SMALL, reward_rate_step=0.25))
    paid = [np.mean(np.asarray(t.reward) - COST * np.asarray(t.terminated)) for t in (TRAJECTORY, random_trajectory(5))]
    state, _ = jax.jit(spmd.learn)(spmd.init(jax.random.key(0)), TRAJECTORY, jax.random.key(1))
    assert float(state.reward_rate) == pytest.approx(paid[0], rel=1e-5)
    state, _ = jax.jit(spmd.learn)(state, random_trajectory(5), jax.random.key(2))
    assert float(state.reward_rate) == pytest.approx(0.75 * paid[0] + 0.25 * paid[1], rel=1e-5)


@pytest.mark.parametrize(("divergence", "factor"), [(0.0226, 1 / 1.5), (0.0224, 1.0), (0.0101, 1.0), (0.0099, 1.5)])
def test_the_adaptive_step_moves_by_its_factor_outside_the_band_around_the_target(
    divergence: float, factor: float
) -> None:
    config = SPMDConfig(target_kl=0.015, step_size=2.0)
    assert float(adapted_step(config, jnp.asarray(2.0), jnp.asarray(divergence))) == pytest.approx(2.0 * factor)
    bounded = replace(config, min_step_size=1.9, max_step_size=2.1)
    expected = min(max(2.0 * factor, 1.9), 2.1)
    assert float(adapted_step(bounded, jnp.asarray(2.0), jnp.asarray(divergence))) == pytest.approx(expected)


def test_the_step_of_an_iteration_is_that_of_its_schedule() -> None:
    steps = {
        name: float(scheduled_step(SPMDConfig(step_schedule=name, step_size=0.8), jnp.asarray(3.0), jnp.asarray(8)))
        for name in ("constant", "sqrt", "adaptive")
    }
    assert steps == pytest.approx({"constant": 0.8, "sqrt": 0.8 / 3.0, "adaptive": 3.0})


def test_a_robot_on_its_back_sets_no_scale_where_it_is_that_of_quartiles() -> None:
    """One step is paid far less than all others: what is learnt of those stays as it was."""
    fallen = replace(TRAJECTORY, reward=TRAJECTORY.reward.at[-1, 0].add(-5_000.0))
    scales, errors = {}, {}
    for spread in ("deviation", "quartiles"):
        bound = {"spread": spread} | ({"outlier": 5.0} if spread == "quartiles" else {})
        spmd = _learner(SPMDConfig(**SMALL | {"trace_decay": 0.0} | bound))
        start = spmd.init(jax.random.key(0))
        for name, trajectory in (("upright", TRAJECTORY), ("fallen", fallen)):
            state, metrics = jax.jit(spmd.learn)(start, trajectory, jax.random.key(1))
            scales[spread, name], errors[spread, name] = float(state.value_scale), float(metrics["loss/critic"])
    assert scales["deviation", "fallen"] > 10.0 * scales["deviation", "upright"]
    assert scales["quartiles", "fallen"] == pytest.approx(scales["quartiles", "upright"], rel=0.3)
    # Beyond five widths Huber's loss is a line: it grows with the distance, not with its square.
    distance = 5_000.0 / scales["quartiles", "fallen"]
    assert errors["quartiles", "fallen"] == pytest.approx(5.0 * distance / (TIME * ENVS), rel=0.3)


def test_the_scale_of_quartiles_is_that_of_the_target() -> None:
    spmd = _learner(SPMDConfig(**SMALL, spread="quartiles"))
    start = spmd.init(jax.random.key(0))
    state, _ = jax.jit(spmd.learn)(start, TRAJECTORY, jax.random.key(1))
    advantage = spmd.judge(replace(start, reward_rate=state.reward_rate), TRAJECTORY).advantage
    value = _values(spmd.models, start.models, np.asarray(TRAJECTORY.observation["teacher"]))
    expected = scipy.stats.iqr(np.asarray(advantage) + value, scale="normal")
    assert float(state.value_scale) == pytest.approx(expected, rel=1e-3)


def test_an_outlier_that_nothing_looks_at_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"algorithm.outlier=3.0 would change nothing"):
        SPMDConfig(outlier=3.0)
    with pytest.raises(ConfigurationError, match="spread"):
        SPMDVRTDConfig(SPMDConfig(spread="quartiles"))
