"""What a reward learner keeps of its run: a mean of rewards, and steps of earlier policies."""

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
from algorithms.inverse.past import PastSteps
from algorithms.inverse.reward import RewardLearner
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rewards.artefact import LearnedReward, load
from l2t.rl.algorithm import BuildContext
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.policy import Memoryless
from l2t.rl.types import Observation, Trajectory, Transitions
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following
from tests.support.trajectories import random_trajectory

ITERATIONS, MEMBERS = 12, 4
PROBE = signal_following()


def _learner(mean_of: int, replay: int = 0, learning_rate: float = 0.01) -> RewardLearner:
    found = demonstrate(PROBE, lambda o: o[:, 0], 3)
    context = BuildContext(PROBE, 4, ITERATIONS * 64 * 4, NetworkConfig(), load_demonstrations=lambda path: found)
    network = NetworkConfig((16,), "tanh")
    config = RewardConfig(network=network, learning_rate=learning_rate, mean_of=mean_of, replay=replay)
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


def _steps(seed: int, time: int = 6, envs: int = 4) -> Transitions:
    """Steps that say which iteration they are of."""
    batch = random_trajectory(seed)
    steps = jax.tree.map(lambda x: x[:time, :envs], batch.transitions())
    return replace(steps, reward=jnp.full((time, envs), float(seed)))


def test_past_steps_are_as_many_of_each_iteration() -> None:
    like = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), _steps(0))
    past = PastSteps.create(like, 33)  # of 4 iterations: 8 of each, and room for one more
    for iteration in range(4):
        past = jax.jit(PastSteps.followed_by, static_argnums=3)(past, _steps(iteration), jax.random.key(iteration), 4)
        assert int(past.count) == 8 * (iteration + 1)
        drawn = np.asarray(past.draw(jax.random.key(9), 500).reward)
        assert set(drawn) == set(range(iteration + 1))
    counts = np.bincount(np.asarray(past.draw(jax.random.key(9), 40_000).reward).astype(int))
    np.testing.assert_allclose(counts / 40_000, 0.25, atol=0.01)


def test_a_step_is_kept_whole() -> None:
    steps = _steps(3)
    like = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)
    past = PastSteps.create(like, 10).followed_by(steps, jax.random.key(0), 1)
    for row in range(10):
        action = past.steps.action[row]
        (place,) = np.flatnonzero((np.asarray(like.action) == action).all(-1))
        for ours, theirs in zip(jax.tree.leaves(past.steps), jax.tree.leaves(like), strict=True):
            np.testing.assert_array_equal(ours[row], theirs[place])


def test_a_reward_that_replays_still_tells_what_earlier_policies_did() -> None:
    """The policy did one thing and then another; a reward of the newest batch alone forgets the first."""
    paid = {}
    for replay in (0, 480):
        learner = _learner(1, replay=replay, learning_rate=0.03)
        state = learner.init(jax.random.key(1))
        learn = jax.jit(lambda s, t, k, learner=learner: learner.learn(s, t, POLICY, k))
        early, late = (replace(_batch(0), action=jnp.full((12, 4, 1), a)) for a in (-0.9, 0.9))
        for iteration in range(ITERATIONS):
            batch = early if iteration < 4 else late
            state, _ = learn(state, batch, jax.random.key(iteration))
        paid[replay] = float(learner.relabel(state, early).reward.mean() - learner.relabel(state, late).reward.mean())
    assert paid[0] > paid[480] + 0.3, paid


def test_a_replay_too_small_for_the_run_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 12"):
        _learner(1, replay=11)
