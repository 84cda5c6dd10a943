"""Many instances of a task as a Gymnasium vector environment, one jitted program for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Bool, Key, PyTree

from envs.config import MujocoConfig
from envs.gymnasium.single import (
    RENDER_MODES,
    check_rendering,
    frames_per_second,
    reset_to,
    seed_key,
    spaces,
    start_state,
)
from envs.physics.config import PhysicsConfig
from envs.rendering import Renderer
from l2t.config import check_choice, check_count
from l2t.errors import ConfigurationError
from l2t.rl.types import EnvironmentState

AUTORESET_MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)


class VectorizedEnvironment(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` instances; NumPy in, NumPy out.

    Instance i of `reset(seed=s)` lives the same episodes as a single environment with seed s + i.

    Args:
        task: name of the task, such as `half_cheetah`; the registered ids set it.
        num_envs: number of instances.
        max_episode_steps: time limit; None for the task's own, -1 for none.
        autoreset_mode: when a new episode begins. `NextStep`: the step after the last ignores its action and returns
            the new episode's first observation with reward 0. `SameStep`: the last step already returns it, and the
            info holds what the episode ended with, `final_obs` (an array, valid where `_final_obs`) and `final_info`.
        observation_group, student_noise, student_noise_kind, student_stack, randomise, render_mode, width, height,
            parameters: see `SingleEnvironment`.
        physics: engine; see `PhysicsConfig`.

    Raises:
        ConfigurationError: an argument is unknown or out of range.
        MissingDependencyError: the physics engine or OpenGL is not there.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  (as in the base)
        "render_modes": list(RENDER_MODES),
        "render_fps": 50,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        observation_group: str = "teacher",
        student_noise: float = 0.4,
        student_noise_kind: str = "uniform",
        student_stack: int = 1,
        randomise: Mapping[str, Any] | None = None,
        physics: str | PhysicsConfig = "auto",
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **parameters: Any,
    ) -> None:
        check_count("num_envs", num_envs)
        if max_episode_steps is not None:
            parameters["episode_length"] = np.iinfo(np.int32).max if max_episode_steps == -1 else max_episode_steps
            check_count("max_episode_steps", parameters["episode_length"])
        mode = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        check_choice("autoreset_mode", mode, [known.value for known in AUTORESET_MODES])
        config = MujocoConfig(
            task, student_noise, student_noise_kind, student_stack, parameters=parameters, randomise=randomise or {}
        )
        self.environment = config.build(PhysicsConfig(physics) if isinstance(physics, str) else physics)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = spaces(self.environment, observation_group)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._mode = AutoresetMode(mode)
        self.metadata = self.metadata | {
            "render_fps": frames_per_second(self.environment),
            "autoreset_mode": self._mode,
        }
        self.render_mode = render_mode
        check_rendering(render_mode)
        self._size = (width, height)
        self._group = observation_group
        self._renderer: Renderer | None = None
        self._state: EnvironmentState | None = None
        self._keys: Key[Array, " env"] | None = None
        self._done = np.zeros(num_envs, bool)
        self._begin = jax.jit(jax.vmap(self.environment.reset))
        self._begin_at = jax.jit(jax.vmap(partial(reset_to, self.environment)))
        self._renew = jax.jit(self._renewed)
        self._advance = jax.jit(jax.vmap(self.environment.step))

    def reset(  # type: ignore[override]  # a list of seeds is allowed, as in Gymnasium's own vector environments
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every instance.

        Args:
            seed: instance i gets seed + i, or the i-th of a list. Without, episodes follow from the last seed.
            options: `qpos` and `qvel` to start at, one for all or one each; `reset_mask`, to start only some.
        """
        if seed is None and self._keys is None:
            seed = self.np_random.integers(2**32, size=self.num_envs).tolist()
        if seed is not None:
            self._keys = self._seeded(seed)
        assert self._keys is not None
        mask = self._mask(options)
        split = jax.vmap(jax.random.split)(self._keys)
        start = start_state(self.environment, options, (self.num_envs,))
        fresh = self._begin(split[:, 1], mask) if start is None else self._begin_at(split[:, 1], *start)
        if self._state is None:
            if not mask.all():
                raise gymnasium.error.ResetNeeded("The first reset must start every instance, without a reset_mask.")
            self._state = fresh
        self._state = _select(mask, fresh, self._state)
        self._keys = _select(mask, split[:, 0], self._keys)
        self._done = self._done & ~mask
        return self._observation(), {}

    def step(  # type: ignore[override]  # the base names the argument's type by a variable
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every instance, starting new episodes as the autoreset mode says."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset before step.")
        actions = np.asarray(actions, np.float32)
        if actions.shape != self.action_space.shape:
            raise ConfigurationError(f"The actions have shape {actions.shape}; they must be {self.action_space.shape}.")
        renewed = self._done if self._mode is AutoresetMode.NEXT_STEP else np.zeros(self.num_envs, bool)
        state: EnvironmentState = self._advance(self._state, actions)
        if renewed.any():
            state, self._keys = self._renew(state, self._keys, renewed)
        self._state = state
        reward, terminated, truncated, metrics = jax.device_get(
            (state.reward, state.terminated, state.truncated, state.metrics)
        )
        done = terminated | truncated
        information = _information(metrics, ~renewed)
        if self._mode is AutoresetMode.SAME_STEP and done.any():
            last = self._observation()
            information = _information(metrics, ~done) | {
                "final_obs": last,
                "_final_obs": done.copy(),
                "final_info": _information(metrics, done),
                "_final_info": done.copy(),
            }
            self._state, self._keys = self._renew(self._state, self._keys, done)
        self._done = done if self._mode is AutoresetMode.NEXT_STEP else np.zeros(self.num_envs, bool)
        return self._observation(), reward.astype(np.float64), np.array(terminated), np.array(truncated), information

    def render(self) -> tuple[np.ndarray, ...] | None:  # type: ignore[override]  # the base allows any frame type
        """A picture of every instance, or None without a render mode."""
        if self.render_mode is None or self._state is None:
            return None
        if self._renderer is None:
            self._renderer = Renderer(self.environment.model, *self._size)
        qpos, qvel = (np.asarray(self._state.physics[name]) for name in ("qpos", "qvel"))
        return tuple(self._renderer.frame(qpos[i], qvel[i]) for i in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Give the OpenGL context back."""
        del kwargs
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _observation(self) -> np.ndarray:
        assert self._state is not None
        return np.array(self._state.observation[self._group])

    def _seeded(self, seed: int | Sequence[int]) -> Key[Array, " env"]:
        if isinstance(seed, Sequence):
            if len(seed) != self.num_envs:
                raise ConfigurationError(f"reset got {len(seed)} seeds for {self.num_envs} instances.")
            return jnp.stack([seed_key(each) for each in seed])
        super().reset(seed=seed)
        return jnp.stack([seed_key(seed + index) for index in range(self.num_envs)])

    def _mask(self, options: Mapping[str, Any] | None) -> np.ndarray:
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ConfigurationError(f"reset_mask must be {self.num_envs} booleans.")
        return mask

    def _renewed(
        self, state: EnvironmentState, keys: Key[Array, " env"], mask: Bool[Array, " env"]
    ) -> tuple[EnvironmentState, Key[Array, " env"]]:
        split = jax.vmap(jax.random.split)(keys)
        fresh = jax.vmap(self.environment.reset)(split[:, 1], mask)
        return _select(mask, fresh, state), _select(mask, split[:, 0], keys)


def _select(mask: Any, new: PyTree, old: PyTree) -> PyTree:
    mask = jnp.asarray(mask)
    return jax.tree.map(lambda n, o: jnp.where(mask.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, old)


def _information(metrics: Mapping[str, np.ndarray], mask: np.ndarray) -> dict[str, Any]:
    """Gymnasium's form: an array and, under `_<name>`, which instances it speaks of."""
    information: dict[str, Any] = {}
    for name, values in metrics.items():
        information[name] = np.where(mask, values, 0.0)
        information[f"_{name}"] = mask.copy()
    return information
