"""Gymnasium ids of the tasks and of the finite processes."""

from __future__ import annotations

import gymnasium

from envs.cassie.terrain.config import KINDS
from envs.config import MUJOCO_TASKS
from envs.gymnasium.forking import watch_forks

FINITE_FAMILIES = {
    "access_control": "AccessControl",
    "coin_games": "CoinGames",
    "garnet": "Garnet",
    "grid_world": "GridWorld",
    "ring": "Ring",
    "river_swim": "RiverSwim",
    "transient_start": "TransientStart",
    "two_state_cycle": "TwoStateCycle",
}
"""Functions of `envs.tabular.families` and the stem of each one's Gymnasium id, `l2t/<Stem>-v0`."""


CASSIE_STEPS = 1000
"""Time limit of Cassie's episodes: 20 s."""


def register_all() -> None:
    """Register `l2t/<Task>-v5` for every MuJoCo task, `l2t/Cassie<Terrain>-v0` for every terrain and `l2t/<Family>-v0`
    for every finite family.

    What is registered already stays as it is. Gymnasium 1.x loads no plug-ins by itself: either `import envs.gymnasium`
    first, or name the module in the id: `gymnasium.make("envs.gymnasium:l2t/HalfCheetah-v5")`.
    """
    watch_forks()
    for task, name in MUJOCO_TASKS.items():
        identifier = f"l2t/{name}-v5"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"envs.gymnasium.entry_points:single_{task}",
                vector_entry_point=f"envs.gymnasium.entry_points:vector_{task}",
                max_episode_steps=gymnasium.spec(f"{name}-v5").max_episode_steps,
            )
    for terrain in (*KINDS, "mixed"):
        identifier = f"l2t/Cassie{terrain.title()}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"envs.gymnasium.entry_points:single_cassie_{terrain}",
                vector_entry_point=f"envs.gymnasium.entry_points:vector_cassie_{terrain}",
                max_episode_steps=CASSIE_STEPS,
            )
    for family, name in FINITE_FAMILIES.items():
        identifier = f"l2t/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(identifier, entry_point=f"envs.gymnasium.entry_points:tabular_{family}")
