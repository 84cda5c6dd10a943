"""What can be set about pushes, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass

from l2t.config import check_range, hold_interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class PushConfig:
    """Now and then a horizontal force on the robot's first body, in any direction.

    Attributes:
        force: in N; (0, 0) for no pushes.
        duration: of a push in seconds.
        pause: between two pushes in seconds.
    """

    force: Interval = (50.0, 150.0)
    duration: float = 0.2
    pause: Interval = (4.0, 8.0)

    def __post_init__(self) -> None:
        hold_interval("env.push.force", self, 0.0)
        hold_interval("env.push.pause", self, 0.0)
        check_range("env.push.duration", self.duration, 0.0, open_low=True)


NOBODY = PushConfig((0.0, 0.0))
"""Pushes."""
