"""Train: `python scripts/train.py algorithm=l2t env=half_cheetah seed=0`, also installed as `l2t-train`.

Every key of `configs/train.yaml` can be given as `key=value`; `-m seed=0,1,2` trains one after the other, `resume=<run
directory>` continues a run. `--help` lists all.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from configs.build import experiment_config, read_config
from configs.command_line import prepare
from configs.description import describe as describe_run
from configs.description import record_changes
from configs.library import nothing_to_do, run
from configs.messages import explain
from configs.overrides import quoted_path
from configs.places import sweep_claimed
from configs.schema import ExperimentConfig
from l2t.errors import L2TError
from l2t.run.claim import claimed
from l2t.run.directory import read_overrides
from l2t.run.files import describe
from l2t.run.signals import StopSignals, exit_on_signals
from scripts import studies
from scripts.command_line import outlive_readers, progress, warnings_in_a_line


def main() -> None:
    """Entry point: check the command line, then let Hydra run the job or the jobs."""
    outlive_readers()
    # With this Hydra hands errors to us instead of printing them in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        studies.register()
        with warnings_in_a_line(), exit_on_signals(), sweep_claimed(prepare(sys.argv[1:])) as sys.argv[1:]:
            hydra.main(version_base="1.3", config_path="pkg://configs", config_name="train")(_job)()
    except L2TError as error:
        _fail(error)
    except HydraException as error:
        _fail(explain(error, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in _FULL_OR_FORBIDDEN and not _makes_a_place(error, sys.argv[1:]):
            raise
        _fail(L2TError(describe(error, Path(str(error.filename or "the run directory")))))


_FULL_OR_FORBIDDEN = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def _makes_a_place(error: OSError, overrides: Sequence[str]) -> bool:
    """Whether Hydra could not make the directory where it was to write, for whatever reason."""
    chosen = [text.partition("=")[2].strip("'") for text in overrides if re.match(r"hydra\.(run|sweep)\.dir=", text)]
    places = [Path(place).absolute() for place in (*chosen, "runs")]
    failed = Path(str(error.filename or "")).absolute()
    return bool(error.filename) and any(
        failed in (place, *place.parents) or place in failed.parents for place in places
    )


def _job(config: DictConfig) -> None:
    """One run; Hydra calls it with the composed configuration."""
    experiment = experiment_config(config)
    hydra_config = HydraConfig.get()
    single = hydra_config.mode != RunMode.MULTIRUN
    placed = experiment.run_dir is not None or any(o.startswith("hydra.run.dir=") for o in hydra_config.overrides.hydra)
    place = Path(hydra_config.runtime.output_dir)
    try:
        # Two runs can start in the same second; the folder of a sweep numbers its runs by itself.
        with claimed(place, resume=experiment.resume is not None, numbered=single and not placed) as path:
            if experiment.resume is None:
                _describe(config, experiment, path)
            if experiment.study is not None:
                _study(experiment, path)
            else:
                _training(config, experiment, path)
    except L2TError as error:
        if not single:
            raise  # the other jobs go on
        _fail(error)


def _training(config: DictConfig, experiment: ExperimentConfig, path: Path) -> None:
    """Train, then write what a run ends with; a run in which nothing is left to do stays as it is."""
    done = nothing_to_do(experiment, path)
    if done is not None:
        _summary(done, path)
        return
    record = (lambda: record_changes(path, config, _typed())) if experiment.resume else lambda: None
    result = run(experiment, path, record)
    if result["status"] == "interrupted":
        print(f"Interrupted at step {result['env_steps']:,}. Continue with {_resume(path)}")
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
    print(f"{config.study.name}, seed {config.seed}, in {_shown(path)}", flush=True)
    began = time.perf_counter()

    def load(run_dir: str, overrides: Sequence[str]) -> Any:
        from configs.loading import load_run

        return load_run(run_dir, config=read_config(run_dir, overrides, engine="auto"))

    def timed(line: str) -> None:
        print(f"{duration(time.perf_counter() - began):>8}  {line}", flush=True)

    with progress(timed) as notice:
        result = config.study.run(StudyContext(config.seed, notice, load))
    facts = {"seed": config.seed, "wall_seconds": round(time.perf_counter() - began, 3), "versions": versions}
    overrides = [override for override in read_overrides(path) if not override.startswith("run_dir=")]
    with StopSignals("writing the study first") as stop:
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
    if stop.signum is not None:
        sys.exit(128 + stop.signum)


def _describe(config: DictConfig, experiment: ExperimentConfig, path: Path) -> None:
    overrides = _typed()
    if experiment.run_dir is not None:  # as it turned out, where it was made of other values
        overrides = [override for override in overrides if not override.startswith("run_dir=")]
        overrides.append(quoted_path(f"run_dir={experiment.run_dir}"))
    placed = OmegaConf.merge(config, {"run_dir": experiment.run_dir})
    assert isinstance(placed, DictConfig)
    describe_run(path, placed, overrides, HydraConfig.get())


def _typed() -> list[str]:
    """The overrides of this job as they were typed: a `${...}` in them belongs to the configuration."""
    overrides = OmegaConf.create({"task": HydraConfig.get().overrides.task})
    return [str(node) for node in OmegaConf.to_container(overrides, resolve=False)["task"]]  # pyright: ignore


def _finish(config: ExperimentConfig, path: Path, result: dict[str, Any]) -> None:
    """The table at the end, video and report. The run is complete: nothing here may make it fail."""
    _summary(result, path)
    with StopSignals("finishing the file at hand") as stop:
        if config.video:
            print("Rendering a video of each role (video=false leaves it out) ...", flush=True)
            for role in result["evaluation"]:
                if stop.signum is None:
                    _attempt("video", partial(_render, path, role))
        if config.report and stop.signum is None:
            _attempt("report", partial(_write_report, path))
    if stop.signum is not None:
        sys.exit(128 + stop.signum)


def _summary(result: dict[str, Any], path: Path) -> None:
    from scripts.summary import summary_table

    summary_table(result, _shown(path))


def _render(path: Path, role: str) -> None:
    from scripts.render import render_run

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


def _resume(path: Path) -> str:
    """The argument that continues a run, as one would type it in a shell."""
    return shlex.quote(f"resume={_shown(path)}")


def _fail(error: Exception) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
