"""What can be set about pushes, checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from l2t.config import check_flag, check_idle, check_range, hold_interval

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

    def check_given(self, names: Iterable[str]) -> None:
        """Raise where one of the fields that somebody set has no effect, since nobody pushes.

        Args:
            names: of those fields. Others may be left over from pushes that were switched off by `force` alone.

        Raises:
            ConfigurationError: a field without effect is not at its default.
        """
        if self.force[1] == 0.0:
            idle = sorted({"duration", "pause", "training_only"}.intersection(names))
            check_idle("env.push", self, idle, "with env.push.force=[0, 0] nobody pushes")

    @property
    def judging(self) -> PushConfig:
        """Where policies are judged."""
        return replace(self, force=(0.0, 0.0)) if self.training_only else self


NOBODY = PushConfig((0.0, 0.0))
"""Pushes."""
