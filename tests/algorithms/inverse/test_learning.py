"""Learning from demonstrations on a task where the expert's action is x + ½y, and known to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.build import build
from algorithms.config import PPOConfig
from algorithms.inverse.build import objective
from algorithms.inverse.config import (
    AIRLConfig,
    CloningConfig,
    DAggerConfig,
    FIRLConfig,
    GAILConfig,
    IPMDConfig,
    IQLearnConfig,
    RegressionConfig,
)
from algorithms.inverse.reward import RewardLearner
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from l2t.run.rows import metric_rows
from tests.support.demonstrated import demonstrate
from tests.support.imitation import (
    NETWORK,
    REPLAY,
    REWARD,
    SIGNALS,
    SPMD,
    actions_of,
    asked,
    best_action,
    build_context,
    train_inverse,
)
from tests.support.probes import signal_following, tempting_end


@pytest.mark.parametrize(
    ("config", "iterations", "tolerance"),
    [
        (IPMDConfig("x", optimizer=SPMD, reward=replace(REWARD, gradient_penalty=0.5)), 200, 0.25),
        (GAILConfig("x", optimizer=SPMD, reward=REWARD), 200, 0.25),
        (AIRLConfig("x", optimizer=SPMD, reward=REWARD), 200, 0.3),
        (IPMDConfig("x", optimizer=REPLAY, reward=REWARD), 160, 0.3),
        (IQLearnConfig("x", replay=REPLAY, actor_learning_rate=3e-3), 180, 0.3),
        (CloningConfig("x", regression=RegressionConfig(NETWORK, learning_rate=3e-3, batch_size=64)), 20, 0.1),
    ],
    ids=["ipmd", "gail", "airl", "ipmd_replay", "iq_learn", "bc"],
)
def test_the_expert_is_imitated_without_its_reward(config: Any, iterations: int, tolerance: float) -> None:
    algorithm, state, _ = train_inverse(config, build_context(), iterations)
    np.testing.assert_allclose(actions_of(algorithm, state), best_action(SIGNALS), atol=tolerance)


def test_f_irl_moves_the_distribution_of_what_its_reward_sees_to_the_experts() -> None:
    # Short stretches and many of them, or their covariance is all noise; and a policy that is slower than its reward.
    slow = replace(SPMD, num_steps=2, epochs=2, entropy=0.5, target_kl=0.003, max_step_size=1.0)
    reward = replace(REWARD, learning_rate=1e-2, updates=24)
    config = FIRLConfig("x", optimizer=slow, reward=reward, reward_learning_rate=3e-3)
    algorithm, state, rows = train_inverse(config, build_context(num_envs=256), 120)
    # What it starts from is an action of 0, whose error is .44.
    assert np.abs(actions_of(algorithm, state) - best_action(SIGNALS)).mean() < 0.15
    assert rows[-1]["learned_reward/accuracy"] < 0.95


@pytest.mark.parametrize("exploration", [0.0, 0.2])
def test_dagger_drives_with_its_mode_and_with_the_exploration_that_it_is_given(exploration: float) -> None:
    config = DAggerConfig("x", regression=RegressionConfig(NETWORK), decay=0.0, exploration=exploration)
    agent: Any = build(config, asked()).agent  # type: ignore[attr-defined]
    # The first round is the expert's; with β = 0 all others are the learner's.
    state = replace(agent.init(jax.random.split(jax.random.key(0), 1)), round=jnp.asarray(1))
    observation = {"teacher": jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (4000, 2)), jnp.float32)}
    first = jnp.ones(4000, bool)
    behaviour = agent.behaviour(state)
    _, distribution = behaviour.step(behaviour.initial(4000), observation, first)
    noise = np.asarray(distribution.sample(jax.random.key(1)) - agent.policy(state).distribution(observation).mode())
    assert float(noise.std()) == pytest.approx(exploration, abs=0.01)
    assert np.abs(noise).max() <= 5.0 * exploration + 1e-6
    with pytest.raises(ConfigurationError, match="exploration"):
        DAggerConfig("x", exploration=-0.1)


def test_dagger_asks_about_every_state_and_its_expert_leaves_the_wheel() -> None:
    context = asked()
    regression = RegressionConfig(NETWORK, learning_rate=3e-3, batch_size=64, updates=50)
    config = DAggerConfig("x", regression=regression, num_steps=4, decay=0.5, buffer_size=2048)
    algorithm, state, rows = train_inverse(config, context, 25)
    np.testing.assert_allclose(actions_of(algorithm, state), best_action(SIGNALS), atol=0.1)
    assert all(row["expert/queries"] == 64 for row in rows)
    assert algorithm.prior_steps == {"pretraining": 77}
    assert float(algorithm.agent.behaviour(state.learnt.agent).share) == 0.5**25


def test_daggers_ring_is_asked_for_all_that_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    config = DAggerConfig("x", regression=RegressionConfig(NETWORK), num_steps=4, buffer_size=2048)
    ring = jax.eval_shape(build(config, asked()).init, jax.random.key(0)).transient.store
    taken = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(ring))
    assert taken > 2 * 2048 * 4 * 2  # actions, rewards and flags beside two floats of an observation
    for free, fits in ((taken, True), (taken - 1, False)):
        monkeypatch.setattr("algorithms.experience.free_memory", lambda free=free: free)
        if fits:
            build(config, asked())
        else:
            with pytest.raises(ConfigurationError, match=r"buffer_size=2,048 steps of 18 bytes"):
                build(config, asked())


@dataclass(frozen=True)
class _More(RewardLearner):
    """Pays `amount` more at every step."""

    amount: Any = 0.0

    def relabel(self, state: Any, trajectory: Any) -> Any:
        paid = super().relabel(state, trajectory)
        return replace(paid, reward=paid.reward + self.amount)


def test_a_constant_on_the_reward_moves_the_rate_by_it_and_no_weight_unless_it_is_discounted() -> None:
    probe = tempting_end(0.0)  # it ends at once, again and again
    found = demonstrate(probe, lambda o: -o[:, 0], 4)
    context = BuildContext(probe, 16, 10_000, NETWORK, load_demonstrations=lambda path: found)
    ppo = PPOConfig(num_steps=16, epochs=4, minibatches=4, learning_rate=3e-3, discount=0.9)
    for optimizer, same in ((SPMD, True), (ppo, False)):
        loop = build(GAILConfig("x", optimizer=optimizer, reward=REWARD), context)

        @jax.jit
        def iterate(state: Any, amount: Any, loop: Any = loop) -> Any:
            reward = _More(**vars(loop.reward), amount=amount)
            return replace(loop, reward=reward).iterate(state)

        start, ends = jax.jit(loop.init)(jax.random.key(0)), []
        for amount in (-3.5, 3.5):
            state, metrics = iterate(start, amount)
            assert float(metrics["train/terminations"]) > 50
            ends.append((state.learnt.agent, metrics))
        (one, _), (other, _) = ends
        weights = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(s.models.weights)]) for s in (one, other)]
        change = np.abs(weights[0] - weights[1]).max()
        if same:
            assert float(other.reward_rate - one.reward_rate) == pytest.approx(7.0, abs=1e-4)
            assert change < 2e-4
        else:
            assert change > 1e-2


@pytest.mark.parametrize(("entropy", "low", "high"), [(1.0, 0.17, 0.23), (0.0, 0.0, 0.12)])
def test_what_airl_pays_where_it_is_undecided_leads_to_the_expert_with_a_price_of_entropy_of_one(
    entropy: float, low: float, high: float
) -> None:
    from l2t.rewards.frozen import FrozenReward

    class Likelihood:
        """log π_E(a|s) of a Gaussian expert with a standard deviation of 0.2, but for a constant."""

        group = "teacher"

        def __call__(self, state: Any, steps: Any) -> Any:
            s = steps.observation["teacher"]
            return -0.5 * ((jnp.clip(steps.action[..., 0], -1, 1) - 0.25 * s[..., 0]) / 0.2) ** 2

    frozen = FrozenReward(Likelihood(), lambda: jnp.zeros(()), 1.0, 0.0)  # type: ignore[arg-type]
    _, state, _ = train_inverse(replace(SPMD, entropy=entropy), replace(build_context(), reward=frozen), 120)
    deviation = float(jnp.exp(state.learnt.agent.models.weights["actor"]["log_std"])[0])
    assert low <= deviation <= high


@pytest.mark.parametrize(
    "config",
    [
        IPMDConfig("x", optimizer=SPMD, reward=REWARD),
        AIRLConfig("x", optimizer=SPMD, reward=REWARD),
        FIRLConfig("x", optimizer=SPMD, reward=REWARD),
        GAILConfig("x", optimizer=replace(REPLAY, warm_up=128), reward=REWARD),
        IQLearnConfig("x", replay=replace(REPLAY, warm_up=128)),
        CloningConfig("x", regression=RegressionConfig(NETWORK, updates=5)),
    ],
    ids=["ipmd", "airl", "f_irl", "gail_replay", "iq_learn", "bc"],
)
def test_the_true_reward_reaches_no_weight(config: Any) -> None:
    contexts = [
        replace(build_context(reward=reward), environment=_pays(signal_following(), scale))
        for reward, scale in ((0.0, 1.0), (float("nan"), float("nan")))
    ]
    ends = [train_inverse(config, context, 3)[1] for context in contexts]
    for one, other in zip(*(jax.tree.leaves(_without_score(end)) for end in ends), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def _pays(probe: Any, scale: float) -> Any:
    """The probe, whose reward is scaled on the host: a constant would let the compiler make another program of it."""

    def advance(key: Any, memory: Any, action: Any) -> Any:
        memory, reward, terminated = probe.advance(key, memory, action)
        like = jax.ShapeDtypeStruct(reward.shape, reward.dtype)
        reward = jax.pure_callback(lambda r: np.float32(scale) * r, like, reward, vmap_method="expand_dims")
        return memory, reward, terminated

    return replace(probe, advance=advance)


def _without_score(state: Any) -> Any:
    """Everything that was learnt but for what is there to be reported alone."""

    def strip(node: Any) -> Any:
        return node.replace(score=jnp.zeros(2)) if type(node).__name__ == "Expert" else node

    learnt = jax.tree.map(strip, state.learnt, is_leaf=lambda node: type(node).__name__ == "Expert")
    leaves = (learnt.agent, learnt.reward)
    return jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, leaves)


def test_a_reward_on_few_demonstrations_stays_bounded_rests_and_says_so() -> None:
    reward = replace(REWARD, gradient_penalty=0.0, updates=64, learning_rate=1e-2, overfit=0.3)
    few = build_context(
        lambda o: np.random.default_rng(3).uniform(-2, 2, len(o)), episodes=3
    )  # nothing but noise to learn
    algorithm, _, rows = train_inverse(IPMDConfig("x", optimizer=SPMD, reward=reward, penalty=0.05), few, 150)
    assert all(
        {"learned_reward/gap", "learned_reward/held_out_gap", "learned_reward/excess"} <= set(row) for row in rows
    )
    assert max(row["learned_reward/rms"] for row in rows) <= 10.0
    assert any(row["learned_reward/resting"] > 0 for row in rows)
    assert "memorise" in algorithm.warnings["learned_reward/resting"]
    free = replace(reward, overfit=float("inf"))
    _, _, unheld = train_inverse(IPMDConfig("x", optimizer=SPMD, reward=free, penalty=0.05), few, 150)
    assert np.mean([row["learned_reward/excess"] for row in unheld[-20:]]) > 1.5 * np.mean(
        [row["learned_reward/excess"] for row in rows[-20:]]
    )


def _noise(observations: Any) -> Any:
    return np.random.default_rng(3).uniform(-2, 2, len(observations))


def _kept(state: Any) -> list[Any]:
    learnt = state.learnt.reward
    return jax.tree.leaves((learnt.weights, learnt.normalisers, learnt.optimisers))


def test_a_reward_at_rest_pays_as_it_did() -> None:
    reward = replace(REWARD, overfit=1e-6, gradient_penalty=0.0, updates=64, learning_rate=1e-2)
    config = IPMDConfig("x", optimizer=SPMD, reward=reward, penalty=0.05)
    algorithm, state, _ = train_inverse(config, build_context(_noise, episodes=3), 3)
    iterate, rests = jax.jit(algorithm.iterate), 0
    for _ in range(10):
        after, metrics = iterate(state)
        same = all(np.array_equal(old, new) for old, new in zip(_kept(state), _kept(after), strict=True))
        assert same == bool(metrics["learned_reward/resting"])
        rests += same
        state = after
    assert rests > 0


def test_a_reward_that_has_memorised_takes_the_steps_that_lessen_it() -> None:
    reward = replace(REWARD, gradient_penalty=0.0, updates=64, learning_rate=1e-2, overfit=float("inf"))
    config = IPMDConfig("x", optimizer=SPMD, reward=reward, penalty=0.05)
    algorithm, state, rows = train_inverse(config, build_context(_noise, episodes=3), 60)
    assert rows[-1]["learned_reward/excess"] > 0.3
    few = replace(config, reward=replace(reward, overfit=0.1))
    algorithm = build(few, build_context(_noise, episodes=3))
    # What was held out is among what is learnt from now, so that there is a way down.
    expert = state.learnt.reward.expert
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), expert.learnt_from, expert.held_out)
    learnt = replace(state.learnt.reward, expert=expert.replace(learnt_from=both))
    state = replace(state, learnt=replace(state.learnt, reward=learnt))
    iterate, found = jax.jit(algorithm.iterate), []
    for _ in range(40):
        state, metrics = iterate(state)
        found.append((float(metrics["learned_reward/excess"]), float(metrics["learned_reward/resting"])))
    assert found[0][0] > 0.1
    assert min(excess for excess, _ in found) <= 0.1
    assert min(resting for _, resting in found) == 0.0


def test_iq_learn_pays_what_is_held_out_beside_what_it_learns_from() -> None:
    config = IQLearnConfig("x", replay=replace(REPLAY, warm_up=0, learning_rate=1e-7), held_out=5)
    learner = build(config, build_context()).agent.learner  # type: ignore[attr-defined]
    state, loop = jax.jit(learner.init)(jax.random.key(0)), build(config, build_context())

    def ended(steps: Any) -> Any:
        """With nothing after it a step's implied reward is its Q, without a draw."""
        return steps.replace(terminated=jnp.ones_like(steps.terminated))

    expert = state.expert.replace(learnt_from=ended(state.expert.learnt_from), held_out=ended(state.expert.held_out))
    # Of one row each, so that nothing is left to chance.
    expert = expert.replace(**{name: jax.tree.map(lambda x: x[:1], getattr(expert, name)) for name in _PARTS})
    run = jax.jit(loop.init)(jax.random.key(0))
    run = replace(run, learnt=run.learnt.replace(agent=state.replace(expert=expert)))
    _, metrics = jax.jit(loop.iterate)(run)
    worth = {}
    for name in _PARTS:
        steps = getattr(expert, name)
        features = jnp.concatenate([state.actor.normaliser(steps.observation["teacher"]), steps.action], axis=-1)
        worth[name] = float(learner.critic.apply(state.critic, features)[0])
    assert abs(worth["learnt_from"] - worth["held_out"]) > 0.05
    apart = float(metrics["learned_reward/gap"]) - float(metrics["learned_reward/held_out_gap"])
    assert apart == pytest.approx(worth["learnt_from"] - worth["held_out"], abs=1e-4)


_PARTS = ("learnt_from", "held_out")


def test_iq_learns_gap_stands_out_on_what_it_learns_from_where_there_is_nothing_but_noise_to_learn() -> None:
    few = build_context(lambda o: np.random.default_rng(3).uniform(-2, 2, len(o)), episodes=3)
    config = IQLearnConfig("x", replay=replace(REPLAY, warm_up=128), actor_learning_rate=3e-3)
    rows = train_inverse(config, few, 150)[2]
    assert all({"learned_reward/gap", "learned_reward/held_out_gap"} <= set(row) for row in rows)
    known, unknown = (
        np.mean([row[name] for row in rows[-20:]]) for name in ("learned_reward/gap", "learned_reward/held_out_gap")
    )
    assert known > unknown + 0.2
    whole = train_inverse(replace(config, held_out=0), few, 2)[2]
    assert "learned_reward/held_out_gap" not in whole[-1]


@pytest.mark.parametrize("held_out", [0, 5])
def test_iq_learns_rows_say_nothing_of_updates_before_the_first(held_out: int) -> None:
    config = IQLearnConfig("x", replay=replace(REPLAY, warm_up=128, updates_per_step=0.05), held_out=held_out)
    algorithm = build(config, build_context())
    state, iterate, rows = jax.jit(algorithm.init)(jax.random.key(0)), jax.jit(algorithm.iterate), []
    for step in range(2):  # 128 steps each
        state, metrics = iterate(state)
        rows += metric_rows(jax.device_get(metrics), step, None)
    told = {
        "loss/critic",
        "loss/actor",
        "train/entropy",
        "learned_reward/gap",
        "learned_reward/policy",
        "learned_reward/rms",
    }
    told |= {"learned_reward/held_out_gap"} if held_out else set()
    assert rows[1].keys() - rows[0].keys() - {"train/episode_return", "train/episode_length"} == told
    assert not rows[0].keys() - rows[1].keys()


def test_an_actor_that_iq_learn_inherits_acts_while_the_ring_fills() -> None:
    algorithm = build(IQLearnConfig("x", replay=REPLAY), build_context())
    learnt = jax.jit(algorithm.init)(jax.random.key(0)).learnt
    heir, roles = algorithm.heir(learnt, algorithm, learnt)
    assert roles == ("teacher",)
    assert [bool(algorithm.policy(each, "teacher").warming_up) for each in (learnt, heir)] == [True, False]
    warm_up = algorithm.agent.learner.warm_up
    assert not bool(warm_up.over(heir.agent.iteration))
    assert bool(warm_up.over(heir.agent.iteration - warm_up.iterations))


@pytest.mark.parametrize(("schedule", "moves"), [("linear", False), ("constant", True)])
def test_a_rewards_step_falls_to_zero_with_the_runs_end(schedule: str, moves: bool) -> None:
    reward = replace(REWARD, learning_rate_schedule=schedule)
    context = replace(build_context(), total_steps=16 * 16 * 2)  # two iterations
    weights = []
    for iterations in (1, 2, 3):
        _, state, _ = train_inverse(IPMDConfig("x", optimizer=SPMD, reward=reward), context, iterations)
        weights.append(np.concatenate([np.ravel(x) for x in jax.tree.leaves(state.learnt.reward.weights)]))
    assert np.abs(weights[1] - weights[0]).max() > 1e-4
    assert bool(np.abs(weights[2] - weights[1]).max() > 0.0) is moves


def test_a_reward_that_the_task_pays_is_refused_where_nothing_would_learn_from_it() -> None:
    from l2t.rewards.frozen import FrozenReward

    model = objective(IPMDConfig("x", reward=REWARD), signal_following().spec).models["reward"]
    frozen = FrozenReward(model, lambda: model.init(jax.random.key(0)), 1.0, 0.0)
    with pytest.raises(ConfigurationError, match=r"env.reward would change nothing"):
        build(IPMDConfig("x", optimizer=SPMD, reward=REWARD), replace(build_context(), reward=frozen))


def test_training_on_a_frozen_reward_follows_it_and_not_the_task() -> None:
    # The reward that is handed over wants the opposite of what the task does.
    from l2t.rewards.frozen import FrozenReward

    class Opposite:
        group = "teacher"

        def __call__(self, state: Any, steps: Any) -> Any:
            s = steps.observation["teacher"]
            return -((2.0 * jnp.clip(steps.action[..., 0], -1, 1) + s[..., 0] + 0.5 * s[..., 1]) ** 2)

    frozen = FrozenReward(Opposite(), lambda: jnp.zeros(()), 1.0, 0.0)  # type: ignore[arg-type]
    algorithm, state, rows = train_inverse(SPMD, replace(build_context(), reward=frozen), 120)
    np.testing.assert_allclose(actions_of(algorithm, state), -best_action(SIGNALS), atol=0.2)
    assert rows[-1]["learned_reward/paid"] > -0.3
    assert rows[-1]["train/mean_reward"] < -1.0
    both = replace(frozen, weight=0.5, task_weight=0.5)
    algorithm, state, _ = train_inverse(SPMD, replace(build_context(), reward=both), 120)
    np.testing.assert_allclose(actions_of(algorithm, state), 0.0, atol=0.2)
