"""A MuJoCo task on a physics engine, with a privileged and a noisy observation group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from envs.mujoco.names import NamesGroups
from envs.mujoco.task import (
    Ended,
    HasScenery,
    Metrics,
    Pushes,
    SeenInMirror,
    SensesApart,
    Start,
    Task,
    Transition,
    load_model,
)
from envs.observation import StudentView, policy_units
from envs.physics.base import EngineFactory, ModelOverrides, PhysicsEngine, keep
from l2t.errors import ConfigurationError
from l2t.rl.types import EnvironmentSpec, EnvironmentState


@dataclass(frozen=True)
class MujocoEnvironment:
    """A task in `jax.numpy`, one instance; callers vmap it.

    Observation groups are those that the task shows, exact, except for `student`: `view` makes that from the task's
    `student` group, or from `teacher` where the task has no `student`.

    A step whose physics fails ends the episode: `terminated` and `unstable`, no reward, and the last state once more.

    Attributes:
        name: the task's name.
        task: start distribution, control law, observation, reward and end.
        engine: the physics.
        view: what the student sees.
        randomise: model fields and the (low, high) factors that scale them, drawn afresh at each reset.
        reset_cost: see `EnvironmentSpec`.

    Raises:
        ConfigurationError: an action has no range, or `randomise` names a field that the engine cannot change, or that
            no factor changes.
    """

    name: str
    task: Task
    engine: PhysicsEngine
    view: StudentView = StudentView()
    randomise: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reset_cost: float = 0.0

    def __post_init__(self) -> None:
        low, high = (np.asarray(end) for end in self.task.bounds(self.model))
        if not (low < high).all() or not np.isfinite([low, high]).all():
            raise ConfigurationError(
                f"{self.name} has actions without a range, from {low.tolist()} to {high.tolist()}: let its method "
                "bounds give each a finite low below a finite high."
            )
        for name in self.randomise:
            try:
                value = self.engine.nominal(name)
            except ConfigurationError as error:
                raise ConfigurationError(f"env.randomise cannot be followed: {error}") from None
            if not value.any():
                raise ConfigurationError(
                    f"env.randomise.{name} would change nothing: in {self.name} that field is empty or zero."
                )

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model, as the engine runs it."""
        return self.engine.model

    def scene(self, extras: Mapping[str, Any]) -> mujoco.MjModel:
        """The model to draw an episode with; `extras` are those of one instance's state."""
        return self.task.scene(extras["memory"]) if isinstance(self.task, HasScenery) else self.model

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """Sizes, bounds and limits."""
        low, high = self.task.bounds(self.model)
        groups = jax.eval_shape(lambda: self.reset(jax.random.key(0))).observation
        named = self.task if isinstance(self.task, NamesGroups) else None
        return EnvironmentSpec(
            name=self.name,
            observation_sizes={name: group.shape[0] for name, group in groups.items()},
            action_low=tuple(low.tolist()),
            action_high=tuple(high.tolist()),
            episode_length=self.task.episode_length,
            reset_cost=self.reset_cost,
            timestep=self.model.opt.timestep * self.task.substeps,
            observation_names=named.observation_names(self.model) if named else {},
            action_names=named.action_names(self.model) if named else (),
        )

    def undisturbed(self) -> MujocoEnvironment:
        """Without what disturbs the robot in training only."""
        return replace(self, task=self.task.undisturbed()) if isinstance(self.task, Pushes) else self

    def reset(self, key: Key[Array, ""], needed: Any = True) -> EnvironmentState:
        """Draw a start state from the task's distribution."""
        start_key, override_key, key = jax.random.split(key, 3)
        return self._begin(key, self.task.start(start_key, self.model), self.draw_overrides(override_key), needed)

    def restart(self, key: Key[Array, ""], ended: EnvironmentState, needed: Any = True) -> EnvironmentState:
        """The next episode after one that has ended; as `reset`, where the task learns nothing from it."""
        start_key, override_key, key = jax.random.split(key, 3)
        ending = Ended(ended.extras["memory"], ended.terminated, ended.truncated)
        start = self.task.restart(start_key, ending, self.model)
        return self._begin(key, start, self.draw_overrides(override_key), needed)

    def reset_to(
        self,
        key: Key[Array, ""],
        qpos: Float[Array, " nq"],
        qvel: Float[Array, " nv"],
        overrides: ModelOverrides | None = None,
        needed: Any = True,
    ) -> EnvironmentState:
        """Start an episode at (qpos, qvel); what the task remembers is drawn as at any reset."""
        memory_key = jax.random.split(key, 3)[2]  # `_begin` takes the first two
        start = self.task.start(memory_key, self.model)._replace(qpos=qpos, qvel=qvel)
        return self._begin(key, start, overrides or {}, needed)

    def _begin(self, key: Key[Array, ""], start: Start, overrides: ModelOverrides, needed: Any) -> EnvironmentState:
        overrides = {**(start.overrides or {}), **overrides}
        physics = self.engine.init(start.qpos, start.qvel, overrides, needed)
        key, noise_key = jax.random.split(key)
        observation = self.task.observe(physics, start.memory, self.model)
        low, _ = self.task.bounds(self.model)
        seen, stack = self.view.begin(noise_key, observation.get("student", observation["teacher"]), low.size)
        nothing = Transition(physics, physics, jnp.zeros(low.size), start.memory)
        metrics = self.task.information(nothing, self.model) | self.task.reward_terms(nothing, self.model)
        return EnvironmentState(
            observation=observation | {"student": seen},
            reward=jnp.zeros(()),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
            metrics={name: jnp.zeros(()) for name in metrics},
            step=jnp.zeros((), jnp.int32),
            key=key,
            physics=physics,
            extras={"overrides": overrides, "history": stack, "memory": start.memory},
        )

    def step(self, state: EnvironmentState, action: Float[Array, " action"]) -> EnvironmentState:
        """Advance one step; `action` is in the task's own units."""
        overrides, memory = state.extras["overrides"], state.extras["memory"]
        control = self.task.control(action, state.physics, memory, self.model)
        world = self.task.surroundings(state.physics, memory, self.model)
        fields = {**overrides, **world.overrides}
        physics = self.engine.step(state.physics, control, fields, self.task.substeps, world.forces)
        key, noise_key, memory_key = jax.random.split(state.key, 3)
        transition = Transition(state.physics, physics, action, memory)
        memory = keep(physics.unstable, memory, self.task.advance(memory_key, transition, self.model))
        observation = self.task.observe(physics, memory, self.model)
        stack, done = state.extras["history"], policy_units(action, *self.task.bounds(self.model))
        if isinstance(self.task, SeenInMirror):
            stack, done = self.view.turn(self.task.turned(transition.memory, memory), stack, done, self.task)
        seen, stack = self.view.follow(noise_key, stack, observation.get("student", observation["teacher"]), done)
        terms = self.task.reward_terms(transition, self.model)
        reward = jnp.asarray(sum(terms.values()), jnp.float32)
        step = state.step + 1
        return EnvironmentState(
            observation=observation | {"student": seen},
            reward=jnp.where(physics.unstable, 0.0, reward),
            terminated=self.task.terminated(physics, memory, self.model) | physics.unstable,
            truncated=step >= self.task.episode_length,
            metrics=_strong(self.task.information(transition, self.model) | _paid(terms, physics.unstable)),
            step=step,
            key=key,
            physics=physics,
            extras={"overrides": overrides, "history": stack, "memory": memory},
            unstable=physics.unstable,
        )

    def as_student(
        self,
        key: Key[Array, ""],
        exact: Float[Array, "time n"],
        action: Float[Array, "time action"],
        first: Bool[Array, " time"],
    ) -> Float[Array, "time student"]:
        """The `student` group along episodes that were recorded; see `StudentView.along`."""
        view_key, sensor_key = jax.random.split(key) if isinstance(self.task, SensesApart) else (key, key)
        shown = self.task.student_along(sensor_key, exact, first) if isinstance(self.task, SensesApart) else exact
        if not isinstance(self.task, SeenInMirror):
            return self.view.along(view_key, shown, action, first)
        return self.view.along(view_key, shown, action, first, self.task.turned_along(exact, first), self.task)

    def turn_action(
        self, before: EnvironmentState, after: EnvironmentState, action: Float[Array, " action"]
    ) -> Float[Array, " action"]:
        """An action of the state `before`, in policy units, as `after` calls it: reflected where the mirror turned."""
        if not isinstance(self.task, SeenInMirror):
            return action
        turned = self.task.turned(before.extras["memory"], after.extras["memory"])
        return jnp.where(turned, self.task.reflect_action(action), action)

    def draw_overrides(self, key: Key[Array, ""]) -> ModelOverrides:
        """Model fields for one episode: each nominal value times a factor of its own."""
        overrides = {}
        for index, (name, (low, high)) in enumerate(sorted(self.randomise.items())):
            factor = jax.random.uniform(jax.random.fold_in(key, index), (), jnp.float32, low, high)
            overrides[name] = factor * self.engine.nominal(name)
        return overrides


def _paid(terms: Metrics, unstable: Bool[Array, ""]) -> Metrics:
    """The reward terms, zero where the physics failed: whatever they came to, nobody earned it."""
    return {name: jnp.where(unstable, 0.0, value) for name, value in terms.items()}


def _strong(metrics: Metrics) -> Metrics:
    """Without weak types, which would retrace the programs that carry the state."""
    return {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}


def make_environment(
    name: str,
    task: Task,
    engine_factory: EngineFactory,
    *,
    change: Callable[[mujoco.MjModel], mujoco.MjModel] = lambda model: model,
    **options: Any,
) -> MujocoEnvironment:
    """Compile the task's model, `change` it, start the engine on it and put the two together."""
    engine = engine_factory(change(load_model(task.xml)), task.reads)
    return MujocoEnvironment(name, task, engine, **options)
