"""How networks start, by linear algebra."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.models import MLP, Actor, Critic
from tests.support.probes import signal_following


@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_layers_start_orthogonal_hidden_ones_with_gain_root_two_and_the_last_with_its_own(gain: float) -> None:
    weights = MLP((12, 7), 3, "tanh", gain).init(jax.random.key(0), jnp.zeros(5))["params"]
    assert [layer["kernel"].shape for layer in weights.values()] == [(5, 12), (12, 7), (7, 3)]
    for layer, expected in zip(weights.values(), (2.0**0.5, 2.0**0.5, gain), strict=True):
        singular = np.linalg.svd(np.asarray(layer["kernel"], np.float64), compute_uv=False)
        np.testing.assert_allclose(singular, expected, rtol=1e-5)
        assert not layer["bias"].any()


def test_a_policy_starts_near_zero_with_the_configured_deviation_and_a_critic_farther_off() -> None:
    spec, network = signal_following().spec, NetworkConfig((64, 64), initial_log_std=-0.7)
    observation = {"teacher": jax.random.normal(jax.random.key(1), (500, 2))}
    actor = Actor.of_group("teacher", spec, network)
    policy = actor.policy(actor.init(jax.random.key(0))).distribution(observation)
    np.testing.assert_allclose(policy.log_std, -0.7)
    critic = Critic("teacher", 2, network)
    value = critic.value(critic.init(jax.random.key(0)), observation)
    assert 0.0 < float(policy.mean.std()) < 0.01
    assert float(value.std()) > 5.0 * float(policy.mean.std())


@pytest.mark.parametrize("hidden", [64, "64"])
def test_widths_that_are_no_list_get_a_message(hidden):
    with pytest.raises(ConfigurationError, match=rf"network\.hidden={hidden!r} must be a list, such as \[64, 64\]"):
        NetworkConfig(hidden=hidden)
