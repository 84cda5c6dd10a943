"""Gymnasium ids of the tasks."""

from __future__ import annotations

import gymnasium

from envs.config import MUJOCO_TASKS


def register_all() -> None:
    """Register `l2t/<Task>-v5` for every MuJoCo task; calling twice changes nothing.

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
