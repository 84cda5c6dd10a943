"""What a student sees of the true observation: noise, and a memory of the last few steps."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from l2t.config import check_choice, check_count, check_range


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
