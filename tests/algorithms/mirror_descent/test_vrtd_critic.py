"""The critic on a Markovian stream: what it counts, what it never sees, and what growing batches of EVRTD reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jaxtyping import Array, Float, Key

from algorithms.features import OneHot
from algorithms.mirror_descent.divergences import kl_step
from algorithms.mirror_descent.schedules import Geometric
from algorithms.mirror_descent.tabular import PolicyPath, in_stages, mirror_descent
from algorithms.mirror_descent.vrtd_critic import vrtd_critic
from algorithms.policy_evaluation.config import VRTDConfig
from algorithms.policy_evaluation.problem import Problem
from algorithms.policy_evaluation.vrtd import VRTD
from envs.tabular.exact import evaluate
from envs.tabular.families import coin_games
from envs.tabular.sampling import MarkovSource, Sampler
from l2t.rl.transitions import PairTransitions

LEVELS = 6
MDP = coin_games(LEVELS)
PAIRS = MDP.reward.size
PLAIN = VRTDConfig(0.5, first_blocks=1, inner_fraction=0.5, burn_in_blocks=0, average_epochs=False, skip=1)
EXPLORING = replace(PLAIN, exploration=0.3, rate_fraction=0.25)
BATCHES, EACH = (1_500, 24_000, 384_000), 2
SEEDS = 8


@struct.dataclass
class Counted:
    """A stream that counts, in its state, what is drawn of it, pair by pair."""

    source: MarkovSource

    @property
    def num_pairs(self) -> int:
        """S A."""
        return self.source.num_pairs

    def init(self, key: Key[Array, ""]) -> Any:
        """Nothing is counted yet."""
        return self.source.init(key), jnp.zeros(PAIRS, jnp.int32)

    def draw(self, state: Any, key: Key[Array, ""], length: int) -> tuple[Any, PairTransitions]:
        """As the stream, and one more for each pair left."""
        pair, counts = state
        pair, batch = self.source.draw(pair, key, length)
        return (pair, counts.at[batch.pair].add(1)), batch


def optimise(config: VRTDConfig) -> tuple[PolicyPath, Float[np.ndarray, " seed"]]:
    """Runs of `SEEDS` seeds, whose batches grow, and their last gaps. The critic's last state holds the counts."""
    sampler = Sampler.create(MDP, MDP.uniform_policy())

    def problem(policy: Float[Array, "state action"]) -> Problem:
        source = Counted(MarkovSource.create(sampler, policy, 0.0, config.exploration))
        plain = Counted(MarkovSource.create(sampler, policy)) if config.exploration else None
        return Problem(OneHot(PAIRS), source, plain)

    critic = in_stages([vrtd_critic(VRTD(config, samples), problem) for samples in BATCHES], EACH)

    def run(key: Key[Array, ""]) -> PolicyPath:
        start = jnp.asarray(MDP.uniform_policy(), jnp.float32)
        stream = (jnp.zeros((), jnp.int32), jnp.zeros(PAIRS, jnp.int32))
        state = (jnp.zeros((), jnp.int32), (jnp.zeros(PAIRS), stream))
        return mirror_descent(critic, kl_step, Geometric(40.0, 4.0), start, EACH * len(BATCHES), 0.0, key, state)

    found = jax.device_get(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), SEEDS)))
    return found, gaps(found, -1)


def gaps(path: PolicyPath, record: int) -> Float[np.ndarray, " seed"]:
    """Of one record, seed by seed; the optimum is in closed form."""
    optimum = 0.5 * (1.0 + 0.8 * np.mean(0.5 ** np.arange(LEVELS)))
    policies = np.exp(np.float64(path.log_policy[:, record]))
    return np.array([optimum - evaluate(MDP, p / p.sum(1, keepdims=True)).reward_rate for p in policies])


@pytest.fixture(scope="module")
def plain() -> tuple[PolicyPath, Float[np.ndarray, " seed"]]:
    """With VRTD."""
    return optimise(PLAIN)


@pytest.fixture(scope="module")
def exploring() -> tuple[PolicyPath, Float[np.ndarray, " seed"]]:
    """With EVRTD, of the same samples."""
    return optimise(EXPLORING)


def test_every_transition_drawn_is_counted_once(plain, exploring) -> None:
    for path, _ in (plain, exploring):
        assert path.metrics["samples"].tolist() == [[n for n in BATCHES for _ in range(EACH)]] * SEEDS
        _, (_, (_, counts)) = path.critic_state
        assert counts.sum(1).tolist() == [EACH * sum(BATCHES)] * SEEDS


def test_growing_batches_of_evrtd_pass_the_floor_where_vrtd_stalls(plain, exploring) -> None:
    (path, stalled), (_, gap) = plain, exploring
    assert gap.mean() < 0.2 * stalled.mean()
    # Sixteen times the samples bring VRTD nothing.
    assert stalled.mean() > 0.5 * gaps(path, 2 * EACH).mean()


def test_vrtd_sees_no_more_of_what_its_policy_gave_up_and_evrtd_does(plain, exploring) -> None:
    fair = EACH * sum(BATCHES) / PAIRS
    better = np.arange(2 * LEVELS)[:, None] // 2 % 2 == np.arange(2)
    for (path, _), explores in ((plain, False), (exploring, True)):
        _, (_, (_, counts)) = path.critic_state
        given_up = np.asarray(path.log_policy[:, EACH:].max(1) < -20.0)  # from the end of the first batches on
        seen = counts.reshape(given_up.shape)[given_up] / fair
        assert len(seen) > SEEDS
        if explores:
            assert seen.min() > 0.1
        else:
            assert seen.max() < 0.02
            assert (given_up & better).any()
