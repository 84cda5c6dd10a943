"""`.hydra/`: by what a run was started and, when a resume has changed something, how it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from l2t.run.directory import read_overrides
from l2t.run.files import write_atomically, writing


def describe(path: Path, config: DictConfig, overrides: Sequence[str], hydra: Any = None) -> None:
    """Write how a run begins. Hydra would write it before the directory is the run's own.

    Args:
        path: of the run.
        config: as it was composed.
        overrides: what it was composed from, as typed; none for a configuration that Python made.
        hydra: Hydra's own configuration; none for a run from Python.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    folder = path / ".hydra"
    with writing(folder):
        folder.mkdir(exist_ok=True)
    write_atomically(folder / "config.yaml", OmegaConf.to_yaml(config))
    if hydra is not None:
        write_atomically(folder / "hydra.yaml", OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})))
    _write_overrides(path, overrides)


def record_changes(path: Path, config: DictConfig, overrides: Sequence[str] | None) -> None:
    """Let the description say how a run goes on, so that the next resume and every reader find the new values.

    Args:
        path: of the run.
        config: with which it goes on.
        overrides: what that was composed from; None for a configuration that Python made.
    """
    if overrides is None:
        _record_config(path, config)
        return
    recorded = read_overrides(path)
    place = [override for override in recorded if override.startswith("run_dir=")]
    overrides = place + [override for override in overrides if not override.startswith("resume=")]
    if sorted(overrides) != sorted(recorded):
        _record_config(path, config)
        _write_overrides(path, overrides)


def _record_config(path: Path, config: DictConfig) -> None:
    stored = OmegaConf.load(path / ".hydra" / "config.yaml")
    assert isinstance(stored, DictConfig)
    after = OmegaConf.merge(config, {"resume": None}, OmegaConf.masked_copy(stored, "run_dir"))
    write_atomically(path / ".hydra" / "config.yaml", OmegaConf.to_yaml(after))


def _write_overrides(path: Path, overrides: Sequence[str]) -> None:
    text = yaml.safe_dump(list(overrides), allow_unicode=True)
    write_atomically(path / ".hydra" / "overrides.yaml", text)
