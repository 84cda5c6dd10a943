"""Run directories written without training, for tests of everything that reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

FINAL = {"student": 3000.0, "teacher": 4000.0}


def write_run(
    folder: Path,
    *,
    algorithm: str = "learn_to_teach",
    env: str = "half_cheetah",
    seed: int = 0,
    num_seeds: int = 1,
    total_steps: int = 1_000_000,
    points: int = 50,
    evaluations: int = 10,
    roles: tuple[str, ...] = ("teacher", "student"),
    final: dict[str, float] | None = None,
    status: str = "finished",
    overrides: dict[str, Any] | None = None,
) -> Path:
    """Write a run whose returns rise to `final` (with noise that depends on the seed), and return its directory.

    `overrides` are dotted configuration keys, such as `{"env.student_stack": 8}`.
    """
    final = final or FINAL
    (folder / ".hydra").mkdir(parents=True)
    config = _config(algorithm, env, seed, num_seeds, total_steps, overrides or {})
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    changed = [f"algorithm={algorithm}", f"env={env}", f"seed={seed}"]
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(changed))
    rows = [
        row
        for index in range(1, points + 1)
        for lane in range(num_seeds)
        for row in _rows(index, points, evaluations, seed + lane, num_seeds, total_steps, roles, final)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    last = {role: _last_evaluation(rows, role) for role in roles} if evaluations else {}
    result = {
        "algorithm": algorithm,
        "env": env,
        "seed": seed,
        "env_steps": total_steps,
        "wall_seconds": total_steps / 20_000,
        "steps_per_second": 20_000.0,
        "versions": {"python": "3.11.4", "jax": "0.10.2", "mujoco": "3.17.0"},
        "evaluation": last,
        "status": status,
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def _config(
    algorithm: str, env: str, seed: int, num_seeds: int, total_steps: int, overrides: dict[str, Any]
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "algorithm": {
            "_target_": f"algorithms.{algorithm}.Config",
            "learning_rate": 3e-4,
            "student": {"rl_coefficient": 0.0},
        },
        "env": {"_target_": "envs.config.MujocoConfig", "task": env, "student_noise": 0.4, "student_stack": 1},
        "physics": {"engine": "auto"},
        "network": {"hidden": [64, 64], "activation": "tanh"},
        "tracking": {"wandb": "offline"},
        "seed": seed,
        "num_seeds": num_seeds,
        "num_envs": 64,
        "total_steps": total_steps,
        "eval_every": 100_000,
        "run_dir": None,
        "resume": None,
    }
    for key, value in overrides.items():
        *path, name = key.split(".")
        section = config
        for part in path:
            section = section[part]
        section[name] = value
    return config


def _rows(
    index: int,
    points: int,
    evaluations: int,
    seed: int,
    num_seeds: int,
    total_steps: int,
    roles: tuple[str, ...],
    final: dict[str, float],
) -> list[dict[str, Any]]:
    noise = np.random.default_rng([seed, index])
    share = index / points
    common: dict[str, Any] = {"step": round(total_steps * share), "wall_seconds": 50.0 * share}
    if num_seeds > 1:
        common["seed"] = seed
    learnt = 1.0 - np.exp(-4.0 * share)
    row = common | {
        "train/episode_return": 0.9 * max(final.values()) * learnt + 120 * noise.normal(),
        "train/average_reward": 4.0 * learnt,
        "loss/actor": -0.02 * float(noise.random()),
        "loss/critic": 0.2 + 0.8 * float(np.exp(-5 * share)) + 0.03 * noise.normal(),
        "loss/imitation": 0.4 * float(np.exp(-3 * share)) + 0.01 * float(noise.random()),
        "perf/steps_per_second": 20_000 + 700 * noise.normal(),
        "env_steps/teacher": common["step"],
        "env_steps/student": 0,
    }
    if not evaluations or index % (points // evaluations):
        return [row]
    for role in roles:
        offset = 0.05 * np.random.default_rng(seed).normal()
        value = final[role] * (learnt + offset + 0.02 * noise.normal())
        row |= {
            f"eval/{role}/return_mean": value,
            f"eval/{role}/return_std": 0.06 * final[role],
            f"eval/{role}/average_reward": value / 1000,
            f"eval/{role}/episode_length_mean": 1000.0 * min(1.0, learnt + 0.1),
            f"eval/{role}/episodes": 32,
        }
    return [row]


def _last_evaluation(rows: list[dict[str, Any]], role: str) -> dict[str, float]:
    prefix = f"eval/{role}/"
    last = next(row for row in reversed(rows) if f"{prefix}return_mean" in row)
    return {key.removeprefix(prefix): value for key, value in last.items() if key.startswith(prefix)}
