"""Integrated Gradients on rewards whose attributions are known in closed form."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.attribution import attribute, integrated_gradients, quadrature

W = jnp.array([2.0, -1.0, 0.5])
NAMES = ("speed", "height", "pitch")


def linear(x):
    return x @ W


def additive(x):
    return jnp.sin(x[..., 0]) + x[..., 1] ** 2 - jnp.tanh(3.0 * x[..., 2])


def network(activation, sizes=(3, 256, 256), seed=0):
    rng = np.random.default_rng(seed)
    layers = [
        (
            jnp.asarray(rng.normal(size=(a, b)) * np.sqrt(2.0 / a), jnp.float32),
            jnp.asarray(rng.normal(size=b) * 0.3, jnp.float32),
        )
        for a, b in itertools.pairwise(sizes)
    ]
    last = jnp.asarray(rng.normal(size=sizes[-1]) / np.sqrt(sizes[-1]), jnp.float32)

    def reward(x):
        for weight, bias in layers:
            x = activation(x @ weight + bias)
        return x @ last

    return reward


@pytest.fixture
def pairs():
    x, b = np.random.default_rng(0).normal(size=(2, 200, 3)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(b)


def test_a_linear_reward_is_attributed_weight_times_difference(pairs):
    x, b = pairs
    np.testing.assert_allclose(integrated_gradients(linear, x, b), W * (x - b), atol=1e-5)


def test_an_additive_reward_is_attributed_the_difference_of_each_term(pairs):
    x, b = pairs
    expected = np.stack(
        [np.sin(x[:, 0]) - np.sin(b[:, 0]), x[:, 1] ** 2 - b[:, 1] ** 2, np.tanh(3 * b[:, 2]) - np.tanh(3 * x[:, 2])], 1
    )
    np.testing.assert_allclose(integrated_gradients(additive, x, b), expected, atol=2e-5)


def test_a_product_is_shared_equally_from_the_origin(pairs):
    x, _ = pairs
    found = integrated_gradients(lambda x: x[..., 0] * x[..., 1], x, jnp.zeros_like(x))
    np.testing.assert_allclose(found[:, 0], 0.5 * x[:, 0] * x[:, 1], atol=1e-5)
    np.testing.assert_allclose(found[:, 1], found[:, 0], atol=1e-5)


@pytest.mark.parametrize("nodes", [1, 5, 64])
def test_the_quadrature_is_exact_up_to_twice_its_nodes(nodes):
    node, weight = quadrature(nodes)
    for power in range(2 * nodes):
        assert weight @ node**power == pytest.approx(1.0 / (power + 1), rel=1e-12)
    assert weight @ node ** (2 * nodes) != pytest.approx(1.0 / (2 * nodes + 1), rel=1e-12) or nodes > 5


def test_smooth_networks_are_complete_within_one_per_cent_and_relu_is_not():
    x, b = np.random.default_rng(1).normal(size=(2, 50, 3))
    errors = {
        name: attribute(network(activation), x, b, NAMES, tolerance=np.inf).completeness_error
        for name, activation in {"tanh": jnp.tanh, "elu": jax.nn.elu, "relu": jax.nn.relu}.items()
    }
    assert errors["tanh"] < 1e-3
    assert errors["elu"] < 1e-2
    assert errors["relu"] > 5.0 * errors["elu"]


def test_few_nodes_are_reported_as_incomplete_and_by_default_made_more():
    x, b = 3.0 * np.random.default_rng(1).normal(size=(2, 200, 3))
    assert attribute(network(jnp.tanh), x, b, NAMES, nodes=2, tolerance=np.inf).completeness_error > 0.05
    assert attribute(network(jnp.tanh), x, b, NAMES, nodes=2).completeness_error < 0.01


def test_the_summary_of_a_linear_reward_is_known():
    rng = np.random.default_rng(2)
    x, baseline = rng.normal(size=(400, 3)), np.tile([[0.3, -0.2, 0.1]], (30, 1))
    found = attribute(linear, x, baseline, NAMES)
    expected = np.asarray(W) * (x - baseline[0])
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    np.testing.assert_allclose(found.mean.estimate, expected.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.magnitude.estimate, np.abs(expected).mean(0), atol=1e-5)
    np.testing.assert_allclose(found.slope.estimate, np.asarray(W) * np.vstack([x, baseline]).std(0), rtol=1e-4)
    # The bootstrap's interval of a mean is the normal one.
    half = 1.96 * expected.std(0) / np.sqrt(400)
    np.testing.assert_allclose(found.mean.high - found.mean.low, 2.0 * half, rtol=0.12)


def test_mean_attributions_sum_to_the_difference_of_mean_rewards():
    rng = np.random.default_rng(3)
    x, expert = rng.normal(size=(300, 3)), rng.normal(size=(1, 3)).repeat(40, 0)
    found = attribute(additive, x, expert, NAMES)
    gap = float(jnp.mean(additive(x)) - jnp.mean(additive(expert)))
    assert found.mean.estimate.sum() == pytest.approx(gap, abs=1e-4)


def test_noise_gets_nothing_and_a_duplicate_is_reported_with_its_original():
    rng = np.random.default_rng(4)
    base = rng.normal(size=(500, 3))
    x = np.column_stack([base, base[:, 0] ** 3 + 1.0])  # a monotone copy of the first column
    found = attribute(
        lambda x: 2.0 * x[..., 0] + x[..., 1] + 0.5 * x[..., 3], x[:250], x[250:], ("a", "b", "noise", "copy")
    )
    assert found.groups == ((0, 3), (1,), (2,))
    assert found.group_magnitude.names == ("a + copy", "b", "noise")
    assert found.magnitude["noise"].estimate == 0.0
    assert found.group_magnitude["a + copy"].estimate > found.magnitude["a"].estimate
    assert found.group_magnitude.ranked().names[0] == "a + copy"


def test_opposite_duplicates_cancel_in_their_group():
    base = np.random.default_rng(5).normal(size=(400, 2))
    x = np.column_stack([base, base[:, 0]])
    found = attribute(lambda x: x[..., 0] - x[..., 2] + 0.1 * x[..., 1], x[:200], x[200:], ("a", "b", "copy"))
    assert found.magnitude["a"].estimate > 0.5
    assert found.group_magnitude["a + copy"].estimate == pytest.approx(0.0, abs=1e-5)


def test_the_share_of_paths_outside_the_support_is_that_of_chords_of_a_ring():
    angle = np.random.default_rng(6).uniform(0.0, 2.0 * np.pi, 2000)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    found = attribute(lambda x: x[..., 0], ring[:200], ring[200:], ("x", "y"))
    assert found.outside > 0.8
    ball = np.random.default_rng(6).normal(size=(2000, 2))
    assert attribute(lambda x: x[..., 0], ball[:200], ball[200:], ("x", "y")).outside < 0.05


def test_an_episode_counts_once_however_often_it_is_repeated():
    rng = np.random.default_rng(7)
    once, expert = rng.normal(size=(60, 3)), np.zeros((30, 3)) + 0.1
    often, episode = np.repeat(once, 8, axis=0), np.repeat(np.arange(60), 8)
    alone = attribute(linear, once, expert, NAMES, nodes=1, baselines=1).mean
    together = attribute(linear, often, expert, NAMES, nodes=1, baselines=1, episode=episode).mean
    np.testing.assert_allclose(together.high - together.low, alone.high - alone.low, rtol=1e-6)
    careless = attribute(linear, often, expert, NAMES, nodes=1, baselines=1).mean
    assert np.all(careless.high - careless.low < 0.4 * (alone.high - alone.low))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"names": ("a", "b")}, "one name per column"),
        ({"names": ("a", "a", "b")}, "repeat 'a'"),
        ({"samples": np.full((50, 3), np.nan)}, "not finite"),
        ({"samples": np.zeros(3)}, "at least 2 samples"),
        ({"reward": lambda x: jnp.zeros(x.shape[:-1])}, "nothing to attribute"),
        ({"reward": lambda x: x}, "one number for each"),
        ({"groups": ((0,), (1,))}, "once"),
        ({"episode": np.zeros(50)}, "one episode"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, says):
    rng = np.random.default_rng(8)
    given = {"reward": linear, "samples": rng.normal(size=(50, 3)), "names": NAMES} | change
    with pytest.raises(L2TError, match=says) as error:
        attribute(given.pop("reward"), given.pop("samples"), rng.normal(size=(50, 3)), given.pop("names"), **given)
    assert "\n" not in str(error.value)
