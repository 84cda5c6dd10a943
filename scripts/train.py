"""Train: `python scripts/train.py algorithm=l2t env=half_cheetah seed=0`, also installed as `l2t-train`.

Every key of `configs/train.yaml` can be given as `key=value`; `-m seed=0,1,2` trains one after the other, `resume=<run
directory>` continues a run. `--help` lists all.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from configs.build import build, experiment_config, load_run, read_config
from configs.command_line import prepare
from configs.messages import explain
from configs.schema import ExperimentConfig
from l2t.errors import L2TError
from l2t.run.directory import RunDirectory, describe, write_atomically
from scripts import studies


def main() -> None:
    """Entry point: check the command line, then let Hydra run the job or the jobs."""
    try:
        studies.register()
        sys.argv[1:] = prepare(sys.argv[1:])
    except L2TError as error:
        _fail(error)
    # With this Hydra hands errors to us instead of printing them in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path="pkg://configs", config_name="train")(_job)()
    except L2TError as error:
        _fail(error)
    except HydraException as error:
        _fail(explain(error, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            _fail(L2TError(describe(error, Path(str(error.filename or "the run directory")))))
        raise


def run(config: ExperimentConfig, path: Path, on_start: Callable[[], None] | None = None) -> dict[str, Any]:
    """Train as `config` says, in the run directory `path`.

    Args:
        config: the checked configuration.
        path: the run directory.
        on_start: called when the training state is there and nothing has been written yet.

    Returns:
        What `result.json` holds.
    """
    from l2t import runtime
    from l2t.rl.evaluation import make_evaluator
    from l2t.run.checkpoint import Checkpoints
    from l2t.run.tracking.base import Trackers
    from l2t.run.tracking.console import ConsoleTracker
    from l2t.run.tracking.jsonl import JsonlTracker
    from l2t.run.tracking.wandb import WandbTracker
    from l2t.run.trainer import TrainerSettings, train

    runtime.configure()
    directory = RunDirectory(path)
    host = Checkpoints(directory.checkpoints).host(config.identity) if config.resume else {}
    _, algorithm = build(config)
    print(f"{config.algorithm.name} on {config.env.name}, seed {config.seed}, in {path}", flush=True)
    console = ConsoleTracker(config.total_steps, host.get("env_steps", 0))
    wandb = WandbTracker(config.tracking.wandb, path, asdict(config), host.get("wandb_run_id"), console.notice)
    trackers = Trackers(JsonlTracker(directory), wandb, console)
    status = "failed"
    try:
        result = train(
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
                resume=config.resume is not None,
                labels={"wandb_run_id": wandb.run_id},
                on_start=on_start or (lambda: None),
            ),
            algorithm,
            directory,
            trackers,
            make_evaluator(algorithm, config.eval_episodes),
        )
        status = result["status"]
    finally:
        trackers.finish(status)
    return result


def _job(config: DictConfig) -> None:
    """One run; Hydra calls it with the composed configuration."""
    path = Path(HydraConfig.get().runtime.output_dir)
    experiment = experiment_config(config)
    if experiment.study is not None:
        _study(experiment, path)
        return
    record = partial(_record_changes, config, path) if experiment.resume else None
    try:
        result = run(experiment, path, record)
    except L2TError as error:
        if not experiment.resume:
            _remove_unstarted(path)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise  # the other jobs go on
        _fail(error)
    if result["status"] == "interrupted":
        print(f"Interrupted at step {result['env_steps']:,}. Continue with resume={_shown(path)}")
        sys.exit(128 + result["signal"])
    _finish(experiment, path, result)


def _study(config: ExperimentConfig, path: Path) -> None:
    """Compute a study, and write its files when it is done."""
    import time

    from rich.console import Console
    from rich.table import Table as ScreenTable

    from l2t import runtime
    from l2t.report.pages import duration
    from l2t.report.study import StudyContext
    from l2t.report.study_page import write_study

    assert config.study is not None
    versions = runtime.configure()
    console = Console(width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    print(f"{config.study.name}, seed {config.seed}, in {path}", flush=True)
    began = time.perf_counter()

    def notice(line: str) -> None:
        print(f"{duration(time.perf_counter() - began):>8}  {line}", flush=True)

    def load(run_dir: str, overrides: Sequence[str]) -> Any:
        return load_run(run_dir, config=read_config(run_dir, overrides, engine="auto"))

    try:
        result = config.study.run(StudyContext(config.seed, notice, load))
    except BaseException as error:
        _remove_unstarted(path)
        if isinstance(error, L2TError) and HydraConfig.get().mode != RunMode.MULTIRUN:
            _fail(error)
        raise
    facts = {"seed": config.seed, "wall_seconds": round(time.perf_counter() - began, 3), "versions": versions}
    overrides = [str(o) for o in HydraConfig.get().overrides.task if not str(o).startswith("run_dir=")]
    written = write_study(
        config.study.name, result, path, facts, shlex.join(["python", "scripts/train.py", *overrides])
    )
    for content in result.tables:
        table = ScreenTable(title=content.title, title_justify="left")
        for index, header in enumerate(content.headers):
            table.add_column(header, justify="left" if index < content.names else "right")
        for row in content.rows:
            table.add_row(*row)
        console.print(table)
    print("\n".join(_shown(file) for file in written))


def _remove_unstarted(path: Path) -> None:
    if {child.name for child in path.iterdir()} <= {".hydra"}:
        shutil.rmtree(path)


def _record_changes(config: DictConfig, path: Path) -> None:
    """Let `.hydra/` describe the run as it goes on, so that the next resume and every reader find the new values."""
    stored = path / ".hydra" / "overrides.yaml"
    recorded = [str(override) for override in OmegaConf.load(stored)]
    place = [override for override in recorded if override.startswith("run_dir=")]
    listed = [str(override) for override in HydraConfig.get().overrides.task]
    overrides = place + [override for override in listed if not override.startswith("resume=")]
    if sorted(overrides) == sorted(recorded):
        return
    run_dir = place[0].removeprefix("run_dir=") if place else None
    after = OmegaConf.merge(config, {"resume": None, "run_dir": run_dir})
    write_atomically(path / ".hydra" / "config.yaml", OmegaConf.to_yaml(after))
    write_atomically(stored, OmegaConf.to_yaml(OmegaConf.create(overrides)))


def _finish(config: ExperimentConfig, path: Path, result: dict[str, Any]) -> None:
    """The table at the end, video and report. The run is complete: nothing here may make it fail."""
    from scripts.summary import summary_table

    summary_table(result, _shown(path))
    if config.video:
        print("Rendering a video of each role (video=false leaves it out) ...", flush=True)
        _attempt("video", lambda: _render(path, result))
    if config.report:
        _attempt("report", lambda: _write_report(path))


def _render(path: Path, result: dict[str, Any]) -> None:
    from scripts.render import render_run

    for role in result["evaluation"]:
        render_run(path, role, 10.0)


def _write_report(path: Path) -> None:
    from l2t.report.run_page import write_report

    print(f"Report: {_shown(write_report(path))}")


def _attempt(what: str, action: Any) -> None:
    try:
        action()
    except Exception as error:
        print(f"No {what}: {str(error).strip() or type(error).__name__}", file=sys.stderr)


def _shown(path: Path) -> str:
    """The path as one would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _fail(error: Exception) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
