"""A finite process as a Gymnasium environment. NumPy only."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from jaxtyping import Float
from numpy import ndarray

from envs.gymnasium.checks import check_options, check_seed
from envs.gymnasium.registration import FINITE_FAMILIES
from envs.tabular import families
from envs.tabular.model import TabularMDP, cumulated
from l2t.config import check_choice
from l2t.errors import ConfigurationError, ModelError

_TOLERANCE = 1e-9
"""How far the sum of a start distribution may be from 1."""


class TabularEnvironment(gymnasium.Env[Any, Any]):
    """One instance of a finite process; observations and actions are the numbers of states and actions.

    It goes on for ever: `terminated` and `truncated` are always False, unless `gymnasium.make` is given a
    `max_episode_steps`. As in Gymnasium's toy-text environments, `info["prob"]` is the probability of what was drawn:
    P(s'|s,a) after a step, that of the start after a reset. Draws are exact to float64.

    Args:
        mdp: the process.
        start: probability of each state at a reset; None starts at state 0.
        render_mode: None or `ansi`, which names the process and the state.

    Raises:
        ModelError: `start` is no distribution over the states.
        ConfigurationError: the render mode is unknown.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  (as in the base)

    def __init__(
        self,
        mdp: TabularMDP,
        start: Float[ndarray, " state"] | Sequence[float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None:
            check_choice("render_mode", render_mode, self.metadata["render_modes"])
        self.mdp = mdp
        self.start = _start_distribution(mdp, start)
        self.render_mode = render_mode
        self.observation_space = Discrete(mdp.num_states)
        self.action_space = Discrete(mdp.num_actions)
        self._cumulative = cumulated(mdp.transition)
        self._cumulative_start = cumulated(self.start)
        self._state: int | None = None
        self._generator: np.random.Generator | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Start at a state drawn from the start distribution, or at `options={"state": ...}`.

        Later draws follow from the last seed: `reset(seed=1); reset()` is reproducible.
        """
        given = check_options(options, ("state",))
        super().reset(seed=None if seed is None else check_seed(seed))
        if seed is not None or self._generator is None:
            # A child of the seed: actions drawn elsewhere with the same seed must not repeat the same numbers.
            self._generator = self.np_random.spawn(1)[0]
        if "state" in given:
            self._state = _check_number("The state to start at", given["state"], self.mdp.num_states)
            chance = 1.0
        else:
            self._state = self._draw(self._cumulative_start)
            chance = float(self.start[self._state])
        return self._state, {"prob": chance}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Draw the next state."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("Call reset before step.")
        action = _check_number("The action", action, self.mdp.num_actions)
        pair = self._state, action
        self._state = self._draw(self._cumulative[pair])
        chance = float(self.mdp.transition[pair][self._state])
        return self._state, float(self.mdp.reward[pair]), False, False, {"prob": chance}

    def render(self) -> str | None:  # type: ignore[override]  # the base allows any frame type
        """The name of the process and its state, or None without a render mode."""
        if self.render_mode is None or self._state is None:
            return None
        return f"{self.mdp.name}: state {self._state} of {self.mdp.num_states}\n"

    def _draw(self, cumulative: Float[ndarray, " n"]) -> int:
        assert self._generator is not None
        return int(np.searchsorted(cumulative, self._generator.random(), side="right"))


def make_tabular(
    family: str,
    /,
    start: Float[ndarray, " state"] | Sequence[float] | None = None,
    render_mode: str | None = None,
    **parameters: Any,
) -> TabularEnvironment:
    """A process of a family as an environment: what the registered ids call.

    Args:
        family: name of a function in `envs.tabular.families`; a registered id is bound to its own.
        start, render_mode: see `TabularEnvironment`.
        parameters: arguments of that function, such as `num_states=50`.

    Raises:
        ConfigurationError: an argument is unknown, or the family does not take its value.
        ModelError: the arguments make no process, or `start` is no distribution over its states.
    """
    check_choice("family", family, FINITE_FAMILIES)
    build = getattr(families, family)
    known = [*inspect.signature(build).parameters, "start", "render_mode"]
    for name in parameters:
        check_choice(f"{family}: keyword argument", name, known)
    try:
        mdp = build(**parameters)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        raise ConfigurationError(f"{family} cannot be made with {given}: {error}") from error
    return TabularEnvironment(mdp, start, render_mode)


def _start_distribution(mdp: TabularMDP, start: Any) -> Float[ndarray, " state"]:
    if start is None:
        return np.eye(mdp.num_states)[0]
    expected = f"it must hold one probability for each of the {mdp.num_states} states"
    try:
        start = np.array(start, np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{mdp.name}: start={start!r} is no distribution; {expected}.") from error
    if start.shape != (mdp.num_states,):
        raise ModelError(f"{mdp.name}: start has shape {start.shape}; {expected}.")
    if not np.isfinite(start).all() or start.min() < 0.0:
        raise ModelError(f"{mdp.name}: start holds a negative probability, or a number that is not finite.")
    if abs(start.sum() - 1.0) > _TOLERANCE:
        raise ModelError(f"{mdp.name}: the probabilities of start sum to {float(start.sum())!r}, not to 1.")
    return start


def _check_number(name: str, value: Any, size: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number < size:
        raise ConfigurationError(f"{name} is {value!r}; it must be a whole number from 0 to {size - 1}.")
    return number
