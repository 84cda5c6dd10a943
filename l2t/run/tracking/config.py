"""What is recorded besides the run directory, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, field

from l2t.config import check_choice


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases.

    Attributes:
        mode: `online`, `offline` (written under the run directory, to be sent later with `wandb sync`) or `disabled`.
        project, entity, group, tags: where the run appears.
    """

    mode: str = "offline"
    project: str = "l2t"
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("tracking.wandb.mode", self.mode, ("online", "offline", "disabled"))
        object.__setattr__(self, "tags", tuple(str(tag) for tag in self.tags))


@dataclass(frozen=True)
class TrackingConfig:
    """The trackers of a run; `metrics.jsonl` and the console are always on."""

    wandb: WandbConfig = field(default_factory=WandbConfig)
