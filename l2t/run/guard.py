"""Noticing that training has diverged or a simulation has failed, and saying where."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from l2t.errors import DivergenceError, ForeignEnvironmentError, L2TError

GUARDED = ("loss/", "train/")
"""Prefixes of the metrics that must stay finite."""

UNSTABLE_SHARE = 0.01
"""Share of an iteration's transitions whose physics may fail. Each looks like a fall, so many bend what is learnt."""


def check_finite(rows: Sequence[Mapping[str, Any]], iteration: int, step: int) -> None:
    """Raise `DivergenceError` when a guarded metric is not finite; it names metric, iteration and seeds at fault."""
    failed = [(name, row) for row in rows for name in row if name.startswith(GUARDED) and not math.isfinite(row[name])]
    if failed:
        name, row = failed[0]
        at_fault = [row for _, row in failed]
        raise DivergenceError(
            f"{name} became {row[name]} in iteration {iteration} (environment step {step:,}{_named(at_fault)}). "
            f"Lower the learning rate or the step size.{_left_out(at_fault, rows)}"
        )


def check_physics(rows: Sequence[Mapping[str, Any]], iteration: int, step: int) -> None:
    """Raise `DivergenceError` when the physics failed in more than `UNSTABLE_SHARE` of an iteration's transitions."""
    failed = [row for row in rows if row.get("train/unstable", 0.0) > UNSTABLE_SHARE]
    if failed:
        raise DivergenceError(
            f"The physics failed in {failed[0]['train/unstable']:.1%} of the transitions of iteration {iteration} "
            f"(environment step {step:,}{_named(failed)}): the simulation is unstable. "
            "Change the model less (env.model, env.randomise, on Cassie env.randomisation.amount), or check the "
            f"task's own.{_left_out(failed, rows)}"
        )


def _seeds(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Those of rows, each once; none where seeds are not batched."""
    return sorted({row["seed"] for row in rows if "seed" in row})


def _named(failed: Sequence[Mapping[str, Any]]) -> str:
    seeds = [str(seed) for seed in _seeds(failed)]
    return f", seed{'s' * (len(seeds) > 1)} {' and '.join(seeds)}" if seeds else ""


def _left_out(failed: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    """How the others of a batch go on: keys are split, so that a smaller batch has the first seeds of a larger one."""
    seeds, count = _seeds(failed), len(rows)
    if len(seeds) == count or not seeds:
        return ""
    before = f"num_seeds={seeds[0]} trains those before it alike, " if seeds[0] else ""
    return (
        f" Seeds of one program end together: to leave {'it' if len(seeds) == 1 else 'them'} out, {before}"
        f"{'and ' if before else ''}another seed= gives others."
    )


@contextmanager
def device_errors(step: int | None = None) -> Iterator[None]:
    """Give errors that come out of a running program their own meaning back.

    An exception inside a callback reaches Python as a `JaxRuntimeError` whose text ends with the original one. Its
    traceback goes to a logger of JAX's alone, and would be printed: it is kept from there until it is clear whether one
    line says it all.

    Args:
        step: environment step of the training that runs the program.
    """
    after = "" if step is None else f" (after environment step {step:,})"
    kept = _Kept()
    _CALLBACKS.addFilter(kept)
    try:
        yield
    except ForeignEnvironmentError as error:  # without a compiler, exceptions come as they are
        error.details = error.details or kept.text()
        raise
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        if re.search(r"^KeyboardInterrupt", text, re.M):  # a second Ctrl-C, while the physics was running
            raise KeyboardInterrupt from None
        foreign = re.search(r"^(?:\w+\.)*ForeignEnvironmentError: (.*)", text, re.M | re.S)
        if foreign:
            found = ForeignEnvironmentError(f"{foreign[1].strip()}{after}")
            found.details = kept.text()
            raise found from None
        physics = re.search(r"^(?:\w+\.)*(?:DivergenceError|FatalError|SimulationError): (.*)", text, re.M | re.S)
        if physics:
            raise DivergenceError(f"{physics[1].strip()}{after}") from None
        if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
            raise L2TError(
                "The device ran out of memory: lower num_envs, num_seeds or the networks' size. "
                f"({text.splitlines()[0]})"
            ) from error
        if told := kept.text():
            error.add_note(told)
        raise
    finally:
        _CALLBACKS.removeFilter(kept)


_CALLBACKS = logging.getLogger("jax._src.callback")
"""Where JAX writes the traceback of an exception inside a callback."""


class _Kept(logging.Filter):
    """Keeps the tracebacks that come by, and lets nothing else of them through."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            self._records.append(record)
        return not record.exc_info

    def text(self) -> str:
        """The tracebacks, each once."""
        return "\n".join(dict.fromkeys(logging.Formatter().format(record) for record in self._records))
