"""What happens to the command line before Hydra sees it: shorthands, `resume=`, and a check of every value.

The check composes the configuration and builds its dataclasses without JAX, so that a mistake answers at once, before
any directory is made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser  # the only parser that knows Hydra's own flags
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from configs.build import experiment_config
from configs.messages import check_group_value, explain, is_group
from configs.schema import KEYS
from l2t.errors import ConfigurationError, RunDirectoryError
from l2t.run.directory import check_new, check_resumable, check_writable, writing

OPEN = ("env.parameters.", "env.randomise.")
"""Mappings that take keys of the user's own; Hydra would ask for a `+` in front of each."""


PLACED = {"algorithm.student.network": "network"}
"""Keys below which a group stands that has its home elsewhere; Hydra would ask for `network@algorithm...`."""


def prepare(arguments: Sequence[str]) -> list[str]:
    """The arguments to hand to Hydra in place of `arguments`.

    - `algorithm.teacher=ppo` becomes `algorithm/teacher=ppo`, where that is a configuration group;
    - `run_dir=X` also sets Hydra's output directory;
    - `resume=X` brings back the overrides that X was started with, before the new ones;
    - `--config-dir X` becomes an entry of `hydra.searchpath`, which a resumed run can find again.

    Raises:
        ConfigurationError: a key or value is wrong.
        RunDirectoryError: the run directory is taken, or `resume` names something that is none.
    """
    parsed = get_args_parser().parse_intermixed_args(list(arguments))
    flags = _flags(arguments, parsed.overrides)
    overrides = [shorthand(override) for override in parsed.overrides]
    if parsed.config_dir is not None:
        overrides.append(_search_path(parsed.config_dir))
    if parsed.help or parsed.hydra_help or parsed.info or parsed.cfg or parsed.shell_completion:
        return [*flags, *overrides]
    values = _values(overrides)
    resume = values.get("resume")
    if resume is not None:
        if parsed.multirun:
            raise ConfigurationError("resume= continues one run: leave out -m.")
        if values.get("run_dir") is not None:
            raise ConfigurationError("resume= continues a run where it is: leave out run_dir=.")
        overrides = resume_overrides(Path(str(resume)), overrides)
    elif values.get("run_dir") is not None:
        directory = "sweep" if parsed.multirun else "run"
        overrides.append(f"hydra.{directory}.dir={_quote(str(values['run_dir']))}")
    for candidate in _combinations(overrides) if parsed.multirun else [overrides]:
        if experiment_config(compose_config(candidate, parsed.config_name or "train")).study is not None:
            _check_study(values)
    if resume is None:
        _claim_place(_values(overrides), parsed.multirun)
    return [*flags, *overrides]


def compose_config(overrides: Sequence[str], config_name: str = "train") -> DictConfig:
    """Compose the training configuration.

    Raises:
        ConfigurationError: Hydra refuses; the message lists what is possible.
    """
    for override in overrides:
        check_group_value(_parse(override))
    with initialize_config_module("configs", version_base="1.3"):
        try:
            return compose(config_name, overrides=list(overrides))
        except (HydraException, ValueError) as error:
            raise explain(error, overrides, lambda tried: compose(config_name, overrides=list(tried))) from error


def shorthand(override: str) -> str:
    """Spell an override the way Hydra wants it."""
    match = re.fullmatch(r"(\+{0,2}|~)([\w.]+)(=.*)?", override, re.S)
    if match is None:
        return override
    prefix, key, value = match.groups()
    if not prefix and key.startswith(OPEN):
        return f"++{override}"
    if key in PLACED:
        return f"{prefix}{PLACED[key]}@{override.removeprefix(prefix)}"
    group = key.replace(".", "/")
    return f"{prefix}{group}{value or ''}" if "." in key and is_group(group) else override


def resume_overrides(run_dir: Path, new: Sequence[str]) -> list[str]:
    """The overrides of the run in `run_dir`, then the new ones; a new value for the same key wins.

    Raises:
        RunDirectoryError: `run_dir` is not a run directory.
    """
    check_resumable(run_dir)
    given = {_place(override) for override in new} | {("run_dir", None), ("resume", None)}
    old = [
        *_recorded(run_dir / ".hydra" / "overrides.yaml", ""),
        *_recorded(run_dir / ".hydra" / "hydra.yaml", "hydra"),
    ]
    kept = [override for override in old if _place(override) not in given]
    # The directory keeps the description of how the run was started.
    return [*kept, *new, f"hydra.run.dir={_quote(str(run_dir))}", "hydra.output_subdir=null"]


def _place(override: str) -> tuple[str, str | None]:
    """What an override sets: one group can stand in several packages."""
    parsed = _parse(override)
    return parsed.key_or_group, parsed.package


def _recorded(path: Path, section: str) -> list[str]:
    """Overrides as Hydra wrote them down; of those for Hydra itself only the search path still matters."""
    try:
        stored = OmegaConf.load(path)
        if section:
            listed = OmegaConf.select(stored, "hydra.overrides.hydra") or []
            return [str(override) for override in listed if str(override).startswith("hydra.searchpath=")]
        return [str(override) for override in stored]
    except (OSError, ValueError, TypeError, YAMLError) as error:
        raise RunDirectoryError(f"{path} cannot be read ({error}), so the run cannot be resumed.") from error


def _combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Every value of every sweep once, beside the first value of the others: the sum of the sizes, not the product."""
    plain, sweeps = [], []
    for text in overrides:
        override = _parse(text)
        if not override.is_sweep_override():
            plain.append(text)
        elif not override.is_interval_sweep():
            prefix = text.partition("=")[0]
            sweeps.append([f"{prefix}={value}" for value in override.sweep_string_iterator()])
    first = [choices[0] for choices in sweeps]
    combinations = [plain + first]
    for index, choices in enumerate(sweeps):
        combinations += [plain + first[:index] + [choice] + first[index + 1 :] for choice in choices[1:]]
    return combinations


def _claim_place(values: dict[str, object], multirun: bool) -> None:
    chosen = values.get("hydra.sweep.dir" if multirun else "hydra.run.dir")
    if chosen is None:
        check_writable(Path("runs"))
    elif "${" not in str(chosen):
        check_new(Path(str(chosen)))
        with writing(Path(str(chosen))):
            Path(str(chosen)).mkdir(parents=True, exist_ok=True)


def _check_study(values: dict[str, object]) -> None:
    """A key that a study would ignore is a mistake."""
    if values.get("resume") is not None:
        raise ConfigurationError("A study cannot be resumed: start it again in a new directory.")
    for key in values:
        top = re.split(r"[./@]", key)[0]
        if top in KEYS and top not in ("study", "seed", "run_dir"):
            raise ConfigurationError(f"{key}= belongs to training, and a study does not train; its keys are study.*.")


def _parse(override: str) -> Override:
    try:
        return OverridesParser.create().parse_overrides([override])[0]
    except HydraException as error:
        raise explain(error, [override]) from error


def _values(overrides: Sequence[str]) -> dict[str, object]:
    """Plain values by key; sweeps are left out."""
    parsed = [_parse(override) for override in overrides]
    return {o.key_or_group: o.value() for o in parsed if not o.is_sweep_override() and not o.is_delete()}


def _flags(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """What is not an override, without `--config-dir`."""
    flags, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("--config-dir", "-cd"):
            skip = True
        elif argument not in overrides and not argument.startswith("--config-dir="):
            flags.append(argument)
    return flags


def _search_path(directory: str) -> str:
    path = Path(directory).absolute()
    if not path.is_dir():
        raise ConfigurationError(f"--config-dir {directory} is not a directory.")
    return f"hydra.searchpath=[{_quote(f'file://{path}')}]"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
