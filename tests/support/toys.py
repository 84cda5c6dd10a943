"""A learner small enough to compile in a fraction of a second, for tests of what surrounds learners."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from l2t.errors import DivergenceError
from l2t.rl.algorithm import RunState
from l2t.rl.distributions import DiagonalGaussian
from l2t.rl.policy import Memoryless
from l2t.rl.types import EnvironmentSpec, EnvironmentState


@dataclass(frozen=True)
class ToyEnvironment:
    """A position that an action moves; the reward is where it is. Ten steps an episode."""

    @property
    def spec(self) -> EnvironmentSpec:
        return EnvironmentSpec("toy", {"teacher": 1, "student": 1}, (-1.0,), (1.0,), 10)

    def reset(self, key: Any, needed: Any = True) -> EnvironmentState:
        return self._state(jax.random.uniform(key), jnp.zeros((), jnp.int32), key)

    def step(self, state: EnvironmentState, action: Any) -> EnvironmentState:
        return self._state(state.observation["teacher"][0] + action[0], state.step + 1, state.key)

    def _state(self, position: Any, step: Any, key: Any) -> EnvironmentState:
        observation = {"teacher": position[None], "student": position[None]}
        return EnvironmentState(observation, position, jnp.asarray(False), step >= 10, {}, step, key)


@dataclass(frozen=True)
class ToyConfig:
    """What a stranger's environment package would offer."""

    name: str = "toy"

    def build(self, physics: Any) -> ToyEnvironment:
        return ToyEnvironment()


@dataclass(frozen=True)
class DriftConfig:
    """What a stranger's algorithm package would offer. `pause` slows an iteration down, in seconds."""

    diverge_at: int = 0
    pause: float = 0.0
    name: str = "drift"

    def build(self, context: Any) -> Drift:
        return Drift(diverge_at=self.diverge_at, pause=self.pause, environment=context.environment)


@dataclass(frozen=True)
class Drift:
    """`x` drifts linearly, with noise from a typed key: two runs agree only where every part of the state does.

    Attributes:
        diverge_at: iteration whose loss is not finite; 0 for never.
        fail_at: iteration in which a callback raises `failure`, as the physics would; 0 for never.
        pause: seconds that an iteration takes at least.
        width: length of `x`.
    """

    diverge_at: int = 0
    fail_at: int = 0
    failure: BaseException = DivergenceError("MuJoCo stopped: the simulation is unstable.")
    pause: float = 0.0
    width: int = 3
    environment: Any = ToyEnvironment()
    roles: tuple[str, ...] = ("teacher", "student")
    steps_per_iteration: int = 10
    prior_steps: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)

    def init(self, key: Any) -> Any:
        key, start = jax.random.split(key)
        x = jax.random.normal(start, (self.width,))
        # A weak type, the same values twice, and an array without elements: all of them have broken trainers.
        learnt = {"x": x, "target": x, "scale": 1.0 * jnp.asarray(1.0), "none": jnp.zeros((0, 2))}
        return RunState(learnt, (), 0, key)

    def iterate(self, state: Any) -> Any:
        key, noise = jax.random.split(state.key)
        x = state.learnt["x"] + 0.1 * state.learnt["scale"] + 0.01 * jax.random.normal(noise, state.learnt["x"].shape)
        k = state.iteration + 1
        if self.fail_at:
            x = jax.pure_callback(
                lambda x, k: _raise(self.failure) if k == self.fail_at else x,
                jax.ShapeDtypeStruct(x.shape, x.dtype),
                *(x, k),
                vmap_method="sequential",
            )
        if self.pause:
            x = jax.pure_callback(lambda x: _sleep(self.pause, x), jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        loss = jnp.where(k == self.diverge_at, jnp.nan, x.mean())
        metrics = {
            "loss/actor": loss,
            "train/episode_return": x.sum(),
            "env_steps/teacher": self.steps_per_iteration,
            "env_steps/student": 0,
        }
        learnt = state.learnt | {"x": x, "scale": state.learnt["scale"] * 0.99}
        return RunState(learnt, state.transient, k, key), metrics

    def policy(self, learnt: Any, role: str) -> Any:
        def constant(observation: Any) -> DiagonalGaussian:
            mean = jnp.full((observation["teacher"].shape[0], 1), jnp.tanh(learnt["x"].mean()))
            return DiagonalGaussian(mean, jnp.zeros(1))

        return Memoryless(constant)


def _sleep(seconds: float, x: Any) -> Any:
    time.sleep(seconds)
    return x


def _raise(error: BaseException) -> Any:
    raise error


def evaluate(state: Any, key: Any) -> Any:
    """Stands in for `l2t.rl.evaluation.make_evaluator`."""
    noise = jax.random.normal(key)
    return {
        role: {
            "return_mean": state.learnt["x"].mean() + shift + noise,
            "return_std": jnp.asarray(0.5),
            "average_reward": state.learnt["x"][0],
            "episode_length_mean": jnp.asarray(10.0),
            "episodes": jnp.asarray(4),
        }
        for role, shift in (("teacher", 1.0), ("student", 0.0))
    }


class Recorder:
    """A tracker that remembers."""

    def __init__(self, on_log: Any = None) -> None:
        self.rows: list[Any] = []
        self.notices: list[str] = []
        self.finished: list[str] = []
        self._on_log = on_log

    def log(self, rows: Any) -> None:
        self.rows += rows
        if self._on_log:
            self._on_log(rows)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def finish(self, status: str) -> None:
        self.finished.append(status)
