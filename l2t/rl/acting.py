"""Acting with a policy from Python: NumPy in, NumPy out, one robot or a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from l2t.config import check_choice, check_count
from l2t.errors import ConfigurationError
from l2t.rl.playing import decide, modes
from l2t.rl.policy import Policy
from l2t.rl.types import Environment


class LoadedPolicy:
    """The policy of a role of a run: observations in, actions of the task out, for one robot or a batch.

    It plays the mode of its distribution (the mean of a Gaussian), or with a seed `sampled` a new draw at each call;
    `reset` does not start these draws again. Its memory and its previous action are kept between calls, and forgotten
    by `reset`. Where the environment `TurnsActions`, the previous action should be turned as well. That cannot be done
    from observations alone, and matters only to policies with a memory.

    Attributes:
        environment: the task, as the run has it.
        role: whose policy it is.
    """

    def __init__(self, environment: Environment, policy: Policy, role: str, sampled: int | None = None) -> None:
        if sampled is not None:
            check_count("sampled", sampled, 0)
        self.environment = environment
        self.role = role
        self._policy = policy
        self._memory: PyTree = None
        self._first = np.ones(0, bool)
        self._action = np.zeros((0, 0), np.float32)
        self._key = None if sampled is None else jax.random.key(sampled)
        self._step = jax.jit(self._decide)

    def reset(self, which: np.ndarray | None = None) -> None:
        """Forget the episode: of every robot, or of those of a batch where `which` is true."""
        if which is None or self._memory is None:
            self._memory = None
        else:
            which = np.asarray(which, bool)
            if which.shape != self._first.shape:
                raise ConfigurationError(f"reset got {which.shape} flags for a batch of {len(self._first)} robots.")
            self._first = self._first | which
            self._action = np.where(which[:, None], 0.0, self._action)

    def __call__(self, observation: Any) -> np.ndarray:
        """The next action, in the task's own units.

        Args:
            observation: `[n]` for one robot, `[robot, n]` for a batch: the group that the role is named after; or a
                mapping of groups to such arrays.

        Raises:
            ConfigurationError: the observation has not the size that the policy was trained on, is not finite or of
                another group, or the batch is of another size than the last call's.
        """
        groups = observation if isinstance(observation, Mapping) else {self.role: observation}
        arrays = {name: np.asarray(value, np.float32) for name, value in groups.items()}
        sizes = self.environment.spec.observation_sizes
        for name, array in arrays.items():
            check_choice("observation group", name, sizes)
            if array.ndim not in (1, 2) or array.shape[-1] != sizes[name]:
                raise ConfigurationError(
                    f"The {name} observation has shape {array.shape}; it must be [{sizes[name]}], or [robots, "
                    f"{sizes[name]}] for a batch."
                )
            if not np.isfinite(array).all():
                raise ConfigurationError(f"The {name} observation holds a number that is not finite.")
        single = next(iter(arrays.values())).ndim == 1
        batch = {name: np.atleast_2d(array) for name, array in arrays.items()}
        robots = len(next(iter(batch.values())))
        if self._memory is None:
            self._memory = self._policy.initial(robots)
            self._first = np.ones(robots, bool)
            self._action = np.zeros((robots, self.environment.spec.action_size), np.float32)
        if robots != len(self._first):
            raise ConfigurationError(f"{robots} robots after {len(self._first)}: call reset() before another batch.")
        try:
            self._memory, clipped, action = self._step(self._next_key(), self._memory, batch, self._action, self._first)
        except KeyError as error:
            missing = f"This policy of the {self.role} sees {error.args[0]}, and was given {', '.join(batch)}."
            raise ConfigurationError(missing) from error
        self._first, self._action = np.zeros(robots, bool), np.asarray(clipped)
        return np.asarray(action)[0] if single else np.asarray(action)

    def _decide(self, key: Any, memory: PyTree, observation: Any, previous: Any, first: Any) -> Any:
        choice = modes if key is None else lambda distribution: distribution.sample(key)
        return decide(self.environment.spec, self._policy, memory, observation, previous, first, choice)

    def _next_key(self) -> Any:
        if self._key is None:
            return None
        self._key, key = jax.random.split(self._key)
        return key
