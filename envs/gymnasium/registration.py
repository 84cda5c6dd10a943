"""Gymnasium ids of the tasks and of the finite processes."""

from __future__ import annotations

import gymnasium

from envs.config import MUJOCO_TASKS

FINITE_FAMILIES = {
    "access_control": "AccessControl",
    "garnet": "Garnet",
    "grid_world": "GridWorld",
    "ring": "Ring",
    "river_swim": "RiverSwim",
    "transient_start": "TransientStart",
    "two_state_cycle": "TwoStateCycle",
}
"""Functions of `envs.tabular.families` and the stem of each one's Gymnasium id, `l2t/<Stem>-v0`."""


def register_all() -> None:
    """Register `l2t/<Task>-v5` for every MuJoCo task, `l2t/<Family>-v0` for every finite family; twice is as once.

    Gymnasium 1.x loads no plug-ins by itself. Either `import envs.gymnasium` first, or name the module in the id:
    `gymnasium.make("envs.gymnasium:l2t/HalfCheetah-v5")`.
    """
    for task, name in MUJOCO_TASKS.items():
        identifier = f"l2t/{name}-v5"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point="envs.gymnasium.single:SingleEnvironment",
                vector_entry_point="envs.gymnasium.vector:VectorizedEnvironment",
                max_episode_steps=gymnasium.spec(f"{name}-v5").max_episode_steps,
                kwargs={"task": task},
            )
    for family, name in FINITE_FAMILIES.items():
        identifier = f"l2t/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(identifier, entry_point="envs.gymnasium.tabular:make_tabular", kwargs={"family": family})
