"""What happens to the command line before Hydra sees it: shorthands, `resume=`, and a check of every value.

The check composes the configuration and builds its dataclasses without JAX, so that a mistake answers at once, before
any directory is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser  # the only parser that knows Hydra's own flags
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from configs.build import experiment_config
from configs.messages import check_group_value, explain, is_group
from configs.schema import KEYS
from l2t.errors import ConfigurationError, RunDirectoryError
from l2t.run.directory import check_new, check_resumable, check_writable, claimed, read_overrides

OPEN = ("env.parameters.", "env.randomise.")
"""Mappings that take keys of the user's own; Hydra would ask for a `+` in front of each."""


PLACED = {"algorithm.student.network": "network"}
"""Keys below which a group stands that has its home elsewhere; Hydra would ask for `network@algorithm...`."""


def prepare(arguments: Sequence[str]) -> list[str]:
    """The arguments to hand to Hydra in place of `arguments`.

    - `algorithm.teacher=ppo` becomes `algorithm/teacher=ppo`, where that is a configuration group;
    - `run_dir=X` also sets Hydra's output directory, and like `resume=X` needs no quotes whatever X holds;
    - `resume=X` brings back the overrides that X was started with, before the new ones;
    - `--config-dir X` becomes an entry of `hydra.searchpath`, which a resumed run can find again.

    Raises:
        ConfigurationError: a key or value is wrong.
        RunDirectoryError: the run directory is taken, or `resume` names something that is none.
    """
    parsed = get_args_parser().parse_intermixed_args(list(arguments))
    flags = _flags(arguments, parsed.overrides)
    overrides = [shorthand(quoted_path(override)) for override in parsed.overrides]
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
    else:
        if values.get("run_dir") is not None:
            directory = "sweep" if parsed.multirun else "run"
            overrides.append(f"hydra.{directory}.dir={_quote(str(values['run_dir']))}")
        overrides.append("hydra.output_subdir=null")  # a job describes itself once the directory is its own
    for candidate in _combinations(overrides) if parsed.multirun else [overrides]:
        # A name for the directory may be made of what only a starting job knows, such as ${now:%H} or ${hydra:job.num}.
        candidate = [override for override in candidate if not override.startswith("run_dir=")]
        if experiment_config(compose_config(candidate, parsed.config_name or "train")).study is not None:
            _check_study(values)
    if resume is None:
        _check_place(_values(overrides), parsed.multirun)
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


@contextmanager
def sweep_claimed(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Hold the folder of a sweep; yields what `prepare` returned, with that folder. A single run claims its own.

    Raises:
        RunDirectoryError: somebody else writes there, or something is there already.
        ConfigurationError: the runs of the sweep would name different folders.
    """
    parsed = get_args_parser().parse_intermixed_args(list(arguments))
    if not parsed.multirun or parsed.help or parsed.hydra_help or parsed.info or parsed.cfg or parsed.shell_completion:
        yield list(arguments)
        return
    chosen = str(_values(parsed.overrides).get("hydra.sweep.dir", ""))
    combinations = _combinations(parsed.overrides)
    # Only a name that is made up from other values can differ from run to run.
    folders = {
        _sweep_folder(each, parsed.config_name or "train") for each in combinations[: None if "${" in chosen else 1]
    }
    if len(folders) > 1:
        raise ConfigurationError(
            f"run_dir={chosen} would differ between the runs of the sweep, and is the folder of all of them: name the "
            "runs in it with hydra.sweep.subdir=."
        )
    with claimed(folders.pop(), numbered=not chosen) as folder:
        yield [*arguments, f"hydra.sweep.dir={_quote(str(folder))}"]


def _sweep_folder(overrides: Sequence[str], config_name: str) -> Path:
    with initialize_config_module("configs", version_base="1.3"):
        composed = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    try:
        return Path(composed.hydra.sweep.dir)
    except OmegaConfBaseException as error:
        raise ConfigurationError(f"hydra.sweep.dir cannot be resolved: {str(error).splitlines()[0]}") from error


def quoted_path(override: str) -> str:
    """Make what the shell hands over for `run_dir` and `resume` one value to Hydra, whatever characters it holds."""
    match = re.fullmatch(r"(\+{0,2}(?:run_dir|resume))=(.+)", override, re.S)
    if match is None or match[2] == "null" or re.fullmatch(r"'.*'|\".*\"", match[2], re.S):
        return override
    return f"{match[1]}={_quote(str(Path(match[2]).expanduser()))}"


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
    kept = [override for override in _recorded(run_dir) if _place(override) not in given]
    # The directory keeps the description of how the run was started.
    return [*kept, *new, f"hydra.run.dir={_quote(str(run_dir))}", "hydra.output_subdir=null"]


def _place(override: str) -> tuple[str, str | None]:
    """What an override sets: one group can stand in several packages."""
    parsed = _parse(override)
    return parsed.key_or_group, parsed.package


def _recorded(run_dir: Path) -> list[str]:
    """Overrides as they were written down; of those for Hydra itself only the search path still matters."""
    try:
        hydra = OmegaConf.to_container(OmegaConf.load(run_dir / ".hydra" / "hydra.yaml"), resolve=False)
        listed = hydra["hydra"]["overrides"]["hydra"]  # pyright: ignore
        search_path = [str(override) for override in listed if str(override).startswith("hydra.searchpath=")]
    except (OSError, ValueError, TypeError, KeyError, YAMLError) as error:
        raise RunDirectoryError(
            f"{run_dir}/.hydra/hydra.yaml cannot be read ({error}); the run cannot go on."
        ) from error
    return [*read_overrides(run_dir), *search_path]


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


def _check_place(values: dict[str, object], multirun: bool) -> None:
    """Refuse early what a job could not claim. Creates nothing."""
    chosen = values.get("hydra.sweep.dir" if multirun else "hydra.run.dir")
    if chosen is None:
        check_writable(Path("runs"))
    elif "${" not in str(chosen):
        check_new(Path(str(chosen)))


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
    """Hydra takes back a backslash only in front of a quote."""
    escaped = re.sub(r"(\\*)'", r"\1\1\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"
