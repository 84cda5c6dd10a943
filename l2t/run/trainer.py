"""The host loop: run the compiled iteration, and do everything that touches a file between two of them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Key

from l2t.errors import CheckpointError, DivergenceError, ForeignEnvironmentError, L2TError
from l2t.rl.algorithm import Algorithm, RunState, default_role
from l2t.run.checkpoint import Checkpoints, dump
from l2t.run.compiled import compile_iteration, donatable, run_once
from l2t.run.directory import RunDirectory
from l2t.run.files import write_atomically, writing
from l2t.run.guard import check_finite, check_physics, device_errors
from l2t.run.rows import evaluations, metric_rows, pool
from l2t.run.signals import StopSignals
from l2t.run.tracking.base import Tracker
from l2t.runtime import versions

EVALUATION_SEED = 20_240_206
"""Every evaluation of every run starts from the same states and noise, whatever training drew."""

_STEPS = "env_steps/"
_STORE = ".transient.store"

Evaluate = Callable[[RunState, "Key[Array, '']"], dict[str, dict[str, Array]]]
"""A jittable evaluation of one seed's state, by role; see `l2t.rl.evaluation.make_evaluator`."""


@dataclass(frozen=True)
class TrainerSettings:
    """What the loop needs to know beyond the algorithm.

    Attributes:
        algorithm, env: names, as they appear in `result.json`.
        identity: what a checkpoint must share with the run that reads it.
        seed, num_seeds: seed of all training randomness, and how many independent runs are batched.
        total_steps, eval_every, checkpoint_every: in environment steps of one seed.
        keep_checkpoints: how many of the newest stay.
        keep_best: whether what was learnt stays as it was at the best evaluation, of the student where there is one.
        resume: continue from the newest checkpoint.
        changes: what a resume changed, by key: the value before and the one from here on.
        inherit: what a fresh state takes over from another run; the state of one seed to that state.
        labels: stored with every checkpoint, such as the W&B run id.
        on_start: called when the state is there, made or restored, and nothing has been written yet.
    """

    algorithm: str
    env: str
    total_steps: int
    eval_every: int
    checkpoint_every: int
    identity: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    num_seeds: int = 1
    keep_checkpoints: int = 3
    keep_best: bool = False
    resume: bool = False
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    inherit: Callable[[RunState], RunState] = lambda state: state
    labels: Mapping[str, Any] = field(default_factory=dict)
    on_start: Callable[[], None] = lambda: None


def train(
    settings: TrainerSettings, algorithm: Algorithm, directory: RunDirectory, tracker: Tracker, evaluate: Evaluate
) -> dict[str, Any]:
    """Train to `total_steps`, or until a signal asks for an end (see `signals`), writing to `directory` as it goes.

    Returns:
        What `result.json` holds. `status` is `finished` or `interrupted`; then `signal` is the signal's number.

    Raises:
        DivergenceError: a loss or the physics stopped being finite. The offending state is under `nan/`.
        RunDirectoryError: a file cannot be written.
        CheckpointError: `resume` found no checkpoint that fits.
        ForeignEnvironmentError: an environment from elsewhere failed. Its traceback is in `traceback.txt`.
    """
    loop = _Loop(settings, algorithm, directory, tracker, evaluate)
    with StopSignals() as stop:
        try:
            loop.start()
            while loop.env_steps < settings.total_steps and stop.signum is None:
                loop.advance()
            return loop.stop(stop.signum)
        except BaseException as error:
            with suppress(L2TError):  # a full disk: the first error is the one to show
                if loop.started or not settings.resume:
                    loop.write_result("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
                if isinstance(error, ForeignEnvironmentError):
                    error.args = (loop.explained(error),)
            raise


class _Loop:
    """A run in progress: the training state on the device, counters and the last evaluation on the host."""

    def __init__(
        self,
        settings: TrainerSettings,
        algorithm: Algorithm,
        directory: RunDirectory,
        tracker: Tracker,
        evaluate: Evaluate,
    ) -> None:
        self.settings = settings
        self.algorithm = algorithm
        self.directory = directory
        self.tracker = tracker
        self.checkpoints = Checkpoints(directory.checkpoints, settings.keep_checkpoints, _STORE)
        self.bests = Checkpoints(directory.best, keep=None)  # older ones go when a checkpoint remembers the newest
        self.batched = settings.num_seeds > 1
        self.evaluate = jax.jit(jax.vmap(evaluate, in_axes=(0, None)) if self.batched else evaluate)
        self.started = False  # until then a resumed directory stays as it is
        self.iteration = 0
        self.evaluation: dict[str, Any] = {}
        self.best: dict[str, Any] = {}
        self.warned: set[str] = set()
        self.role_steps = dict(algorithm.prior_steps)
        self.resumed_at: list[int] = []
        self.changes: list[dict[str, Any]] = []
        self.training_seconds = 0.0
        self.trained_steps = 0
        self.wall_offset = 0.0
        self.began = time.perf_counter()

    @property
    def env_steps(self) -> int:
        """Environment steps that each seed has taken."""
        return self.iteration * self.algorithm.steps_per_iteration

    @property
    def wall_seconds(self) -> float:
        """Seconds spent on the run, those before a resume included."""
        return self.wall_offset + time.perf_counter() - self.began

    def start(self) -> None:
        """Make or restore the state and compile the iteration."""
        init, iterate = self.algorithm.init, self.algorithm.iterate
        key = jax.random.key(self.settings.seed)
        if self.batched:
            # One seed after the other: the batched QR of orthogonal initialisers can deadlock XLA's CPU thread pool.
            init, iterate = partial(jax.lax.map, init), jax.vmap(iterate)
            key = jax.random.split(key, self.settings.num_seeds)
        if self.settings.resume:
            self.state, host = self.checkpoints.restore(jax.eval_shape(init, key), self.settings.identity)
            self.iteration, self.wall_offset = host["iteration"], host["wall_seconds"]
            if self.env_steps != host["env_steps"]:
                raise CheckpointError(
                    f"The checkpoint is of step {host['env_steps']:,}, but with these batches its {self.iteration:,} "
                    f"iterations make {self.env_steps:,}: resume with the batches that the run was started with."
                )
            self.evaluation, self.role_steps = host["evaluation"], host["role_steps"]
            self.best = host.get("best", {})
            self.resumed_at = [*host.get("resumed_at", ()), self.env_steps]
            more = self.env_steps < self.settings.total_steps
            nothing = f", and total_steps={self.settings.total_steps:,} asks for no more: a larger one trains on"
            self.tracker.notice(f"Resuming at step {self.env_steps:,}{'' if more else nothing}.")
            self._note_changes()
        else:
            with writing(self.directory.path):
                self.directory.path.mkdir(parents=True, exist_ok=True)
            with device_errors(0):
                inherit = jax.vmap(self.settings.inherit) if self.batched else self.settings.inherit
                fresh = run_once(init, key)
                self.state = donatable(inherit(fresh), fresh)
        self.settings.on_start()
        self.started = True
        self.directory.rewind_metrics(self.env_steps)
        self.bests.drop(lambda step: step > self.env_steps)
        self.write_result("running")
        if self.env_steps < self.settings.total_steps:
            self.iterate = compile_iteration(iterate, self.state)

    def advance(self) -> None:
        """One iteration and what is due after it."""
        before = self.env_steps
        began = time.perf_counter()
        with device_errors(before):
            self.state, metrics = self.iterate(self.state)
            metrics = jax.device_get(metrics)
        seconds = time.perf_counter() - began
        self.iteration += 1
        self.training_seconds += seconds
        self.trained_steps += (self.env_steps - before) * self.settings.num_seeds
        rows = metric_rows(metrics, self.env_steps, self.settings.num_seeds if self.batched else None)
        try:
            check_finite(rows, self.iteration, self.env_steps)
            check_physics(rows, self.iteration, self.env_steps)
        except DivergenceError:
            dump(self.directory.nan / f"step-{self.env_steps}.npz", self.state)
            raise
        self._warn(rows)
        self._count_steps(rows)
        last = self.env_steps >= self.settings.total_steps
        evaluated = last or self._due(self.settings.eval_every)
        if evaluated:
            self._evaluate(rows)
        speed = (self.env_steps - before) * self.settings.num_seeds / seconds
        for row in rows:
            row["wall_seconds"] = round(self.wall_seconds, 3)
            row["perf/steps_per_second"] = round(speed, 1)
        self.tracker.log(rows)
        if evaluated:
            if self.settings.keep_best:
                self._keep_if_best()
            self.write_result("running")
        if last or self._due(self.settings.checkpoint_every):
            self.save()

    def stop(self, signum: int | None) -> dict[str, Any]:
        """Close the run: save where it was stopped early, and write the last result."""
        if signum is None:
            return self.write_result("finished")
        self.save()
        return self.write_result("interrupted", signal=signum)

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        self.checkpoints.save(self.env_steps, self.state, self._host(), self.settings.identity)
        # Not before: a resume from an older checkpoint begins with the best of that time.
        self.bests.drop(lambda step: step != self.best.get("step"))

    def _host(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "wall_seconds": self.wall_seconds,
            "evaluation": self.evaluation,
            "best": self.best,
            "role_steps": self.role_steps,
            "resumed_at": self.resumed_at,
            **self.settings.labels,
        }

    def _keep_if_best(self) -> None:
        """Save what was learnt, without simulations and store, where no evaluation of the run was better."""
        pooled = self.evaluation["evaluation"]
        role = default_role(pooled)
        score = pooled[role]["return_mean"]
        if score > self.best.get("return_mean", -math.inf):
            self.best = {"step": self.env_steps, "role": role, "return_mean": score}
            learnt = replace(self.state, transient=None)
            self.bests.save(self.env_steps, learnt, self._host(), self.settings.identity)

    def _note_changes(self) -> None:
        """Say what is another setting from here on, and remember it beside what was changed before."""
        # Of the result, not of the checkpoint: a resume that is killed before its first one changed settings too.
        earlier = self.directory.known_result().get("changes", [])
        self.changes = [change for change in earlier if change["step"] <= self.env_steps]
        for key, (before, now) in self.settings.changes.items():
            self.changes.append({"step": self.env_steps, "key": key, "before": before, "now": now})
            self.tracker.notice(f"{key} was {json.dumps(before)} and is {json.dumps(now)} from here on.")

    def explained(self, error: ForeignEnvironmentError) -> str:
        """What the error says, where its traceback is now, and from where the run can go on."""
        write_atomically(self.directory.traceback, error.details)
        told = f"{error} Its traceback is in {self.directory.traceback}."
        if steps := self.checkpoints.steps():
            told += f" Once that is mended, resume={self.directory.path} goes on from step {steps[-1]:,}."
        return told

    def write_result(self, status: str, **more: Any) -> dict[str, Any]:
        """Replace `result.json`."""
        result = {
            "algorithm": self.settings.algorithm,
            "env": self.settings.env,
            "seed": self.settings.seed,
            "num_seeds": self.settings.num_seeds,
            "env_steps": self.env_steps,
            "role_steps": self.role_steps,
            "resumed_at": self.resumed_at,
            "changes": self.changes,
            "wall_seconds": round(self.wall_seconds, 3),
            "steps_per_second": round(self.trained_steps / max(self.training_seconds, 1e-9), 1),
            "versions": versions(),
            "status": status,
            **(self.evaluation or {"evaluation": {}}),
            **({"best": self.best} if self.best else {}),
            **more,
        }
        self.directory.write_result(result)
        return result

    def _warn(self, rows: list[dict[str, Any]]) -> None:
        """Say what the algorithm has to say about its metrics, once each."""
        for name, text in self.algorithm.warnings.items():
            if name not in self.warned and any(row.get(name, 0.0) > 0.0 for row in rows):
                self.warned.add(name)
                self.tracker.notice(f"Step {self.env_steps:,}: {text}")

    def _due(self, every: int) -> bool:
        """Whether the last iteration passed a multiple of `every`; a matter of counters, which a resume keeps."""
        return self.env_steps // every > (self.env_steps - self.algorithm.steps_per_iteration) // every

    def _count_steps(self, rows: list[dict[str, Any]]) -> None:
        """Add up who took how many steps. On the host: an integer of a device would be full after 2^31 of them."""
        for name, taken in rows[0].items():
            if name.startswith(_STEPS):
                role = name.removeprefix(_STEPS)
                self.role_steps[role] = self.role_steps.get(role, 0) + taken
        for row in rows:
            row.update({f"{_STEPS}{role}": steps for role, steps in self.role_steps.items()})

    def _evaluate(self, rows: list[dict[str, Any]]) -> None:
        with device_errors(self.env_steps):
            found = jax.device_get(self.evaluate(self.state, jax.random.key(EVALUATION_SEED)))
        per_seed = evaluations(found, self.settings.num_seeds if self.batched else None)
        for row, evaluation in zip(rows, per_seed, strict=True):
            for role, numbers in evaluation.items():
                row.update({f"eval/{role}/{name}": value for name, value in numbers.items()})
        pooled = {role: pool([evaluation[role] for evaluation in per_seed]) for role in found}
        self.evaluation = {"evaluation": pooled, "evaluated_at": self.env_steps}
        if self.batched:
            self.evaluation["per_seed"] = [
                {"seed": seed, "evaluation": evaluation} for seed, evaluation in enumerate(per_seed)
            ]
