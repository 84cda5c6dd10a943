"""What happens to the command line before Hydra sees it: shorthands, `resume=`, paths, and a check of every value.

The check composes the configuration and builds its dataclasses without JAX, so that a mistake answers at once, before
any directory is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser  # the only parser that knows Hydra's own flags
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from configs.build import experiment_config
from configs.experiments import blame_experiment
from configs.fields import check_deleted, check_read, path_fields
from configs.messages import check_group_value, explain
from configs.overrides import (
    absolute,
    check_overrides,
    combinations,
    deferred,
    expand_glob,
    expand_home,
    make_absolute,
    parse,
    plain_infinities,
    plain_values,
    quote,
    quoted_path,
    shorthand,
    with_search_path,
)
from configs.places import check_place
from configs.presets import redirect_presets
from configs.resuming import resume_overrides
from configs.schema import KEYS, ExperimentConfig, check_directory
from configs.source import group_options, list_groups_quickly
from configs.together import check_together
from configs.unread import check_read_somewhere, unread
from l2t.errors import ConfigurationError


def prepare(arguments: Sequence[str]) -> list[str]:
    """The arguments to hand to Hydra in place of `arguments`.

    - `algorithm.teacher=ppo` becomes `algorithm/teacher=ppo`, where that is a configuration group;
    - `preset=fast` becomes `preset/teacher=fast` where the off-policy learner is the teacher, and so on;
    - `run_dir=X` also sets Hydra's output directory, and like `resume=X` needs no quotes whatever X holds;
    - `resume=X` brings back the overrides that X was started with, before the new ones;
    - `--config-dir X` becomes an entry of `hydra.searchpath`, which a resumed run can find again;
    - a path becomes absolute where a dataclass says that it is one (`metadata={"path": True}`).

    Raises:
        ConfigurationError: a key or value is wrong.
        RunDirectoryError: the run directory is taken, or `resume` names something that is none.
    """
    parsed = get_args_parser().parse_intermixed_args(list(arguments))
    flags, name = _flags(arguments, parsed.overrides), parsed.config_name or "train"
    if parsed.hydra_help or parsed.shell_completion:
        return list(arguments)
    if parsed.config_path is not None or parsed.experimental_rerun is not None:
        raise ConfigurationError("--config-path and --experimental-rerun are not for l2t: use --config-dir, resume=.")
    typed = expanded(parsed.overrides, parsed.config_dir)
    if parsed.help:
        list_groups_quickly()
    if parsed.help or parsed.info:
        return [*flags, *typed]
    if parsed.cfg:
        return [*flags, *redirect_presets(typed, partial(compose_config, config_name=name))]
    overrides = completed(typed, name, parsed.multirun)
    values, paths = plain_values(typed), dict[str, str]()
    jobs = []
    for candidate in combinations(overrides) if parsed.multirun else [overrides]:
        found, without_effect = _checked(candidate, values, name, parsed.multirun)
        paths |= found
        jobs.append(without_effect)
    check_read_somewhere(jobs)
    overrides = with_absolute_paths(overrides, typed, paths)
    if values.get("resume") is None:
        overrides += _from_files(paths, overrides)
        check_place(plain_values(overrides), parsed.multirun)
    return [*flags, *(deferred(overrides) if parsed.multirun else overrides)]


def expanded(overrides: Sequence[str], config_dir: str | None = None) -> list[str]:
    """The overrides as they were typed, in Hydra's grammar: no shorthand, no `~`, no glob, one search path."""
    given = with_search_path([plain_infinities(expand_home(quoted_path(text))) for text in overrides], config_dir)
    typed = [expand_glob(shorthand(override, given), given) for override in given]
    check_overrides(typed)
    return typed


def completed(typed: Sequence[str], config_name: str = "train", multirun: bool = False) -> list[str]:
    """Overrides that are expanded, with where Hydra is to write and presets in their places.

    In front of them are those that a resumed run was started with.
    """
    values = plain_values(typed)
    for key in values.keys() & {"run_dir", "resume"}:
        check_directory(key, values[key])
    run_dir, resume = values.get("run_dir"), values.get("resume")
    compose = partial(compose_config, config_name=config_name)
    if resume is None:
        directory = "sweep" if multirun else "run"
        chosen = [f"hydra.{directory}.dir={quote(str(run_dir))}"] if run_dir is not None else []
        # A job describes itself once the directory is its own.
        return [*redirect_presets(typed, compose), *chosen, "hydra.output_subdir=null"]
    if multirun:
        raise ConfigurationError("resume= continues one run: leave out -m.")
    return with_search_path(resume_overrides(Path(str(resume)), typed, compose), None)


def with_absolute_paths(overrides: Sequence[str], typed: Sequence[str], keys: Iterable[str]) -> list[str]:
    """The overrides with the paths that were typed now; what a resumed run has stored its checkpoint knows by that."""
    keys = list(keys)
    return [make_absolute(text, keys) if text in typed else text for text in overrides]


def _checked(
    overrides: Sequence[str], values: Mapping[str, object], config_name: str, multirun: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Raise unless a job of these overrides can run; give its keys that hold paths, with their values, and those that
    it does not look at, with what to tell of them."""
    # A name for the directory may be made of what only a starting job knows, such as ${now:%H} or ${hydra:job.num}.
    candidate = [text for text in overrides if not text.startswith("run_dir=")]
    composed, config = checked_config(candidate, config_name)
    check_together(config, candidate)
    if values.get("resume") is None:  # what a run has swallowed need not be where it was
        sweep = values.get("run_dir") or values.get("hydra.sweep.dir")
        check_read(composed, ExperimentConfig, Path(str(sweep)) if multirun and sweep else None)
    return path_fields(composed, ExperimentConfig), unread(config, candidate)


def checked_config(overrides: Sequence[str], config_name: str = "train") -> tuple[DictConfig, ExperimentConfig]:
    """The configuration of completed overrides, as Hydra composes it and as checked dataclasses.

    Raises:
        ConfigurationError: a key or value is wrong; the message lists what is possible.
    """
    composed = compose_config(overrides, config_name)
    _check_deleted(overrides, composed)
    try:
        config = experiment_config(composed)
    except ConfigurationError as error:
        raise blame_experiment(error, overrides) from error
    _check_names(config, overrides, config_name)
    if config.study is not None:
        _check_study(plain_values(overrides))
    return composed, config


def compose_config(overrides: Sequence[str], config_name: str = "train") -> DictConfig:
    """Compose the training configuration.

    Raises:
        ConfigurationError: Hydra refuses; the message lists what is possible.
    """
    overrides = [plain_infinities(override) for override in overrides]
    for override in overrides:
        check_group_value(parse(override), overrides)
    try:
        return _compose(overrides, config_name)
    except (HydraException, OmegaConfBaseException, OSError, ValueError, YAMLError) as error:
        told = explain(error, overrides, lambda tried: _compose(tried, config_name))
        raise blame_experiment(told, overrides) from error


def _compose(overrides: Sequence[str], config_name: str) -> DictConfig:
    with initialize_config_module("configs", version_base="1.3"):
        return compose(config_name, overrides=list(overrides))


def _check_deleted(overrides: Sequence[str], composed: DictConfig) -> None:
    for override in map(parse, overrides):
        if override.is_delete() and not override.is_hydra_override():
            check_deleted(override.package or override.key_or_group.replace("/", "."), composed)


def _check_names(config: ExperimentConfig, overrides: Sequence[str], config_name: str) -> None:
    """A run is named after `algorithm=` and `env=`: no key below may turn these into another choice."""
    for text in overrides:
        override = parse(text)
        group = override.key_or_group.partition(".")[0]
        name = {"algorithm": config.algorithm.name, "env": config.env.name}.get(group)
        if name is None or override.is_delete() or override.value() != name or group == override.key_or_group:
            continue
        try:
            alone = experiment_config(compose_config([other for other in overrides if other != text], config_name))
        except ConfigurationError:
            continue  # what was chosen needs this key to be anything
        was = getattr(alone, group).name
        if was != name in group_options(group, overrides):
            raise ConfigurationError(f"{text} would run {name} under the name of {was}: write {group}={name}.")


def _check_study(values: Mapping[str, object]) -> None:
    """A key that a study would ignore is a mistake."""
    if values.get("resume") is not None:
        raise ConfigurationError("A study cannot be resumed: start it again in a new directory.")
    for key in values:
        top = re.split(r"[./@]", key)[0]
        if top in KEYS and top not in ("study", "seed", "run_dir"):
            raise ConfigurationError(f"{key}= belongs to training, and a study does not train; its keys are study.*.")


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


def _from_files(paths: Mapping[str, str], overrides: Sequence[str]) -> list[str]:
    """Overrides for the relative paths that stand in a YAML."""
    typed = {parse(text).key_or_group for text in overrides}
    return [
        f"{key}={quote(str(absolute(path)))}"
        for key, path in paths.items()
        if key not in typed and path != str(absolute(path))
    ]
