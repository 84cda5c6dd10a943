"""Any Gymnasium environment with a continuous, bounded action space as an environment of this project."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from envs.observation import StudentView, policy_units
from envs.physics.base import divert_warnings
from l2t.config import check_count
from l2t.errors import ConfigurationError, DivergenceError, ForeignEnvironmentError, L2TError
from l2t.rl.types import EnvironmentSpec, EnvironmentState

INSTANCES_KEPT = 8
"""Instances kept on the host, as a multiple of the largest batch; those unused for longest are given up."""


class GymnasiumEnvironment:
    """A stranger's environment, stepped in Python from inside jitted programs.

    Its state lives on the host and cannot be copied, so the state that travels through the program holds a *token*: a
    hash of the reset's seed and of every action since. The host keeps each instance under its token; a step takes it
    out, acts, and puts it back under the next token. So the callback is pure as far as a program can tell: it may be
    vmapped over environments and seeds, and two roles that start from one reset get an instance each.

    Limits:
    - Not resumable bitwise. A run that continues from a checkpoint finds its tokens unknown; those episodes are
      truncated and begin anew. The same happens to whoever steps an earlier state a second time.
    - An ended episode stays as it is until it is reset: further steps return its last observation and no reward.
    - As fast as Python: instances are stepped one after the other.
    - A copy (`copy.deepcopy`, `pickle`) is made anew from the same arguments and holds none of the original's episodes.

    Args:
        identifier: id as in `gymnasium.make`; `module:id` imports the module first.
        view: what the `student` group sees; `teacher` is the flattened observation.
        reset_cost: see `EnvironmentSpec`.
        episode_length: time limit; None for the one that the id is registered with.
        parameters: keyword arguments of `gymnasium.make`, but for the time limit.

    Raises:
        ConfigurationError: the id is unknown, or the environment cannot be made, stepped or trained on.
        ForeignEnvironmentError: it fails later, in the middle of a program.
    """

    def __init__(
        self,
        identifier: str,
        view: StudentView = StudentView(),  # noqa: B008  (frozen)
        reset_cost: float = 0.0,
        episode_length: int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._arguments = (identifier, view, reset_cost, episode_length, dict(parameters or {}))
        given = dict(parameters or {})
        if episode_length is not None:
            check_count("env.episode_length", episode_length)
        if "max_episode_steps" in given:
            raise ConfigurationError("env.parameters.max_episode_steps: the time limit is env.episode_length.")

        def make() -> gymnasium.Env:
            options = {"max_episode_steps": episode_length, "disable_env_checker": True} | given
            return gymnasium.make(identifier, **options)

        with _strangers_errors(identifier, given, "cannot be made"):
            first = make()
        divert_warnings()
        self.view = view
        self.spec = _specification(identifier, first, view, reset_cost, episode_length)
        with _strangers_errors(identifier, given, "fails at its first step"):
            _try(first)
        self._host = _Host(identifier, make, first)

    def __reduce__(self) -> tuple[Any, ...]:
        """The arguments: what is on the host are threads' locks and a stranger's objects, which need not be copied."""
        return type(self), self._arguments

    def reset(self, key: Key[Array, ""], needed: Any = True) -> EnvironmentState:
        """Begin an episode with a seed drawn from `key`."""
        seed_key, noise_key, key = jax.random.split(key, 3)
        seed = jax.random.bits(seed_key, (2,), jnp.uint32)
        token, exact = jax.pure_callback(
            self._host.reset,
            (jax.ShapeDtypeStruct((2,), np.uint32), self._observation_shape()),
            seed,
            jnp.asarray(needed, bool),
            vmap_method="broadcast_all",
        )
        student, stack = self.view.begin(noise_key, exact, self.spec.action_size)
        return EnvironmentState(
            observation={"teacher": exact, "student": student},
            reward=jnp.zeros(()),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
            metrics={"reward_task": jnp.zeros(())},
            step=jnp.zeros((), jnp.int32),
            key=key,
            physics={"seed": seed, "token": token},
            extras={"history": stack},
        )

    def as_student(
        self,
        key: Key[Array, ""],
        exact: Float[Array, "time n"],
        action: Float[Array, "time action"],
        first: Bool[Array, " time"],
    ) -> Float[Array, "time student"]:
        """The `student` group along episodes that were recorded; see `StudentView.along`."""
        return self.view.along(key, exact, action, first)

    def step(self, state: EnvironmentState, action: Float[Array, " action"]) -> EnvironmentState:
        """Advance one step; `action` is in the environment's own range."""
        step = state.step + 1
        last = step >= self.spec.episode_length
        flag, number = jax.ShapeDtypeStruct((), np.bool_), jax.ShapeDtypeStruct((), np.float32)
        token, exact, reward, terminated, truncated = jax.pure_callback(
            self._host.step,
            (jax.ShapeDtypeStruct((2,), np.uint32), self._observation_shape(), number, flag, flag),
            state.physics["token"],
            state.physics["seed"],
            jnp.asarray(action, jnp.float32),
            last,
            vmap_method="broadcast_all",
        )
        key, noise_key = jax.random.split(state.key)
        low, high = jnp.asarray(self.spec.action_low), jnp.asarray(self.spec.action_high)
        student, stack = self.view.follow(noise_key, state.extras["history"], exact, policy_units(action, low, high))
        return EnvironmentState(
            observation={"teacher": exact, "student": student},
            reward=reward,
            terminated=terminated,
            truncated=truncated | last,
            metrics={"reward_task": reward},
            step=step,
            key=key,
            physics={"seed": state.physics["seed"], "token": token},
            extras={"history": stack},
        )

    def _observation_shape(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((self.spec.observation_sizes["teacher"],), np.float32)


def _specification(
    identifier: str, env: gymnasium.Env, view: StudentView, reset_cost: float, episode_length: int | None
) -> EnvironmentSpec:
    space = env.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        raise ConfigurationError(
            f"env.id={identifier!r} has finitely many actions, and policies here are Gaussian: take "
            "a task with a bounded Box; finite processes have experiment=amdp_optimisation."
        )
    if identifier.split(":")[-1].startswith("l2t/") or env.metadata.get("jax", False):
        # JAX inside a callback of JAX can deadlock.
        raise ConfigurationError(f"env.id={identifier!r} is written in JAX; use env=half_cheetah and the like instead.")
    if not isinstance(space, gymnasium.spaces.Box) or not space.is_bounded():
        raise ConfigurationError(f"env.id={identifier!r} has the action space {space}; it must be a bounded Box.")
    if not np.issubdtype(space.dtype, np.floating):
        raise ConfigurationError(
            f"env.id={identifier!r} has whole-numbered actions, {space}, and policies here are Gaussian: take a task "
            "with a Box of real numbers."
        )
    with np.errstate(over="ignore"):
        extent = space.high.astype(np.float32) - space.low.astype(np.float32)
    if extent.size == 0 or not np.isfinite(extent).all():
        raise ConfigurationError(
            f"env.id={identifier!r} has the action space {space}; it must have at least one coordinate, and float32 "
            "must hold its extent."
        )
    if not env.observation_space.is_np_flattenable:
        raise ConfigurationError(
            f"env.id={identifier!r} has the observation space {env.observation_space}, which has no fixed length."
        )
    size = gymnasium.spaces.flatdim(env.observation_space)
    limit = episode_length or (env.spec.max_episode_steps if env.spec else None)
    if limit is None:
        raise ConfigurationError(f"env.id={identifier!r} has no time limit; give env.episode_length.")
    return EnvironmentSpec(
        name=identifier,
        observation_sizes={"teacher": size, "student": view.size(size, gymnasium.spaces.flatdim(space))},
        action_low=tuple(space.low.reshape(-1).tolist()),
        action_high=tuple(space.high.reshape(-1).tolist()),
        episode_length=limit,
        reset_cost=reset_cost,
        timestep=float(getattr(env.unwrapped, "dt", 1.0)),
    )


@contextmanager
def _strangers_errors(identifier: str, parameters: Mapping[str, Any], what: str) -> Iterator[None]:
    """One line for whatever the code of others raises."""
    try:
        yield
    except Exception as error:
        given = "".join(f" {name}={value!r}" for name, value in parameters.items())
        with_given = f" with{given}" if given else ""
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"env.id={identifier!r}{with_given} {what}: {reason}") from error


def _try(env: gymnasium.Env) -> None:
    """A reset and a step: a keyword of the wrong type may show only here, and inside a program it would be a riddle."""
    observation, _ = env.reset(seed=0)
    space = env.observation_space
    found = np.array(gymnasium.spaces.flatten(space, observation), np.float32).size
    expected = gymnasium.spaces.flatdim(space)
    if found != expected:
        raise ValueError(f"its observation holds {found} numbers, its observation space {expected}.")
    env.step(_fit(np.zeros(env.action_space.shape or (), np.float32), env.action_space))


def _fit(action: np.ndarray, space: Any) -> np.ndarray:
    """A float32 action as one that the space contains: its shape and type, and within bounds that float32 rounds."""
    return np.asarray(np.clip(action.reshape(space.shape).astype(space.dtype), space.low, space.high))


@dataclass
class _Instance:
    """An episode on the host. Without an environment it has ended."""

    env: gymnasium.Env | None
    observation: np.ndarray
    steps: int = 0
    terminated: bool = False
    truncated: bool = False


class _Host:
    """The instances by token. Called back from programs, so NumPy only: JAX calls in here can deadlock."""

    def __init__(self, identifier: str, make: Callable[[], gymnasium.Env], first: gymnasium.Env) -> None:
        self._identifier = identifier
        self._make = make
        self._idle = [first]
        self._space = first.observation_space
        self._action = first.action_space
        self._size = gymnasium.spaces.flatdim(first.observation_space)
        self._kept: OrderedDict[bytes, list[_Instance]] = OrderedDict()
        self._capacity = 0
        self._lock = threading.Lock()

    def reset(self, seed: Any, needed: Any) -> tuple[np.ndarray, np.ndarray]:
        """Token and first observation of each row; zeros where not needed."""
        seed, needed = np.asarray(seed), np.asarray(needed)
        token, observation = np.zeros_like(seed), np.zeros((*needed.shape, self._size), np.float32)
        with self._lock:
            self._make_room(needed.size)
            for row in np.ndindex(needed.shape):
                if needed[row]:
                    instance = self._begin(seed[row])
                    observation[row] = instance.observation
                    token[row] = self._put(_digest(seed[row]), instance)
        return token, observation

    def step(self, token: Any, seed: Any, action: Any, last: Any) -> tuple[np.ndarray, ...]:
        """Next token, observation, reward and the two flags of each row."""
        token, seed, action, last = (np.asarray(x) for x in (token, seed, action, last))
        after, observation = np.zeros_like(token), np.zeros((*last.shape, self._size), np.float32)
        reward, terminated, truncated = np.zeros(last.shape, np.float32), np.zeros_like(last), np.zeros_like(last)
        with self._lock:
            self._make_room(last.size)
            for row in np.ndindex(last.shape):
                instance = self._take(token[row])
                if instance is None and token[row].tobytes() == _digest(seed[row]):
                    instance = self._begin(seed[row])
                if instance is None:
                    instance = self._begin(np.frombuffer(_digest(token[row], action[row]), np.uint32))
                    self._end(instance, False, True)
                elif instance.env is not None:
                    reward[row] = self._act(instance, action[row], bool(last[row]))
                observation[row] = instance.observation
                terminated[row], truncated[row] = instance.terminated, instance.truncated
                after[row] = self._put(_digest(token[row], action[row]), instance)
        return after, observation, reward, terminated, truncated

    def _begin(self, seed: np.ndarray) -> _Instance:
        number = int(seed[0] >> 1)  # some environments take 31 bits only
        with self._failures(f"at reset(seed={number})"):
            env = self._idle.pop() if self._idle else self._make()
            observation, _ = env.reset(seed=number)
            return _Instance(env, self._flat(observation))

    def _act(self, instance: _Instance, action: np.ndarray, last: bool) -> float:
        assert instance.env is not None
        if np.isnan(action).any():
            raise DivergenceError("The policy's action is not a number. Lower the learning rate.")
        instance.steps += 1
        with self._failures(f"in step {instance.steps:,} of an episode"):
            observation, reward, terminated, truncated, _ = instance.env.step(_fit(action, self._action))
            instance.observation = self._flat(observation)
            paid, ended, cut = float(reward), bool(terminated), bool(truncated)
            if not np.isfinite(paid):
                raise ValueError(f"its reward is {paid}.")
        if ended or cut or last:
            self._end(instance, ended, cut)
        return paid

    def _end(self, instance: _Instance, terminated: bool, truncated: bool) -> None:
        assert instance.env is not None
        self._idle.append(instance.env)
        instance.env, instance.terminated, instance.truncated = None, terminated, truncated

    def _flat(self, observation: Any) -> np.ndarray:
        flat = np.array(gymnasium.spaces.flatten(self._space, observation), np.float32)
        if flat.shape != (self._size,):
            raise ValueError(f"its observation holds {flat.size} numbers, its observation space {self._size}.")
        if not np.isfinite(flat).all():
            raise ValueError(f"its observation holds {flat[~np.isfinite(flat)][0]}.")
        return flat

    @contextmanager
    def _failures(self, when: str) -> Iterator[None]:
        """Name the environment and the moment in whatever the code of others raises."""
        try:
            yield
        except L2TError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            told = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
            raise ForeignEnvironmentError(f"env.id={self._identifier!r} failed {when}: {told}") from error

    def _take(self, token: np.ndarray) -> _Instance | None:
        instances = self._kept.get(token.tobytes())
        if not instances:
            return None
        instance = instances.pop()
        if not instances:
            del self._kept[token.tobytes()]
        return instance

    def _put(self, token: bytes, instance: _Instance) -> np.ndarray:
        self._kept.setdefault(token, []).append(instance)
        return np.frombuffer(token, np.uint32)

    def _make_room(self, batch: int) -> None:
        self._capacity = max(self._capacity, INSTANCES_KEPT * batch)
        while self._kept and len(self._kept) + batch > self._capacity:
            _, forgotten = self._kept.popitem(last=False)
            self._idle += [instance.env for instance in forgotten if instance.env is not None]


def _digest(*parts: np.ndarray) -> bytes:
    return blake2b(b"".join(part.tobytes() for part in parts), digest_size=8).digest()
