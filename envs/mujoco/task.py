"""What defines a MuJoCo task: a model file, the fields it reads, functions for start, observation, reward and end.

`Task` is the whole of it. Most tasks remember nothing and hand the action to the motors as it is: they are a
`MemorylessTask`, which `envs.mujoco.memoryless` makes into a `Task`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key, PyTree

from envs.physics.base import ModelOverrides, PhysicsState, Reads, displacement, divert_warnings
from l2t.errors import ConfigurationError
from l2t.rl.types import Observation

Metrics = dict[str, Float[Array, ""]]

Memory = PyTree
"""What a task remembers from step to step beside the physics, such as a clock, a command or the last action."""


class Start(NamedTuple):
    """The beginning of an episode.

    Attributes:
        qpos, qvel: the state.
        memory: of the task.
        overrides: model fields that this episode has for itself, in every one of its steps.
    """

    qpos: Float[Array, " nq"]
    qvel: Float[Array, " nv"]
    memory: Memory = ()
    overrides: ModelOverrides | None = None


class Surroundings(NamedTuple):
    """What the world does to the robot in one step.

    Attributes:
        overrides: model fields of this step, such as the pose of the ground.
        forces: on the bodies; see `PhysicsEngine.step`. None for none.
    """

    overrides: ModelOverrides
    forces: Float[Array, "nbody 6"] | None = None


class Transition(NamedTuple):
    """What a reward may depend on.

    Attributes:
        before, after: the physics at both ends of the environment step.
        action: in the task's own units.
        memory: what the task remembered when the action was taken.
    """

    before: PhysicsState
    after: PhysicsState
    action: Float[Array, " action"]
    memory: Memory = ()


class Ended(NamedTuple):
    """How an episode was left.

    Attributes:
        memory: of the task after the last step.
        terminated, truncated: as Gymnasium has them; neither where somebody begins anew in its midst.
    """

    memory: Memory
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]


class TaskFacts(Protocol):
    """What is fixed about a task.

    A task is a frozen dataclass whose fields are the weights and ranges that a researcher may change.
    """

    @property
    def xml(self) -> str:
        """File name among Gymnasium's model assets, or the absolute path of a model file."""
        ...

    @property
    def substeps(self) -> int:
        """Physics steps per environment step."""
        ...

    @property
    def episode_length(self) -> int:
        """Time limit in environment steps."""
        ...

    @property
    def reads(self) -> Reads:
        """The `MjData` fields that the functions below use."""
        ...


class MemorylessTask(TaskFacts, Protocol):
    """A task without a memory, whose action is the control of the motors.

    It may also name its coordinates; see `NamesColumns`.
    """

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Draw (qpos, qvel) from the start distribution."""
        ...

    def observe(self, physics: PhysicsState, model: mujoco.MjModel) -> Float[Array, " observation"]:
        """What the teacher sees; a student sees it through noise."""
        ...

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Reward terms by name, each `reward_...`; the reward is their sum."""
        ...

    def terminated(self, physics: PhysicsState, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Whether the state ends the episode (a time limit never does)."""
        ...

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Quantities to log beside the reward terms, such as `x_velocity`."""
        ...


class Task(TaskFacts, Protocol):
    """A task with a memory, a control law and a world that may change from step to step.

    A step goes: `control` and `surroundings`, physics, `advance`, then `observe` and `terminated` with the new memory;
    the reward is that of the transition, with the memory at its beginning.
    """

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> Start:
        """Draw the state and the memory from the start distribution."""
        ...

    def restart(self, key: Key[Array, ""], ended: Ended, model: mujoco.MjModel) -> Start:
        """The start of the episode after one that `ended` so: what is learnt from it, as in a curriculum."""
        ...

    def surroundings(self, physics: PhysicsState, memory: Memory, model: mujoco.MjModel) -> Surroundings:
        """What the world does to the robot during the next step."""
        ...

    def bounds(self, model: mujoco.MjModel) -> tuple[Float[Array, " action"], Float[Array, " action"]]:
        """Bounds (low, high) of the action."""
        ...

    def control(
        self, action: Float[Array, " action"], physics: PhysicsState, memory: Memory, model: mujoco.MjModel
    ) -> Float[Array, " nu"]:
        """The control law: what the motors are told during the step."""
        ...

    def advance(self, key: Key[Array, ""], transition: Transition, model: mujoco.MjModel) -> Memory:
        """The memory after the transition; `key` is for what is drawn anew."""
        ...

    def observe(self, physics: PhysicsState, memory: Memory, model: mujoco.MjModel) -> Observation:
        """Exact observations by group. `teacher` must be there; `student`, made noisy later, may be another vector."""
        ...

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Reward terms by name, each `reward_...`; the reward is their sum."""
        ...

    def terminated(self, physics: PhysicsState, memory: Memory, model: mujoco.MjModel) -> Bool[Array, ""]:
        """Whether the state ends the episode (a time limit never does)."""
        ...

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """Quantities to log beside the reward terms, such as `x_velocity`."""
        ...


@runtime_checkable
class SensesApart(Protocol):
    """A task whose `student` group is not what the teacher sees, and can be told from it."""

    def student_along(
        self, key: Key[Array, ""], exact: Float[Array, "time n"], first: Bool[Array, " time"]
    ) -> Float[Array, "time student"]:
        """The group along recorded episodes, of which `exact` is the `teacher` group before each step."""
        ...


@runtime_checkable
class SeenInMirror(Protocol):
    """A task that shows itself in a mirror at times: what was seen and done before has to be seen in the same one."""

    def turned(self, before: Memory, after: Memory) -> Bool[Array, ""]:
        """Whether the mirror came or went between two steps."""
        ...

    def turned_along(self, exact: Float[Array, "time n"], first: Bool[Array, " time"]) -> Bool[Array, " time"]:
        """The same between each step of recorded episodes and the one before; false where an episode begins."""
        ...

    def reflect(self, rows: Float[Array, "*rows student"]) -> Float[Array, "*rows student"]:
        """What the student was shown, in a mirror."""
        ...

    def reflect_action(self, action: Float[Array, "*rows action"]) -> Float[Array, "*rows action"]:
        """Actions in policy units, in a mirror."""
        ...


@runtime_checkable
class Pushes(Protocol):
    """A task whose robot may be pushed in training only."""

    def undisturbed(self) -> Task:
        """The task without such pushes."""
        ...


@runtime_checkable
class HasScenery(Protocol):
    """A task that looks different from episode to episode, or whose physics leaves out what is only drawn."""

    def scene(self, memory: Memory) -> mujoco.MjModel:
        """A model with the same qpos, to draw an episode with."""
        ...


def load_model(xml: str) -> mujoco.MjModel:
    """Compile a model file: one that the installed Gymnasium ships, by its name, or any by its absolute path.

    Raises:
        ConfigurationError: there is no such file.
    """
    import gymnasium

    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / Path(xml).expanduser()
    if not path.is_file():
        raise ConfigurationError(
            f"There is no model file {path}. A name is looked up among Gymnasium's; give a file of your own by its "
            'absolute path, such as xml = str(Path(__file__).with_name("robot.xml")) in the class of the task.'
        )
    divert_warnings()
    handler = mujoco.get_mju_user_warning()
    # HalfCheetah's file uses a deprecated attribute, which is not the user's business.
    mujoco.set_mju_user_warning(
        lambda message: None if "deprecated" in message else warnings.warn(message, stacklevel=2)
    )
    try:
        return mujoco.MjModel.from_xml_path(str(path))
    finally:
        mujoco.set_mju_user_warning(handler)


def initial_state(model: mujoco.MjModel) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
    """(qpos, qvel) of the model at rest."""
    return jnp.asarray(model.qpos0, jnp.float32), jnp.zeros(model.nv, jnp.float32)


def uniform_noise(key: Key[Array, ""], size: int, scale: float) -> Float[Array, " size"]:
    """U(-scale, scale) per coordinate."""
    return jax.random.uniform(key, (size,), jnp.float32, -scale, scale)


def uniform_start(
    key: Key[Array, ""], model: mujoco.MjModel, scale: float, velocity: Callable[..., Any] = uniform_noise
) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
    """The rest state with qpos + U(-scale, scale) and qvel + `velocity(key, nv, scale)`."""
    qpos, qvel = initial_state(model)
    position_key, velocity_key = jax.random.split(key)
    return qpos + uniform_noise(position_key, model.nq, scale), qvel + velocity(velocity_key, model.nv, scale)


def normal_noise(key: Key[Array, ""], size: int, scale: float) -> Float[Array, " size"]:
    """N(0, scale^2) per coordinate."""
    return scale * jax.random.normal(key, (size,), jnp.float32)


def mean_velocity(transition: Transition, field: str, model: mujoco.MjModel, substeps: int) -> Array:
    """Displacement of `field` over the environment step divided by its duration, (x' - x) / (n dt)."""
    return displacement(transition.before, transition.after, field) / (model.opt.timestep * substeps)


def within(value: Array, interval: tuple[float, float]) -> Bool[Array, "..."]:
    """low < value < high, elementwise; false where `value` is not a number."""
    low, high = interval
    return (low < value) & (value < high)
