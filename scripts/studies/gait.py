"""Episodes of a Cassie that a saved policy moves, and what can be measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

SKIPPED = 50
"""Steps at the start of an episode, 1 s, that are not judged: the robot has to begin to walk."""

RECOVERED = 150
"""Steps after a push, 3 s, that a robot has to stay up for to have recovered from it."""

SECOND = 50
"""Steps of 20 ms in one: within each both feet have swung once at least."""


@dataclass(frozen=True)
class Played:
    """What episodes were like, `[episode, time]`; `alive` is false once an episode has ended."""

    alive: Float[ndarray, "episode time"]
    metrics: Mapping[str, Float[ndarray, "episode time"]]
    contacts: Float[ndarray, "episode time 2"]
    fallen: Float[ndarray, " episode"]
    timestep: float


def played(run: Any, role: str, episodes: int, seed: int) -> Played:
    """Play the modes of a run's policy, one episode per instance, to its end."""
    import jax
    import jax.numpy as jnp

    from l2t.rl.vector import as_seen, scale_action, with_action

    environment, policy = run.environment, run.algorithm.policy(run.state.learnt, role)
    spec = environment.spec

    def step(carry: tuple[Any, ...], time: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        state, action, memory, alive = carry
        memory, distribution = policy.step(
            memory, with_action(state.observation, action), jnp.full(episodes, time == 0)
        )
        action = jnp.clip(distribution.mode(), -1.0, 1.0)
        after = jax.vmap(environment.step)(state, scale_action(spec, action))
        seen = (alive, after.metrics, alive & after.terminated)
        return (after, as_seen(environment, state, after, action), memory, alive & ~after.terminated), seen

    @jax.jit
    def play(key: Any) -> tuple[Any, ...]:
        state = jax.vmap(environment.reset)(jax.random.split(key, episodes))
        start = (state, jnp.zeros((episodes, spec.action_size)), policy.initial(episodes), jnp.ones(episodes, bool))
        return jax.lax.scan(step, start, jnp.arange(spec.episode_length))[1]

    alive, metrics, fallen = jax.device_get(play(jax.random.key(seed)))
    by_episode = {name: np.swapaxes(values, 0, 1) for name, values in metrics.items()}
    contacts = np.stack([by_episode[f"{side}_contact"] for side in ("left", "right")], axis=-1)
    return Played(np.swapaxes(alive, 0, 1), by_episode, contacts, fallen.any(axis=0), spec.timestep)


class Walk(NamedTuple):
    """Means over episodes; NaN is what did not happen in any.

    Attributes:
        survival: share of the episodes without a fall.
        velocity_error, heading_error: in m/s, and in rad at the end of the episodes without a fall.
        fall_after: seconds, of those with one.
        recovered, pushes: share of the pushes after which the robot is up 3 s later, and how many were judged.
        clearance: highest point of a swinging foot in each second, in m.
        slip: speed of the feet that stand, in m/s.
        double_support, flight, saturation: shares of the time on both feet, on none, and of motors at their limit.
        step_rate: landings a second.
    """

    survival: float
    velocity_error: float
    heading_error: float
    fall_after: float
    recovered: float
    pushes: int
    clearance: float
    slip: float
    double_support: float
    flight: float
    step_rate: float
    saturation: float


def measure(seen: Played) -> Walk:
    """What the episodes were like."""
    alive, fallen = seen.alive.astype(bool), seen.fallen.astype(bool)
    judged = alive.copy()
    judged[:, :SKIPPED] = False
    ends = alive.sum(axis=1) - 1
    heading = seen.metrics["heading_error"][np.arange(len(ends)), ends]
    landings = (seen.contacts[:, 1:] > seen.contacts[:, :-1]).any(axis=-1) & judged[:, 1:]

    def mean(name: str) -> float:
        return _mean(seen.metrics[name][judged])

    recovered = _recovered(alive, seen.metrics["push"] > 0.0)
    return Walk(
        survival=float((~fallen).mean()),
        velocity_error=mean("velocity_error"),
        heading_error=_mean(heading[~fallen]),
        fall_after=_mean(seen.timestep * (ends[fallen] + 1)),
        recovered=_mean(recovered),
        pushes=len(recovered),
        clearance=_clearance(seen.metrics["foot_clearance"], judged),
        slip=mean("slip"),
        double_support=mean("double_support"),
        flight=mean("flight"),
        step_rate=_mean(landings[judged[:, 1:]]) / seen.timestep,
        saturation=mean("saturation"),
    )


def _mean(values: Float[ndarray, " n"] | Bool[ndarray, " n"]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _recovered(alive: Bool[ndarray, "episode time"], pushed: Bool[ndarray, "episode time"]) -> Bool[ndarray, " push"]:
    """Of each push that begins 3 s before the time limit or earlier: whether the robot is still up 3 s later."""
    begins = (alive & pushed)[:, 1:-RECOVERED] & ~pushed[:, : -RECOVERED - 1]
    return alive[:, 1 + RECOVERED :][begins]


def _clearance(height: Float[ndarray, "episode time"], judged: Bool[ndarray, "episode time"]) -> float:
    seconds = height.shape[1] // SECOND
    shape = (len(height), seconds, SECOND)
    highest = height[:, : SECOND * seconds].reshape(shape).max(axis=2)
    return _mean(highest[judged[:, : SECOND * seconds].reshape(shape).all(axis=2)])
