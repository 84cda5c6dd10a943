"""A task's model with other dynamics: fields scaled once and for all, and a floor that slopes."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs.physics.base import model_field
from l2t.errors import ConfigurationError


def changed_model(model: mujoco.MjModel, factors: Mapping[str, float], slope: float = 0.0) -> mujoco.MjModel:
    """The model with fields multiplied, and gravity tilted as on a slope; a copy where there is anything to change.

    Constants that MuJoCo derives from masses and lengths are derived anew, so every engine that is started on the copy
    has them. The floor stays z = 0: on a slope x points uphill, z away from the floor, and heights and angles are
    counted from the floor as before.

    Args:
        model: is not modified.
        factors: by field of `MjModel`; `opt.` in front for those of its options.
        slope: α in degrees, uphill along +x; negative is downhill.

    Raises:
        ConfigurationError: a field is no real-valued array, or the change has no effect.
    """
    if not factors and not slope:
        return model
    changed = copy.copy(model)
    for name, factor in factors.items():
        try:
            before = model_field(model, name)
        except ConfigurationError as error:
            raise ConfigurationError(f"env.model cannot be followed: {error}") from None
        if not before.any():
            raise ConfigurationError(f"env.model.{name} would change nothing: that field is empty or zero.")
        _field(changed, name)[...] *= factor
    if slope:
        if not np.any(model.opt.gravity):
            raise ConfigurationError("env.slope would change nothing: this task has no gravity.")
        changed.opt.gravity[:] = tilted(changed.opt.gravity, slope)
    mujoco.mj_setConst(changed, mujoco.MjData(changed))
    for name, factor in factors.items():
        if name != "opt.gravity" and not np.allclose(_field(changed, name), factor * _field(model, name)):
            raise ConfigurationError(
                f"env.model.{name} would change nothing: MuJoCo derives that field from others, such as body_mass."
            )
    return changed


def tilted(gravity: Float[ndarray, "3"], slope: float) -> Float[ndarray, "3"]:
    """Gravity as a robot feels it on a floor that rises by α degrees along x: turned by α about the y axis.

    (0, 0, -g) becomes g (-sin α, 0, -cos α).
    """
    sine, cosine = math.sin(math.radians(slope)), math.cos(math.radians(slope))
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]]) @ gravity


def _field(model: mujoco.MjModel, name: str) -> ndarray:
    """The array itself, float64."""
    return getattr(model.opt, name[4:]) if name.startswith("opt.") else getattr(model, name)
