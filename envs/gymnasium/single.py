"""A task as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from envs.config import MujocoConfig
from envs.mujoco.environment import MujocoEnvironment
from envs.physics.config import PhysicsConfig
from envs.rendering import Renderer, rendering_available
from l2t.config import check_choice
from l2t.errors import ConfigurationError, MissingDependencyError
from l2t.rl.types import EnvironmentState

RENDER_MODES = ("rgb_array",)


class SingleEnvironment(gymnasium.Env[np.ndarray, np.ndarray]):
    """One instance of a task; NumPy in, NumPy out.

    As everywhere in Gymnasium the time limit is the business of the `TimeLimit` wrapper that `gymnasium.make` adds
    (`max_episode_steps`): `truncated` is always False here.

    Args:
        task: name of the task, such as `half_cheetah`; the registered ids set it.
        observation_group: `teacher` (exact) or `student` (noisy).
        student_noise, student_noise_kind, student_stack: see `MujocoConfig`.
        randomise: model fields to scale at each reset; see `MujocoConfig`.
        physics: engine; see `PhysicsConfig`. A single environment is faster on the CPU whatever the machine.
        render_mode: None or `rgb_array`.
        width, height: size of a picture.
        parameters: fields of the task, such as `ctrl_cost_weight=0.2`.

    Raises:
        ConfigurationError: an argument is unknown or out of range.
        MissingDependencyError: a picture is asked for and no OpenGL back-end works.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 50}  # noqa: RUF012  (as in the base)

    def __init__(
        self,
        task: str,
        observation_group: str = "teacher",
        student_noise: float = 0.4,
        student_noise_kind: str = "uniform",
        student_stack: int = 1,
        randomise: Mapping[str, Any] | None = None,
        physics: str | PhysicsConfig = "native",
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **parameters: Any,
    ) -> None:
        config = MujocoConfig(
            task, student_noise, student_noise_kind, student_stack, parameters=parameters, randomise=randomise or {}
        )
        self.environment = config.build(PhysicsConfig(physics) if isinstance(physics, str) else physics)
        self.observation_space, self.action_space = spaces(self.environment, observation_group)
        self.metadata = self.metadata | {"render_fps": frames_per_second(self.environment)}
        self.render_mode = render_mode
        check_rendering(render_mode)
        self._size = (width, height)
        self._group = observation_group
        self._renderer: Renderer | None = None
        self._state: EnvironmentState | None = None
        self._key: Key[Array, ""] | None = None
        self._reset = jax.jit(self.environment.reset)
        self._reset_to = jax.jit(partial(reset_to, self.environment))
        self._step = jax.jit(self.environment.step)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode, at `options={"qpos": ..., "qvel": ...}` where given.

        Later episodes follow from the last seed: `reset(seed=1); reset()` is reproducible.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._key = seed_key(seed)
        elif self._key is None:
            self._key = seed_key(int(self.np_random.integers(2**32)))
        self._key, key = jax.random.split(self._key)
        start = start_state(self.environment, options, ())
        state: EnvironmentState = self._reset(key) if start is None else self._reset_to(key, *start)
        self._state = state
        return np.array(state.observation[self._group]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance one step; the reward terms and the task's other metrics are the info."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset before step.")
        action = np.asarray(action, np.float32)
        if action.shape != self.action_space.shape:
            raise ConfigurationError(f"The action has shape {action.shape}; it must be {self.action_space.shape}.")
        self._state = state = self._step(self._state, action)
        observation, reward, terminated, metrics = jax.device_get(
            (state.observation[self._group], state.reward, state.terminated, state.metrics)
        )
        information = {name: float(value) for name, value in metrics.items()}
        return np.array(observation), float(reward), bool(terminated), False, information

    def render(self) -> np.ndarray | None:  # type: ignore[override]  # the base allows any frame type
        """The current picture, or None without a render mode."""
        if self.render_mode is None or self._state is None:
            return None
        if self._renderer is None:
            self._renderer = Renderer(self.environment.model, *self._size)
        physics = self._state.physics
        return self._renderer.frame(np.asarray(physics["qpos"]), np.asarray(physics["qvel"]))

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def spaces(environment: MujocoEnvironment, group: str) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """Observation and action space, float32."""
    spec = environment.spec
    check_choice("observation_group", group, spec.observation_sizes)
    low, high = (np.array(bound, np.float32) for bound in (spec.action_low, spec.action_high))
    size = spec.observation_sizes[group]
    return gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32), gymnasium.spaces.Box(low, high, dtype=np.float32)


def frames_per_second(environment: MujocoEnvironment) -> int:
    """Environment steps per simulated second."""
    return round(1.0 / environment.spec.timestep)


def check_rendering(mode: str | None) -> None:
    """Raise unless `mode` is one that works here."""
    if mode is None:
        return
    check_choice("render_mode", mode, RENDER_MODES)
    reason = rendering_available()
    if reason is not None:
        raise MissingDependencyError(f"render_mode={mode!r} needs OpenGL without a display: {reason}")


def seed_key(seed: int) -> Key[Array, ""]:
    """A key from the seed's low 32 bits."""
    return jax.random.key(np.uint32(seed % 2**32))


def start_state(
    environment: MujocoEnvironment, options: Mapping[str, Any] | None, lead: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """(qpos, qvel) from reset options, broadcast to `[*lead, nq]` and `[*lead, nv]`; None if they name no state."""
    given = {name: np.asarray(options[name], np.float32) for name in ("qpos", "qvel") if options and name in options}
    if not given:
        return None
    sizes = {"qpos": environment.model.nq, "qvel": environment.model.nv}
    for name, size in sizes.items():
        if name not in given or given[name].shape not in {(size,), (*lead, size)}:
            found = f"has shape {given[name].shape}" if name in given else "is missing"
            raise ConfigurationError(
                f"reset options must give qpos and qvel; {name} must have length {size}, it {found}."
            )
    return tuple(np.broadcast_to(given[name], (*lead, size)) for name, size in sizes.items())  # type: ignore[return-value]


def reset_to(environment: MujocoEnvironment, key: Key[Array, ""], qpos: Array, qvel: Array) -> EnvironmentState:
    """Start at (qpos, qvel) with model fields randomised as at any reset."""
    override_key, key = jax.random.split(key)
    return environment.reset_to(key, jnp.asarray(qpos), jnp.asarray(qvel), environment.draw_overrides(override_key))
