"""A Minari data set of demonstrations at a local path: written whole or not at all, and checked when it is read.

`<path>/data/` is what `minari.MinariDataset` opens: per episode T+1 observations, T actions in the task's units, true
rewards, terminations, truncations and the seed. What Minari has no field for stands in its metadata under `l2t`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from minari import MinariDataset
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import METADATA_FILE_NAME, MinariStorage

from l2t.config import check_path
from l2t.demonstrations.checks import check_episodes, check_task
from l2t.demonstrations.record import GROUP, Demonstrations, Episode, Facts, from_episodes
from l2t.errors import ConfigurationError, DemonstrationError
from l2t.rl.types import EnvironmentSpec

FORMAT = 1
"""Version of what we put into the metadata; a reader knows exactly one."""

SECTION = "l2t"


def write_demonstrations(path: str | Path, episodes: Sequence[Episode], facts: Facts) -> Path:
    """Write whole episodes as a Minari data set; another process sees all of it or nothing.

    Args:
        path: the folder to make; its name becomes the data set's id, with `-v0` where it has no version.
        episodes: what was recorded.
        facts: where they come from.

    Returns:
        `path`.

    Raises:
        DemonstrationError: the episodes are not whole, finite and within bounds, or the folder cannot be written.
        ConfigurationError: the path is taken, or its name is none for a data set.
    """
    path = check_path("demonstrations", path)
    check_place(path)
    size = episodes[0].observation.shape[-1] if episodes else 0
    check_episodes(str(path), episodes, facts, size)
    # Absolute, because Minari joins a relative path to itself where it measures the size of a data set.
    temporary = path.absolute().with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        storage = MinariStorage.new(temporary / "data", *_spaces(facts, size), data_format="hdf5")
        storage.update_metadata(_metadata(path.name, facts))
        storage.update_episodes([_buffer(episode) for episode in episodes])
        temporary.rename(path)
    except OSError as error:
        raise DemonstrationError(
            f"{path} cannot be written: {error.strerror or error}. Choose another place."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def read_demonstrations(path: str | Path, spec: EnvironmentSpec | None = None) -> Demonstrations:
    """Read a data set that `write_demonstrations` made, and check all of it.

    Args:
        path: its folder.
        spec: the task that they are wanted for; None to look at them only.

    Raises:
        DemonstrationError: nothing is there, it is damaged, of another version, task or shape, empty, or holds
            observations or actions that are not finite, actions out of bounds or episodes that are not whole.
    """
    path = check_path("demonstrations", path)
    metadata = _read_metadata(path)
    facts = _facts(path, metadata)
    if spec is not None:
        check_task(str(path), facts, spec)
    with _damage(path):
        data = MinariDataset(path / "data")
        declared = data.observation_space.shape
        episodes = [_episode(stored, number) for number, stored in enumerate(_stored(data))]
    size = declared[0] if declared else 0
    if spec is not None and declared != (spec.size_of(GROUP),):
        raise DemonstrationError(
            f"{path} has observations of shape {list(declared or ())}, {GROUP} of {spec.name} has "
            f"[{spec.size_of(GROUP)}]; collect others for this task."
        )
    check_episodes(str(path), episodes, facts, size)
    return from_episodes(episodes, facts)


def check_place(path: Path) -> None:
    """Raise unless a data set can be made at `path`. Creates nothing.

    Raises:
        ConfigurationError: something is there already, its name is none for a data set, or it cannot be written.
    """
    if not re.fullmatch(r"[-_\w]+", path.name):
        raise ConfigurationError(
            f"{path.name!r} cannot name a data set: use letters, digits, - and _, as in name=hopper-expert."
        )
    if path.exists() or path.is_symlink():
        raise ConfigurationError(f"{path} exists already; delete it, or choose another place with name= or out=.")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{existing} cannot be written; choose another place with out=.")


def _spaces(facts: Facts, size: int) -> tuple[Box, Box]:
    low, high = (np.asarray(bound, np.float32) for bound in (facts.action_low, facts.action_high))
    return Box(-np.inf, np.inf, (size,), np.float32), Box(low, high, dtype=np.float32)


def _metadata(name: str, facts: Facts) -> dict[str, Any]:
    version = "" if re.search(r"-v\d+$", name) else "-v0"
    return {
        "dataset_id": f"{name}{version}",
        "minari_version": importlib.metadata.version("minari"),
        "algorithm_name": ", ".join(facts.policies),
        "description": f"{facts.actions} actions on {facts.task}, recorded by l2t. Observations are exact.",
        SECTION: {"format": FORMAT} | dataclasses.asdict(facts),
    }


def _buffer(episode: Episode) -> EpisodeBuffer:
    names = {"observation": "observations", "action": "actions", "reward": "rewards"}
    names |= {"terminated": "terminations", "truncated": "truncations", "seed": "seed"}
    return EpisodeBuffer(**{theirs: getattr(episode, ours) for ours, theirs in names.items()})


def _read_metadata(path: Path) -> dict[str, Any]:
    file = path / "data" / METADATA_FILE_NAME
    if not file.is_file():
        raise DemonstrationError(
            f"{path} is no data set of demonstrations: it has no data/{METADATA_FILE_NAME}; make one with l2t-collect."
        )
    with _damage(path):
        return dict(json.loads(file.read_text(encoding="utf-8")))


def _facts(path: Path, metadata: dict[str, Any]) -> Facts:
    section = metadata.get(SECTION)
    version = section.get("format") if isinstance(section, dict) else None
    if not isinstance(section, dict) or version != FORMAT:
        found = "was not written by l2t-collect" if version is None else f"is of version {version}"
        raise DemonstrationError(f"{path} {found}, this program reads version {FORMAT}; collect it again.")
    with _damage(path):
        return Facts(**{field.name: _as_tuple(section[field.name]) for field in dataclasses.fields(Facts)})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _stored(data: MinariDataset) -> list[dict[str, Any]]:
    """The episodes with their seeds, which Minari keeps apart."""
    count = range(data.storage.total_episodes)
    seeds = [facts.get("seed") for facts in data.storage.get_episode_metadata(count)]
    return [stored | {"seed": seed} for stored, seed in zip(data.storage.get_episodes(count), seeds, strict=True)]


def _episode(stored: dict[str, Any], number: int) -> Episode:
    if stored["seed"] is None:
        raise KeyError(f"episode {number} has no seed")
    return Episode(
        observation=np.asarray(stored["observations"], np.float32),
        action=np.asarray(stored["actions"], np.float32),
        reward=np.asarray(stored["rewards"], np.float32),
        terminated=np.asarray(stored["terminations"], bool),
        truncated=np.asarray(stored["truncations"], bool),
        seed=stored["seed"],
    )


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn whatever a broken file makes libraries raise into one line."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DemonstrationError(f"{path} is damaged ({reason}); collect it again.") from error
