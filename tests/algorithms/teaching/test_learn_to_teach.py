"""What a student and its teacher may do beside plain imitation: learn again, and pay heed to one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from algorithms.build import build
from algorithms.config import SPMDConfig
from algorithms.replay.config import SPMDReplayConfig
from algorithms.teaching.config import DistillationConfig, LearnToTeachConfig, StudentConfig
from algorithms.teaching.student import Student
from l2t.config import DisturbanceConfig, NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext, FrozenPolicy
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.learner import Judgement
from l2t.rl.policy import Memoryless
from l2t.rl.rollout import collect
from l2t.rl.types import Transitions
from l2t.rl.vector import VectorEnvironment
from tests.support.probes import Probe, signal_following
from tests.support.training import FAST, SLOW_STEPS, actions, train


class _Recorder:
    """A student that hands on, as metrics, what it is shown again and what it is told about it."""

    def __init__(self, student: Any) -> None:
        self.init, self.policy, self.behaviour = student.init, student.policy, student.behaviour

    def learn(self, state: Any, trajectory: Any, judgement: Any, key: Any) -> Any:
        del key
        return state, {"shown": trajectory.replayed.observation["teacher"], "label": judgement.replayed.mean}


def test_what_is_replayed_is_labelled_by_the_teacher_as_it_collected_the_newest_batch() -> None:
    student = StudentConfig(network=NetworkConfig((8,)), minibatches=4, replay=2048, replay_updates=3)
    context = BuildContext(signal_following(), 16, 10_000, NetworkConfig((16,)))
    loop = build(LearnToTeachConfig(teacher=SPMDConfig(**SLOW_STEPS), student=student), context)
    loop = replace(loop, agent=replace(loop.agent, student=_Recorder(loop.agent.student)))
    state, iterate = jax.jit(loop.init)(jax.random.key(0)), jax.jit(loop.iterate)
    told = []
    for _ in range(3):
        policy = loop.policy(state.learnt, "teacher")
        state, metrics = iterate(state)
        expected = policy.distribution({"teacher": metrics["shown"]}).mean  # type: ignore[attr-defined]
        np.testing.assert_allclose(metrics["label"], expected, atol=1e-6)
        told.append(np.asarray(metrics["shown"]))
    # From the second iteration on older batches are among what is drawn.
    assert told[0].shape == (3, 512, 1, 2)
    assert int(state.transient.store.filled) == 3 * SLOW_STEPS["num_steps"]


def test_what_is_replayed_weighs_as_much_as_imitation_does() -> None:
    """Plain gradient steps: half the coefficient, half the way."""
    moved = []
    for coefficient in (1.0, 0.5):
        config = StudentConfig(
            network=NetworkConfig((8,)), minibatches=4, replay=2048, replay_updates=1, imitation_coefficient=coefficient
        )
        student = Student(config, signal_following().spec, 16, 10)
        student.optimiser = optax.sgd(0.1)
        state = student.init(jax.random.key(0))
        rows = {"student": jnp.linspace(-1.0, 1.0, 32).reshape(1, 32, 1, 1)}
        nothing = jnp.zeros((1, 32, 1))
        steps = Transitions(rows, nothing[..., None], nothing, rows, nothing > 0.0, nothing > 0.0)
        told = Judgement(None, None, replayed=DiagonalGaussian(jnp.ones((1, 32, 1, 1)), jnp.zeros(1)).batched())  # type: ignore[arg-type]
        weights, _, metrics = student._relearn(
            state.actor, state.actor.weights, student.optimiser.init(state.actor.weights), steps, told
        )
        moved.append(jax.tree.leaves(jax.tree.map(lambda new, old: new - old, weights, state.actor.weights)))
        assert float(metrics["loss/student_replayed"]) == pytest.approx(0.5 + 0.5 * 0.25, abs=0.05)
    for whole, half in zip(*moved, strict=True):
        np.testing.assert_allclose(half, 0.5 * whole, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["l2t", "dagger"])
def test_a_student_that_replays_learns_the_best_guess_too(algorithm: str) -> None:
    student = StudentConfig(
        network=NetworkConfig((16,)), epochs=1, minibatches=4, learning_rate=3e-3, replay=8192, replay_updates=16
    )
    if algorithm == "l2t":
        config, given = LearnToTeachConfig(teacher=SPMDConfig(**SLOW_STEPS), student=student), {}
    else:
        frozen = FrozenPolicy(
            lambda parameters: Memoryless(
                lambda o: DiagonalGaussian(0.5 * (o["teacher"][:, :1] + 0.5 * o["teacher"][:, 1:]), jnp.full(1, -1.0))
            ),
            lambda: jnp.zeros(1),
            "probe",
            0,
        )
        config = DistillationConfig("run", student=student, num_steps=16)
        given = {"load_policy": lambda run, role: frozen}
    trained, state, _ = train(config, signal_following(), 150, **given)
    x = np.array([[0.6], [-0.6], [0.0]], np.float32)
    np.testing.assert_allclose(actions(trained, state, "student", x), x[:, 0], atol=0.2)


def test_a_disturbance_leads_where_a_student_has_something_to_learn() -> None:
    """x' = x + a: a teacher that knows its way back is never far from 0, and shows a student nothing of elsewhere.

    It acts by a sine; a student that has seen no more than the slope at 0 does less than half of what is right at 0.5.
    """
    balancing = Probe(lambda key: jnp.zeros(1), lambda key, memory, action: (memory + action, 0.0, False))
    frozen = FrozenPolicy(
        lambda parameters: Memoryless(
            lambda o: DiagonalGaussian(-jnp.sin(3.0 * o["teacher"]) / 6.0, jnp.full(1, -3.0))
        ),
        lambda: jnp.zeros(1),
        "probe",
        0,
    )
    x = np.array([[0.5], [-0.5]], np.float32)
    student = StudentConfig(network=NetworkConfig((64,)), **{name: FAST[name] for name in FAST if name != "num_steps"})
    wrong = {}
    for scale in (0.0, 0.1):
        disturbance = DisturbanceConfig(scale)
        config = DistillationConfig(
            "run", method="behaviour_cloning", exploration=0.01, num_steps=16, student=student, disturbance=disturbance
        )
        trained, state, _ = train(config, balancing, 150, load_policy=lambda run, role: frozen)
        wrong[scale] = np.abs(actions(trained, state, "student", x) + np.sin(3.0 * x[:, 0]) / 3.0).max()
    assert wrong[0.0] > 0.15, "half of what is right, at best"
    assert wrong[0.1] < 0.5 * wrong[0.0]


def test_a_disturbed_loop_learns_from_what_its_teacher_meant_and_is_judged_undisturbed() -> None:
    config = LearnToTeachConfig(teacher=SPMDConfig(**SLOW_STEPS), disturbance=DisturbanceConfig(0.3))
    trained, state, _ = train(config, signal_following(), 60)
    plain, untouched, _ = train(replace(config, disturbance=DisturbanceConfig()), signal_following(), 60)
    assert state.transient.environments.disturbance.shape == (16, 1)
    assert untouched.transient.environments.disturbance is None
    x = np.array([[0.6, 0.0], [-0.6, 0.4], [0.0, 0.0]], np.float32)
    # What an action is off by costs reward, and changes neither which one is best nor what is thought of it.
    for run, where in ((trained, state), (plain, untouched)):
        np.testing.assert_allclose(actions(run, where, "teacher", x), x[:, 0] + 0.5 * x[:, 1], atol=0.25)


def test_what_a_student_cannot_replay_is_refused() -> None:
    for wrong, match in (
        ({"memory": "gru"}, "whole stretches"),
        ({"imitation": "nll"}, "labelled anew"),
        ({"imitation": "asymmetric"}, "labelled anew"),
        ({"imitation_coefficient": 0.0, "rl_coefficient": 1.0}, "replay=0 or a coefficient above 0"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            StudentConfig(replay=100, **wrong)
    with pytest.raises(ConfigurationError, match="replay_updates"):
        StudentConfig(replay_updates=5)
    context = BuildContext(signal_following(), 16, 10_000, NetworkConfig((16,)))
    config = LearnToTeachConfig(teacher=SPMDReplayConfig(num_steps=8), student=StudentConfig(minibatches=4, replay=100))
    with pytest.raises(ConfigurationError, match="leave it at 0"):
        build(config, context)
    with pytest.raises(ConfigurationError, match=r"algorithm.student.replay=1,000,000,000,000 .* GiB"):
        build(LearnToTeachConfig(student=StudentConfig(replay=10**12)), replace(context, num_envs=8))


@pytest.mark.parametrize("driven", [0, 4])
@pytest.mark.parametrize("memory", ["none", "gru"])
def test_a_penalty_is_how_much_less_likely_an_action_is_for_the_student_as_it_stands(memory: str, driven: int) -> None:
    class Teacher:
        """Hands on, as metrics, what it is paid and what it judges."""

        def __init__(self, teacher: Any) -> None:
            self.init, self.policy, self.inner = teacher.init, teacher.policy, teacher

        def judge(self, state: Any, trajectory: Any) -> Any:
            self.judged = trajectory.reward
            return self.inner.judge(state, trajectory)

        def learn(self, state: Any, trajectory: Any, key: Any) -> Any:
            del key
            return state, {"paid": trajectory.reward, "judged": self.judged}

    student = StudentConfig(network=NetworkConfig((8,)), minibatches=4, memory=memory, memory_size=4, memory_chunk=8)
    context = BuildContext(signal_following(), 16, 10_000, NetworkConfig((16,)))
    config = LearnToTeachConfig(
        teacher=SPMDConfig(**SLOW_STEPS), student=student, student_penalty=0.3, student_share=driven / 16
    )
    agent = build(config, context).agent
    vector = VectorEnvironment(signal_following(), 16)
    state = agent.init(jax.random.split(jax.random.key(3)))
    _, batch, _ = collect(vector, agent.behaviour(state), vector.init(jax.random.key(0)), jax.random.key(1), 16)
    agent = replace(agent, teacher=Teacher(agent.teacher))
    _, metrics = jax.jit(agent.learn)(state, batch, jax.random.split(jax.random.key(2)))
    ours, gap = agent.student.behaviour(state.student), []
    memories = ours.initial(16)
    for t in range(16):
        observation = jax.tree.map(lambda x, t=t: x[t], batch.observation)
        memories, theirs = ours.step(memories, observation, batch.first[t])
        mine = agent.teacher.policy(state.teacher).distribution(observation)
        densities = [
            scipy.stats.norm.logpdf(batch.action[t, :, 0], p.mean[:, 0], np.exp(np.asarray(p.log_std))[0])
            for p in (mine, theirs)
        ]
        gap.append(densities[0] - densities[1])
    expected = (batch.reward - 0.3 * np.array(gap))[:, driven:]
    np.testing.assert_allclose(metrics["paid"], expected, atol=1e-4)
    np.testing.assert_allclose(metrics["judged"][:, driven:], expected, atol=1e-4)  # by a critic that learns the same
    assert float(metrics["train/student_gap"]) == pytest.approx(np.mean(np.array(gap)[:, driven:]), rel=1e-3)


def test_a_teacher_that_is_paid_for_it_does_what_its_student_can_follow() -> None:
    """The student never sees y. An informed teacher leaves it out the more, the dearer the difference is."""
    shares = []
    for penalty in (0.0, 1.0):
        student = StudentConfig(epochs=4, minibatches=4, learning_rate=3e-3, network=NetworkConfig((16,)))
        config = LearnToTeachConfig(teacher=SPMDConfig(**SLOW_STEPS), student=student, student_penalty=penalty)
        algorithm, state, _ = train(config, signal_following(), 200)
        signals = np.array([[0.0, 0.8], [0.0, -0.8], [0.8, 0.0], [-0.8, 0.0]], np.float32)
        on_y, on_x = (
            np.diff(pair[::-1])[0] / 1.6 for pair in actions(algorithm, state, "teacher", signals).reshape(2, 2)
        )
        shares.append(on_y)
        assert on_x == pytest.approx(1.0, abs=0.2)
    assert shares[0] == pytest.approx(0.5, abs=0.12)
    assert abs(shares[1]) < 0.2


def test_a_penalty_on_what_is_replayed_is_refused() -> None:
    context = BuildContext(signal_following(), 16, 10_000, NetworkConfig((16,)))
    config = LearnToTeachConfig(
        teacher=SPMDReplayConfig(num_steps=8), student=StudentConfig(minibatches=4), student_penalty=0.1
    )
    with pytest.raises(ConfigurationError, match="student_penalty is for teachers that learn from fresh steps"):
        build(config, context)
