"""A task as a Gymnasium environment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium
import jax
import numpy as np
from jaxtyping import Array, Key

from envs.gymnasium.checks import check_options, check_seed
from envs.gymnasium.forking import check_fork
from envs.gymnasium.information import of_one, reset_information, step_information
from envs.gymnasium.options import RENDER_MODES, check_rendering, frames_per_second, read_options, spaces
from envs.gymnasium.starting import check_action, reset_to, seed_key, start_state
from envs.rendering import Renderer
from l2t.rl.types import EnvironmentState


class SingleEnvironment(gymnasium.Env[np.ndarray, np.ndarray]):
    """One instance of a task; NumPy in, NumPy out.

    As everywhere in Gymnasium the time limit is the business of the `TimeLimit` wrapper that `gymnasium.make` adds
    (`max_episode_steps`): `truncated` is always False here.

    Episodes follow each other as those of one instance of a `VectorizedEnvironment` do, so that a curriculum climbs,
    until a reset with a seed or a start state begins everything anew. An episode that is left before it ended counts as
    one that came to its time limit: a wrapper that truncates tells nobody. To a curriculum an early end is early in the
    task's own time limit, whatever `max_episode_steps` says.

    A copy (`copy.deepcopy`, `pickle`) goes on exactly as the original does. It compiles its programs anew.

    Args:
        task: name of the task, such as `half_cheetah`; a registered id is bound to its own.
        render_mode: None or `rgb_array`.
        width, height: size of a picture.
        options: see `TaskOptions`: `observation_group`, `student_noise`, `student_noise_kind`, `student_stack`,
            `student_previous_action`, `randomise`, `model`, `slope`, `push`, `physics`, and any field of the task;
            Cassie's are in `CassieOptions`. A single environment is faster on the CPU, `native`, whatever the machine.

    Raises:
        ConfigurationError: an argument is unknown, out of range or without effect.
        MissingDependencyError: a picture is asked for and no OpenGL back-end works.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 50}  # noqa: RUF012  (as in the base)

    def __init__(
        self,
        task: str,
        /,
        *,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **options: Any,
    ) -> None:
        check_rendering(render_mode, width, height)
        self.render_mode, self.width, self.height = render_mode, width, height
        self._options = read_options(task, options, others=("render_mode", "width", "height"))
        self._state: EnvironmentState | None = None
        self._ended: EnvironmentState | None = None
        self._key: Key[Array, ""] | None = None
        self._assemble()
        self._group = self._options.observation_group
        self.observation_space, self.action_space = spaces(self.environment, self._group)
        self.metadata = self.metadata | {"render_fps": frames_per_second(self.environment)}

    def _assemble(self) -> None:
        """Everything that holds no state."""
        self.environment = self._options.build()
        self._renderer: Renderer | None = None
        self._begin = jax.jit(self.environment.reset)
        self._begin_at = jax.jit(partial(reset_to, self.environment))
        self._renew = jax.jit(self.environment.restart)
        self._advance = jax.jit(self.environment.step)
        self._describe = jax.jit(partial(reset_information, self.environment))

    def __getstate__(self) -> dict[str, Any]:
        """All but what cannot leave the process: threads, compiled programs and the OpenGL context."""
        check_fork()
        return {name: value for name, value in vars(self).items() if name not in _MADE_ANEW}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._assemble()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode, at `options={"qpos": ..., "qvel": ...}` where given; the info says where the robot is.

        Later episodes follow from the last seed and from the episodes since: `reset(seed=1); reset()` is reproducible.
        """
        check_fork()
        start = start_state(self.environment, check_options(options, ("qpos", "qvel")), ())
        seed = None if seed is None else check_seed(seed)
        super().reset(seed=seed)
        if seed is not None:
            self._key = seed_key(seed)
        elif self._key is None:
            self._key = seed_key(int(self.np_random.integers(2**32)))
        self._key, key = jax.random.split(self._key)
        self._ended = self._before() if seed is None and start is None else None
        if start is not None:
            state: EnvironmentState = self._begin_at(key, *start)
        else:
            state = self._begin(key) if self._ended is None else self._renew(key, self._ended)
        self._state = state
        return np.array(state.observation[self._group]), of_one(jax.device_get(self._describe(state)))

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance one step; the reward terms and the task's other metrics are the info."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset before step.")
        check_fork()
        self._state = state = self._advance(self._state, check_action(action, self.action_space))
        observation, reward, terminated, information = jax.device_get(
            (state.observation[self._group], state.reward, state.terminated, step_information(state))
        )
        return np.array(observation), float(reward), bool(terminated), False, of_one(information)

    def _before(self) -> EnvironmentState | None:
        """How the episode before the next one was left: of one in which nobody took a step, how that before it was."""
        if self._state is None or self._state.step == 0:
            return self._ended
        return replace(self._state, truncated=~self._state.terminated)

    def render(self) -> np.ndarray | None:  # type: ignore[override]  # the base allows any frame type
        """The current picture, or None without a render mode."""
        if self.render_mode is None:
            return None
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset before render.")
        if self._renderer is None:
            self._renderer = Renderer(self.environment.scene(self._state.extras), self.width, self.height)
        physics = self._state.physics
        return self._renderer.frame(np.asarray(physics["qpos"]), np.asarray(physics["qvel"]))

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


_MADE_ANEW = frozenset({"environment", "_renderer", "_begin", "_begin_at", "_renew", "_advance", "_describe"})
