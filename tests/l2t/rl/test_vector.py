"""Automatic resets, staggered clocks, episode statistics, and what a roll-out records."""

import jax
import jax.numpy as jnp
import numpy as np

from l2t.config import DisturbanceConfig
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.evaluation import evaluate
from l2t.rl.policy import Memoryless
from l2t.rl.replay import Replay
from l2t.rl.rollout import collect
from l2t.rl.vector import PREVIOUS_ACTION, VectorEnvironment, scale_action
from tests.support.probes import Probe, constant_reward, tempting_end


def _counting(episode_length: int = 5) -> Probe:
    """The memory counts steps; a fresh episode starts at a random number in [100, 200)."""
    return Probe(
        lambda key: jax.random.randint(key, (1,), 100, 200).astype(jnp.float32),
        lambda key, memory, action: (memory + 1.0, 1.0, False),
        episode_length=episode_length,
    )


def _still(observation):
    return DiagonalGaussian(jnp.zeros((*observation["teacher"].shape[:-1], 1)), jnp.zeros(1))


def _always(action):
    return lambda observation: DiagonalGaussian(jnp.full((6, 1), action), jnp.zeros(1))


def test_the_successor_is_kept_beside_the_new_episodes_first_observation() -> None:
    vector = VectorEnvironment(_counting(), 4)
    state = vector.init(jax.random.key(0), staggered=False)
    _, trajectory, _ = collect(vector, Memoryless(_still), state, jax.random.key(1), 11)
    shown = np.concatenate([trajectory.observation["teacher"][1:], trajectory.final_observation["teacher"][None]])
    successor = np.asarray(trajectory.successor["teacher"])
    truncated = np.asarray(trajectory.truncated)
    assert truncated[4].all()
    assert truncated[9].all()
    assert truncated.sum() == 8
    np.testing.assert_array_equal(shown[~truncated], successor[~truncated])
    np.testing.assert_array_equal(successor, trajectory.observation["teacher"] + 1.0)
    # Each episode starts from a draw of its own, not from a cached state.
    starts = shown[truncated]
    assert len(np.unique(starts)) >= 6


def test_a_time_limit_sets_truncated_only() -> None:
    vector = VectorEnvironment(_counting(), 2)
    _, trajectory, _ = collect(vector, Memoryless(_still), vector.init(jax.random.key(0)), jax.random.key(1), 20)
    assert trajectory.truncated.any()
    assert not trajectory.terminated.any()


def test_staggered_clocks_spread_the_first_time_limits() -> None:
    state = VectorEnvironment(_counting(1000), 64).init(jax.random.key(0))
    clocks = np.asarray(state.environment.step)
    assert clocks.min() < 100
    assert clocks.max() > 900
    assert len(np.unique(clocks)) > 50


def test_episode_statistics_count_whole_episodes_only() -> None:
    vector = VectorEnvironment(_counting(10), 8)
    state = vector.init(jax.random.key(3), staggered=False)
    state, _, metrics = collect(vector, Memoryless(_still), state, jax.random.key(1), 9)
    assert np.isnan(float(metrics["train/episode_return"]))
    assert not metrics["train/episode_length"].known
    state, _, metrics = collect(vector, Memoryless(_still), state, jax.random.key(1), 16)
    assert bool(state.statistics.finished.all())
    assert float(metrics["train/episode_return"]) == 10.0
    assert float(metrics["train/episode_length"]) == 10.0


def test_policy_units_span_the_tasks_range() -> None:
    spec = constant_reward().spec
    scaled = scale_action(spec, jnp.array([[-1.0], [0.0], [0.5], [7.0]]))
    np.testing.assert_allclose(scaled[:, 0], [-2.0, 0.0, 1.0, 2.0])


def test_evaluation_plays_whole_episodes_and_stops_at_their_end() -> None:
    ends, lives = (
        evaluate(tempting_end(0.0), Memoryless(_always(action)), jax.random.key(0), 6) for action in (1.0, -1.0)
    )
    assert (float(ends["return_mean"]), float(ends["episode_length_mean"])) == (1.0, 1.0)
    assert (float(lives["return_mean"]), float(lives["episode_length_mean"])) == (0.0, 20.0)
    assert float(ends["average_reward"]) == 1.0


def test_episode_statistics_are_those_of_the_environments_that_have_finished_one_and_of_no_other() -> None:
    vector = VectorEnvironment(_counting(10), 64)
    state = vector.init(jax.random.key(0))
    clocks = np.asarray(state.environment.step)
    state, _, metrics = collect(vector, Memoryless(_still), state, jax.random.key(1), 13)
    # A first episode that began at a clock above 0 is not whole; the second one ends ten steps after its time limit.
    finished = np.where(clocks == 0, 10, 20 - clocks) <= 13
    assert 0 < finished.sum() < 64
    np.testing.assert_array_equal(state.statistics.finished, finished)
    assert float(metrics["train/episode_return"]) == 10.0
    assert float(metrics["train/episode_length"]) == 10.0


def _disturbed(steps: float, instances: int = 64, length: int = 200):
    """What actions were off by, in the roll-out of a policy that means to do nothing; (time, instance)."""
    vector = VectorEnvironment(_counting(length), instances, DisturbanceConfig(0.2, steps))
    state = vector.init(jax.random.key(0))
    after, trajectory, _ = collect(vector, Memoryless(_certain), state, jax.random.key(1), length)
    return after, trajectory, np.asarray(trajectory.observation[PREVIOUS_ACTION])[..., 0]


def _certain(observation):
    return DiagonalGaussian(jnp.zeros((*observation["teacher"].shape[:-1], 1)), jnp.full(1, -20.0))


def test_a_disturbance_wanders_with_the_deviation_and_the_memory_that_it_was_given() -> None:
    after, trajectory, off = _disturbed(steps=5.0)
    seen = np.where(np.asarray(trajectory.first), np.nan, off)
    assert abs(np.nanstd(seen) - 0.2) < 0.01
    assert abs(np.nanmean(seen)) < 0.02
    together = np.nanmean(seen[5:] * seen[:-5]) / 0.2**2
    assert abs(together - np.exp(-1.0)) < 0.06
    assert np.std(np.asarray(after.disturbance)) > 0.1
    _, trajectory, off = _disturbed(steps=0.01)
    seen = np.where(np.asarray(trajectory.first), np.nan, off)
    assert abs(np.nanmean(seen[1:] * seen[:-1])) < 0.002, "of no memory"


def test_what_was_meant_is_what_is_learnt_from_and_what_was_done_is_what_is_seen() -> None:
    _, trajectory, off = _disturbed(steps=5.0)
    assert float(jnp.abs(trajectory.action).max()) < 1e-6
    assert np.abs(off[1:]).max() > 0.3
    successor = np.asarray(trajectory.successor[PREVIOUS_ACTION])[..., 0]
    last = np.asarray(trajectory.truncated)[:-1]
    np.testing.assert_array_equal(successor[:-1][~last], off[1:][~last])
    # What was executed, by what is seen of it one step later.
    executed = np.asarray(trajectory.executed)[..., 0]
    np.testing.assert_array_equal(executed[:-1][~last], off[1:][~last])


def test_a_ring_keeps_the_pairs_that_were_true() -> None:
    _, trajectory, _ = _disturbed(steps=5.0, instances=2, length=20)
    done = np.asarray(trajectory.executed)
    ring = Replay(40, 1, 1, ("teacher",))
    store = ring.add(ring.init(lambda: trajectory), trajectory)
    np.testing.assert_array_equal(np.asarray(store.steps.action), done)
    assert np.abs(done - np.asarray(trajectory.action)).min() > 0.0
    part = trajectory.of_environments(slice(1))
    np.testing.assert_array_equal(np.asarray(part.transitions().action), done[:, :1])


def test_the_environment_does_what_is_off_and_no_more_than_the_task_allows() -> None:
    spy = Probe(
        lambda key: jnp.zeros(1), lambda key, memory, action: (action[None], 1.0, False), episode_length=1000
    )  # shows the action that it was given
    vector = VectorEnvironment(spy, 8, DisturbanceConfig(0.5, 3.0))
    eager = Memoryless(lambda o: DiagonalGaussian(jnp.full((8, 1), 0.9), jnp.full(1, -20.0)))
    state = vector.init(jax.random.key(0), staggered=False)
    _, trajectory, _ = collect(vector, eager, state, jax.random.key(1), 50)
    given = np.asarray(trajectory.successor["teacher"]) / spy.spec.action_high[0]
    np.testing.assert_allclose(given, np.asarray(trajectory.successor[PREVIOUS_ACTION]), atol=1e-6)
    np.testing.assert_allclose(given, np.asarray(trajectory.executed), atol=1e-6)
    assert given.max() == 1.0
    assert given.min() < 0.5


def test_nothing_is_drawn_where_nothing_disturbs() -> None:
    state = VectorEnvironment(_counting(), 4).init(jax.random.key(0))
    assert state.disturbance is None
    disturbed = VectorEnvironment(_counting(), 4, DisturbanceConfig(0.2)).init(jax.random.key(0))
    assert disturbed.disturbance is not None
    same = jax.tree.map(jnp.array_equal, state.environment.physics, disturbed.environment.physics)
    assert all(jax.tree.leaves(same))
