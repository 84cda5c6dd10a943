"""`resume=<run directory>`: what a run was started with goes underneath what is asked for now.

A run that Python made of dataclasses has no overrides to go underneath: its stored configuration takes their place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from algorithms.inverse.config import reward_config
from configs.build import read_config
from configs.fields import path_fields
from configs.messages import Compose
from configs.overrides import absolute, make_absolute, parse, place, plain_values, quote
from configs.presets import redirect_presets
from configs.record import described
from configs.schema import ExperimentConfig
from configs.source import group_choice, group_options
from l2t.errors import ConfigurationError, L2TError, RunDirectoryError
from l2t.run.claim import check_resumable
from l2t.run.directory import read_overrides

_BEGINNING = ("start_from", "start_roles")


def resume_overrides(run_dir: Path, new: Sequence[str], compose: Compose) -> list[str]:
    """The overrides of the run in `run_dir`, then the new ones; a new value for the same key wins.

    Args:
        run_dir: the run.
        new: expanded overrides.
        compose: composes a configuration, to find out where a new `preset=` belongs.

    Raises:
        RunDirectoryError: `run_dir` is not a run directory, or was not started from overrides.
        ConfigurationError: an override makes no sense for a run that goes on.
    """
    _check_asked(new, plain_values(_recorded(run_dir)) if os.path.isdir(run_dir / ".hydra") else {})
    check_resumable(run_dir)
    if made_of_dataclasses(run_dir):
        raise RunDirectoryError(
            f"resume={run_dir}: Python made that run of dataclasses, not of overrides; continue it from Python, with "
            f'train(["resume={run_dir}"]).'
        )
    recorded = _recorded(run_dir)
    count = len(new)
    new = redirect_presets([*_beside(recorded, new), *new], compose)[-count:] if count else []
    # The directory keeps the description of how the run was started.
    return [*_beside(recorded, new), *new, f"hydra.run.dir={quote(str(run_dir))}", "hydra.output_subdir=null"]


def made_of_dataclasses(run_dir: Path) -> bool:
    """Whether a run has a configuration and nothing that it was composed from."""
    described, by_hydra = (os.path.isfile(run_dir / ".hydra" / name) for name in ("overrides.yaml", "hydra.yaml"))
    return described and not by_hydra and not read_overrides(run_dir)


def stored_config(run_dir: Path, new: Sequence[str]) -> ExperimentConfig:
    """The configuration with which a run that was made of dataclasses goes on.

    Args:
        run_dir: the run.
        new: expanded overrides. A choice that the run has made already, such as `algorithm=spmd`, changes nothing.

    Raises:
        RunDirectoryError: `run_dir` is not a run directory.
        ConfigurationError: its configuration cannot be made again here, or a change is not possible.
    """
    check_resumable(run_dir)
    cure = f"train(dataclasses.replace(config, resume={str(run_dir)!r})) continues it with a configuration."
    try:
        stored = read_config(run_dir)
    except L2TError as error:
        raise ConfigurationError(
            f"The configuration of resume={run_dir} cannot be made again: {error} {cure}"
        ) from error
    settings = described(stored)
    _check_asked(new, {"start_from": stored.start_from, "start_roles": list(stored.start_roles)})
    changes = []
    for text in new:
        key = parse(text).key_or_group
        if key.partition("/")[0] in ("experiment", "preset"):
            raise ConfigurationError(f"{text} stands for several keys: give those that shall change. Or {cure}")
        if key not in ("resume", *_BEGINNING) and not _is_so(text, settings):
            changes.append(make_absolute(text, path_fields(settings, ExperimentConfig)))
    return replace(read_config(run_dir, changes), resume=str(run_dir))


def check_spacing(config: ExperimentConfig, changes: Mapping[str, tuple[Any, Any]]) -> None:
    """Raise where a run that goes on cannot space the rewards evenly that the one it leaves is the mean of.

    It has kept those of its own fractions, and of another length's fractions it has not.

    Args:
        config: with which the run goes on.
        changes: what that changes, by key: before, now.

    Raises:
        ConfigurationError: it is to be longer or shorter than it was begun.
    """
    inverse = reward_config(config.algorithm)
    if inverse is not None and inverse.reward.mean_of > 1 and "total_steps" in changes:
        before, now = changes["total_steps"]
        raise ConfigurationError(
            f"total_steps={now:,} would space the {inverse.reward.mean_of} rewards of reward.mean_of "
            f"unevenly, which are kept as for {before:,} steps: resume with total_steps={before}, or begin a new run "
            f"with the policy's networks, start_from={config.resume}."
        )


def _is_so(text: str, settings: DictConfig) -> bool:
    """Whether an override chooses the algorithm, a part of it or the task that is there: its settings stay then."""
    override = parse(text)
    group, value = override.key_or_group, override.value()
    learns = group.split("/")[0] == "algorithm" or group == "env"
    if not learns or not isinstance(value, str) or value not in group_options(group):
        return False
    chosen, now = group_choice(group, value), OmegaConf.select(settings, group.replace("/", "."))
    return now is not None and all(chosen.get(key) == now.get(key) for key in ("_target_", "name", "task"))


def _beside(recorded: Sequence[str], new: Sequence[str]) -> list[str]:
    """What was recorded and is not given anew."""
    given = {place(parse(override)) for override in new} | {("run_dir", None), ("resume", None)}
    return [override for override in recorded if place(parse(override)) not in given]


def _check_asked(new: Sequence[str], before: Mapping[str, Any]) -> None:
    """What a run began with can be said again, as a script does that has all of its overrides in one list."""
    values = plain_values(new)
    if values.get("run_dir") is not None:
        raise ConfigurationError("resume= continues a run where it is: leave out run_dir=.")
    if values.get("start_from"):
        values["start_from"] = str(absolute(str(values["start_from"])))
    if any(name in values and values[name] != before.get(name) for name in _BEGINNING):
        raise ConfigurationError("resume= continues what the run has learnt: leave out start_from= and start_roles=.")


def _recorded(run_dir: Path) -> list[str]:
    """Overrides as they were written down; of those for Hydra itself only the search path still matters."""
    file = run_dir / ".hydra" / "hydra.yaml"
    if not file.is_file():  # started from Python
        return read_overrides(run_dir)
    try:
        stored: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        listed = stored["hydra"]["overrides"]["hydra"]
        search_path = [str(override) for override in listed if str(override).startswith("hydra.searchpath=")]
    except (OSError, ValueError, TypeError, KeyError, YAMLError) as error:
        raise RunDirectoryError(f"{file} cannot be read ({error}), so the run cannot be resumed.") from error
    return [*read_overrides(run_dir), *search_path]
