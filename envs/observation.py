"""What a student sees of the true observation: noise, its own previous action, and the last few steps of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from l2t.config import check_choice, check_count, check_flag, check_range


@dataclass(frozen=True)
class ObservationNoise:
    """Noise of Learn-to-Teach (arXiv 2402.06783), fresh at each step.

    `uniform`: o = s + |s| U(-σ, σ) per coordinate. `gaussian`: o = s + |s| N(0, σ²).
    """

    scale: float = 0.0
    kind: str = "uniform"

    def __post_init__(self) -> None:
        check_range("env.student_noise", self.scale, 0.0)
        check_choice("env.student_noise_kind", self.kind, ("uniform", "gaussian"))

    def __call__(self, key: Key[Array, ""], observation: Float[Array, " n"]) -> Float[Array, " n"]:
        """A noisy copy of `observation`."""
        if self.scale == 0.0:
            return observation
        draw = (
            jax.random.uniform(key, observation.shape, minval=-1.0, maxval=1.0)
            if self.kind == "uniform"
            else jax.random.normal(key, observation.shape)
        )
        return observation + self.scale * jnp.abs(observation) * draw


@dataclass(frozen=True)
class History:
    """A stack of the last `length` observations, newest first."""

    length: int = 1

    def __post_init__(self) -> None:
        check_count("env.student_stack", self.length)

    def fill(self, observation: Float[Array, " n"]) -> Float[Array, "length n"]:
        """A new episode's stack: its first observation, repeated."""
        return jnp.broadcast_to(observation, (self.length, *observation.shape))

    def push(self, stack: Float[Array, "length n"], observation: Float[Array, " n"]) -> Float[Array, "length n"]:
        """Add the newest, forget the oldest."""
        return jnp.concatenate([observation[None], stack[:-1]])


class Mirror(Protocol):
    """How rows of observations, and actions in policy units, look in a mirror."""

    def reflect(self, rows: Float[Array, "*rows n"]) -> Float[Array, "*rows n"]:
        """Observations."""
        ...

    def reflect_action(self, action: Float[Array, "*rows action"]) -> Float[Array, "*rows action"]:
        """Actions."""
        ...


@dataclass(frozen=True)
class StudentView:
    """From the exact observation to the `student` group, and what has to be remembered for it.

    A row is the noisy observation and, with `previous_action`, the action that led to it: in policy units, [-1, 1] over
    the action space, without noise, zero at the start of an episode. The group is the stack of the last rows.
    """

    noise: ObservationNoise = ObservationNoise()
    history: History = History()
    previous_action: bool = False

    def __post_init__(self) -> None:
        check_flag("env.student_previous_action", self.previous_action)

    def begin(
        self, key: Key[Array, ""], exact: Float[Array, " n"], action_size: int
    ) -> tuple[Float[Array, " student"], Float[Array, "length row"]]:
        """The group at the start of an episode, and the stack to hand on."""
        stack = self.history.fill(self._row(key, exact, jnp.zeros(action_size)))
        return stack.reshape(-1), stack

    def follow(
        self,
        key: Key[Array, ""],
        stack: Float[Array, "length row"],
        exact: Float[Array, " n"],
        action: Float[Array, " action"],
    ) -> tuple[Float[Array, " student"], Float[Array, "length row"]]:
        """The group one step later, `action` being in policy units."""
        stack = self.history.push(stack, self._row(key, exact, action))
        return stack.reshape(-1), stack

    def turn(
        self,
        turned: Bool[Array, ""],
        stack: Float[Array, "length row"],
        action: Float[Array, " action"],
        mirror: Mirror,
    ) -> tuple[Float[Array, "length row"], Float[Array, " action"]]:
        """Stack and last action as they are seen from now on: reflected where the mirror has `turned`."""
        size = stack.shape[-1] - action.shape[-1] * self.previous_action
        reflected = mirror.reflect(stack[..., :size])
        if self.previous_action:
            reflected = jnp.concatenate([reflected, mirror.reflect_action(stack[..., size:])], axis=-1)
        return jnp.where(turned, reflected, stack), jnp.where(turned, mirror.reflect_action(action), action)

    def along(
        self,
        key: Key[Array, ""],
        exact: Float[Array, "time n"],
        action: Float[Array, "time action"],
        first: Bool[Array, " time"],
        turned: Bool[Array, " time"] | None = None,
        mirror: Mirror | None = None,
    ) -> Float[Array, "time student"]:
        """The group at every step of episodes that were recorded, one behind the other.

        Args:
            key: of the noise.
            exact: the observation before each step.
            action: what was done at each, in policy units.
            first: where an episode begins.
            turned: where what was seen and done before has to be seen in the mirror from now on.
            mirror: how that shows it; needed where anything turns.
        """

        def show(stack: Array, xs: tuple[Array, ...]) -> tuple[Array, Array]:
            key, exact, before, first, turned = xs
            if mirror is not None:
                stack, before = self.turn(turned, stack, before, mirror)
            begun = self.begin(key, exact, before.shape[-1])
            seen, stack = jax.tree.map(
                lambda a, b: jnp.where(first, a, b), begun, self.follow(key, stack, exact, before)
            )
            return stack, seen

        before = jnp.concatenate([jnp.zeros_like(action[:1]), action[:-1]])
        keys = jax.random.split(key, exact.shape[0])
        start = self.begin(key, exact[0], action.shape[-1])[1]
        turned = jnp.zeros_like(first) if turned is None else turned
        return jax.lax.scan(show, start, (keys, exact, before, first, turned))[1]

    def size(self, exact: int, action: int) -> int:
        """Length of the group for an observation and an action of these lengths."""
        return self.history.length * (exact + action * self.previous_action)

    def _row(
        self, key: Key[Array, ""], exact: Float[Array, " n"], action: Float[Array, " action"]
    ) -> Float[Array, " row"]:
        noisy = self.noise(key, exact)
        return jnp.concatenate([noisy, action]) if self.previous_action else noisy


def policy_units(
    action: Float[Array, " action"], low: Float[Array, " action"], high: Float[Array, " action"]
) -> Float[Array, " action"]:
    """An action of the range [low, high] as a policy gives it: onto [-1, 1], clipped. Not a number becomes 0."""
    return jnp.nan_to_num(jnp.clip(2.0 * (action - low) / (high - low) - 1.0, -1.0, 1.0))
