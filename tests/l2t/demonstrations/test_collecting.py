"""Roll-outs against a loop over the environment, one step of one instance at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from l2t.demonstrations import collecting
from l2t.demonstrations.collecting import play
from l2t.errors import ConfigurationError
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.policy import Memoryless
from tests.support.probes import Probe

STD = 0.5


def wandering() -> Probe:
    """A point that noise and the action push about; beyond 1 the episode ends. 20 steps at most."""

    def advance(key, memory, action):
        after = memory + 0.1 * action + 0.2 * jax.random.normal(key, (2,))
        return after, -jnp.sum(memory**2), jnp.abs(after[0]) > 1.0

    return Probe(lambda key: jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5), advance, size=2)


def distribution(observation):
    return DiagonalGaussian(0.2 - 0.9 * observation["teacher"][:, :1], jnp.full(1, jnp.log(STD)))


def programs(environment):
    return jax.jit(environment.reset), jax.jit(environment.step)


def replayed(reset, step, seed, actions):
    """The episode that these actions of the task make from this seed."""
    state = reset(jax.random.split(jax.random.key(seed))[1])
    seen = [state.observation["teacher"]]
    rewards, ends = [], []
    for action in actions:
        state = step(state, jnp.asarray(action))
        seen.append(state.observation["teacher"])
        rewards.append(state.reward)
        ends.append((bool(state.terminated), bool(state.truncated)))
    return np.array(seen), np.array(rewards), np.array(ends)


@pytest.mark.parametrize("actions", ["mean", "sampled"])
def test_what_is_recorded_is_what_the_environment_does_from_that_seed(actions, monkeypatch):
    monkeypatch.setattr(collecting, "STRETCH", 7)  # an episode is several calls
    monkeypatch.setattr(collecting, "AT_ONCE", 4)  # and the episodes are several batches, the last one not full
    environment, seeds = wandering(), range(3, 13)
    episodes = play(environment, Memoryless(distribution), seeds, actions)
    assert [episode.seed for episode in episodes] == list(seeds)
    terminations, (reset, step) = 0, programs(environment)
    for episode in episodes:
        observation, reward, ends = replayed(reset, step, episode.seed, episode.action)
        np.testing.assert_allclose(episode.observation, observation, atol=1e-5)
        np.testing.assert_allclose(episode.reward, reward, atol=1e-5)
        np.testing.assert_array_equal(np.column_stack([episode.terminated, episode.truncated]), ends)
        assert ends[-1].any()
        assert not ends[:-1].any()
        assert len(episode.action) == 20 or episode.terminated[-1]
        terminations += episode.terminated[-1]
    assert 0 < terminations < len(episodes)


def test_mean_actions_are_the_modes_in_the_tasks_units_and_clipped():
    clipped = 0
    for episode in play(wandering(), Memoryless(distribution), range(16)):
        mode = 0.2 - 0.9 * episode.observation[:-1, :1]
        clipped += (np.abs(mode) > 1.0).sum()
        np.testing.assert_allclose(episode.action, 2.0 * np.clip(mode, -1.0, 1.0), atol=1e-5)
    assert clipped > 0


def test_sampled_actions_are_draws_of_their_own():
    still = Probe(lambda key: jnp.zeros(2), lambda key, memory, action: (memory, 0.0, False), size=2)

    def narrow(observation):
        return DiagonalGaussian(0.0 * observation["teacher"][:, :1] + 0.1, jnp.full(1, jnp.log(0.1)))

    episodes = play(still, Memoryless(narrow), range(40), "sampled")
    noise = (np.array([episode.action[:, 0] for episode in episodes]) / 2.0 - 0.1) / 0.1
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert len(np.unique(noise)) == noise.size
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.15
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.15


def test_an_episode_depends_on_its_own_seed_alone():
    policy = Memoryless(distribution)
    alone = play(wandering(), policy, [5], "sampled")[0]
    among = play(wandering(), policy, [9, 5, 1], "sampled")[1]
    np.testing.assert_allclose(alone.observation, among.observation, atol=1e-5)
    np.testing.assert_allclose(alone.action, among.action, atol=1e-5)


def test_a_policy_that_remembers_is_carried_along():
    """It counts its steps and is told where the episode begins."""

    class Counting:
        def initial(self, instances):
            return jnp.full((instances, 1), 100.0)

        def step(self, memory, observation, first):
            memory = jnp.where(first[:, None], 0.0, memory + 1.0)
            return memory, DiagonalGaussian(memory / 20.0 + 0.0 * observation["previous_action"], jnp.zeros(1))

    still = Probe(lambda key: jnp.zeros(1), lambda key, memory, action: (memory, 0.0, False))
    (episode,) = play(still, Counting(), [0])
    np.testing.assert_allclose(episode.action[:, 0], 2.0 * np.arange(20) / 20.0, atol=1e-6)


def test_an_unknown_kind_of_action_is_one_clear_message():
    with pytest.raises(ConfigurationError, match="choose one of: mean, sampled"):
        play(wandering(), Memoryless(distribution), [0], "mode")
