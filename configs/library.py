"""What scripts and notebooks call: compose a configuration, train, load a policy.

config = compose(["algorithm=l2t", "env=hopper", "total_steps=100_000"])
run = train(config)
policy = load_policy(run.path, "student")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from algorithms.inverse.config import reward_config
from configs.build import read_config
from configs.command_line import checked_config, completed, expanded, with_absolute_paths
from configs.description import describe, record_changes
from configs.fields import check_read, path_fields
from configs.messages import check_listed
from configs.overrides import PLACES, plain_values
from configs.places import run_name
from configs.record import changed, described
from configs.resuming import check_spacing, made_of_dataclasses, stored_config
from configs.schema import ExperimentConfig
from configs.together import check_together
from configs.unread import check_read_somewhere, unread
from l2t.config import check_choice, check_path
from l2t.errors import ConfigurationError
from l2t.run.claim import claimed
from l2t.run.directory import RunDirectory

if TYPE_CHECKING:
    from l2t.rl.acting import LoadedPolicy


@dataclass(frozen=True)
class TrainedRun:
    """A run that came to its end, or was interrupted.

    Attributes:
        path: its directory.
        result: what `result.json` holds.
    """

    path: Path
    result: dict[str, Any]

    def returns(self, role: str | None = None) -> list[float]:
        """Mean true return of the last evaluation, one number for each training seed.

        Args:
            role: whose; by default the student's where there is one.

        Raises:
            ConfigurationError: the role is unknown, or nothing was evaluated: the run was stopped before.
        """
        pooled = self.result["evaluation"]
        if not pooled:
            raise ConfigurationError(f"{self.path} was not evaluated yet: resume it, or lower eval_every.")
        from l2t.rl.algorithm import default_role

        role = role or default_role(pooled)
        check_choice("role", role, pooled)
        seeds = self.result.get("per_seed") or [self.result]
        return [float(one["evaluation"][role]["return_mean"]) for one in seeds]


def compose(overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The checked configuration that a command line would give, such as `["algorithm=spmd", "env=hopper"]`.

    Raises:
        ConfigurationError: a key or value is wrong; the message lists what is possible.
    """
    return _composed(overrides)[0]


def train(config: ExperimentConfig | Sequence[str], run_dir: str | Path | None = None) -> TrainedRun:
    """Train as `config` says, or the overrides that it is composed from, in a directory of its own.

    A run of `config.resume` is continued where it is. Only one that was started from overrides can be resumed from the
    command line too.

    Args:
        config: a configuration, or overrides; with `resume=` those that the run was started with go underneath.
        run_dir: where; by default `config.run_dir`, or a dated directory under `runs/`.

    Raises:
        L2TError: something is wrong with the configuration, the directory or the training, in one line.
    """
    given = isinstance(config, ExperimentConfig)
    composed, overrides = (config, None) if given else _composed(config)
    if composed.study is not None:
        raise ConfigurationError(
            f"{composed.study.name} is a study, which does not train: scripts/train.py experiment=... computes it."
        )
    check_together(composed, overrides or ())
    check_read_somewhere([unread(composed, overrides or ())])
    if composed.resume is not None:
        if run_dir is not None and Path(run_dir).absolute() != Path(composed.resume).absolute():
            raise ConfigurationError("resume= continues a run where it is: leave out run_dir.")
        with claimed(Path(composed.resume), resume=True) as path:
            record = partial(_record, composed, overrides, path)
            return TrainedRun(path, nothing_to_do(composed, path) or run(composed, path, record))
    check_read(described(composed), ExperimentConfig)
    chosen = composed.run_dir if run_dir is None else run_dir
    place = _dated(composed) if chosen is None else check_path("run_dir", chosen)
    with claimed(place, numbered=chosen is None) as path:
        describe(path, described(composed), overrides or [])
        return TrainedRun(path, run(composed, path))


def load_policy(
    run: str | Path,
    role: str | None = None,
    *,
    seed_index: int = 0,
    step: int | str | None = None,
    sampled: int | None = None,
) -> LoadedPolicy:
    """The policy of a role from the newest checkpoint of a run, which may still be going on, or from another one.

    Args:
        run: the run directory.
        role: such as `teacher`; by default the student where there is one.
        seed_index: which of a batch of seeds.
        step: whose checkpoint: a number of steps, or `best` of a run with `keep_best`; by default the newest.
        sampled: a seed, to draw actions as training does; by default the mode of the distribution is played.

    Raises:
        RunDirectoryError, CheckpointError: there is nothing to load.
        ConfigurationError: the role is unknown.
    """
    from configs.loading import load_run
    from l2t import runtime
    from l2t.rl.acting import LoadedPolicy
    from l2t.rl.algorithm import default_role

    # A few robots at most act from Python: C MuJoCo is there without a GPU too.
    config = read_config(run, engine="native")
    runtime.configure()
    loaded = load_run(run, seed_index, config, step)
    roles = loaded.algorithm.roles
    role = role or default_role(roles)
    check_choice("role", role, roles)
    return LoadedPolicy(loaded.environment, loaded.algorithm.policy(loaded.state.learnt, role), role, sampled)


def nothing_to_do(config: ExperimentConfig, path: Path) -> dict[str, Any] | None:
    """What `result.json` holds, where a resume asks for no more steps than are done, after saying so; or else None.

    Such a run is left as it is. One that was stopped, and whose `total_steps` were not lowered, has yet to be finished.
    """
    result = RunDirectory(path).known_result()
    if config.resume is None or result.get("env_steps", 0) < config.total_steps:
        return None
    if result["status"] != "finished" and config.total_steps >= read_config(path).total_steps:
        return None
    if reward_config(config.algorithm) and not (path / "reward").is_dir():
        return None
    from l2t.run.checkpoint import Checkpoints

    done = Checkpoints(RunDirectory(path).checkpoints).host(config.identity)["env_steps"]
    if done < config.total_steps:
        return None
    print(
        f"Resuming at step {done:,}, and total_steps={config.total_steps:,} asks for no more: a larger one trains on.",
        flush=True,
    )
    return result


def run(config: ExperimentConfig, path: Path, on_start: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Train as `config` says, in the run directory `path`.

    Args:
        config: the checked configuration.
        path: the run directory.
        on_start: called when the training state is there and nothing has been written yet.

    Returns:
        What `result.json` holds.
    """
    from configs.loading import build
    from configs.rewards import keep_reward
    from configs.warm_start import warm_start
    from l2t import runtime
    from l2t.rl.evaluation import make_evaluator
    from l2t.run.checkpoint import Checkpoints
    from l2t.run.tracking.base import Trackers
    from l2t.run.tracking.console import ConsoleTracker
    from l2t.run.tracking.jsonl import JsonlTracker
    from l2t.run.tracking.wandb import WandbTracker
    from l2t.run.trainer import TrainerSettings
    from l2t.run.trainer import train as train_algorithm

    runtime.configure()
    directory = RunDirectory(path)
    host = Checkpoints(directory.checkpoints).host(config.identity) if config.resume else {}
    changes = _changes(config, directory, host["env_steps"]) if config.resume else {}
    if host.get("env_steps", 0) < config.total_steps:
        check_spacing(config, changes)
    built = build(config, host.get("recipes"))
    print(f"{config.algorithm.name} on {config.env.name}, seed {config.seed}, in {path}", flush=True)
    algorithm, inherit = built.algorithm, lambda state: state
    if config.start_from and not config.resume:
        algorithm, inherit, told = warm_start(algorithm, config)
        print(told, flush=True)
    console = ConsoleTracker(config.total_steps, host.get("env_steps", 0))
    wandb = WandbTracker(config.tracking.wandb, path, asdict(config), host.get("wandb_run_id"), console.notice)
    trackers = Trackers(JsonlTracker(directory), wandb, console)
    if config.resume and not directory.known_result():
        console.notice("result.json is missing or damaged: it is written anew from the newest checkpoint.")
    if host.get("env_steps", 0) < config.total_steps:
        console.notice("Compiling the training program, which can take a minute; progress follows once it runs.")
    status = "failed"
    try:
        result = train_algorithm(
            TrainerSettings(
                algorithm=config.algorithm.name,
                env=config.env.name,
                total_steps=config.total_steps,
                eval_every=config.eval_every,
                checkpoint_every=config.checkpoint_every,
                identity=config.identity,
                seed=config.seed,
                num_seeds=config.num_seeds,
                keep_checkpoints=config.keep_checkpoints,
                keep_best=config.keep_best,
                resume=config.resume is not None,
                changes=changes,
                inherit=inherit,
                labels={"wandb_run_id": wandb.run_id, "recipes": built.recipes},
                on_start=on_start,
            ),
            algorithm,
            directory,
            trackers,
            make_evaluator(algorithm, config.eval_episodes),
        )
        status = result["status"]
        if reward_config(config.algorithm):
            keep_reward(path)
    finally:
        trackers.finish(status)
    return result


def _changes(config: ExperimentConfig, directory: RunDirectory, step: int) -> dict[str, tuple[Any, Any]]:
    """What a resume at a step changes. The result knows more than a description that a resume has left as it was."""
    try:
        before = read_config(directory.path)
    except ConfigurationError:
        return {}  # made in Python, of classes that are not there any more: nothing to compare with
    earlier = directory.known_result().get("changes", ())
    return changed(before, config, [change for change in earlier if change["step"] <= step])


def _composed(overrides: Sequence[str]) -> tuple[ExperimentConfig, list[str] | None]:
    """The configuration of overrides, and all that it is made of, a resumed run's own included.

    There is nothing of the kind where the resumed run was made of dataclasses.
    """
    check_listed(overrides)
    typed = expanded(overrides)
    resume = plain_values(typed).get("resume")
    if resume is not None and made_of_dataclasses(Path(str(resume))):
        return stored_config(Path(str(resume)), typed), None
    texts = completed(typed)
    composed, config = checked_config(texts)
    found = with_absolute_paths(texts, typed, path_fields(composed, ExperimentConfig))
    if found != texts:
        config = checked_config(found)[1]
    return config, [text for text in found if not text.startswith(PLACES)]


def _record(config: ExperimentConfig, overrides: list[str] | None, path: Path) -> None:
    """Let the next resume find the values with which a run goes on.

    Overrides that a configuration from Python has nothing to do with stay: they are how the run was started.
    """
    if overrides is not None or made_of_dataclasses(path):
        record_changes(path, described(config), overrides)


def _dated(config: ExperimentConfig) -> Path:
    now, name = datetime.now(), run_name(config.seed, config.algorithm.name, config.env.name)
    return Path("runs") / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}-{name}"
