"""A task with a memory and a control law against a loop over C MuJoCo, and what the student sees of it."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from envs.config import GymnasiumConfig, MujocoConfig
from envs.mujoco.environment import MujocoEnvironment, make_environment
from envs.mujoco.memoryless import Memoryless as WithoutMemory
from envs.mujoco.task import Start, Surroundings, load_model, uniform_start
from envs.observation import History, ObservationNoise, StudentView, policy_units
from envs.physics.base import Reads
from envs.physics.config import PhysicsConfig
from l2t.errors import ConfigurationError
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.policy import Memoryless
from l2t.rl.rollout import collect
from l2t.rl.vector import VectorEnvironment, scale_action

KP, KD, REDRAW, ALARM = 4.0, 0.5, 5, 40
NATIVE = PhysicsConfig("native")


@dataclass(frozen=True)
class FollowTheCommand:
    """Keep the cart of the inverted pendulum where a command says, which changes every `REDRAW` steps.

    The action moves the target of a PD controller. The memory is a clock, the command and the last action; the episode
    ends when the clock says so.
    """

    xml: str = "inverted_pendulum.xml"
    substeps: int = 2
    episode_length: int = 1000
    reads: Reads = Reads(("qpos", "qvel"))

    def start(self, key, model):
        state_key, command_key = jax.random.split(key)
        memory = {"clock": jnp.zeros((), jnp.int32), "command": self._draw(command_key), "action": jnp.zeros(1)}
        return Start(*uniform_start(state_key, model, 0.01), memory)

    def bounds(self, model):
        return np.array([-0.5]), np.array([1.5])

    def restart(self, key, ended, model):
        return self.start(key, model)

    def surroundings(self, physics, memory, model):
        return Surroundings({})

    def control(self, action, physics, memory, model):
        target = memory["command"] + action[0]
        return (KP * (target - physics["qpos"][0]) - KD * physics["qvel"][0])[None]

    def advance(self, key, transition, model):
        clock = transition.memory["clock"] + 1
        command = jnp.where(clock % REDRAW == 0, self._draw(key), transition.memory["command"])
        return {"clock": clock, "command": command, "action": transition.action}

    def observe(self, physics, memory, model):
        known = jnp.concatenate([physics["qpos"], memory["command"][None], memory["action"]])
        return {"teacher": jnp.concatenate([known, physics["qvel"]]), "student": known, "clock": memory["clock"][None]}

    def reward_terms(self, transition, model):
        memory = transition.memory
        return {
            "reward_track": -((transition.after["qpos"][0] - memory["command"]) ** 2),
            "reward_smooth": -jnp.sum((transition.action - memory["action"]) ** 2),
        }

    def terminated(self, physics, memory, model):
        return memory["clock"] >= ALARM

    def information(self, transition, model):
        return {"command": transition.memory["command"]}

    def _draw(self, key):
        return jax.random.uniform(key, (), minval=-0.5, maxval=0.5)


@pytest.fixture(scope="module")
def env() -> MujocoEnvironment:
    return make_environment("follow", FollowTheCommand(), NATIVE.factory())


def play(env, actions, key=0):
    state = jax.jit(env.reset)(jax.random.key(key))
    states, step = [state], jax.jit(env.step)
    for action in actions:
        states.append(step(states[-1], action))
    return states


def test_memory_and_control_law_equal_a_loop_over_c_mujoco(env):
    actions = np.random.default_rng(0).uniform(-0.5, 1.5, (ALARM, 1)).astype(np.float32)
    states = play(env, actions)
    model = load_model("inverted_pendulum.xml")
    data = mujoco.MjData(model)
    data.qpos, data.qvel = states[0].physics["qpos"], states[0].physics["qvel"]
    previous = np.zeros(1)
    for index, (action, state) in enumerate(zip(actions, states[1:], strict=True)):
        command = float(states[index].observation["teacher"][2])  # drawn by the task; everything else is worked out
        data.ctrl = KP * (command + action - data.qpos[0]) - KD * data.qvel[0]
        mujoco.mj_step(model, data, 2)
        now = float(state.observation["teacher"][2])
        exact = np.concatenate([data.qpos, [now], action, data.qvel])
        np.testing.assert_allclose(state.observation["teacher"], exact, atol=1e-4)
        np.testing.assert_allclose(state.observation["student"], exact[:4], atol=1e-4)
        assert state.observation["clock"].tolist() == [index + 1]
        track, smooth = -((data.qpos[0] - command) ** 2), -float(((action - previous) ** 2).sum())
        np.testing.assert_allclose(state.reward, track + smooth, atol=1e-4)
        np.testing.assert_allclose(state.metrics["reward_smooth"], smooth, atol=1e-6)
        assert float(state.metrics["command"]) == command
        assert bool(state.terminated) == (index + 1 == ALARM)
        previous = action


def test_what_a_task_draws_is_drawn_anew_in_time_and_in_every_instance(env):
    vector = VectorEnvironment(env, 16)

    idle = Memoryless(lambda observation: DiagonalGaussian(jnp.zeros((16, 1)), jnp.zeros(1)))
    state = vector.init(jax.random.key(0), staggered=False)
    state, trajectory, _ = jax.jit(lambda s: collect(vector, idle, s, jax.random.key(1), ALARM + 10))(state)
    command, clock = np.asarray(trajectory.observation["teacher"])[..., 2], np.asarray(trajectory.observation["clock"])
    np.testing.assert_array_equal(clock[:, :, 0], np.tile((np.arange(ALARM + 10) % ALARM)[:, None], 16))
    blocks = command.reshape(-1, REDRAW, 16)
    np.testing.assert_array_equal(blocks, np.repeat(blocks[:, :1], REDRAW, axis=1))
    assert len(np.unique(blocks[:, 0])) == blocks[:, 0].size
    assert -0.5 <= command.min() < -0.4
    assert 0.4 < command.max() <= 0.5


def test_a_chosen_start_state_has_a_memory_too(env):
    qpos, qvel = jnp.array([0.3, 0.1]), jnp.array([0.5, -0.5])
    state = jax.vmap(env.reset_to, (0, None, None))(jax.random.split(jax.random.key(0), 8), qpos, qvel)
    np.testing.assert_array_equal(state.physics["qpos"], np.tile(qpos, (8, 1)))
    command = np.asarray(state.extras["memory"]["command"])
    assert len(np.unique(command)) == 8
    np.testing.assert_array_equal(state.observation["teacher"][:, 2], command)


def test_a_failed_step_leaves_the_memory_as_it_was(env):
    before = play(env, np.full((3, 1), 0.2, np.float32))[-1]
    after = env.step(before, jnp.array([jnp.nan]))
    assert after.unstable
    assert after.terminated
    assert after.reward == 0.0
    jax.tree.map(np.testing.assert_array_equal, after.extras["memory"], before.extras["memory"])
    jax.tree.map(np.testing.assert_array_equal, after.observation, before.observation)


def test_bounds_and_groups_are_the_tasks_own(env):
    assert (env.spec.action_low, env.spec.action_high) == ((-0.5,), (1.5,))
    assert env.spec.observation_sizes == {"teacher": 6, "student": 4, "clock": 1}
    noisy = make_environment("follow", FollowTheCommand(), NATIVE.factory(), view=StudentView(ObservationNoise(0.5)))
    state = noisy.reset(jax.random.key(0))
    relative = np.abs(state.observation["student"] / state.observation["teacher"][:4] - 1.0)[:3]
    assert 0.0 < relative.max() <= 0.5
    assert state.observation["clock"] == 0


def stacked(exact, actions, length):
    """The student's group by hand: rows of observation and action, newest first, the first row repeated before it."""
    rows = [np.concatenate([o, a]) for o, a in zip(exact, actions, strict=True)]
    return [np.concatenate([rows[max(t - k, 0)] for k in range(length)]) for t in range(len(rows))]


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (MujocoConfig("humanoid", 0.0, student_stack=3, student_previous_action=True), 17),
        (MujocoConfig("hopper", 0.0, student_previous_action=True), 3),
        (GymnasiumConfig("Pendulum-v1", 0.0, student_stack=2, student_previous_action=True), 1),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_student_sees_its_previous_action_in_policy_units(config, size):
    env = config.build(NATIVE)
    actions = np.random.default_rng(0).uniform(-1.3, 1.3, (6, size)).astype(np.float32)
    states = [env.reset(jax.random.key(0))]
    step = jax.jit(env.step)
    for action in actions:
        states.append(step(states[-1], scale_action(env.spec, action)))
    exact = [np.asarray(state.observation["teacher"]) for state in states]
    seen = [np.zeros(size), *np.clip(actions, -1.0, 1.0)]
    for state, expected in zip(states, stacked(exact, seen, config.student_stack), strict=True):
        np.testing.assert_allclose(state.observation["student"], expected, atol=1e-5)
    assert env.spec.observation_sizes["student"] == config.student_stack * (exact[0].size + size)


def test_noise_leaves_the_previous_action_alone():
    view = StudentView(ObservationNoise(0.4), History(2), previous_action=True)
    exact, action = jnp.full(5, 2.0), jnp.array([0.3, -0.7])
    group, stack = view.begin(jax.random.key(0), exact, 2)
    np.testing.assert_array_equal(group[5:7], 0.0)
    group, _ = view.follow(jax.random.key(1), stack, exact, action)
    np.testing.assert_array_equal(group[5:7], action)
    np.testing.assert_array_equal(group[7:], stack[0])
    assert np.all(group[:5] != exact)


def test_policy_units_undo_the_scaling_of_actions_and_clip():
    low, high = jnp.array([-2.0, 0.0]), jnp.array([2.0, 10.0])
    np.testing.assert_allclose(policy_units(jnp.array([1.0, 10.0]), low, high), [0.5, 1.0])
    np.testing.assert_allclose(policy_units(jnp.array([-9.0, jnp.nan]), low, high), [-1.0, 0.0])


RANGES = """<mujoco><worldbody><body><joint name="hip" type="hinge"/><joint name="knee" type="hinge" axis="1 0 0"/>
<geom size="0.1"/></body></worldbody><actuator><motor name="pull" joint="hip"/><motor joint="knee"/>
<motor name="turn" joint="hip" ctrlrange="-2 2"/></actuator></mujoco>"""


@dataclass(frozen=True)
class Legs:
    """A task without a memory on a robot of one's own."""

    xml: str
    substeps: int = 1
    episode_length: int = 10
    reads: Reads = Reads(("qpos", "qvel"))

    def start(self, key, model):
        return uniform_start(key, model, 0.1)

    def observe(self, physics, model):
        return physics["qpos"]

    def reward_terms(self, transition, model):
        return {"reward_still": -jnp.abs(transition.after["qvel"]).sum()}

    def terminated(self, physics, model):
        return jnp.asarray(False)

    def information(self, transition, model):
        return {}


def test_a_motor_that_no_action_could_move_is_named_with_the_cure(tmp_path):
    (tmp_path / "legs.xml").write_text(RANGES)
    still = r"^the actuator pull, the actuator of knee could not be moved: .*MJCF, such as ctrlrange=\"-1 1\"\.$"
    with pytest.raises(ConfigurationError, match=still):
        make_environment("legs", WithoutMemory(Legs(str(tmp_path / "legs.xml"))), NATIVE.factory())
    (tmp_path / "legs.xml").write_text(
        RANGES.replace(' joint="hip"/>', ' joint="hip" ctrlrange="0 1"/>').replace(
            ' joint="knee"/>', ' joint="knee" ctrlrange="-3 1"/>'
        )
    )
    spec = make_environment("legs", WithoutMemory(Legs(str(tmp_path / "legs.xml"))), NATIVE.factory()).spec
    assert (spec.action_low, spec.action_high) == ((0.0, -3.0, -2.0), (1.0, 1.0, 2.0))


@pytest.mark.parametrize("high", [-1.0, np.inf, np.nan])
def test_an_action_of_a_task_with_bounds_of_its_own_needs_a_range(high):
    class Unbounded(FollowTheCommand):
        def bounds(self, model):
            return np.full(1, -1.0), np.full(1, high)

    with pytest.raises(ConfigurationError, match=r"cart has actions without a range, from \[-1.0\] to .*method bounds"):
        make_environment("cart", Unbounded(), NATIVE.factory())
