"""The ring: every step that is drawn is one that happened, and none is forgotten too early."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.rl.replay import Replay
from l2t.rl.types import EnvironmentSpec
from tests.support.trajectories import ENVS, TIME, following_by_a_loop, random_trajectory

GROUPS = ("teacher",)
REPLAY = Replay(capacity=3 * TIME * ENVS, updates=40, batch_size=50, groups=GROUPS)


def _filled(replay: Replay, batches: list[Any]) -> Any:
    ring = replay.init(lambda: jax.eval_shape(lambda: batches[0]))
    for batch in batches:
        ring = replay.add(ring, batch)
    return ring


def _known(batches: list[Any]) -> dict[bytes, tuple[Any, ...]]:
    """Every step of the batches by its observation, which no two share."""
    steps = {}
    for batch in batches:
        following = following_by_a_loop(batch, "teacher")
        for t in range(TIME):
            for n in range(ENVS):
                steps[np.asarray(batch.observation["teacher"])[t, n].tobytes()] = (
                    np.asarray(batch.action)[t, n],
                    float(batch.reward[t, n]),
                    following[t, n],
                    bool(batch.terminated[t, n]),
                    bool(batch.truncated[t, n]),
                )
    return steps


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_every_step_that_is_drawn_is_a_true_one_of_the_newest(count: int) -> None:
    batches = [random_trajectory(key) for key in range(count)]
    drawn = REPLAY.draw(_filled(REPLAY, batches), jax.random.key(0))
    known, seen = _known(batches[-3:]), set()
    rows = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[3:]), drawn)
    assert drawn.reward.shape == (40, 50, 1)
    for i in range(2000):
        name = rows.observation["teacher"][i].tobytes()
        action, reward, following, terminated, truncated = known[name]
        seen.add(name)
        np.testing.assert_array_equal(rows.action[i], action)
        np.testing.assert_array_equal(rows.following["teacher"][i], following)
        assert (rows.reward[i], rows.terminated[i], rows.truncated[i]) == (reward, terminated, truncated)
    # 2,000 draws of at most 144 steps miss one of them with a probability of 1e-4.
    assert seen == set(known)


def test_windows_are_consecutive_steps_of_one_environment_and_never_cross_the_newest() -> None:
    replay = Replay(3 * TIME * ENVS, 20, 60, GROUPS, window=5)
    batches = [random_trajectory(key) for key in range(5)]
    drawn = replay.draw(_filled(replay, batches), jax.random.key(1))
    stream = np.concatenate([np.asarray(batch.observation["teacher"]) for batch in batches[-3:]])
    place = {stream[t, n].tobytes(): (t, n) for t in range(3 * TIME) for n in range(ENVS)}
    observed = np.asarray(drawn.observation["teacher"]).reshape(-1, 5, 2)
    starts = set()
    for window in observed:
        t, n = place[window[0].tobytes()]
        starts.add(t)
        np.testing.assert_array_equal(window, stream[t : t + 5, n])
    assert starts == set(range(3 * TIME - 4))


def test_capacity_is_rounded_up_to_whole_batches() -> None:
    ring = Replay(3 * TIME * ENVS - 1, 1, 1, GROUPS).init(lambda: jax.eval_shape(lambda: random_trajectory(0)))
    assert ring.steps.reward.shape == (3 * TIME, ENVS)
    assert set(ring.steps.observation) == {"teacher"}


def test_a_batch_is_handed_on_with_what_was_drawn() -> None:
    batch = random_trajectory(0)
    ring = REPLAY.init(lambda: jax.eval_shape(lambda: batch))
    ring, out = REPLAY.exchange(ring, batch, jax.random.key(3))
    np.testing.assert_array_equal(out.reward, batch.reward)
    assert out.replayed is not None
    assert np.isin(np.asarray(out.replayed.reward), np.asarray(batch.reward)).all()
    assert jnp.unique(out.replayed.reward).size > TIME * ENVS / 2


@pytest.mark.parametrize("following", [True, False])
@pytest.mark.parametrize("groups", [("teacher",), ("teacher", "student")])
def test_a_ring_takes_as_many_bytes_as_it_says(groups: tuple[str, ...], following: bool) -> None:
    replay = Replay(capacity=1_000, updates=1, batch_size=1, groups=groups, following=following)
    spec = EnvironmentSpec("batches", {"teacher": 2, "student": 1}, (-1.0,), (1.0,), 10)
    ring = _filled(replay, [random_trajectory(0)])
    assert replay.bytes(spec, TIME, ENVS) == sum(leaf.nbytes for leaf in jax.tree.leaves(ring))
    # Floats of the observations, the action and the reward, two flags; whole batches; two counters.
    each = 4 * ((1 + following) * (len(groups) + 1) + 1 + 1) + 2
    assert replay.bytes(spec, TIME, ENVS) == -(-1_000 // (TIME * ENVS)) * TIME * ENVS * each + 2 * 4
