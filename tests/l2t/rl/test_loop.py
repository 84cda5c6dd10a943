"""The loop: what is stored, what is paid and what is learnt from; previous actions; what follows a step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from l2t.rl.distributions import DiagonalGaussian, choose
from l2t.rl.evaluation import evaluate
from l2t.rl.loop import Loop, Solo
from l2t.rl.policy import Memoryless
from l2t.rl.rollout import collect
from l2t.rl.vector import PREVIOUS_ACTION, VectorEnvironment
from tests.support.probes import Probe, constant_reward, signal_following, tempting_end
from tests.support.trajectories import ENVS, following_by_a_loop, random_trajectory


@dataclass(frozen=True)
class Remembering:
    """A learner that learns nothing and notes what it was given."""

    def init(self, key: Any) -> Any:
        return {"reward": jnp.zeros(()), "key": jnp.zeros(2, jnp.uint32)}

    def policy(self, state: Any) -> Any:
        return Memoryless(lambda o: DiagonalGaussian(jnp.zeros((*o["teacher"].shape[:-1], 1)), jnp.zeros(1)))

    def learn(self, state: Any, trajectory: Any, key: Any) -> Any:
        mean = trajectory.reward.mean()
        return {"reward": mean, "key": jax.random.key_data(key)}, {"train/given": mean}


class Growing:
    """A learned reward: it pays how many batches it has seen, whatever the task pays."""

    groups = ()

    def init(self, key: Any) -> Any:
        return jnp.zeros(())

    def learn(self, state: Any, trajectory: Any, policy: Any, key: Any) -> Any:
        return state + 1.0, {"train/seen": trajectory.reward.mean()}

    def relabel(self, state: Any, trajectory: Any) -> Any:
        return replace(trajectory, reward=jnp.full_like(trajectory.reward, state))


class OneLate:
    """A store of one batch: what is learnt from is what was collected an iteration ago."""

    def init(self, example: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), example())

    def exchange(self, store: Any, trajectory: Any, key: Any) -> Any:
        return trajectory, store


def _iterate(loop: Loop, count: int) -> tuple[Any, list[Any]]:
    state, iterate, rows = jax.jit(loop.init)(jax.random.key(0)), jax.jit(loop.iterate), []
    for _ in range(count):
        state, metrics = iterate(state)
        rows.append({name: float(value) for name, value in metrics.items()})
    return state, rows


def _loop(environment: Any, **parts: Any) -> Loop:
    return Loop(environment, Solo(Remembering(), "teacher", 2), 2, 3, **parts)


def test_a_learned_reward_takes_the_place_of_the_tasks_after_it_has_learnt() -> None:
    state, rows = _iterate(_loop(constant_reward(1.5), reward=Growing()), 3)
    assert [row["train/seen"] for row in rows] == [1.5, 1.5, 1.5]
    assert [row["train/given"] for row in rows] == [1.0, 2.0, 3.0]
    assert [row["train/mean_reward"] for row in rows] == [1.5, 1.5, 1.5]
    assert float(state.learnt.reward) == 3.0


def test_a_store_decides_what_is_learnt_from_and_lives_in_the_transient_state() -> None:
    counting = Probe(
        lambda key: jnp.zeros(1), lambda key, memory, action: (memory + 1.0, memory[0], False), episode_length=100_000
    )
    state, rows = _iterate(_loop(counting, experience=OneLate()), 3)
    assert [row["train/mean_reward"] for row in rows] == [1.0, 4.0, 7.0]
    assert [row["train/given"] for row in rows] == [0.0, 1.0, 4.0]
    assert state.transient.store.reward.shape == (3, 2)
    assert float(state.transient.store.reward.mean()) == 7.0


def test_parts_added_to_the_loop_leave_the_learners_randomness_alone() -> None:
    plain, _ = _iterate(_loop(constant_reward()), 2)
    changed, _ = _iterate(_loop(constant_reward(), reward=Growing(), experience=OneLate()), 2)
    np.testing.assert_array_equal(plain.learnt.agent["key"], changed.learnt.agent["key"])


def test_the_steps_of_an_iteration_are_those_of_who_drove() -> None:
    state, rows = _iterate(_loop(constant_reward()), 2)
    assert [row["env_steps/teacher"] for row in rows] == [6.0, 6.0]
    assert int(state.iteration) == 2


def test_what_follows_a_step_by_an_explicit_loop() -> None:
    trajectory = random_trajectory(3)
    for group in ("teacher", "student"):
        np.testing.assert_array_equal(trajectory.following()[group], following_by_a_loop(trajectory, group))


def test_some_environments_of_a_batch_are_a_batch() -> None:
    trajectory = random_trajectory(3)
    part = trajectory.of_environments(slice(1, None))
    assert part.reward.shape[1] == ENVS - 1
    np.testing.assert_array_equal(part.following()["teacher"], trajectory.following()["teacher"][:, 1:])
    np.testing.assert_array_equal(part.first, trajectory.first[:, 1:])


def test_the_previous_action_is_shown_clipped_and_not_beyond_an_episodes_end() -> None:
    vector = VectorEnvironment(signal_following(), 3)
    wide = Memoryless(lambda o: DiagonalGaussian(jnp.zeros((3, 1)), jnp.ones(1)))
    state = vector.init(jax.random.key(0), staggered=False)
    _, trajectory, _ = jax.jit(lambda: collect(vector, wide, state, jax.random.key(1), 45))()
    shown, action, first = (
        np.asarray(x) for x in (trajectory.observation[PREVIOUS_ACTION], trajectory.action, trajectory.first)
    )
    assert first[[0, 20, 40]].all()
    assert first.sum() == 9
    np.testing.assert_array_equal(shown[first], 0.0)
    clipped = np.clip(action, -1.0, 1.0)
    np.testing.assert_array_equal(shown[1:][~first[1:]], clipped[:-1][~first[1:]])
    np.testing.assert_array_equal(trajectory.successor[PREVIOUS_ACTION], clipped)
    assert (np.abs(action) > 1.0).any()


@dataclass(frozen=True)
class Counter:
    """A policy that counts its steps of an episode, and ends the episode at the fourth (see `tempting_end`)."""

    def initial(self, instances: int) -> Any:
        return jnp.full(instances, 100.0)  # a memory of another episode, to be forgotten where one begins

    def step(self, memory: Any, observation: Any, first: Any) -> Any:
        memory = jnp.where(first, 1.0, memory + 1.0)
        return memory, DiagonalGaussian(jnp.where(memory >= 4.0, 1.0, -1.0)[:, None], jnp.full(1, -10.0))


def test_evaluation_carries_a_policys_memory_through_each_episode() -> None:
    found = evaluate(tempting_end(0.0), Counter(), jax.random.key(0), 5)
    assert float(found["episode_length_mean"]) == 4.0


def test_a_roll_out_carries_a_policys_memory_and_tells_it_where_episodes_begin() -> None:
    vector = VectorEnvironment(tempting_end(0.0), 2)
    state = vector.init(jax.random.key(0), staggered=False)
    _, trajectory, _ = jax.jit(lambda: collect(vector, Counter(), state, jax.random.key(1), 12))()
    np.testing.assert_array_equal(np.flatnonzero(trajectory.terminated[:, 0]), [3, 7, 11])


def test_to_choose_between_distributions_is_to_choose_their_rows() -> None:
    one = DiagonalGaussian(jnp.ones((3, 2)), jnp.zeros(2))
    other = DiagonalGaussian(jnp.zeros((3, 2)), jnp.ones(2))
    mixed = choose(jnp.array([True, False, True]), one, other)
    np.testing.assert_array_equal(mixed.mean[:, 0], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(mixed.log_std, [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
