"""Which terrains there are and how difficult they get, checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from l2t.config import check_choice, check_count, check_interval, check_range
from l2t.errors import ConfigurationError

KINDS = ("flat", "slope", "stairs", "uneven", "moving")
"""In the order of the one-hot that a teacher sees."""

PATCH = 0.5
"""Metres around the start in which the ground is level, whatever the terrain."""

RISER = 0.04
"""Width in metres over which a stair rises: no step is vertical, so that the ground is a function with a gradient."""

AWAY = -1000.0
"""Height in metres of a plane that nothing shall touch."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class CurriculumConfig:
    """How difficulty follows success; see `envs.cassie.terrain.curriculum`.

    Attributes:
        step: by which difficulty rises or falls after an episode; 0 leaves it as it is.
        early: fraction of the episode before which an end is early, so that difficulty falls.
        enough: fraction of the commanded distance without which it does not rise.
    """

    step: float = 0.05
    early: float = 0.5
    enough: float = 0.7

    def __post_init__(self) -> None:
        for name in ("step", "early", "enough"):
            check_range(f"env.progress.{name}", getattr(self, name), 0.0, 1.0)


@dataclass(frozen=True)
class TerrainConfig:
    """Kinds of ground and their ranges.

    Two numbers [a, b] of the first group are the values at difficulty 0 and at difficulty 1, between which a terrain of
    difficulty d has a + d (b - a). Those of the second group are the ends of a uniform draw.

    Attributes:
        kind: `flat`, `slope`, `stairs`, `uneven`, `moving`, or `mixed`: drawn for each episode.
        weights: of the kinds in a mixture, which need not sum to one.

        slope: inclination in radians, in a direction drawn uniformly: pitch and roll lie within plus and minus it.
        rise: height of a stair in metres; the first flight leads up or down.
        roughness: amplitude of uneven ground in metres, which stays within plus and minus it.
        motion: amplitude of the moving ground in metres, along x, y and z.

        run: length of a stair in metres, from riser to riser.
        steps: stairs of a flight; both ends may be drawn.
        landing: level ground between two flights in metres.
        wavelength: of uneven ground in metres: the distance between independent heights.
        frequency: of the moving ground in Hz, one for each axis; lower where `acceleration` asks for it.

        acceleration: limit on the magnitude of the moving ground's acceleration in m/s².
    """

    kind: str = "mixed"
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 1.0))
    slope: Interval = (0.05, 0.3)
    rise: Interval = (0.05, 0.17)
    roughness: Interval = (0.02, 0.08)
    motion: Interval = (0.02, 0.1)
    run: Interval = (0.25, 0.4)
    steps: tuple[int, int] = (4, 12)
    landing: Interval = (1.0, 2.0)
    wavelength: Interval = (0.4, 1.5)
    frequency: Interval = (0.2, 1.2)
    acceleration: float = 3.0

    def __post_init__(self) -> None:
        check_choice("env.terrain.kind", self.kind, (*KINDS, "mixed"))
        self._check_weights()
        for name, low, high in (
            ("slope", 0.0, 1.0),
            ("rise", 0.0, 1.0),
            ("roughness", 0.0, 1.0),
            ("motion", 0.0, 1.0),
            ("run", 2 * RISER, None),
            ("steps", 1, None),
            ("landing", 2 * PATCH, None),
            ("wavelength", 0.05, None),
            ("frequency", 0.0, None),
        ):
            interval = getattr(self, name)
            check_interval(f"env.terrain.{name}", interval, low)
            check_range(f"env.terrain.{name}[1]", interval[1], low, high)
            object.__setattr__(self, name, tuple(interval))
        for end, count in enumerate(self.steps):
            check_count(f"env.terrain.steps[{end}]", count)
        check_range("env.terrain.acceleration", self.acceleration, 0.0, open_low=True)

    def _check_weights(self) -> None:
        if not isinstance(self.weights, Mapping):
            raise ConfigurationError(f"env.terrain.weights={self.weights!r} must be a mapping, such as {{stairs: 2}}.")
        for kind, weight in self.weights.items():
            check_choice("env.terrain.weights", kind, KINDS)
            check_range(f"env.terrain.weights.{kind}", weight, 0.0)
        if not sum(self.weights.values()) > 0.0:
            raise ConfigurationError("env.terrain.weights are all zero; give at least one kind a weight.")
        if self.kind != "mixed" and dict(self.weights) != dict.fromkeys(KINDS, 1.0):
            raise ConfigurationError(f"env.terrain.weights would change nothing: the only kind is {self.kind}.")
