"""What only a configuration as a whole can be asked, before a run begins: whether its parts make sense together.

A run that is read back is not asked: what it did, it did.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from algorithms.replay.config import ReplayConfig
from configs.schema import ExperimentConfig
from l2t.errors import ConfigurationError


def check_together(config: ExperimentConfig) -> None:
    """Raise where a run would do nothing of what it is asked for.

    Raises:
        ConfigurationError: it would end before a learner's warm-up does.
    """
    if config.study is not None:
        return
    for path, part in _parts("algorithm", config.algorithm):
        if isinstance(part, ReplayConfig):
            _check_warm_up(path, part, config)


def _check_warm_up(path: str, part: ReplayConfig, config: ExperimentConfig) -> None:
    batch = part.num_steps * config.num_envs
    warm, whole = math.ceil(part.warm_up / batch), math.ceil(config.total_steps / batch)
    if warm == 0 or whole > warm:
        return
    rounded = f", in whole batches of {batch:,}" if config.total_steps > part.warm_up else ""
    raise ConfigurationError(
        f"total_steps={config.total_steps:,} is no more than {path}.warm_up={part.warm_up:,}{rounded}: nothing would "
        f"be learnt; give more total_steps, or a smaller {path}.warm_up."
    )


def _parts(path: str, config: Any) -> Iterator[tuple[str, Any]]:
    """A dataclass and all that stand in its fields, by key."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        yield path, config
        for field in dataclasses.fields(config):
            yield from _parts(f"{path}.{field.name}", getattr(config, field.name))
