"""What is recorded besides the run directory, checked before anything heavy is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from l2t.config import check_choice, check_list

MODES = ("online", "offline", "disabled")


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases. What is left out is taken from W&B's own variables: `WANDB_MODE`, `WANDB_PROJECT` and so on.

    Attributes:
        mode: `online`, `offline` (written under the run directory, to be sent later with `wandb sync`) or `disabled`;
            without `WANDB_MODE` offline.
        project, entity, group, tags: where the run appears; without `WANDB_PROJECT` the project is `l2t`.
    """

    mode: str | None = None
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_list("tracking.wandb.tags", self.tags, "[paper, hopper]")
        object.__setattr__(self, "tags", tuple(str(tag) for tag in self.tags))
        if self.mode is not None:
            check_choice("tracking.wandb.mode", self.mode, MODES)
        else:
            check_choice("WANDB_MODE", self.chosen_mode, MODES)

    @property
    def chosen_mode(self) -> str:
        """The mode with the environment's say in it; a configured one wins."""
        if self.mode is not None:
            return self.mode
        if os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
            return "disabled"
        mode = os.environ.get("WANDB_MODE") or "offline"
        return {"dryrun": "offline", "run": "online"}.get(mode, mode)

    @property
    def chosen_project(self) -> str:
        """The project with the environment's say in it; a configured one wins."""
        return self.project or os.environ.get("WANDB_PROJECT") or "l2t"


@dataclass(frozen=True)
class TrackingConfig:
    """The trackers of a run; `metrics.jsonl` and the console are always on."""

    wandb: WandbConfig = field(default_factory=WandbConfig)
