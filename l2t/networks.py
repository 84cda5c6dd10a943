"""Sizes of networks, checked before JAX is imported."""

from __future__ import annotations

from dataclasses import dataclass

from l2t.config import check_choice, check_count, check_range
from l2t.errors import ConfigurationError


@dataclass(frozen=True)
class NetworkConfig:
    """Multi-layer perceptrons for actors and critics.

    Attributes:
        hidden: width of each hidden layer.
        activation: `tanh`, `relu`, `elu` or `swish`.
        initial_log_std: start of the Gaussian's state-independent log standard deviation.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    initial_log_std: float = -0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden:
            raise ConfigurationError("network.hidden is empty; give at least one layer, such as [64, 64].")
        for width in self.hidden:
            check_count("network.hidden", width)
        check_choice("network.activation", self.activation, ("tanh", "relu", "elu", "swish"))
        check_range("network.initial_log_std", self.initial_log_std, -5.0, 2.0)
