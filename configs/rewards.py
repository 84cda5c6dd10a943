"""The learned reward of a run, as an object of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.inverse.config import reward_config
from algorithms.inverse.reward import RewardLearner
from configs.loading import Run, load_run, load_seeds
from l2t.rewards.artefact import LearnedReward, RewardError
from l2t.runtime import versions


def learned_reward(run_dir: str | Path, seed_index: int = 0) -> LearnedReward:
    """The reward that a run has learnt, as its newest checkpoint has it; the run may still be going on.

    Args:
        run_dir: a run of `ipmd`, `gail`, `airl` or `f_irl`, or of `l2t` with such a teacher.
        seed_index: which of a batch of seeds.

    Raises:
        RewardError: the run learns no reward.
        RunDirectoryError, CheckpointError: there is nothing to read.
    """
    loaded = load_run(run_dir, seed_index)
    found = of_run(loaded, {"run": Path(run_dir).name, "seed_index": seed_index})
    if found is None:
        raise RewardError(f"{run_dir} is a run of {loaded.config.algorithm.name}, which learns no reward.")
    return found


def of_run(run: Run, provenance: Mapping[str, Any]) -> LearnedReward | None:
    """The same of a run that is read already; None where it learns no reward."""
    learner = getattr(run.algorithm, "reward", None)  # a stranger's algorithm may not be a `Loop`
    if not isinstance(learner, RewardLearner):
        return None
    config = reward_config(run.config.algorithm)
    told = {
        "algorithm": run.config.algorithm.name,
        "demonstrations": Path(getattr(config, "demonstrations", "")).name,
        "seed": run.config.seed,
        "iterations": int(run.state.iteration),
        "env_steps": int(run.state.iteration) * run.algorithm.steps_per_iteration,
        "versions": versions(),
    }
    model, state = learner.kept(run.state.learnt.reward)
    spec = run.environment.spec
    return LearnedReward(model, state, spec.name, model.names(spec), told | dict(provenance))


def keep_reward(run_dir: str | Path) -> None:
    """Leave the learned reward of a run that has ended in its directory: `reward/`, or `reward/<seed index>/`."""
    runs = load_seeds(run_dir)
    for index, loaded in enumerate(runs):
        found = of_run(loaded, {"run": Path(run_dir).name, "seed_index": index})
        if found is None:
            return
        found.save(Path(run_dir) / "reward" if len(runs) == 1 else Path(run_dir) / "reward" / str(index))
