"""A MuJoCo task on a physics engine, with a privileged and a noisy observation group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Key

from envs.mujoco.task import Metrics, Task, Transition, load_model
from envs.observation_noise import History, ObservationNoise
from envs.physics.base import EngineFactory, ModelOverrides, PhysicsEngine
from l2t.errors import ConfigurationError
from l2t.rl.types import EnvironmentSpec, EnvironmentState, Observation


@dataclass(frozen=True)
class MujocoEnvironment:
    """A task in `jax.numpy`, one instance; callers vmap it.

    The `teacher` group is the exact observation; the `student` group is what the noise model makes of it, fresh at each
    step, stacked over the last `history.length` steps.

    Attributes:
        name: the task's name.
        task: start distribution, observation, reward and end.
        engine: the physics.
        noise, history: what the student sees.
        randomise: model fields and the (low, high) factors that scale them, drawn afresh at each reset.
        reset_cost: see `EnvironmentSpec`.
    """

    name: str
    task: Task
    engine: PhysicsEngine
    noise: ObservationNoise = ObservationNoise()
    history: History = History()
    randomise: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reset_cost: float = 0.0

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model, as the engine runs it."""
        return self.engine.model

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """Sizes, bounds and limits."""
        low, high = self.model.actuator_ctrlrange.T
        size = jax.eval_shape(lambda: self.reset(jax.random.key(0))).observation["teacher"].shape[0]
        return EnvironmentSpec(
            name=self.name,
            observation_sizes={"teacher": size, "student": size * self.history.length},
            action_low=tuple(low.tolist()),
            action_high=tuple(high.tolist()),
            episode_length=self.task.episode_length,
            reset_cost=self.reset_cost,
            timestep=self.model.opt.timestep * self.task.substeps,
        )

    def reset(self, key: Key[Array, ""], needed: Any = True) -> EnvironmentState:
        """Draw a start state from the task's distribution."""
        start_key, override_key, key = jax.random.split(key, 3)
        qpos, qvel = self.task.start(start_key, self.model)
        return self.reset_to(key, qpos, qvel, self.draw_overrides(override_key), needed)

    def reset_to(
        self,
        key: Key[Array, ""],
        qpos: Float[Array, " nq"],
        qvel: Float[Array, " nv"],
        overrides: ModelOverrides | None = None,
        needed: Any = True,
    ) -> EnvironmentState:
        """Start an episode at (qpos, qvel)."""
        overrides = overrides or {}
        physics = self.engine.init(qpos, qvel, overrides, needed)
        key, noise_key = jax.random.split(key)
        exact = self.task.observe(physics, self.model)
        memory = self.history.fill(self.noise(noise_key, exact))
        nothing = Transition(physics, physics, jnp.zeros(self.model.nu))
        metrics = self.task.information(nothing, self.model) | self.task.reward_terms(nothing, self.model)
        return EnvironmentState(
            observation=self._groups(exact, memory),
            reward=jnp.zeros(()),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
            metrics={name: jnp.zeros(()) for name in metrics},
            step=jnp.zeros((), jnp.int32),
            key=key,
            physics=physics,
            extras={"overrides": overrides, "history": memory},
        )

    def step(self, state: EnvironmentState, action: Float[Array, " action"]) -> EnvironmentState:
        """Advance one step; `action` is the torque vector in the model's own range."""
        physics = self.engine.step(state.physics, action, state.extras["overrides"], self.task.substeps)
        transition = Transition(state.physics, physics, action)
        key, noise_key = jax.random.split(state.key)
        exact = self.task.observe(physics, self.model)
        memory = self.history.push(state.extras["history"], self.noise(noise_key, exact))
        terms = self.task.reward_terms(transition, self.model)
        step = state.step + 1
        return EnvironmentState(
            observation=self._groups(exact, memory),
            reward=jnp.asarray(sum(terms.values()), jnp.float32),
            terminated=self.task.terminated(physics, self.model),
            truncated=step >= self.task.episode_length,
            metrics=_strong(self.task.information(transition, self.model) | terms),
            step=step,
            key=key,
            physics=physics,
            extras={"overrides": state.extras["overrides"], "history": memory},
        )

    def draw_overrides(self, key: Key[Array, ""]) -> ModelOverrides:
        """Model fields for one episode: each nominal value times a factor of its own."""
        overrides = {}
        for index, (name, (low, high)) in enumerate(sorted(self.randomise.items())):
            nominal = _model_field(self.model, name)
            factor = jax.random.uniform(jax.random.fold_in(key, index), (), jnp.float32, low, high)
            overrides[name] = factor * nominal
        return overrides

    def _groups(self, exact: Float[Array, " observation"], memory: Float[Array, "length observation"]) -> Observation:
        return {"teacher": exact, "student": memory.reshape(-1)}


def _strong(metrics: Metrics) -> Metrics:
    """Without weak types, which would retrace the programs that carry the state."""
    return {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}


def _model_field(model: mujoco.MjModel, name: str) -> np.ndarray:
    holder, attribute = (model.opt, name[4:]) if name.startswith("opt.") else (model, name)
    value = getattr(holder, attribute, None)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise ConfigurationError(f"env.randomise names {name!r}, which is not a real-valued array field of MjModel.")
    return value.astype(np.float32)


def make_environment(name: str, task: Task, engine_factory: EngineFactory, **options: Any) -> MujocoEnvironment:
    """Compile the task's model, start the engine on it and put the two together."""
    engine = engine_factory(load_model(task.xml), task.reads)
    return MujocoEnvironment(name, task, engine, **options)
