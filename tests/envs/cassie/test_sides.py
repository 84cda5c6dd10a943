"""What is kept of an action changes sides with the mirror, whoever keeps it.

The oracle is the task's own last action: it remembers that of the robot's own left and right, and shows it to everyone
in the mirror of now.
"""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.cassie import mirror, observation
from envs.observation import History, StudentView
from l2t.config import DisturbanceConfig
from l2t.demonstrations.collecting import play
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.evaluation import evaluate
from l2t.rl.policy import Memoryless
from l2t.rl.rollout import collect
from l2t.rl.vector import PREVIOUS_ACTION, VectorEnvironment
from scripts.studies.gait import played
from tests.envs.cassie.robots import build

NAMES = observation.names(observation.STUDENT)
LAST = slice(NAMES.index("left hip-roll last action"), NAMES.index("right foot last action") + 1)
MEANT = np.array([0.2, 0.1, -0.1, 0.05, 0.0, -0.1, -0.2, 0.1, 0.0, 0.1], np.float32)
"""An action without any symmetry."""
UNDISTURBED = DisturbanceConfig()


def certain(mean):
    """The policy that does `mean` of what it sees."""
    return Memoryless(lambda seen: DiagonalGaussian(mean(seen), jnp.full(10, -20.0)))


STEADY = certain(lambda seen: jnp.broadcast_to(MEANT, seen[PREVIOUS_ACTION].shape))
"""Does the same, whatever it sees."""
WARY = certain(lambda seen: MEANT + 10.0 * (seen[PREVIOUS_ACTION] - seen["teacher"][..., LAST]))
"""Does the same as long as its last action is what the task says it was."""


def lived(disturbance=UNDISTURBED):
    """States before each step of robots that mean to do `MEANT`, and what came of it, `[time, env]`."""
    vector = VectorEnvironment(build(episode_length=25), 3, disturbance)

    def step(state, _):
        after, outcome = vector.step(state, jnp.broadcast_to(MEANT, (3, 10)))
        return after, (state, outcome)

    start = vector.init(jax.random.key(0), staggered=False)
    states, outcomes = jax.jit(lambda start: jax.lax.scan(step, start, None, 60)[1])(start)
    flipped = np.asarray(states.environment.extras["memory"].phase) >= 0.5
    first = np.asarray(states.first)
    assert (flipped[1:] != flipped[:-1])[~first[1:]].sum() > 3, "the mirror must come and go within episodes"
    assert (flipped[1:] != flipped[:-1])[first[1:]].any(), "and between them"
    return states, outcomes, flipped


def test_the_last_action_of_a_roll_out_is_seen_in_the_mirror_of_now():
    states, outcomes, _ = lived()
    for groups in (states.observation, outcomes.successor):
        np.testing.assert_allclose(groups[PREVIOUS_ACTION], groups["teacher"][..., LAST], atol=1e-6)


def test_a_lasting_disturbance_stays_with_its_leg():
    states, outcomes, flipped = lived(DisturbanceConfig(scale=0.05, steps=1e8))
    off = np.asarray(outcomes.executed) - MEANT
    own = np.where(flipped[..., None], mirror.CONTROL(off), off)
    assert np.abs(own[0]).max() > 0.05
    np.testing.assert_allclose(own, np.broadcast_to(own[0], own.shape), atol=1e-3)
    # What was done is told as it was meant, in the mirror of then.
    before = states.environment.extras["memory"].action
    done = np.where(flipped[..., None], mirror.CONTROL(np.asarray(outcomes.executed)), outcomes.executed)
    within = ~np.asarray(states.first)[1:]
    np.testing.assert_allclose(np.asarray(before)[1:][within], done[:-1][within], atol=1e-6)


def test_what_a_roll_out_records_as_done_is_in_the_mirror_of_what_was_meant():
    vector = VectorEnvironment(build(), 3, DisturbanceConfig(scale=1e-3, steps=1.0))
    state = vector.init(jax.random.key(0), staggered=False)
    _, trajectory, _ = jax.jit(lambda state: collect(vector, STEADY, state, jax.random.key(1), 40))(state)
    np.testing.assert_allclose(trajectory.executed, trajectory.action, atol=0.01)


def test_rows_with_the_last_action_are_turned_with_all_that_is_in_them():
    env = replace(build(), view=StudentView(history=History(3), previous_action=True))
    start = env.reset(jax.random.key(0))

    def step(state, action):
        return env.step(state, action), state

    actions = 0.3 * jax.random.uniform(jax.random.key(1), (40, 10), minval=-1.0)
    _, states = jax.jit(lambda start: jax.lax.scan(step, start, actions))(start)
    seen = states.observation
    rows = np.asarray(seen["student"]).reshape(40, 3, len(NAMES) + 10)
    np.testing.assert_allclose(rows[..., len(NAMES) :], rows[..., LAST], atol=1e-6)
    first = jnp.zeros(40, bool).at[0].set(True)
    told = jax.jit(env.as_student)(jax.random.key(0), seen["teacher"], actions, first)
    np.testing.assert_allclose(told, seen["student"], atol=1e-5)


@pytest.mark.parametrize("way", ["evaluation", "recording", "study"])
def test_whoever_plays_a_policy_shows_it_its_last_action_in_the_mirror_of_now(way):
    env = build(episode_length=40)

    def result(policy):
        if way == "evaluation":
            return evaluate(env, policy, jax.random.key(0), 2)["return_mean"]
        if way == "recording":
            return play(env, policy, [0, 1])[0].action
        run = SimpleNamespace(environment=env, algorithm=SimpleNamespace(policy=lambda *_: policy))
        run.state = SimpleNamespace(learnt=None)
        return played(run, "teacher", 2, 0).metrics["x_position"]

    np.testing.assert_allclose(result(WARY), result(STEADY), atol=1e-4)
