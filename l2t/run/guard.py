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
    """Raise `DivergenceError` when a guarded metric is not finite; it names the metric and the iteration."""
    for row in rows:
        for name, value in row.items():
            if name.startswith(GUARDED) and not math.isfinite(value):
                seed = f", seed {row['seed']}" if "seed" in row else ""
                raise DivergenceError(
                    f"{name} became {value} in iteration {iteration} (environment step {step:,}{seed}). "
                    "Lower the learning rate or the step size."
                )


def check_physics(rows: Sequence[Mapping[str, Any]], iteration: int, step: int) -> None:
    """Raise `DivergenceError` when the physics failed in more than `UNSTABLE_SHARE` of an iteration's transitions."""
    for row in rows:
        share = row.get("train/unstable", 0.0)
        if share > UNSTABLE_SHARE:
            seed = f", seed {row['seed']}" if "seed" in row else ""
            raise DivergenceError(
                f"The physics failed in {share:.1%} of the transitions of iteration {iteration} "
                f"(environment step {step:,}{seed}): the simulation is unstable. "
                "Change the model less (env.model, env.randomise, on Cassie env.randomisation.amount), or check the "
                "task's own."
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
