"""A learner small enough to compile in a fraction of a second, for tests of what surrounds learners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from l2t.types import EnvironmentSpec


@dataclass(frozen=True)
class ToyEnvironment:
    """Only its spec is ever read."""

    @property
    def spec(self) -> EnvironmentSpec:
        return EnvironmentSpec("toy", {"teacher": 2}, (-1.0,), (1.0,), 10)

    def reset(self, key: Any, needed: Any = True) -> Any:
        raise NotImplementedError

    def step(self, state: Any, action: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Drift:
    """`x` drifts linearly, with noise from a typed key: two runs agree only where every part of the state does.

    Attributes:
        diverge_at: iteration whose loss is not finite; 0 for never.
        fail_at: iteration in which a callback raises as the physics would; 0 for never.
        width: length of `x`.
    """

    diverge_at: int = 0
    fail_at: int = 0
    width: int = 3
    environment: Any = ToyEnvironment()
    roles: tuple[str, ...] = ("teacher", "student")
    steps_per_iteration: int = 10

    def init(self, key: Any) -> Any:
        key, start = jax.random.split(key)
        x = jax.random.normal(start, (self.width,))
        # A weak type, the same values twice, and an array without elements: all of them have broken trainers.
        return {"x": x, "target": x, "scale": 1.0 * jnp.asarray(1.0), "none": jnp.zeros((0, 2)), "k": 0, "key": key}

    def iterate(self, state: Any) -> Any:
        key, noise = jax.random.split(state["key"])
        x = state["x"] + 0.1 * state["scale"] + 0.01 * jax.random.normal(noise, state["x"].shape)
        k = state["k"] + 1
        if self.fail_at:
            x = jax.pure_callback(
                lambda x, k: _explode(x) if k == self.fail_at else x,
                jax.ShapeDtypeStruct(x.shape, x.dtype),
                *(x, k),
                vmap_method="sequential",
            )
        loss = jnp.where(k == self.diverge_at, jnp.nan, x.mean())
        metrics = {
            "loss/actor": loss,
            "train/episode_return": x.sum(),
            "env_steps/teacher": k * self.steps_per_iteration,
            "env_steps/student": 0 * k,
        }
        return state | {"x": x, "k": k, "key": key, "scale": state["scale"] * 0.99}, metrics

    def policy(self, state: Any, role: str) -> Any:
        return lambda observation, key: state["x"]


def _explode(x: Any) -> Any:
    from l2t.errors import DivergenceError

    raise DivergenceError("MuJoCo stopped: the simulation is unstable.")


def evaluate(state: Any, key: Any) -> Any:
    """Stands in for `l2t.evaluation.make_evaluator`."""
    noise = jax.random.normal(key)
    return {
        role: {
            "return_mean": state["x"].mean() + shift + noise,
            "return_std": jnp.asarray(0.5),
            "average_reward": state["x"][0],
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
