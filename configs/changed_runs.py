"""What `--set` does: a trained run in another environment or on another engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from configs.schema import ExperimentConfig

Loaded = TypeVar("Loaded")


def changed_config(run_dir: Path, overrides: Sequence[str]) -> ExperimentConfig:
    """The run's configuration with another environment, checked before anything heavy is imported."""
    from configs.build import read_config
    from configs.messages import check_listed
    from l2t.errors import ConfigurationError

    check_listed(overrides)
    for override in overrides:
        key, separator, _ = override.partition("=")
        if not separator or not key.startswith(("env.", "physics.")):
            raise ConfigurationError(
                f"--set {override}: give KEY=VALUE with a key of the environment or its physics, "
                "such as env.student_noise=0.2. What was learnt cannot be changed afterwards."
            )
    return read_config(run_dir, overrides)


def load_changed(
    run_dir: Path,
    overrides: Sequence[str],
    config: ExperimentConfig,
    read: Callable[[Path, ExperimentConfig], Loaded],
) -> Loaded:
    """What `read` makes of a run whose configuration `overrides` have changed to `config`; errors say so."""
    from l2t.errors import CheckpointError, ConfigurationError, MissingDependencyError

    try:
        return read(run_dir, config)
    except CheckpointError as error:
        if not overrides or "another configuration" not in str(error):
            raise
        raise ConfigurationError(f"--set {' '.join(overrides)} does not fit what was learnt. {error}") from error
    except MissingDependencyError as error:
        raise MissingDependencyError(f"{error} Here that is --set physics.engine=native.") from error
