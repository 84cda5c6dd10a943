"""What a reward learner keeps of its run: a mean of its rewards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from algorithms.inverse.build import learned_reward
from algorithms.inverse.config import IPMDConfig, RewardConfig
from algorithms.inverse.reward import RewardLearner
from l2t.config import NetworkConfig
from l2t.rewards.artefact import LearnedReward, load
from l2t.rl.algorithm import BuildContext
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.policy import Memoryless
from l2t.rl.types import Observation, Trajectory
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following
from tests.support.trajectories import random_trajectory

ITERATIONS, MEMBERS = 12, 4
PROBE = signal_following()


def _learner(mean_of: int) -> RewardLearner:
    found = demonstrate(PROBE, lambda o: o[:, 0], 3)
    context = BuildContext(PROBE, 4, ITERATIONS * 64 * 4, NetworkConfig(), load_demonstrations=lambda path: found)
    network = NetworkConfig((16,), "tanh")
    config = RewardConfig(network=network, learning_rate=0.01, mean_of=mean_of)
    learner = learned_reward(IPMDConfig("x", reward=config), context)
    assert learner.iterations == ITERATIONS
    return learner


def _after_each(learner: RewardLearner, iterations: int) -> list[LearnedReward]:
    """What would be left of it, had the run ended there."""
    state, kept = learner.init(jax.random.key(1)), []
    learn = jax.jit(lambda s, t, k: learner.learn(s, t, POLICY, k))
    for iteration in range(iterations):
        state, _ = learn(state, _batch(iteration), jax.random.key(iteration))
        model, found = learner.kept(state)
        kept.append(LearnedReward(model, found, "probe", model.names(PROBE.spec)))
    return kept


def _batch(seed: int) -> Trajectory:
    return random_trajectory(seed)


def _distribution(observation: Observation) -> DiagonalGaussian:
    signal: Float[Array, "*batch 1"] = observation["teacher"][..., :1]
    return DiagonalGaussian(-signal, jnp.zeros(1))


POLICY = Memoryless(_distribution)
X = jnp.asarray(np.random.default_rng(0).normal(size=(50, 3)), jnp.float32)


@pytest.fixture(scope="module")
def alone() -> list[np.ndarray]:
    """What the last reward of every iteration pays."""
    return [np.asarray(reward.of_inputs(X)) for reward in _after_each(_learner(1), ITERATIONS)]


@pytest.mark.parametrize(("ended", "of"), [(12, (3, 6, 9, 12)), (7, (3, 6, 7, 7)), (1, (1, 1, 1, 1))])
def test_the_mean_is_of_rewards_evenly_spaced_over_the_run(
    alone: list[np.ndarray], ended: int, of: tuple[int, ...]
) -> None:
    mean = _after_each(_learner(MEMBERS), ended)[-1]
    np.testing.assert_allclose(mean.of_inputs(X), np.mean([alone[i - 1] for i in of], axis=0), rtol=1e-5, atol=1e-6)
    assert np.ptp([alone[i - 1] for i in (3, 12)], axis=0).max() > 0.05, "the run's rewards must differ"


def test_a_mean_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    mean = _after_each(_learner(MEMBERS), 3)[-1]
    found = load(mean.save(tmp_path / "reward"))
    assert found.model == mean.model
    assert found.model.members == MEMBERS
    np.testing.assert_array_equal(
        found.of(X[:, :2], jnp.clip(X[:, 2:], -1, 1)), mean.of(X[:, :2], jnp.clip(X[:, 2:], -1, 1))
    )


def test_a_mean_of_equals_is_each_of_them() -> None:
    one = _after_each(_learner(1), 1)[-1]
    members = jax.tree.map(lambda x: jnp.stack([x] * 3), one.state)
    mean = replace(one, model=replace(one.model, members=3), state=members)
    np.testing.assert_allclose(mean.of_inputs(X), one.of_inputs(X), rtol=1e-6)
