import math

import jax
import numpy as np
import pytest

from l2t.demonstrations.record import from_episodes
from l2t.demonstrations.summary import summary
from l2t.errors import ConfigurationError, DemonstrationError
from l2t.rl.vector import scale_action
from tests.support.recordings import HIGH, LOW, SPEC, TRUNCATED, recording


@pytest.fixture(scope="module")
def episodes():
    return recording()[0]


@pytest.fixture(scope="module")
def demonstrations():
    return from_episodes(*recording())


def steps_by_a_loop(episodes, chosen):
    """(observation, following, action, terminated, truncated) of every step; a termination leads to the next start."""
    rows = []
    for place, e in enumerate(chosen):
        episode, follower = episodes[e], episodes[chosen[(place + 1) % len(chosen)]]
        for t in range(len(episode.reward)):
            after = follower.observation[0] if episode.terminated[t] else episode.observation[t + 1]
            step = (episode.observation[t], after, episode.action[t], episode.terminated[t], episode.truncated[t])
            rows.append((place, *step))
    return rows


def assert_holds(demonstrations, episodes, chosen):
    rows = steps_by_a_loop(episodes, list(chosen))
    steps = jax.tree.map(np.asarray, demonstrations.transitions)
    assert len(steps.action) == len(rows)
    for row, (place, observation, following, action, terminated, truncated) in enumerate(rows):
        assert demonstrations.episode[row] == place
        np.testing.assert_array_equal(steps.observation["teacher"][row], observation)
        np.testing.assert_array_equal(steps.following["teacher"][row], following)
        units = [np.interp(u, (low, high), (-1.0, 1.0)) for u, low, high in zip(action, LOW, HIGH, strict=True)]
        np.testing.assert_allclose(steps.action[row], units, atol=1e-6)
        assert (bool(steps.terminated[row]), bool(steps.truncated[row])) == (terminated, truncated)
    expected = [math.fsum(map(float, episodes[e].reward)) for e in chosen]
    np.testing.assert_allclose(demonstrations.returns, expected, rtol=1e-12)
    assert demonstrations.facts.seeds == tuple(episodes[e].seed for e in chosen)


def test_a_termination_is_followed_by_the_next_start_and_a_time_limit_by_the_true_successor(demonstrations, episodes):
    assert_holds(demonstrations, episodes, range(4))


def test_learners_get_no_reward(demonstrations):
    assert not np.any(demonstrations.transitions.reward)
    assert np.all(demonstrations.returns != 0.0)
    leaves = jax.tree.leaves(demonstrations)
    assert leaves == [demonstrations]  # not a pytree, so that the returns cannot slip into a program with it


def test_actions_go_back_to_the_tasks_units(demonstrations, episodes):
    back = scale_action(SPEC, demonstrations.transitions.action)
    np.testing.assert_allclose(back, np.concatenate([e.action for e in episodes]), atol=3e-7)


@pytest.mark.parametrize("chosen", [[2, 0], [1], [0], [3, 2, 1, 0]])
def test_chosen_episodes_are_joined_among_themselves(demonstrations, episodes, chosen):
    assert_holds(demonstrations.select(chosen), episodes, chosen)


def test_choosing_twice_is_choosing_once(demonstrations, episodes):
    assert_holds(demonstrations.select([3, 1, 0]).select([2, 0]), episodes, [0, 3])


def test_a_split_parts_whole_episodes(demonstrations, episodes):
    parts = set()
    for seed in range(8):
        training, held_out = demonstrations.split(1, seed)
        kept, left = ([s - 7 for s in part.facts.seeds] for part in (training, held_out))
        assert sorted(kept + left) == [0, 1, 2, 3]
        assert_holds(training, episodes, kept)
        assert_holds(held_out, episodes, left)
        parts.add(left[0])
    assert len(parts) > 1
    assert demonstrations.split(1, 5)[1].facts == demonstrations.split(1, 5)[1].facts


def test_a_smaller_subset_is_part_of_a_larger_one(demonstrations):
    for seed in range(4):
        seeds = [demonstrations.subset(count, seed).facts.seeds for count in (1, 2, 4)]
        assert seeds[0] == seeds[1][:1]
        assert seeds[1] == seeds[2][:2]
        assert sorted(seeds[2]) == [7, 8, 9, 10]


def test_equally_long_episodes_are_trajectories():
    episodes, facts = recording([(4, TRUNCATED)] * 3)
    whole = from_episodes(episodes, facts).trajectories()
    np.testing.assert_array_equal(whole.observation["teacher"], [e.observation[:-1] for e in episodes])
    np.testing.assert_array_equal(whole.following["teacher"], [e.observation[1:] for e in episodes])
    assert whole.reward.shape == (3, 4)


def test_episodes_of_different_lengths_are_no_trajectories(demonstrations):
    with pytest.raises(DemonstrationError, match="2 to 5 steps long"):
        demonstrations.trajectories()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda d: d.select([]), "cannot be chosen"),
        (lambda d: d.select([4]), "there are 4"),
        (lambda d: d.select([-1]), "there are 4"),
        (lambda d: d.subset(5), "collect more"),
        (lambda d: d.subset(0), "episodes=0 is too small"),
        (lambda d: d.split(4), "leaves none to train on"),
        (lambda d: d.split(0), "held_out=0 is too small"),
    ],
)
def test_what_cannot_be_chosen_is_one_clear_message(demonstrations, ask, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        ask(demonstrations)
    assert "\n" not in str(error.value)


def test_the_summary_counts(demonstrations, episodes):
    text = summary(demonstrations)
    returns = [float(e.reward.sum(dtype=np.float64)) for e in episodes]
    assert "walk, 4 episodes, 14 steps of 0.05 s" in text
    assert f"{np.mean(returns):,.1f} ± {np.std(returns):,.1f}" in text
    assert f"b teacher: 2 episodes, return {np.mean(returns[1::2]):,.1f}" in text
    assert "2 terminated, 2 at the time limit" in text
    assert "3.5 on average, from 2 to 5" in text
    assert "seeds    7 to 10" in text
