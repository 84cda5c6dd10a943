"""What was learnt or recorded in one environment, and is used in another."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping
from typing import Any

from configs.record import leaves, plain
from configs.recording import unseen
from l2t.errors import ConfigurationError


class OtherDynamicsWarning(UserWarning):
    """Demonstrations come from an environment that is not the run's."""


_NO_DYNAMICS = ("episode_length", "push.training_only", "curriculum", "progress", "rewards")
"""Settings that decide which episodes there are and what they are worth, and not how an action moves the robot."""


def check_meaning(whose: str, before: Any, now: Any) -> None:
    """Raise where the numbers of another run's networks meant something else (`l2t.config.MEANING`).

    Args:
        whose: the networks, or the option that names them.
        before, now: configurations of the environment that they learnt in and of the one where they shall act.
    """
    if type(before) is not type(now):
        return  # another task, or as much as one
    named = [field.name for field in dataclasses.fields(now) if "meaning" in field.metadata]
    told = {name: getattr(before, name) for name in named if getattr(before, name) != getattr(now, name)}
    if told:
        was = " and ".join(f"env.{name}={value}" for name, value in told.items())
        raise ConfigurationError(
            f"{whose}: that run was trained with {was}, and its networks would do something else here: "
            "give this run the same, or another one."
        )


def warn_of_other_dynamics(path: str, recorded: Mapping[str, Any], env: Any) -> None:
    """Warn where demonstrations were recorded in another environment than they shall be learnt in.

    Args:
        path: of the demonstrations.
        recorded: the settings of the environment that they come from, as JSON holds them.
        env: configuration of the environment of now.
    """
    settings = json.loads(json.dumps(plain(env)))
    known = settings.keys() & recorded.keys()  # an older recording may not know a newer setting
    before, now = (leaves({key: where[key] for key in known}) for where in (recorded, settings))
    told = [
        f"env.{key} was {before.get(key, 'not set')}, here it is {now.get(key, 'not set')}"
        for key in sorted(before.keys() | now.keys())
        if not unseen(key) and not key.startswith(_NO_DYNAMICS) and before.get(key) != now.get(key)
    ]
    if told:
        warnings.warn(
            f"The demonstrations {path} come from other dynamics ({'; '.join(told)}): what their expert does may be "
            "impossible here, and then no reward makes a policy do it.",
            OtherDynamicsWarning,
            stacklevel=2,
        )
