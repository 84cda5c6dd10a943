"""Weights & Biases, offline by default. Training goes on without it when it cannot start.

Its helper process keeps logs and a cache for each user; here they are put beside the run, unless `WANDB_CACHE_DIR` says
otherwise. One helper serves all runs of a Python process, so those of a sweep log with the first one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from l2t.run.tracking.base import Row, mean_over_seeds
from l2t.run.tracking.config import WandbConfig


class WandbTracker:
    """One W&B run; with several seeds it shows their mean (`metrics.jsonl` has each).

    Args:
        config: mode, project and labels.
        directory: run directory; W&B writes to `wandb/` in it, or where `WANDB_DIR` says.
        settings: the run's configuration, shown beside its curves.
        run_id: of the W&B run to continue.
        notice: called with one line when W&B cannot be used.
    """

    def __init__(
        self,
        config: WandbConfig,
        directory: Path,
        settings: Mapping[str, Any],
        run_id: str | None = None,
        notice: Callable[[str], None] = print,
    ) -> None:
        self.run_id = run_id
        self._notice = notice
        self._run = self._start(config, directory, settings) if config.chosen_mode != "disabled" else None
        if self._run is not None:
            self.run_id = self._run.id

    def log(self, rows: Sequence[Row]) -> None:
        """Send a log point."""
        if self._run is None:
            return
        try:
            self._run.log(mean_over_seeds(rows) | {"wall_seconds": rows[0]["wall_seconds"]}, step=int(rows[0]["step"]))
        except Exception as error:
            self._notice(f"W&B stopped recording ({_first_line(error)}); training goes on without it.")
            self._run = None

    def notice(self, text: str) -> None:
        """Nothing: W&B has its own pages."""

    def finish(self, status: str) -> None:
        """Close the W&B run; without this the next run of a sweep would write into it."""
        if self._run is not None:
            run, self._run = self._run, None
            run.summary["status"] = status
            run.finish(exit_code=0 if status == "finished" else 1)

    def _start(self, config: WandbConfig, directory: Path, settings: Mapping[str, Any]) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        for mode in dict.fromkeys((config.chosen_mode, "offline")):
            try:
                with _cache_beside(directory):
                    import wandb

                    return wandb.init(
                        mode=mode,  # pyright: ignore[reportArgumentType]
                        project=config.chosen_project,
                        # Where these are None, W&B looks at its variables.
                        entity=config.entity,
                        group=config.group,
                        tags=list(config.tags) or None,
                        name=None if os.environ.get("WANDB_NAME") else directory.name,
                        dir=None if os.environ.get("WANDB_DIR") else str(directory),
                        config=dict(settings),
                        id=self.run_id,
                        resume="allow" if self.run_id else None,
                        settings=wandb.Settings(silent=True, console="off", init_timeout=30),
                    )
            except Exception as error:
                then = "recording offline instead" if mode == "online" else "training goes on without it"
                self._notice(f"W&B could not start in mode {mode} ({_first_line(error)}); {then}.")
        return None


@contextmanager
def _cache_beside(directory: Path) -> Iterator[None]:
    """W&B has no setting for its cache, only variables, which its helper process inherits when it starts."""
    where = Path(os.environ.get("WANDB_DIR") or directory).absolute() / "wandb"
    ours = {"WANDB_CACHE_DIR": str(where / "cache"), "WANDB_DATA_DIR": str(where / "data")}
    ours = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
