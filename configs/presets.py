"""`preset=<name>`: settings of the off-policy learner, wherever it stands in the algorithm.

What a preset sets is in `preset/<name>.yaml` where the algorithm is the learner itself, and in
`preset/<part>/<name>.yaml` where the learner is a part of it, such as `algorithm.teacher.optimizer`. Who types
`preset=<name>` means the right one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from configs.messages import Compose
from configs.overrides import combinations, parse
from configs.source import group_options
from l2t.errors import ConfigurationError

_OF_OFF_POLICY = "updates_per_step"
"""The field that only off-policy learners have."""


def redirect_presets(overrides: Sequence[str], compose: Compose) -> list[str]:
    """The overrides, with `preset=` spelled as the group of the place where the off-policy learner stands.

    Args:
        overrides: in Hydra's grammar, also with sweeps.
        compose: composes the configuration of overrides without sweeps.

    Raises:
        ConfigurationError: there is no such learner, or no preset for its place, or the runs of a sweep differ in it.
    """
    presets = [text for text in overrides if _is_preset(text)]
    if not presets:
        return list(overrides)
    others = [text for text in overrides if text not in presets]
    found = [_place(compose(each)) for each in combinations(others)]
    places, shown = {place for place in found if place is not None}, presets[0]
    if None in found:
        raise ConfigurationError(
            f"{shown} is for off-policy learners, and none learns here: choose one, such as algorithm=spmd_replay or "
            f"algorithm.teacher=sac, or leave out {shown}."
        )
    if len(places) > 1:
        raise ConfigurationError(
            f"{shown} would go to different parts of the algorithms of the sweep: run them in sweeps of their own."
        )
    group = "/".join(("preset", *places.pop()))
    if not group_options(group, overrides):
        learner = group.replace("/", ".").replace("preset", "algorithm", 1)
        raise ConfigurationError(
            f"{shown} does not know {learner}: set {learner}.num_steps, {learner}.{_OF_OFF_POLICY} and num_envs."
        )
    return [f"{group}={text.partition('=')[2]}" if text in presets else text for text in overrides]


def _is_preset(text: str) -> bool:
    override = parse(text)
    chooses = override.key_or_group == "preset" and override.package is None
    return chooses and not override.is_delete() and not override.is_add() and override.value() is not None


def _place(composed: Any) -> tuple[str, ...] | None:
    """Where the off-policy learner stands below `algorithm`; None where there is none."""
    whole = OmegaConf.to_container(composed, resolve=False)
    algorithm = whole.get("algorithm") if isinstance(whole, dict) else None
    return _search(algorithm) if isinstance(algorithm, Mapping) else None


def _search(node: Mapping[Any, Any]) -> tuple[str, ...] | None:
    if _OF_OFF_POLICY in node:
        return ()
    below = ((str(name), _search(part)) for name, part in node.items() if isinstance(part, Mapping))
    return next(((name, *found) for name, found in below if found is not None), None)
