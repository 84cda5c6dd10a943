"""A run that starts from another one: what it takes over, what it leaves, and what does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from algorithms.build import build
from algorithms.config import PPOConfig, SPMDConfig
from algorithms.inverse.config import CloningConfig, RegressionConfig
from algorithms.replay.config import SACConfig, SPMDReplayConfig
from algorithms.teaching.config import DistillationConfig, LearnToTeachConfig, StudentConfig
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext, FrozenPolicy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.normaliser import Normaliser
from l2t.rl.policy import Memoryless, ask
from l2t.rl.warm_start import inherit
from tests.support.demonstrated import demonstrate
from tests.support.probes import signal_following
from tests.support.training import FAST, train

OFF_POLICY = {"num_steps": 4, "batch_size": 8, "buffer_size": 256, "warm_up": 0}


def _fresh(config: Any, hidden: int = 16) -> tuple[Any, Any]:
    algorithm = build(config, BuildContext(signal_following(), 16, 10_000, NetworkConfig((hidden,))))
    return algorithm, jax.jit(algorithm.init)(jax.random.key(9)).learnt


def _equal(left: Any, right: Any) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, left, right))


def _exploring_anew(old: Any, fresh: Any) -> Any:
    """`old`, but for how much a policy explores."""
    return jax.tree_util.tree_map_with_path(
        lambda path, ours, theirs: theirs if "log_std" in jax.tree_util.keystr(path) else ours, old, fresh
    )


@pytest.fixture(scope="module")
def taught() -> tuple[Any, Any]:
    """Learn-to-Teach after a few iterations."""
    student = StudentConfig(network=NetworkConfig((16,)), minibatches=4)
    algorithm, state, _ = train(LearnToTeachConfig(SPMDConfig(**FAST), student), signal_following(), 4)
    return algorithm, state.learnt


def test_the_policy_and_its_values_are_taken_over_and_all_else_is_fresh(taught: Any) -> None:
    loop, learnt = _fresh(SPMDConfig(**FAST))
    heir, roles = loop.heir(learnt, *taught)
    old = taught[1].agent.teacher
    assert roles == ("teacher",)
    assert _equal(heir.agent.models, _exploring_anew(old.models, learnt.agent.models))
    np.testing.assert_array_equal(heir.agent.models.actor.weights["log_std"], NetworkConfig().initial_log_std)
    assert not _equal(heir.agent.models, old.models)
    assert not _equal(learnt.agent.models, old.models)
    assert heir.agent.value_scale == old.value_scale != learnt.agent.value_scale
    for name in ("optimiser", "iteration", "step_size", "reward_rate", "reset_cost"):
        assert _equal(getattr(heir.agent, name), getattr(learnt.agent, name)), name


@pytest.mark.parametrize(
    ("config", "roles", "actor"),
    [
        (PPOConfig(**FAST), ("teacher",), lambda agent: agent.models.actor),
        (SPMDConfig(observation="student", **FAST), ("student",), lambda agent: agent.models.actor),
        (
            LearnToTeachConfig(SPMDConfig(**FAST), StudentConfig(network=NetworkConfig((16,)), minibatches=4)),
            ("teacher", "student"),
            lambda agent: agent.student.actor,
        ),
    ],
)
def test_each_role_inherits_from_the_same_role(taught: Any, config: Any, roles: Any, actor: Any) -> None:
    loop, learnt = _fresh(config)
    heir, heirs = loop.heir(learnt, *taught)
    old = taught[1].agent
    assert heirs == roles
    expected = old.student.actor if "student" in roles else old.teacher.models.actor
    assert _equal(actor(heir.agent), _exploring_anew(expected, actor(learnt.agent)))


def test_what_never_changed_in_the_old_task_may_change_in_the_new_one(taught: Any) -> None:
    loop, learnt = _fresh(SPMDConfig(**FAST))
    old_loop, old = taught
    seen = Normaliser.create(2).update(np.array([[3.0, 1.0], [3.0, 2.0]] * 50))
    models = old.agent.teacher.models
    models = replace(models, actor=replace(models.actor, normaliser=seen))
    teacher = replace(old.agent.teacher, models=models)
    heir, _ = loop.heir(learnt, old_loop, replace(old, agent=replace(old.agent, teacher=teacher)))
    inherited = heir.agent.models.actor.normaliser
    np.testing.assert_allclose(inherited(np.array([3.5, 2.0])), [0.5, 1.0], rtol=1e-3)
    np.testing.assert_allclose(inherited(np.array([3.0, 1.5])), 0.0, atol=1e-3)
    assert seen(np.array([3.5, 2.0]))[0] == 0.0  # as it was: not shown


def test_one_role_can_begin_anew_with_another_shape(taught: Any) -> None:
    student = StudentConfig(network=NetworkConfig((8,)), minibatches=4)
    loop, learnt = _fresh(LearnToTeachConfig(SPMDConfig(**FAST), student))
    with pytest.raises(ConfigurationError, match=r"does not fit: student.*start_roles=\[teacher\]"):
        loop.heir(learnt, *taught)
    heir, roles = loop.heir(learnt, *taught, roles=["teacher"])
    assert roles == ("teacher",)
    expected = _exploring_anew(taught[1].agent.teacher.models, learnt.agent.teacher.models)
    assert _equal(heir.agent.teacher.models, expected)
    assert _equal(heir.agent.student, learnt.agent.student)


def test_a_role_that_only_one_run_has_is_refused(taught: Any) -> None:
    loop, learnt = _fresh(PPOConfig(**FAST))
    with pytest.raises(ConfigurationError, match=r"student is not a role of both runs.*\[teacher\].*\[tea"):
        loop.heir(learnt, *taught, roles=["teacher", "student"])


def test_off_policy_learners_take_over_critics_targets_and_temperature() -> None:
    old_loop, old = _fresh(SACConfig(**OFF_POLICY))
    old = jax.tree.map(lambda x: x + 1 if np.issubdtype(x.dtype, np.floating) else x, old)
    loop, learnt = _fresh(SPMDReplayConfig(**OFF_POLICY))
    heir, _ = loop.heir(learnt, old_loop, old)
    weights, before = heir.agent.weights, old.agent.weights
    assert _equal(
        (weights.actor, weights.critics, weights.log_temperature, heir.agent.normaliser),
        (before.actor, before.critics, before.log_temperature, old.agent.normaliser),
    )
    assert _equal((weights.optimisers, weights.gain), (learnt.agent.weights.optimisers, learnt.agent.weights.gain))


@pytest.mark.parametrize("fixed", [0.2, 0.0])
def test_a_fixed_temperature_is_the_configurations_and_not_the_other_runs(fixed: float) -> None:
    old_loop, old = _fresh(SACConfig(**OFF_POLICY, initial_temperature=0.003))
    loop, learnt = _fresh(SACConfig(**OFF_POLICY, temperature=fixed))
    heir, _ = loop.heir(learnt, old_loop, old)
    start = jax.jit(loop.init)(jax.random.key(9))
    # The same but for the stored temperature, which counts for nothing here.
    told = replace(heir, agent=replace(heir.agent, weights=replace(heir.agent.weights, log_temperature=jnp.zeros(()))))
    iterate = jax.jit(loop.iterate)
    (one, metrics), (other, _) = iterate(replace(start, learnt=heir)), iterate(replace(start, learnt=told))
    assert float(metrics["train/temperature"]) == pytest.approx(fixed)
    assert _equal(one.learnt.agent.weights.actor, other.learnt.agent.weights.actor)
    assert _equal(one.learnt.agent.weights.critics, other.learnt.agent.weights.critics)


def _playing(label: Any) -> Memoryless:
    return Memoryless(lambda seen: DiagonalGaussian(jnp.full((*seen["teacher"].shape[:-1], 1), label), jnp.zeros(1)))


def test_a_frozen_teacher_stays_the_one_that_was_asked_for() -> None:
    def distilled(label: float) -> tuple[Any, Any]:
        probe = signal_following()
        teacher = FrozenPolicy(_playing, lambda: jnp.float32(label), probe.spec.name, 0)
        student = StudentConfig(network=NetworkConfig((16,)), minibatches=4)
        context = BuildContext(probe, 16, 10_000, NetworkConfig((16,)), load_policy=lambda run, role: teacher)
        algorithm = build(DistillationConfig("runs/teacher", num_steps=4, student=student), context)
        return algorithm, jax.jit(algorithm.init)(jax.random.key(int(10 * label))).learnt

    (loop, learnt), old = distilled(0.5), distilled(-0.5)
    heir, roles = loop.heir(learnt, *old)
    assert roles == ("student",)
    assert heir.agent.teacher == 0.5
    assert _equal(heir.agent.student.actor, _exploring_anew(old[1].agent.student.actor, learnt.agent.student.actor))
    assert not _equal(heir.agent.student.actor, learnt.agent.student.actor)
    with pytest.raises(ConfigurationError, match="teacher is not a role of both runs"):
        loop.heir(learnt, *old, roles=["teacher"])


def test_what_a_clone_plays_is_inherited_and_not_what_it_learns_on_with() -> None:
    found = demonstrate(signal_following(), lambda o: o[:, 0], 3)
    context = BuildContext(signal_following(), 16, 10_000, NetworkConfig((16,)), load_demonstrations=lambda path: found)
    cloning = build(CloningConfig("x", regression=RegressionConfig(NetworkConfig((16,)))), context)
    learnt = jax.jit(cloning.init)(jax.random.key(1)).learnt
    memorised = jax.tree.map(lambda weight: weight + 1.0, learnt.agent.actor.weights)
    learnt = replace(learnt, agent=replace(learnt.agent, actor=replace(learnt.agent.actor, weights=memorised)))
    observation = {"teacher": jnp.linspace(-1.0, 1.0, 6).reshape(3, 2)}
    played = ask(cloning.policy(learnt, "teacher"), observation).mode()
    for config in (SPMDConfig(**FAST), CloningConfig("x", regression=RegressionConfig(NetworkConfig((16,))))):
        algorithm = build(config, replace(context, network=NetworkConfig((16,), "tanh")))
        heir, _ = algorithm.heir(jax.jit(algorithm.init)(jax.random.key(2)).learnt, cloning, learnt)
        np.testing.assert_array_equal(ask(algorithm.policy(heir, "teacher"), observation).mode(), played)


def test_a_state_of_other_fields_says_which_of_them_describe_its_policy() -> None:
    @struct.dataclass
    class Own:
        inherited: ClassVar = ("actor", "q_network")

        actor: Any
        q_network: Any
        optimiser: Any

    heir, _ = inherit({"teacher": Own(0.0, 1.0, 2.0)}, {"teacher": Own(3.0, 4.0, 5.0)})
    assert heir == {"teacher": Own(3.0, 4.0, 2.0)}


def test_another_network_is_refused_with_both_shapes(taught: Any) -> None:
    loop, learnt = _fresh(SPMDConfig(**FAST), hidden=8)
    with pytest.raises(ConfigurationError, match=r"start_from does not fit: teacher.models.*2x8.*2x16"):
        loop.heir(learnt, *taught)


def test_a_learner_of_another_kind_is_refused(taught: Any) -> None:
    loop, learnt = _fresh(SACConfig(**OFF_POLICY))
    with pytest.raises(ConfigurationError, match="no network in common"):
        loop.heir(learnt, *taught)
