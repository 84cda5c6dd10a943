"""Batch renormalisation and joint passes against NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.replay.cross_critic import EPSILON, MOMENTUM, WARM_UP, BatchRenorm, CrossCritic
from algorithms.replay.networks import smaller
from l2t.config import NetworkConfig

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, (64, 3)).astype(np.float32)


def _apply(count: float, mean: float, variance: float, training: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    full = jnp.ones(3, jnp.float32)
    stats = {"mean": mean * full, "variance": variance * full, "count": jnp.asarray(count)}
    params = {"scale": full, "shift": 0.0 * full}
    y, changed = BatchRenorm().apply({"params": params, "stats": stats}, jnp.asarray(X), training, mutable=["stats"])
    return np.asarray(y), jax.tree.map(np.asarray, changed["stats"])


def test_at_first_it_is_a_batch_norm_and_its_averages_follow() -> None:
    y, stats = _apply(0.0, 5.0, 2.0, training=True)
    np.testing.assert_allclose(y, (X - X.mean(0)) / np.sqrt(X.var(0) + EPSILON), atol=1e-4)
    np.testing.assert_allclose(stats["mean"], MOMENTUM * 5.0 + (1 - MOMENTUM) * X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["variance"], MOMENTUM * 2.0 + (1 - MOMENTUM) * X.var(0), rtol=1e-5)
    assert stats["count"] == 1.0


def test_when_it_is_warm_training_and_evaluation_agree_within_the_bounds() -> None:
    trained, _ = _apply(WARM_UP, 1.0, 6.0, training=True)
    evaluated, _ = _apply(WARM_UP, 1.0, 6.0, training=False)
    np.testing.assert_allclose(trained, evaluated, atol=1e-4)
    np.testing.assert_allclose(evaluated, (X - 1.0) / np.sqrt(6.0 + EPSILON), atol=1e-4)
    far, _ = _apply(WARM_UP, -500.0, 1.0, training=True)
    normed = (X - X.mean(0)) / np.sqrt(X.var(0) + EPSILON)
    r = np.clip(np.sqrt((X.var(0) + EPSILON) / (1.0 + EPSILON)), 1 / 3, 3)
    np.testing.assert_allclose(far, normed * r + 5.0, atol=1e-3)


def test_a_joint_pass_normalises_both_halves_together_and_gradients_reach_the_values_at_s_and_a() -> None:
    critic = CrossCritic(5, NetworkConfig((8,), "tanh"))
    critics = critic.init(jax.random.key(0))
    now, later = ((jnp.asarray(RNG.normal(c, 1.0, (16, n)), jnp.float32) for n in (3, 2)) for c in (0.0, 4.0))
    now, later = tuple(now), tuple(later)
    before, after, stats = critic.joint(critics.params, critics, now, later)
    both = np.concatenate([np.concatenate(now, -1), np.concatenate(later, -1)])
    first = stats[0]["BatchRenorm_0"]
    np.testing.assert_allclose(first["mean"], (1 - MOMENTUM) * both.mean(0), rtol=1e-4)
    alone, _, _ = critic.joint(critics.params, critics, now, now)
    assert np.abs(np.asarray(alone[0]) - np.asarray(before[0])).max() > 0.05
    assert after[0].shape == before[0].shape == (16,)

    def loss(params: object) -> jax.Array:
        (one, other), _, _ = critic.joint(params, critics, now, later)
        return (one**2 + other**2).mean()

    gradient = jax.grad(loss)(critics.params)
    assert float(jnp.abs(gradient[0]["Dense_0"]["kernel"]).max()) > 0.0
    np.testing.assert_allclose(smaller(before), np.minimum(*map(np.asarray, before)))


@pytest.mark.parametrize("shape", [(), (4,), (4, 5)])
def test_values_by_the_running_averages_take_any_batch(shape: tuple[int, ...]) -> None:
    critic = CrossCritic(5, NetworkConfig((8,), "tanh"))
    critics = critic.init(jax.random.key(0))
    features, action = jnp.ones((*shape, 3)), 0.5 * jnp.ones((*shape, 2))
    one, other = critic.apply(critics, features, action)
    assert one.shape == other.shape == shape
    assert not np.allclose(one, other)
