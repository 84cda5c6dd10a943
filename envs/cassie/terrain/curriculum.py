"""How difficult the next terrain is: every environment climbs and descends by itself.

As in the game-inspired curriculum of Rudin, Hoeller, Reist and Hutter, "Learning to Walk in Minutes Using Massively
Parallel Deep Reinforcement Learning", CoRL 2021: who masters the hardest terrain is sent to a random one, so that easy
ones are not forgotten and the environments stay spread over all difficulties. Differences: difficulty is continuous;
the end of the episode has to be reached as well as the distance covered, and it is an early end, not a short distance,
that leads back. Where ends and early ends are equally frequent, difficulty stays about where it is.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from envs.cassie.terrain.config import CurriculumConfig


def update(
    key: Key[Array, ""],
    config: CurriculumConfig,
    difficulty: Float[Array, ""],
    survived: Float[Array, ""],
    tracked: Float[Array, ""],
) -> Float[Array, ""]:
    """The difficulty of the next episode, in [0, 1].

    d + step   where survived = 1 and tracked >= enough; uniform on [0, 1] where that exceeds 1
    d - step   where survived < early, but not below 0
    d          otherwise

    Args:
        key: used at the top alone.
        config: step, early, enough.
        difficulty: d of the episode that ended.
        survived: the fraction of its time limit that the episode lasted.
        tracked: the fraction of the commanded distance that it covered; 1 where none was commanded.
    """
    # The top is reached up to rounding after 1 / step successes.
    higher = difficulty + config.step
    again = jax.random.uniform(key, (), jnp.float32)
    higher = jnp.where(higher > 1.0 + 1e-4, again, jnp.minimum(higher, 1.0))
    lower = jnp.maximum(difficulty - config.step, 0.0)
    mastered = (survived >= 1.0) & (tracked >= config.enough)
    return jnp.where(mastered, higher, jnp.where(survived < config.early, lower, difficulty))
