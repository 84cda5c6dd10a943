"""Where runs are written: refused early where it is taken, and the folder of a sweep held while its runs go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.overrides import combinations, plain_values, quote
from envs.config import plain_id
from l2t.errors import ConfigurationError
from l2t.run.claim import check_new, check_writable, claimed


def run_name(seed: int, *what: str) -> str:
    """What a run computes, in the name of its directory: a study, or an algorithm and an environment."""
    return "-".join((*what, f"s{seed}"))


def _run_name(*, _root_: DictConfig) -> str:
    """The same in a YAML, `${run_name:}`: by what was chosen, which a stranger may have called as he likes."""
    if study := OmegaConf.select(_root_, "study.name"):
        return run_name(_root_.seed, study)
    choices, known = _root_.hydra.runtime.choices, OmegaConf.select(_root_, "env.id")
    # One choice stands for all of Gymnasium's environments: what was chosen is the id.
    return run_name(_root_.seed, choices.algorithm, plain_id(known) if isinstance(known, str) else choices.env)


OmegaConf.register_new_resolver("run_name", _run_name, replace=True)


def check_place(values: Mapping[str, object], multirun: bool) -> None:
    """Refuse early what a job could not claim. Creates nothing."""
    chosen = values.get("hydra.sweep.dir" if multirun else "hydra.run.dir")
    if chosen is None:
        check_writable(Path("runs"))
    elif "${" not in str(chosen):
        check_new(Path(str(chosen)))


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
    chosen = str(plain_values(parsed.overrides).get("hydra.sweep.dir", ""))
    # Only a name that is made up from other values can differ from run to run.
    candidates = combinations(parsed.overrides)[: None if "${" in chosen else 1]
    folders = {_sweep_folder(each, parsed.config_name or "train") for each in candidates}
    if len(folders) > 1:
        raise ConfigurationError(
            f"run_dir={chosen} would differ between the runs of the sweep, and is the folder of all of them: name the "
            "runs in it with hydra.sweep.subdir=."
        )
    with claimed(folders.pop(), numbered=not chosen) as folder:
        yield [*arguments, f"hydra.sweep.dir={quote(str(folder))}"]


def _sweep_folder(overrides: Sequence[str], config_name: str) -> Path:
    with initialize_config_module("configs", version_base="1.3"):
        composed = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    try:
        return Path(composed.hydra.sweep.dir)
    except OmegaConfBaseException as error:
        raise ConfigurationError(f"hydra.sweep.dir cannot be resolved: {str(error).splitlines()[0]}") from error
