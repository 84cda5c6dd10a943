"""From configurations to algorithms, and back from run directories: states and policies."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree
from omegaconf import DictConfig, OmegaConf

from algorithms.build import build as build_algorithm
from algorithms.inverse.build import AdviceWarning
from configs.build import experiment_config, read_config
from configs.elsewhere import check_meaning, warn_of_other_dynamics
from configs.schema import ExperimentConfig
from l2t.config import check_choice, check_count, check_path
from l2t.demonstrations.files import read_demonstrations
from l2t.demonstrations.record import Demonstrations, blank
from l2t.errors import CheckpointError, ConfigurationError
from l2t.rewards.artefact import load as load_reward
from l2t.rewards.artefact import model_of
from l2t.rewards.frozen import FrozenReward
from l2t.rl.algorithm import Algorithm, BuildContext, FrozenPolicy, RunState
from l2t.rl.models import ModelState
from l2t.rl.reward import Reward, TaskReward
from l2t.rl.types import Environment, EnvironmentSpec, judged
from l2t.run.checkpoint import Checkpoints, told
from l2t.run.directory import RunDirectory

Recipes = Mapping[str, Any]
"""How to rebuild the policies of other runs that a run has swallowed: JSON, kept in every checkpoint beside the state,
which holds their parameters. A checkpoint therefore stands alone."""


BEST = "best"
Step = int | str | None
"""Which checkpoint: environment steps, `best` for the one that `keep_best` kept, None for the newest."""


class Built(NamedTuple):
    """What a configuration describes.

    Attributes:
        environment, algorithm: of the run.
        recipes: of the policies that were loaded from other runs to be part of this one; see `Recipes`.
    """

    environment: Environment
    algorithm: Algorithm
    recipes: Recipes


def build(config: ExperimentConfig, recipes: Recipes | None = None, trains: bool = True) -> Built:
    """Construct the environment and the algorithm that trains in it.

    Args:
        config: the checked configuration.
        recipes: of a run that is read back: it needs no other run's directory any more.
        trains: see `BuildContext`.
    """
    environment = config.env.build(config.physics)
    pantry = Pantry(config.physics, recipes or {})
    context = BuildContext(
        environment,
        config.num_envs,
        config.total_steps,
        config.network,
        partial(pantry.load, env=config.env),
        config.num_seeds,
        partial(pantry.demonstrations, spec=environment.spec, env=config.env),
        pantry.reward(config.env, environment.spec),
        trains,
    )
    return Built(environment, build_algorithm(config.algorithm, context), pantry.recipes)


class Run(NamedTuple):
    """A training run read back from its directory: to play it, undisturbed where it was disturbed for training only.

    The simulations that were under way are left out of `state`.
    """

    config: ExperimentConfig
    environment: Environment
    algorithm: Algorithm
    state: RunState
    recipes: Recipes


def load_run(
    run_dir: str | Path, seed_index: int = 0, config: ExperimentConfig | None = None, step: Step = None
) -> Run:
    """Rebuild a run and restore what it has learnt from its newest checkpoint, or from another one.

    Args:
        run_dir: a run directory.
        seed_index: which of a batch of seeds (`num_seeds` > 1) to take.
        config: the run's configuration with another environment or engine; by default as it was trained.
        step: whose checkpoint; see `Step`.

    Raises:
        RunDirectoryError: it is not a run directory.
        CheckpointError: there is no readable checkpoint in it.
        ConfigurationError: there is no such seed.
    """
    config = config or read_config(run_dir)
    check_count("seed_index", seed_index, 0)
    if seed_index >= config.num_seeds:
        raise ConfigurationError(f"seed_index={seed_index} does not exist; the run has {config.num_seeds} seed(s).")
    return load_seeds(run_dir, config, step)[seed_index]


def load_seeds(run_dir: str | Path, config: ExperimentConfig | None = None, step: Step = None) -> list[Run]:
    """The run of every seed, all from one checkpoint: a run that is still going on may write the next at any time.

    Args, and what it raises, are those of `load_run`.
    """
    config = config or read_config(run_dir)
    checkpoints, number = _checkpoints(RunDirectory(check_path("run", run_dir)), step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdviceWarning)
        built = build(config, checkpoints.host(config.identity, number).get("recipes"), trains=False)
    like = replace(jax.eval_shape(_init(built.algorithm, config.num_seeds), jax.random.key(0)), transient=None)
    state, _ = checkpoints.restore(like, config.identity, ".transient", number)
    states = [state]
    if config.num_seeds > 1:
        states = [jax.tree.map(itemgetter(index), state) for index in range(config.num_seeds)]
    environment = judged(built.environment)
    return [Run(config, environment, built.algorithm, each, built.recipes) for each in states]


def _checkpoints(run: RunDirectory, step: Step) -> tuple[Checkpoints, int | None]:
    """Where to read, and which step; None for the newest there."""
    checkpoints, bests = Checkpoints(run.checkpoints), Checkpoints(run.best)
    if step == BEST:
        if not bests.steps():
            raise CheckpointError(
                f"{run.path} kept no best checkpoint: that takes keep_best=true in training. Of the others "
                f"{told(checkpoints.steps())}."
            )
        return bests, None
    if step is None:
        return checkpoints, None
    if isinstance(step, str):
        raise ConfigurationError(f"step={step!r} must be a number of steps, or {BEST}.")
    check_count("step", step, 0)
    # The best is a checkpoint like any other, to whoever knows its step.
    return (bests if step in bests.steps() and step not in checkpoints.steps() else checkpoints), step


def _init(algorithm: Algorithm, num_seeds: int) -> Callable[[Any], RunState]:
    if num_seeds == 1:
        return algorithm.init
    return lambda key: jax.vmap(algorithm.init)(jax.random.split(key, num_seeds))


@dataclass
class Pantry:
    """Loads policies of other runs for a run that is being built, and keeps the recipes of those it gave out.

    Attributes:
        physics: engine to rebuild their tasks on.
        known: recipes of a run that is read back; its own checkpoint holds the parameters.
        recipes: of what was loaded.
    """

    physics: Any
    known: Recipes
    recipes: dict[str, Any] = field(default_factory=dict)

    def load(self, run: str, role: str, env: Any) -> FrozenPolicy:
        """The policy of a role, frozen: from the recipe where there is one, otherwise from the run's directory.

        Raises:
            ConfigurationError: its numbers would mean something else in `env`, or there is no such role.
        """
        name = f"{role} of {run}"
        if name in self.known:
            recipe = self.known[name]
            config = experiment_config(_container(recipe["config"]))
            built = build(replace(config, physics=self.physics), recipe["recipes"], trains=False)
            algorithm, environment = built.algorithm, built.environment

            def parameters() -> PyTree:
                return algorithm.init(jax.random.key(0)).learnt  # of the right structure; the checkpoint has the values

        else:
            config = read_config(run, engine="auto")
            check_meaning(f"The {role} of {run}", config.env, env)
            loaded = load_run(run, config=replace(config, physics=self.physics))
            algorithm, environment = loaded.algorithm, loaded.environment
            check_choice("role", role, algorithm.roles)
            recipe = {
                "config": OmegaConf.to_container(OmegaConf.load(Path(run) / ".hydra" / "config.yaml")),
                "env_steps": env_steps(Path(run)),
                "recipes": dict(loaded.recipes),
            }

            def parameters() -> PyTree:
                return loaded.state.learnt

        self.recipes[name] = recipe
        return FrozenPolicy(
            lambda learnt: algorithm.policy(learnt, role), parameters, environment.spec.name, recipe["env_steps"]
        )

    def demonstrations(self, path: str, spec: EnvironmentSpec, env: Any) -> Demonstrations:
        """Recorded episodes; of a run that is read back, others of the same lengths: its checkpoint has what was there.

        Warns where they were recorded in an environment with other settings than `env`.

        Raises:
            DemonstrationError: they cannot be read, or are of another task or shape.
        """
        name = f"demonstrations {path}"
        if name in self.known:
            recipe = self.known[name]
            found = blank(recipe["lengths"], spec)
        else:
            found = read_demonstrations(path, spec)
            warn_of_other_dynamics(path, found.facts.parameters, env)
            recipe = {"lengths": found.lengths.tolist()}
        self.recipes[name] = recipe
        return found

    def reward(self, env: Any, spec: EnvironmentSpec) -> Reward:
        """What learners are paid: the task's own reward, or a learned one that the environment's configuration names.

        Raises:
            RewardError: it cannot be read.
            ConfigurationError: it looks at what the task does not show.
        """
        path = getattr(env, "reward", "")  # a stranger's environment may know of no other reward
        if not path:
            return TaskReward()
        name = f"reward {path}"
        if name in self.known:
            recipe = self.known[name]
            model = model_of(recipe["model"])

            def parameters() -> ModelState:
                return model.init(jax.random.key(0))  # of the right structure; the checkpoint has the values

        else:
            learned = load_reward(path)
            learned.check_task(spec)
            recipe, model = learned.description(), learned.model

            def parameters() -> ModelState:
                return learned.state

        self.recipes[name] = recipe
        return FrozenReward(model, parameters, env.reward_weight, env.task_reward_weight)


def _container(config: Any) -> DictConfig:
    """A stored configuration, on whatever engine this machine has."""
    stored = OmegaConf.create(config)
    assert isinstance(stored, DictConfig)
    if OmegaConf.select(stored, "physics.engine") is not None:
        stored.physics.engine = "auto"
    return stored


def env_steps(run_dir: Path) -> int:
    """Environment steps that a run has cost as far as its last evaluation tells, those before it included."""
    result = RunDirectory(run_dir).read_result()
    return result.get("env_steps", 0) + result.get("role_steps", {}).get("pretraining", 0)
