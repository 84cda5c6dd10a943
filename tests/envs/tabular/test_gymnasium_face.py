"""Finite processes as Gymnasium environments, against the processes themselves."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy.stats import chisquare

import envs.gymnasium
from envs.gymnasium.registration import FINITE_FAMILIES
from envs.gymnasium.tabular import TabularEnvironment, make_tabular
from envs.tabular import families
from envs.tabular.exact import evaluate
from envs.tabular.families import garnet, grid_world, river_swim, transient_start
from envs.tabular.model import TabularMDP
from l2t.errors import ConfigurationError, ModelError

IDS = [f"l2t/{name}-v0" for name in FINITE_FAMILIES.values()]


def play(env, policy, steps, seed):
    """States before each step, actions, rewards and infos of one path, with actions drawn from π[s, a]."""
    generator = np.random.default_rng(seed)
    uniform, cumulative = generator.random(steps), policy.cumsum(1)
    state, _ = env.reset(seed=seed)
    path = []
    for u in uniform:
        action = int((u >= cumulative[state, :-1]).sum())
        successor, reward, terminated, truncated, info = env.step(action)
        assert not terminated
        assert not truncated
        path.append((state, action, reward, successor, info["prob"]))
        state = successor
    return [np.array(column) for column in zip(*path, strict=True)]


def test_every_family_is_registered():
    names = [n for n, f in inspect.getmembers(families, inspect.isfunction) if f.__module__ == families.__name__]
    assert sorted(FINITE_FAMILIES) == [name for name in names if not name.startswith("_")]
    assert set(IDS) <= set(gymnasium.registry)


def test_registering_twice_changes_nothing():
    before = dict(gymnasium.registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.gymnasium.register_all()
    assert gymnasium.registry == before


@pytest.mark.parametrize("identifier", IDS)
def test_gymnasiums_checker_has_nothing_to_say(identifier):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(identifier)
        check_env(env.unwrapped)
        env.reset(seed=0)
        env.step(env.action_space.sample())
    assert env.spec.max_episode_steps is None


@pytest.mark.parametrize(("family", "name"), sorted(FINITE_FAMILIES.items()))
def test_an_id_makes_the_process_of_its_family(family, name):
    env, mdp = gymnasium.make(f"l2t/{name}-v0"), getattr(families, family)()
    np.testing.assert_array_equal(env.unwrapped.mdp.transition, mdp.transition)
    np.testing.assert_array_equal(env.unwrapped.mdp.reward, mdp.reward)
    assert (env.observation_space.n, env.action_space.n) == mdp.reward.shape


def test_keyword_arguments_go_to_the_family():
    found, expected = gymnasium.make("l2t/Garnet-v0", num_states=50, seed=3).unwrapped.mdp, garnet(50, seed=3)
    np.testing.assert_array_equal(found.transition, expected.transition)
    assert not np.array_equal(found.transition, garnet(50).transition)


def test_making_a_finite_process_imports_no_jax():
    code = (
        "import sys, envs.gymnasium, gymnasium\n"
        "print('envs.tabular' in sys.modules)\n"
        "env = gymnasium.make('l2t/RiverSwim-v0')\n"
        "env.reset(seed=0); env.step(1)\n"
        "print('jax' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["False", "False"]


@pytest.mark.parametrize("mdp", [garnet(6, 2, 3, seed=1), grid_world(3, 2, 0.3), river_swim()], ids=lambda m: m.name)
def test_successors_follow_the_transition_probabilities_of_every_pair(mdp):
    policy = np.random.default_rng(0).dirichlet(np.full(mdp.num_actions, 5.0), mdp.num_states)
    state, action, reward, successor, chance = play(TabularEnvironment(mdp), policy, 40_000, seed=0)
    np.testing.assert_array_equal(reward, mdp.reward[state, action])
    np.testing.assert_array_equal(chance, mdp.transition[state, action, successor])
    counts = np.zeros(mdp.transition.shape)
    np.add.at(counts, (state, action, successor), 1)
    assert counts[mdp.transition == 0.0].sum() == 0
    expected = counts.sum(-1, keepdims=True) * mdp.transition
    compared = expected >= 5.0
    pvalues = []
    for pair in np.ndindex(mdp.reward.shape):
        kept = compared[pair]
        if kept.sum() > 1 and np.array_equal(kept, mdp.transition[pair] > 0.0):
            pvalues.append(chisquare(counts[pair][kept], expected[pair][kept]).pvalue)
    assert len(pvalues) >= mdp.num_states
    assert min(pvalues) > 1e-3 / len(pvalues)


@pytest.mark.parametrize("mdp", [garnet(seed=5, teleport=0.1), transient_start()], ids=lambda m: m.name)
def test_the_average_reward_of_a_long_path_is_the_exact_reward_rate(mdp):
    """Also where the actions are drawn with the seed of the reset, as they are here."""
    policy = np.random.default_rng(1).dirichlet(np.ones(mdp.num_actions), mdp.num_states)
    reward = play(TabularEnvironment(mdp), policy, 50_500, seed=2)[2]
    batches = reward[500:].reshape(100, 500).mean(1)
    error = batches.std(ddof=1) / 10.0
    assert 0.0 < error < 0.02
    assert batches.mean() == pytest.approx(evaluate(mdp, policy).reward_rate, abs=4.0 * error)


def test_an_episode_begins_where_the_start_distribution_says():
    env = gymnasium.make("l2t/Garnet-v0", num_states=5)
    assert {env.reset(seed=seed)[0] for seed in range(20)} == {0}
    start = [0.0, 0.5, 0.0, 0.3, 0.2]
    env = gymnasium.make("l2t/Garnet-v0", num_states=5, start=start)
    env.reset(seed=0)
    resets = [env.reset() for _ in range(5000)]
    counts = np.bincount([state for state, _ in resets], minlength=5)
    assert counts[[0, 2]].sum() == 0
    assert chisquare(counts[[1, 3, 4]], 5000 * np.array([0.5, 0.3, 0.2])).pvalue > 1e-3
    assert all(info == {"prob": start[state]} for state, info in resets)
    assert env.reset(options={"state": 2}) == (2, {"prob": 1.0})


def test_what_has_no_probability_is_never_drawn():
    """Also where rounding leaves the sum of a row below 1: ten tenths are 1 - 2⁻⁵³, the largest draw."""

    class Largest:
        def random(self):
            return 1.0 - 2.0**-53

    row = np.array([0.1] * 10 + [0.0])
    assert row.cumsum()[-1] == Largest().random()
    env = TabularEnvironment(TabularMDP(np.tile(row, (11, 1, 1)), np.zeros((11, 1))), start=row)
    env.reset(seed=0)
    env._generator = Largest()
    assert env.reset()[0] == 9
    assert env.step(0)[0] == 9


def test_a_path_follows_from_the_seed():
    env = gymnasium.make("l2t/Garnet-v0", start=np.full(20, 0.05))

    def path(seed):
        states = [env.reset(seed=seed)[0]] + [env.step(i % 4)[0] for i in range(30)]
        return states + [env.reset()[0]] + [env.step(i % 4)[0] for i in range(30)]

    first = path(5)
    assert path(5) == first
    assert path(6) != first
    assert first[:31] != first[31:]


def test_a_path_has_an_end_only_where_one_is_asked_for():
    env = gymnasium.make("l2t/Ring-v0", max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize("options", [{}, {"vectorization_mode": "sync"}])
def test_instances_of_a_vector_are_single_environments_with_consecutive_seeds(options):
    parameters = {"num_states": 8, "seed": 3, "start": np.full(8, 0.125), "max_episode_steps": 20}
    vector = gymnasium.make_vec("l2t/Garnet-v0", num_envs=3, **parameters, **options)
    assert vector.single_observation_space == gymnasium.spaces.Discrete(8)
    assert vector.action_space == gymnasium.spaces.MultiDiscrete([4, 4, 4])
    singles = [gymnasium.make("l2t/Garnet-v0", **parameters) for _ in range(3)]
    observation, info = vector.reset(seed=7)
    expected = [single.reset(seed=7 + index) for index, single in enumerate(singles)]
    np.testing.assert_array_equal(observation, [state for state, _ in expected])
    np.testing.assert_array_equal(info["prob"], 0.125)
    generator = np.random.default_rng(0)
    for step in range(20):
        action = generator.integers(4, size=3)
        observation, reward, terminated, truncated, info = vector.step(action)
        expected = [single.step(a) for single, a in zip(singles, action, strict=True)]
        np.testing.assert_array_equal(observation, [e[0] for e in expected])
        np.testing.assert_array_equal(reward, [e[1] for e in expected])
        np.testing.assert_array_equal(info["prob"], [e[4]["prob"] for e in expected])
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (step == 19)
    observation, reward, _, truncated, _ = vector.step(action)  # the next episode begins by itself
    np.testing.assert_array_equal(observation, [single.reset()[0] for single in singles])
    assert not reward.any()
    assert not truncated.any()


def test_the_text_names_the_process_and_the_state():
    env = gymnasium.make("l2t/RiverSwim-v0", render_mode="ansi")
    env.reset(options={"state": 4})
    assert env.render() == "river-swim: state 4 of 6\n"


@pytest.mark.parametrize(
    ("identifier", "wrong", "answer"),
    [
        ("Garnet", {"num_state": 5}, r"garnet.*num_state.*branching, .*seed, start, teleport\. Did you mean"),
        ("TwoStateCycle", {"seed": 5}, "leave_first, leave_second, render_mode, rewards, start"),
        ("Ring", {"num_states": 2}, "num_states=2"),
        ("Ring", {"move": "fast"}, "move='fast'"),
        ("Garnet", {"seed": -1}, "garnet cannot be made with seed=-1"),
        ("AccessControl", {"priorities": 3.0}, "access_control cannot be made with priorities=3.0"),
        ("RiverSwim", {"render_mode": "human"}, "ansi"),
        ("RiverSwim", {"family": "river"}, "river_swim"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_wrong_arguments_are_answered_with_the_cause(identifier, wrong, answer):
    with pytest.raises(ConfigurationError, match=answer):
        gymnasium.make(f"l2t/{identifier}-v0", **wrong)


def test_arguments_that_make_no_process_are_refused():
    with pytest.raises(ModelError, match="two-state-cycle"):
        gymnasium.make("l2t/TwoStateCycle-v0", rewards=(1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("start", "answer"),
    [
        ([0.5, 0.5], r"shape \(2,\).*6 states"),
        (3, r"shape \(\).*6 states"),
        (np.full((1, 6), 1 / 6), r"shape \(1, 6\)"),
        ([1.5, -0.5, 0.0, 0.0, 0.0, 0.0], "negative"),
        ([np.nan, 1.0, 0.0, 0.0, 0.0, 0.0], "not finite"),
        ([0.5, 0.4, 0.0, 0.0, 0.0, 0.0], r"sum to 0\.9"),
        ("first", "first"),
        ([[1.0], 2.0], "no distribution"),
    ],
)
def test_a_start_that_is_no_distribution_is_refused(start, answer):
    with pytest.raises(ModelError, match=answer):
        make_tabular("river_swim", start=start)


def test_steps_out_of_order_and_numbers_out_of_range_are_refused():
    env = TabularEnvironment(river_swim())
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    for action in (2, -1, 0.5, "left", np.zeros(1, int)):
        with pytest.raises(ConfigurationError, match="from 0 to 1"):
            env.step(action)
    for state in (6, -1, "last"):
        with pytest.raises(ConfigurationError, match="from 0 to 5"):
            env.reset(options={"state": state})


def test_resets_are_refused_as_those_of_the_tasks_are():
    env = TabularEnvironment(river_swim())
    for wrong, answer in (({"stat": 3}, "Did you mean 'state'"), ({"qpos": [0.0]}, "'qpos'"), ([3], "dictionary")):
        with pytest.raises(ConfigurationError, match=answer):
            env.reset(options=wrong)
    for seed in (-1, 0.5, "a"):
        with pytest.raises(gymnasium.error.Error, match="Seed must be"):
            env.reset(seed=seed)
    assert env.reset(seed=np.int64(3)) == env.reset(seed=3)
    path = [env.step(i % 2)[0] for i in range(20)]
    env.reset(seed=np.uint8(3))
    assert [env.step(i % 2)[0] for i in range(20)] == path


def test_the_caller_keeps_his_start_distribution():
    start = np.full(6, 1 / 6)
    env = TabularEnvironment(river_swim(), start)
    start[:] = 0.0
    assert env.reset(seed=0)[1] == {"prob": 1 / 6}
