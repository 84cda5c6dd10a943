"""Reading run directories: metrics, results and configurations of finished, running and interrupted runs.

Nothing here imports JAX, so that scripts and notebooks can look at a thousand runs in a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from l2t.config import check_path
from l2t.errors import RunDirectoryError
from l2t.report.statistics import Series
from l2t.run.directory import RunDirectory, read_overrides

NOT_OPTIONS = (
    *("seed", "num_seeds", "run_dir", "resume", "report", "video", "tracking", "hydra"),
    *("checkpoint_every", "keep_checkpoints", "keep_best", "eval_every", "eval_episodes"),
)
"""Configuration sections and keys that name or watch a run without changing what it learns."""

Row = dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """One run directory, read once.

    Attributes:
        path: the directory.
        rows: the lines of `metrics.jsonl`, oldest first, without those that a resumed run wrote again.
        result: `result.json`, empty before the first one is written.
        config: the composed configuration as plain containers, empty when it is missing.
        overrides: what the command line changed in it.
    """

    path: Path
    rows: tuple[Row, ...]
    result: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    @property
    def algorithm(self) -> str:
        """The algorithm's name."""
        return str(self.result.get("algorithm") or _name(self.config.get("algorithm")) or "unknown")

    @property
    def env(self) -> str:
        """The environment's name."""
        return str(self.result.get("env") or _name(self.config.get("env")) or "unknown")

    @property
    def seed(self) -> int:
        """The seed, or the first of several trained together."""
        return int(self.result.get("seed", self.config.get("seed", 0)))

    @property
    def status(self) -> str:
        """`running`, `finished`, `interrupted`, `failed`, or `unknown` without a result."""
        return str(self.result.get("status", "unknown"))

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Settings that a resume changed: `step`, `key`, and the values `before` and `now`."""
        return list(self.result.get("changes") or ())

    @property
    def env_steps(self) -> int:
        """Environment steps taken so far, per seed."""
        # A killed run's result dates from its last evaluation, its metrics from its last moment.
        return max(int(self.result.get("env_steps", 0)), *(int(row["step"]) for row in self.rows[-1:]), 0)

    @property
    def roles(self) -> tuple[str, ...]:
        """Who has been evaluated, student first: it is what the others serve."""
        names = {
            key.split("/")[1] for row in self.rows for key in row if key.startswith("eval/") and key.count("/") > 1
        }
        names |= set(self.result.get("evaluation") or {})
        return tuple(sorted(names, key=lambda name: ({"student": 0, "teacher": 1}.get(name, 2), name)))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the numbers logged, in the order of their first appearance."""
        skipped = {"step", "seed", "wall_seconds"}
        return tuple(dict.fromkeys(key for row in self.rows for key in row if key not in skipped))

    def series(self, metric: str) -> dict[int, Series]:
        """The metric of each seed against environment steps; numbers that are not finite are left out."""
        found: dict[int, list[tuple[float, float]]] = {}
        for row in self.rows:
            value = row.get(metric)
            if isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(int(row.get("seed", self.seed)), []).append((float(row["step"]), float(value)))
        return {seed: Series(*np.array(points).T) for seed, points in found.items()}

    def final(self, metric: str, end: float = math.inf) -> dict[int, float]:
        """The metric's last value for each seed that has one, or its last by step `end`."""
        known = {seed: series.values[series.steps <= end] for seed, series in self.series(metric).items()}
        return {seed: float(values[-1]) for seed, values in known.items() if len(values)}

    def final_ratio(self, end: float = math.inf) -> dict[int, float]:
        """Final student return over final teacher return for each seed; a teacher that earns nothing gives none."""
        student, teacher = (self.final(f"eval/{role}/return_mean", end) for role in ("student", "teacher"))
        return {seed: student[seed] / teacher[seed] for seed in student if teacher.get(seed, 0.0) > 0.0}


def read_run(path: str | Path) -> RunRecord:
    """Read a run directory, finished or not.

    Raises:
        RunDirectoryError: when the folder is missing, or holds neither metrics nor a result.
    """
    path = check_path("run", path)
    if not path.is_dir():
        raise RunDirectoryError(f"{path} is not a folder; give the run directory that training printed.")
    if not is_run(path):
        hint = f" It contains {len(inside)} of them, such as {inside[0]}." if (inside := find_runs(path)) else ""
        raise RunDirectoryError(f"{path} is not a run directory: no metrics.jsonl or result.json in it.{hint}")
    if (study := _study(path)) is not None:
        raise RunDirectoryError(
            f"{path} is a study ({study}), not a training run: it has no policy, and its tables and curves are in "
            f"{path / 'report.html'}."
        )
    directory = RunDirectory(path)
    hydra = path / ".hydra"
    return RunRecord(
        path=path,
        rows=tuple(joined(directory.read_metrics())),
        result=directory.read_result(),
        config=_read_config(hydra / "config.yaml"),
        overrides=tuple(read_overrides(path)) if (hydra / "overrides.yaml").is_file() else (),
    )


def joined(rows: Iterable[Row]) -> list[Row]:
    """The rows of a run as they count, oldest first.

    A resumed process logs the steps since its checkpoint again: of rows written twice the later ones count.
    """
    rows = list(rows)
    newest: dict[tuple[Any, ...], Row] = {}
    reached: dict[Any, float] = {}
    for row in reversed(rows):
        seed, step = row.get("seed"), row["step"]
        if step > reached.get(seed, math.inf):
            continue  # written before the run went back to an earlier checkpoint
        reached[seed] = step
        key = (step, seed)
        # One step can fill several lines (training, then evaluation); a repeated name belongs to the last of them.
        newest[key] = {**row, **newest.get(key, {})}
    return list(reversed(newest.values()))


def find_runs(folder: Path) -> list[Path]:
    """Run directories at or below `folder`, sorted by path."""
    if is_run(folder):
        return [folder]
    found = {file.parent for name in ("metrics.jsonl", "result.json") for file in folder.rglob(name)}
    return sorted(found)


def read_runs(paths: Iterable[Path]) -> list[RunRecord]:
    """Read the runs at or below each path, each once; studies below it are passed over.

    Raises:
        RunDirectoryError: when a path is missing, has no run in it, or is a study.
    """
    directories: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise RunDirectoryError(f"{path} is not a folder; give run directories, or a folder that contains some.")
        found = find_runs(path)
        if found != [path]:
            found = [directory for directory in found if _study(directory) is None]
        if not found:
            raise RunDirectoryError(f"{path} contains no run: no metrics.jsonl or result.json at or below it.")
        directories.update((directory.resolve(), None) for directory in found)
    return [read_run(directory) for directory in directories]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings to dotted keys, as they are overridden on the command line."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def differing_options(runs: Sequence[RunRecord]) -> dict[str, tuple[str, ...]]:
    """For each algorithm, the configuration keys whose values differ between its runs on one environment."""
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in runs:
        kinds.setdefault((run.algorithm, run.env), []).append(flatten(run.config))
    keys: dict[str, dict[str, None]] = {run.algorithm: {} for run in runs}
    for (algorithm, _), configs in kinds.items():
        for key in dict.fromkeys(key for config in configs for key in config):
            if is_option(key) and len({repr(config.get(key)) for config in configs}) > 1:
                keys[algorithm][key] = None
    return {algorithm: tuple(found) for algorithm, found in keys.items()}


def group_runs(
    runs: Sequence[RunRecord], options: Sequence[str] | None = None
) -> dict[tuple[str, str], list[RunRecord]]:
    """Group runs by environment and label; the seeds of one group estimate one number.

    The label is the algorithm followed by the options that tell its runs apart, such as `l2t
    student_stack=8`. `options` are the configuration keys to use; by default those that differ.
    """
    differing = differing_options(runs)
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for run in runs:
        keys = differing[run.algorithm] if options is None else tuple(options)
        flat = flatten(run.config)
        shown = [f"{_short(key, keys)}={_brief(flat[key])}" for key in keys if key in flat]
        groups.setdefault((run.env, " ".join([run.algorithm, *shown])), []).append(run)
    return groups


def is_run(path: Path) -> bool:
    """Whether a folder is a run directory itself."""
    return (path / "metrics.jsonl").is_file() or (path / "result.json").is_file()


def _study(path: Path) -> str | None:
    """The name of the study whose files these are."""
    return RunDirectory(path).read_result().get("study")


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    config = OmegaConf.load(path)
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # resolvers such as ${now:} and ${hydra:} exist only while a run starts
        plain = OmegaConf.to_container(config, resolve=False)
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}


def _name(section: Any) -> str | None:
    return (section.get("name") or section.get("task")) if isinstance(section, Mapping) else section


def is_option(key: str) -> bool:
    """Whether the key says what a run learns, and not how it is named or watched."""
    return key.split(".")[0] not in NOT_OPTIONS and not key.endswith("_target_")


def _short(key: str, keys: Sequence[str]) -> str:
    parts = key.split(".")
    for length in range(1, len(parts)):
        ending = "." + ".".join(parts[-length:])
        if not any(other != key and f".{other}".endswith(ending) for other in keys):
            return ending[1:]
    return key


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_brief, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
