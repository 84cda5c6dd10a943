"""A run directory with a checkpoint of an untrained state: what loading needs, without the minutes of training."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from omegaconf import OmegaConf


def write_checkpointed_run(folder: Path, *overrides: str) -> Path:
    """Initialise a learner as the overrides say, save it, and return the run directory."""
    import jax

    from configs.build import experiment_config
    from configs.command_line import compose_config
    from configs.loading import build
    from l2t.run.checkpoint import Checkpoints

    composed = compose_config(["num_envs=2", *overrides])
    config = experiment_config(composed)
    algorithm = build(config).algorithm
    init, key = algorithm.init, jax.random.key(config.seed)
    if config.num_seeds > 1:
        # One seed after the other: several batched QR decompositions at once can starve XLA's thread pool of two.
        key = jax.random.split(key, config.num_seeds)
        init = partial(jax.lax.map, init)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(composed))
    (folder / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(list(overrides))))
    host = {"iteration": 0, "env_steps": 0, "wall_seconds": 0.0, "evaluation": {}, "role_steps": {}}
    Checkpoints(folder / "checkpoints").save(0, jax.jit(init)(key), host, config.identity)
    result = {"algorithm": config.algorithm.name, "env": config.env.name, "seed": config.seed, "env_steps": 0}
    (folder / "result.json").write_text(json.dumps(result | {"status": "interrupted"}))
    return folder
