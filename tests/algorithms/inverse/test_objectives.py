"""Objectives of learned rewards against NumPy, written out sign by sign, and f-IRL's gradient against the exact one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.inverse.f_irl import LIMIT, PULLS, stretch_covariance
from algorithms.inverse.iq_learn import iq_loss
from algorithms.inverse.objectives import AIRL, GAIL, IPMD
from l2t.config import NetworkConfig
from l2t.rewards.model import RewardModel
from tests.support.all_trajectories import enumerate_trajectories, f_irl_gradient, trajectory_distribution
from tests.support.trajectories import random_trajectory

NETWORK = NetworkConfig((8,), "tanh")


def _model(inputs: str, **options: Any) -> RewardModel:
    return RewardModel(inputs, "teacher", 2, 1, NETWORK, **options)


def _sides(objective: Any) -> tuple[Any, list[Any], list[np.ndarray]]:
    """Weights of some size, features of policy and expert, and their log-densities."""
    keys = jax.random.split(jax.random.key(0), len(objective.models))
    states = {name: model.init(key) for (name, model), key in zip(objective.models.items(), keys, strict=True)}
    weights = jax.tree.map(lambda w: 3.0 * w + 0.1, {name: state.weights for name, state in states.items()})
    normalisers = {name: state.normaliser for name, state in states.items()}
    features, log_probs = [], []
    for seed in (1, 2):
        batch = random_trajectory(seed)
        features.append(objective.features(normalisers, batch.transitions(), batch.log_prob))
        log_probs.append(np.asarray(batch.log_prob, np.float64))
    return weights, features, log_probs


def _raw(model: RewardModel, weights: Any, x: Any) -> np.ndarray:
    return np.asarray(model.raw(weights, x), np.float64)


def _logistic(ours: np.ndarray, theirs: np.ndarray) -> float:
    def probability(y: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-y))

    return -np.log(probability(theirs)).mean() - np.log(1.0 - probability(ours)).mean()


def test_ipmd_pays_the_expert_more_at_the_price_of_the_squared_norm() -> None:
    objective = IPMD(_model("state_action", bound=2.0), penalty=0.3, gradient_penalty=0.0)
    weights, (policy, expert), _ = _sides(objective)
    loss, _ = objective.loss(weights, policy, expert, jax.random.key(1))
    ours, theirs = (2.0 * np.tanh(_raw(objective.model, weights["reward"], side["x"])) for side in (policy, expert))
    wanted = ours.mean() - theirs.mean() + 0.3 * ((ours**2).mean() + (theirs**2).mean())
    assert float(loss) == pytest.approx(wanted, abs=1e-5)
    np.testing.assert_allclose(objective.pay(weights, policy), ours, atol=1e-5)


def test_gail_calls_the_expert_one_and_pays_minus_the_log_of_one_minus_d() -> None:
    objective = GAIL(_model("state_action", output="softplus"), gradient_penalty=0.0)
    weights, (policy, expert), _ = _sides(objective)
    loss, _ = objective.loss(weights, policy, expert, jax.random.key(1))
    ours, theirs = (_raw(objective.model, weights["reward"], side["x"]) for side in (policy, expert))
    assert float(loss) == pytest.approx(_logistic(ours, theirs), abs=1e-5)
    np.testing.assert_allclose(objective.pay(weights, policy), -np.log(1.0 - 1.0 / (1.0 + np.exp(-ours))), atol=1e-5)


def test_airls_logit_has_the_shaping_undiscounted_and_the_policys_log_density_taken_off() -> None:
    objective = AIRL(_model("state_action", output="linear"), _model("state", output="linear"), gradient_penalty=0.0)
    weights, sides, log_probs = _sides(objective)
    loss, _ = objective.loss(weights, *sides, jax.random.key(1))
    logits = []
    for side, log_prob in zip(sides, log_probs, strict=True):
        g = _raw(objective.model, weights["reward"], side["x"])
        h, later = (_raw(objective.potential, weights["potential"], side[name]) for name in ("state", "following"))
        np.testing.assert_allclose(objective.pay(weights, side), g + later - h, atol=1e-5)
        logits.append(g + later - h - log_prob)
    assert float(loss) == pytest.approx(_logistic(*logits), rel=1e-5)


def test_iq_learns_loss_sums_the_experts_gain_the_mixtures_values_and_its_chi_square() -> None:
    rng = np.random.default_rng(3)
    q, value, following = rng.normal(size=(3, 10))
    loss, metrics = iq_loss(*(jnp.asarray(x, jnp.float32) for x in (q, value, following)), ours=4, chi2=0.5)
    gain = sum(q[i] - following[i] for i in range(4, 10)) / 6
    values = sum(value[i] - following[i] for i in range(10)) / 10
    size = sum((q[i] - following[i]) ** 2 for i in range(10)) / 10
    assert float(loss) == pytest.approx(-gain + values + size / 2, abs=1e-5)
    assert float(metrics["learned_reward/gap"]) == pytest.approx(gain - sum(q[:4] - following[:4]) / 4, abs=1e-5)
    assert float(metrics["learned_reward/rms"]) == pytest.approx(size**0.5, abs=1e-5)


def test_the_gradient_penalty_is_that_of_slopes_above_one() -> None:
    model = _model("state_action", output="linear")
    plain, priced = (GAIL(model, gradient_penalty=weight) for weight in (0.0, 0.5))
    weights, (policy, _), _ = _sides(plain)
    weights = jax.tree.map(lambda w: 2.0 * w, weights)  # steep enough to be priced
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), policy)
    key = jax.random.key(1)
    extra = priced.loss(weights, flat, flat, key)[0] - plain.loss(weights, flat, flat, key)[0]

    # Between a point and itself there is but this point; central differences give the slope.
    x, slopes = np.asarray(flat["x"], np.float32), []
    for i in range(x.shape[1]):
        step = np.zeros(x.shape[1], np.float32)
        step[i] = 3e-3
        slopes.append((_raw(model, weights["reward"], x + step) - _raw(model, weights["reward"], x - step)) / 6e-3)
    norm = np.sqrt((np.array(slopes) ** 2).sum(axis=0))
    wanted = 0.5 * (np.maximum(norm - 1.0, 0.0) ** 2).mean()
    assert wanted > 0.01
    assert float(extra) == pytest.approx(wanted, rel=2e-2)


@pytest.mark.parametrize(("kind", "name"), [("forward", "fkl"), ("reverse", "rkl"), ("jensen_shannon", "js")])
def test_the_stretches_gradient_is_f_irls_where_every_trajectory_is_in_the_batch(kind: str, name: str) -> None:
    steps = np.eye(3)[np.array([[0, 1], [2, 0], [1, 2]])]  # deterministic, so that r = 0 makes all trajectories alike
    paths = enumerate_trajectories(steps, np.array([1.0, 0.0, 0.0]), 4)
    zero = np.zeros((3, 2))
    np.testing.assert_allclose(trajectory_distribution(paths, zero), 1.0 / len(paths.states))
    visits = paths.pair_counts().mean(axis=0) / 4
    expert = np.where(visits > 0, np.random.default_rng(0).uniform(0.5, 1.5, (3, 2)), 0.0)
    expert /= expert.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(visits > 0, np.log(expert / visits), 0.0)
    assert np.abs(ratio).max() < LIMIT
    seen = visits.reshape(-1) > 0
    counts = paths.pair_counts().reshape(len(paths.states), -1)[:, seen]
    exact = f_irl_gradient(paths, zero, expert.reshape(-1)[seen], counts, kind)
    pull = PULLS[name](jnp.asarray(ratio, jnp.float32))[paths.states, paths.actions].T

    def loss(table: Any) -> Any:
        return stretch_covariance(pull, table[paths.states, paths.actions].T)

    np.testing.assert_allclose(jax.grad(loss)(jnp.zeros((3, 2))), exact, atol=1e-5)
