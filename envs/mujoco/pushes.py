"""Pushes: now and then somebody shoves the robot."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key

from envs.push import PushConfig


@struct.dataclass
class Push:
    """Attributes:
    force: in N, world frame, while `left` > 0.
    left: seconds of the push at hand; negative or zero between pushes.
    pause: seconds until the next one begins.
    """

    force: Float[Array, "3"]
    left: Float[Array, ""]
    pause: Float[Array, ""]

    @property
    def acting(self) -> Float[Array, "3"]:
        """The force now."""
        return jnp.where(self.left > 0.0, self.force, 0.0)


def draw(key: Key[Array, ""], config: PushConfig) -> Push:
    """Nothing yet, and a pause until the first push."""
    pause = jax.random.uniform(key, (), jnp.float32, *config.pause)
    return Push(jnp.zeros(3), jnp.zeros(()), pause)


def follow(key: Key[Array, ""], push: Push, config: PushConfig, duration: float) -> Push:
    """The push `duration` seconds later."""
    drawn = jax.random.uniform(key, (3,))
    left, pause = push.left - duration, push.pause - duration
    angle = 2 * jnp.pi * drawn[0]
    size = _between(config.force, drawn[1])
    fresh = Push(
        force=size * jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros(())]),
        left=jnp.asarray(config.duration, jnp.float32),
        pause=config.duration + _between(config.pause, drawn[2]),
    )
    # Rounding must not stretch a push by a step.
    same = Push(push.force, jnp.where(left < 0.5 * duration, 0.0, left), pause)
    return jax.tree.map(lambda new, old: jnp.where(pause <= 0.0, new, old), fresh, same)


def _between(interval: tuple[float, float], share: Float[Array, ""]) -> Float[Array, ""]:
    low, high = interval
    return low + (high - low) * share
