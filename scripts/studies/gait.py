"""Episodes of a Cassie that a saved policy moves, and what can be measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs.cassie.figures import SIDES

SKIPPED = 50
"""Steps at the start of an episode, 1 s, that are not judged: the robot has to begin to walk."""

RECOVERED = 150
"""Steps after a push, 3 s, that a robot has to stay up for to have recovered from it."""

SWING = 5
"""Steps, 0.1 s, that a foot has to be off the ground to have swung: a foot that sets down may bounce for less."""


@dataclass(frozen=True)
class Played:
    """What episodes were like, `[episode, time]`; `alive` is false once an episode has ended.

    `endings` says of each step which criteria of a fall its end meets, by `envs.cassie.task.ENDINGS`.
    """

    alive: Float[ndarray, "episode time"]
    metrics: Mapping[str, Float[ndarray, "episode time"]]
    contacts: Float[ndarray, "episode time 2"]
    fallen: Float[ndarray, " episode"]
    endings: Mapping[str, Bool[ndarray, "episode time"]]
    timestep: float


def played(run: Any, role: str, episodes: int, seed: int) -> Played:
    """Play the modes of a run's policy, one episode per instance, to its end."""
    import jax
    import jax.numpy as jnp

    from l2t.rl.playing import begin, proceed

    environment, policy = run.environment, run.algorithm.policy(run.state.learnt, role)
    spec, task = environment.spec, environment.task
    met = jax.vmap(lambda physics, memory: task.endings(physics, memory, environment.model))

    def step(carry: tuple[Any, ...], _: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        playing, alive = carry
        playing = proceed(environment, policy, playing)[0]
        state = playing.state
        seen = (alive, state.metrics, alive & state.terminated, met(state.physics, state.extras["memory"]))
        return (playing, alive & ~state.terminated), seen

    @jax.jit
    def play(key: Any) -> tuple[Any, ...]:
        start = begin(environment, policy, jax.random.split(key, episodes)), jnp.ones(episodes, bool)
        return jax.lax.scan(step, start, length=spec.episode_length)[1]

    alive, metrics, fallen, endings = jax.device_get(play(jax.random.key(seed)))
    by_episode, ways = (
        {name: np.swapaxes(values, 0, 1) for name, values in seen.items()} for seen in (metrics, endings)
    )
    contacts = np.stack([by_episode[f"{side}_contact"] for side in SIDES], axis=-1)
    return Played(np.swapaxes(alive, 0, 1), by_episode, contacts, fallen.any(axis=0), ways, spec.timestep)


class Walk(NamedTuple):
    """Means over episodes; NaN is what did not happen in any.

    Attributes:
        survival, episodes: share of the episodes without a fall, and how many were played.
        walked, asked: metres in the world along the commanded direction in an episode, up to its end or its fall, and
            metres that were commanded until then.
        velocity_error, heading_error: in m/s, and in rad at the end of the episodes without a fall.
        fall_after: seconds, of those with one.
        recovered, pushes: share of the pushes after which the robot is up 3 s later, and how many were judged.
        clearance, lowest_clearance: mean and 10th percentile of the highest point of each swing, in m, of the foot
            whose mean is the lower.
        slip: speed of the feet that stand, in m/s.
        double_support, flight, saturation: shares of the time on both feet, on none, and of motors at their limit.
        step_rate: landings a second.
        endings: falls that met each criterion; one may meet several.
    """

    survival: float
    episodes: int
    walked: float
    asked: float
    velocity_error: float
    heading_error: float
    fall_after: float
    recovered: float
    pushes: int
    clearance: float
    lowest_clearance: float
    slip: float
    double_support: float
    flight: float
    step_rate: float
    saturation: float
    endings: Mapping[str, int]


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

    def metres(name: str) -> float:
        return float(seen.timestep * (seen.metrics[name] * alive).sum(axis=1).mean())

    recovered = _recovered(alive, seen.metrics["push"] > 0.0)
    heights = np.stack([seen.metrics[f"{side}_clearance"] for side in SIDES], axis=-1)
    worse = _worse_foot(heights, seen.contacts > 0.0, judged)
    return Walk(
        survival=float((~fallen).mean()),
        episodes=len(fallen),
        walked=metres("speed_along"),
        asked=metres("speed_asked"),
        velocity_error=mean("velocity_error"),
        heading_error=_mean(heading[~fallen]),
        fall_after=_mean(seen.timestep * (ends[fallen] + 1)),
        recovered=_mean(recovered),
        pushes=len(recovered),
        clearance=_mean(worse),
        lowest_clearance=float(np.quantile(worse, 0.1)) if worse.size else float("nan"),
        slip=mean("slip"),
        double_support=mean("double_support"),
        flight=mean("flight"),
        step_rate=_mean(landings[judged[:, 1:]]) / seen.timestep,
        saturation=mean("saturation"),
        endings={name: int(met[np.arange(len(ends)), ends][fallen].sum()) for name, met in seen.endings.items()},
    )


def _mean(values: Float[ndarray, " n"] | Bool[ndarray, " n"]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _recovered(alive: Bool[ndarray, "episode time"], pushed: Bool[ndarray, "episode time"]) -> Bool[ndarray, " push"]:
    """Of each push that begins 3 s before the time limit or earlier: whether the robot is still up 3 s later."""
    begins = (alive & pushed)[:, 1:-RECOVERED] & ~pushed[:, : -RECOVERED - 1]
    return alive[:, 1 + RECOVERED :][begins]


def _worse_foot(
    heights: Float[ndarray, "episode time 2"],
    contacts: Bool[ndarray, "episode time 2"],
    judged: Bool[ndarray, "episode time"],
) -> Float[ndarray, " swing"]:
    """The peaks of all swings of the foot that lifts less on the mean.

    A foot that drags through an episode has no swing to measure there: it counts as many of height 0 as the other made.
    """
    peaks: tuple[list[float], list[float]] = ([], [])
    for height, contact, upright in zip(heights, contacts, judged, strict=True):
        feet = [_peaks(height[upright, foot], contact[upright, foot]) for foot in range(2)]
        for own, mine, other in zip(peaks, feet, feet[::-1], strict=True):
            own.extend(mine or [0.0] * len(other))
    return min((np.array(own) for own in peaks), key=_mean)


def _peaks(height: Float[ndarray, " time"], contact: Bool[ndarray, " time"]) -> list[float]:
    """The highest point of each swing that begins and ends in sight and lasts for `SWING` steps or more."""
    changes = np.diff(contact.astype(int))
    lifts, lands = np.flatnonzero(changes == -1) + 1, np.flatnonzero(changes == 1) + 1
    lands = lands[lands > lifts[0]] if lifts.size else lands[:0]
    swings = zip(lifts[: len(lands)], lands, strict=True)
    return [float(height[lift:land].max()) for lift, land in swings if land - lift >= SWING]
