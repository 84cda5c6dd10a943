"""A model to look at: the robot with its visible parts, on the ground of an episode."""

from __future__ import annotations

import functools

import mujoco

from envs.cassie.model import cassie_model, cassie_spec
from envs.cassie.terrain.config import KINDS
from envs.cassie.terrain.scenery import Extent, add_scenery
from envs.cassie.terrain.terrain import Terrain

EXTENT = Extent((-4.0, 24.0), (-6.0, 6.0))
"""As far as a robot walks in 20 s, at 1 m/s."""


def scene_of(terrain: Terrain) -> mujoco.MjModel:
    """The robot on one terrain."""
    if KINDS[int(terrain.kind)] == "flat":
        return _flat()
    spec = cassie_spec(visuals=True)
    add_scenery(spec, terrain, EXTENT)
    return spec.compile()


@functools.cache
def _flat() -> mujoco.MjModel:
    # One and the same, so that a film of many episodes needs one renderer.
    return cassie_model(visuals=True)
