"""What must hold for recorded episodes. Nobody else looks: Minari stores whatever it is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2t.demonstrations.record import GROUP, Episode, Facts
from l2t.errors import DemonstrationError
from l2t.rl.types import EnvironmentSpec


def check_task(where: str, facts: Facts, spec: EnvironmentSpec) -> None:
    """Raise unless the demonstrations are of this task, with its range of actions and its time step.

    Args:
        where: names the data set in the message.
        facts: of the data set.
        spec: the task.
    """
    if facts.task != spec.name:
        raise DemonstrationError(f"{where} holds demonstrations of {facts.task}, not of {spec.name}; {_OTHERS}.")
    low, high = (np.asarray(bound, np.float32).tolist() for bound in (spec.action_low, spec.action_high))
    found = [np.asarray(bound, np.float32).tolist() for bound in (facts.action_low, facts.action_high)]
    if found != [low, high]:
        raise DemonstrationError(
            f"{where} has actions from {found[0]} to {found[1]}, {spec.name} from {low} to {high}; {_OTHERS}."
        )
    if not np.isclose(facts.timestep, spec.timestep, rtol=1e-6):
        raise DemonstrationError(
            f"{where} has steps of {facts.timestep:g} s, {spec.name} of {spec.timestep:g} s; {_OTHERS}."
        )


def check_episodes(where: str, episodes: Sequence[Episode], facts: Facts, size: int) -> None:
    """Raise unless there are whole episodes of the right shapes, finite, and with actions that the task can take.

    Rewards may be anything: no learner sees them.

    Args:
        where: names the data set in the message.
        episodes: the episodes.
        facts: the task's range, and facts of each episode.
        size: length of an observation.
    """
    if not episodes:
        raise DemonstrationError(f"{where} is empty: it holds no episode; {_AGAIN}.")
    if not len(episodes) == len(facts.policy) == len(facts.seeds):
        raise DemonstrationError(
            f"{where} holds {len(episodes)} episodes, its description has {len(facts.policy)} policies and "
            f"{len(facts.seeds)} seeds of episodes; {_AGAIN}."
        )
    for number, (episode, seed) in enumerate(zip(episodes, facts.seeds, strict=True)):
        if problem := _shapes(episode, size, len(facts.action_low)) or _values(episode, facts) or _end(episode):
            raise DemonstrationError(f"{where}: episode {number} {problem}; {_AGAIN}.")
        if episode.seed != seed:
            raise DemonstrationError(f"{where}: episode {number} has seed {episode.seed}, not {seed}; {_AGAIN}.")


_AGAIN = "collect it again"
_OTHERS = "collect others for this task"


def _shapes(episode: Episode, size: int, actions: int) -> str | None:
    time = len(episode.reward)
    if not time:
        return "has no step"
    if episode.observation.ndim != 2 or episode.observation.shape[1] != size:
        return f"has observations of shape {list(episode.observation.shape[1:])}, {GROUP} has [{size}]"
    if len(episode.observation) != time + 1:
        return f"has {len(episode.observation)} observations for {time} steps, which must be one more than the steps"
    if episode.action.shape != (time, actions):
        return f"has actions of shape {list(episode.action.shape)}, which must be [{time}, {actions}]"
    flags = (episode.terminated, episode.truncated)
    if episode.reward.ndim != 1 or any(flag.shape != (time,) for flag in flags):
        return f"has rewards or flags of another shape than [{time}]"
    return None


def _values(episode: Episode, facts: Facts) -> str | None:
    for name in ("observation", "action"):
        if not np.isfinite(getattr(episode, name)).all():
            return f"has an {name} that is not finite"
    low, high = (np.asarray(bound, np.float32) for bound in (facts.action_low, facts.action_high))
    if (episode.action < low).any() or (episode.action > high).any():
        return (
            f"has actions from {episode.action.min():g} to {episode.action.max():g}, beyond the task's bounds "
            f"({low.min():g} to {high.max():g})"
        )
    return None


def _end(episode: Episode) -> str | None:
    ended = episode.terminated | episode.truncated
    if ended[:-1].any():
        return "goes on after its end"
    return None if ended[-1] else "ends neither by a termination nor by a time limit"
