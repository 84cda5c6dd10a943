"""What can be set about pushes, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace

from l2t.config import check_flag, check_range, hold_interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class PushConfig:
    """Now and then a horizontal force on the robot's first body, in any direction.

    Attributes:
        force: in N; (0, 0) for no pushes.
        duration: of a push in seconds.
        pause: between two pushes in seconds.
        training_only: whether nobody pushes where policies are evaluated, shown and recorded.
    """

    force: Interval = (50.0, 150.0)
    duration: float = 0.2
    pause: Interval = (4.0, 8.0)
    training_only: bool = False

    def __post_init__(self) -> None:
        hold_interval("env.push.force", self, 0.0)
        hold_interval("env.push.pause", self, 0.0)
        check_range("env.push.duration", self.duration, 0.0, open_low=True)
        check_flag("env.push.training_only", self.training_only)

    @property
    def judging(self) -> PushConfig:
        """Where policies are judged."""
        return replace(self, force=(0.0, 0.0)) if self.training_only else self


NOBODY = PushConfig((0.0, 0.0))
"""Pushes."""
