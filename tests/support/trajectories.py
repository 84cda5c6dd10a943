"""Small batches made by hand, and the rules for what follows a step written out as loops."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from l2t.rl.types import Trajectory

TIME, ENVS = 12, 4


def random_trajectory(key: int, size: int = 2, action_size: int = 1, student_size: int = 1) -> Trajectory:
    """Twelve steps in four environments with terminations, time limits and one step that is both.

    Every observation is drawn afresh, so that whoever takes the wrong successor is found out.
    """
    rng = np.random.default_rng(key)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    def observation(*lead: int) -> dict[str, jax.Array]:
        teacher = draw(*lead, size)
        return {"teacher": teacher, "student": teacher[..., :student_size], "previous_action": draw(*lead, action_size)}

    terminated = np.zeros((TIME, ENVS), bool)
    truncated = np.zeros((TIME, ENVS), bool)
    terminated[3, 0] = terminated[TIME - 1, 1] = terminated[6, 3] = True
    truncated[5, 1] = truncated[TIME - 1, 2] = truncated[6, 3] = True
    first = np.concatenate([np.ones((1, ENVS), bool), (terminated | truncated)[:-1]])
    return Trajectory(
        observation=observation(TIME, ENVS),
        first=jnp.asarray(first),
        successor=observation(TIME, ENVS),
        action=draw(TIME, ENVS, action_size),
        log_prob=draw(TIME, ENVS),
        reward=draw(TIME, ENVS),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        final_observation=observation(ENVS),
    )


def shown_next(trajectory: Trajectory, group: str) -> np.ndarray:
    """What the environment showed after each step, after any reset."""
    seen, last = np.asarray(trajectory.observation[group]), np.asarray(trajectory.final_observation[group])
    return np.concatenate([seen[1:], last[None]])


def following_by_a_loop(trajectory: Trajectory, group: str) -> np.ndarray:
    """The next start after a termination, the true successor after anything else."""
    out = np.array(trajectory.successor[group])
    shown = shown_next(trajectory, group)
    for t in range(TIME):
        for n in range(ENVS):
            if bool(trajectory.terminated[t, n]):
                out[t, n] = shown[t, n]
    return out


def limited(trajectory: Trajectory) -> np.ndarray:
    """Where the time limit ended an episode, and no termination."""
    return np.asarray(trajectory.truncated) & ~np.asarray(trajectory.terminated)


def discounted_sum_by_a_loop(delta: np.ndarray, decay: float, cut: np.ndarray) -> np.ndarray:
    """Σ_l decay^l δ_{t+l}, up to and with the first step where `cut`."""
    out = np.zeros_like(delta)
    for t in range(TIME):
        for n in range(ENVS):
            for later in range(t, TIME):
                out[t, n] += decay ** (later - t) * delta[later, n]
                if cut[later, n]:
                    break
    return out


def with_values(state: Any, **changes: Any) -> Any:
    """A learner's state with other scalar estimates."""
    return state.replace(**{name: jnp.asarray(value, jnp.float32) for name, value in changes.items()})
