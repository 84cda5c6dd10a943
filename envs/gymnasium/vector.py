"""Many instances of a task as a Gymnasium vector environment, one jitted program for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Bool, Key, PyTree

from envs.gymnasium.checks import check_options, check_seed
from envs.gymnasium.forking import check_fork
from envs.gymnasium.information import of_many, reset_information, step_information
from envs.gymnasium.options import RENDER_MODES, check_rendering, frames_per_second, read_options, spaces
from envs.gymnasium.starting import check_action, reset_to, seed_keys, start_state
from envs.rendering import Renderer
from l2t.config import check_choice, check_count, check_range
from l2t.errors import ConfigurationError
from l2t.rl.types import EnvironmentState

AUTORESET_MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)

_NEVER = np.iinfo(np.int32).max
"""A time limit that no episode reaches, and the largest that there is."""


class VectorizedEnvironment(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` instances; NumPy in, NumPy out.

    Instance i of `reset(seed=s)` lives the same episodes as a single environment with seed s + i, but for a curriculum
    under another time limit than the task's own: see `SingleEnvironment`. Here `reset` begins everything anew.

    A copy (`copy.deepcopy`, `pickle`) goes on exactly as the original does. It compiles its programs anew.

    Args:
        task: name of the task, such as `half_cheetah`; a registered id is bound to its own.
        num_envs: number of instances.
        max_episode_steps: time limit; None for the task's own, -1 for none.
        autoreset_mode: when a new episode begins. `NextStep`: the step after the last ignores its action and returns
            the new episode's first observation with reward 0. `SameStep`: the last step already returns it, and the
            info holds what the episode ended with, `final_obs` (an array, valid where `_final_obs`) and `final_info`.
        render_mode, width, height, options: see `SingleEnvironment`; `physics` is `auto` here.

    Raises:
        ConfigurationError: an argument is unknown, out of range or without effect.
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
        /,
        *,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **options: Any,
    ) -> None:
        check_count("num_envs", num_envs)
        mode = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        check_choice("autoreset_mode", mode, [known.value for known in AUTORESET_MODES])
        check_rendering(render_mode, width, height)
        self.num_envs = num_envs
        self.render_mode, self.width, self.height = render_mode, width, height
        others = ("num_envs", "max_episode_steps", "autoreset_mode", "render_mode", "width", "height")
        read = read_options(task, {"physics": "auto"} | options, others)
        self._options = replace(read, episode_length=_limit(max_episode_steps))
        self._mode = AutoresetMode(mode)
        self._state: EnvironmentState | None = None
        self._keys: Key[Array, " env"] | None = None
        self._done = np.zeros(num_envs, bool)
        self._assemble()
        self._group = self._options.observation_group
        self.single_observation_space, self.single_action_space = spaces(self.environment, self._group)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = self.metadata | {
            "render_fps": frames_per_second(self.environment),
            "autoreset_mode": self._mode,
        }

    def _assemble(self) -> None:
        """Everything that holds no state."""
        self.environment = self._options.build()
        self._renderer: Renderer | None = None
        self._begin = jax.jit(jax.vmap(self.environment.reset))
        self._begin_at = jax.jit(jax.vmap(partial(reset_to, self.environment)))
        self._renew = jax.jit(self._renewed)
        self._advance = jax.jit(jax.vmap(self.environment.step))
        self._describe = jax.jit(jax.vmap(partial(reset_information, self.environment)))

    def __getstate__(self) -> dict[str, Any]:
        """All but what cannot leave the process: threads, compiled programs and the OpenGL context."""
        check_fork()
        return {name: value for name, value in vars(self).items() if name not in _MADE_ANEW}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._assemble()

    def reset(  # type: ignore[override]  # a list of seeds is allowed, as in Gymnasium's own vector environments
        self,
        *,
        seed: int | Sequence[int | None] | np.ndarray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every instance; the info says where the robots are.

        Args:
            seed: instance i gets seed + i, or the i-th of a list. Without one, and where the list holds None, episodes
                follow from the last seed.
            options: `qpos` and `qvel` to start at, one for all or one each; `reset_mask`, to start only some.
        """
        check_fork()
        given = check_options(options, ("qpos", "qvel", "reset_mask"))
        start = start_state(self.environment, given, (self.num_envs,))
        mask, seeds = self._mask(given), self._seeds(seed)
        if self._state is None and not mask.all():
            raise gymnasium.error.ResetNeeded("The first reset must start every instance, without a reset_mask.")
        keys = self._seeded(seeds, mask)
        split = jax.vmap(jax.random.split)(keys)
        fresh = self._begin(split[:, 1], mask) if start is None else self._begin_at(split[:, 1], *start)
        self._state = fresh if self._state is None else _select(mask, fresh, self._state)
        self._keys = _select(mask, split[:, 0], keys)
        self._done = self._done & ~mask
        return self._observation(), of_many((self._places(), mask))

    def step(  # type: ignore[override]  # the base names the argument's type by a variable
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every instance, starting new episodes as the autoreset mode says."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset before step.")
        check_fork()
        renewed = self._done if self._mode is AutoresetMode.NEXT_STEP else np.zeros(self.num_envs, bool)
        actions = check_action(actions, self.action_space, ignored=renewed)
        state: EnvironmentState = self._advance(self._state, actions)
        if renewed.any():
            state, self._keys = self._renew(state, self._keys, renewed)
        self._state = state
        reward, terminated, truncated, told = jax.device_get(
            (state.reward, state.terminated, state.truncated, step_information(state))
        )
        done = terminated | truncated
        if self._mode is AutoresetMode.SAME_STEP and done.any():
            final = {
                "final_obs": self._observation(),
                "_final_obs": done.copy(),
                "final_info": of_many((told, done)),
                "_final_info": done.copy(),
            }
            self._state, self._keys = self._renew(self._state, self._keys, done)
            information = self._information(told, done) | final
        else:
            information = self._information(told, renewed)
        self._done = done if self._mode is AutoresetMode.NEXT_STEP else np.zeros(self.num_envs, bool)
        return self._observation(), reward.astype(np.float64), np.array(terminated), np.array(truncated), information

    def render(self) -> tuple[np.ndarray, ...] | None:  # type: ignore[override]  # the base allows any frame type
        """A picture of every instance, or None without a render mode."""
        if self.render_mode is None:
            return None
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset before render.")
        if self._renderer is None:
            extras = jax.tree.map(lambda leaf: leaf[0], self._state.extras)
            self._renderer = Renderer(self.environment.scene(extras), self.width, self.height)
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

    def _places(self) -> dict[str, np.ndarray]:
        return jax.device_get(self._describe(self._state))

    def _information(self, told: Mapping[str, np.ndarray], begun: np.ndarray) -> dict[str, Any]:
        """What the step told, but of an instance whose episode has just begun what a reset tells."""
        return of_many((told, ~begun), (self._places(), begun)) if begun.any() else of_many((told, ~begun))

    def _seeds(self, seed: Any) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, Integral):
            first = check_seed(seed)
            super().reset(seed=first)
            return [first + index for index in range(self.num_envs)]
        if not (isinstance(seed, Sequence) or (isinstance(seed, np.ndarray) and seed.ndim == 1)):
            raise gymnasium.error.Error(f"Seed must be a python integer, actual type: {type(seed)}, or a list of them.")
        if len(seed) != self.num_envs:
            raise ConfigurationError(f"reset got {len(seed)} seeds for {self.num_envs} instances.")
        return [None if each is None else check_seed(each) for each in seed]

    def _seeded(self, seeds: list[int | None], mask: np.ndarray) -> Key[Array, " env"]:
        """Keys of the seeds, where there is one and the instance starts; where not, those of the streams under way."""
        if self._keys is None:
            return seed_keys([int(self.np_random.integers(2**32)) if each is None else each for each in seeds])
        given = mask & np.array([each is not None for each in seeds])
        return _select(given, seed_keys([each or 0 for each in seeds]), self._keys) if given.any() else self._keys

    def _mask(self, options: Mapping[str, Any]) -> np.ndarray:
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ConfigurationError(f"reset_mask must be {self.num_envs} booleans, one of them true.")
        return mask

    def _renewed(
        self, state: EnvironmentState, keys: Key[Array, " env"], mask: Bool[Array, " env"]
    ) -> tuple[EnvironmentState, Key[Array, " env"]]:
        split = jax.vmap(jax.random.split)(keys)
        fresh = jax.vmap(self.environment.restart)(split[:, 1], state, mask)
        return _select(mask, fresh, state), _select(mask, split[:, 0], keys)


_MADE_ANEW = frozenset({"environment", "_renderer", "_begin", "_begin_at", "_renew", "_advance", "_describe"})


def _limit(max_episode_steps: Any) -> int | None:
    """The time limit in steps; None for the task's own."""
    if max_episode_steps is None:
        return None
    if max_episode_steps == -1:
        return _NEVER
    check_count("max_episode_steps", max_episode_steps)
    check_range("max_episode_steps", max_episode_steps, 1, _NEVER)
    return max_episode_steps


def _select(mask: Any, new: PyTree, old: PyTree) -> PyTree:
    mask = jnp.asarray(mask)
    return jax.tree.map(lambda n, o: jnp.where(mask.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, old)
