"""One override of the command line at a time: how it is spelled, what it may be, and what a sweep over it runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException

from configs.messages import explain
from configs.schema import check_directory
from configs.source import find_target, group_options, location
from l2t.errors import ConfigurationError

OPEN = ("env.parameters.", "env.randomise.", "env.model.")
"""Mappings that take keys of the user's own; Hydra would ask for a `+` in front of each."""

PLACED = {"algorithm.student.network": "network"}
"""Keys below which a group stands that has its home elsewhere; Hydra would ask for `network@algorithm...`."""

LONGEST_SWEEP = 1000

_DIRECTORIES = ("run_dir", "resume", "hydra.run.dir", "hydra.sweep.dir")

PLACES = ("hydra.run.dir=", "hydra.output_subdir=")
"""What tells Hydra where to write; a run from Python is written without it."""

_INFINITY = re.compile(
    r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?<![^,\[\](){}:\s])(-?)\.(?:inf|Inf|INF)(?![^,\[\](){}\s])"""
)
"""A quoted text, or else an infinity that stands alone or in a list, a mapping or a sweep."""

_RESERVED = {
    "hydra.mode": "-m asks for several runs",
    "hydra.output_subdir": "what reads or resumes a run looks for .hydra",
    "hydra.job.chdir": "paths are meant from where the command was typed",
}


def parse(text: str) -> Override:
    """Read an override as Hydra does.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except HydraException as error:
        raise explain(error, [text]) from error


def quote(text: str) -> str:
    """As a value that Hydra's grammar takes literally: it takes back a backslash only in front of a quote."""
    escaped = re.sub(r"(\\*)'", r"\1\1\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def quoted_path(override: str) -> str:
    """Make what the shell hands over for `run_dir` and `resume` one value to Hydra, whatever characters it holds."""
    match = re.fullmatch(r"(\+{0,2}(?:run_dir|resume))=(.+)", override, re.S)
    if match is None or match[2] == "null" or re.fullmatch(r"'.*'|\".*\"", match[2], re.S):
        return override
    return f"{match[1]}={quote(str(Path(match[2]).expanduser()))}"


def plain_values(overrides: Sequence[str]) -> dict[str, object]:
    """Plain values by key; sweeps are left out."""
    parsed = [parse(override) for override in overrides]
    return {o.key_or_group: o.value() for o in parsed if not o.is_sweep_override() and not o.is_delete()}


def place(override: Override) -> tuple[str, str | None]:
    """What an override sets: one group can stand in several packages."""
    return override.key_or_group, override.package


def shorthand(override: str, overrides: Sequence[str] = ()) -> str:
    """Spell an override the way Hydra wants it; `overrides` say where groups are looked for."""
    match = re.fullmatch(r"(\+{0,2}|~)([\w.]+)(=.*)?", override, re.S)
    if match is None:
        return override
    prefix, key, value = match.groups()
    if not prefix and f"{key}.".startswith(OPEN):
        return f"++{override}"
    if key in PLACED:
        return f"{prefix}{PLACED[key]}@{override.removeprefix(prefix)}"
    group = key.replace(".", "/")
    return f"{prefix}{group}{value or ''}" if "." in key and group_options(group, overrides) else override


def with_search_path(overrides: Sequence[str], directory: str | None) -> list[str]:
    """The overrides with one entry for every place where configurations are looked for; Hydra heeds the first."""
    if directory is not None and not Path(directory).expanduser().is_dir():
        raise ConfigurationError(f"--config-dir {directory} is not a directory.")
    listed = [text for text in overrides if text.startswith("hydra.searchpath=")]
    places = [place for text in listed for place in _searched(text)] + ([directory] if directory is not None else [])
    own = [text for text in overrides if text not in listed]
    found = dict.fromkeys(quote(location(place)) for place in places)
    return [*own, f"hydra.searchpath=[{','.join(found)}]"] if found else own


def _searched(text: str) -> list[str]:
    places = parse(text).value()
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise ConfigurationError(f"{text} must be a list of directories, such as hydra.searchpath=['conf'].")
    return places


def expand_home(text: str) -> str:
    """`run_dir=~/x` as a shell would have it, also in a sweep; Hydra's grammar knows no `~`."""

    def expanded(path: re.Match[str]) -> str:
        return quote(str(Path(path[0]).expanduser()))

    key, separator, value = text.partition("=")
    if key in _DIRECTORIES and re.fullmatch(r"(['\"])~.*\1", value):
        value = value[1:-1]
    return key + separator + re.sub(r"(?:^|(?<=,))~[^,'\"\[\](){}]*", expanded, value)


def plain_infinities(override: str) -> str:
    """`.inf`, as YAML and `--help` have it, the way Hydra's grammar does: `inf`; what is quoted stays text."""
    key, separator, value = override.partition("=")
    return key + separator + _INFINITY.sub(lambda found: found[1] or f"{found[2]}inf", value)


def make_absolute(text: str, keys: Iterable[str]) -> str:
    """The override with an absolute path, where its key is among `keys`; of a sweep, each path."""
    override = parse(text)
    if override.key_or_group not in keys or override.is_delete():
        return text
    paths = list(override.sweep_string_iterator()) if override.is_sweep_override() else [text.partition("=")[2]]
    values = [parse(f"x={path}").value() for path in paths]
    known = [
        quote(str(absolute(value))) if isinstance(value, str) and value else path
        for path, value in zip(paths, values, strict=True)
    ]
    return f"{text.partition('=')[0]}={','.join(known)}"


def absolute(path: str) -> Path:
    """From the working directory, or from a home."""
    return Path(path).expanduser().absolute()


def check_overrides(overrides: Sequence[str]) -> None:
    """Raise where Hydra would do something else than what was meant."""
    seen: dict[tuple[str, str | None], str] = {}
    for text in overrides:
        override = parse(text)
        key = override.key_or_group
        if not key:
            raise ConfigurationError(f"{text!r} cannot be read; write key=value.")
        if key in _RESERVED:
            raise ConfigurationError(f"{key} cannot be set: {_RESERVED[key]}.")
        if override.is_hydra_override() and override.is_sweep_override():
            raise ConfigurationError(f"{text} cannot be swept over: it places or shows the runs.")
        if key in _DIRECTORIES and key.startswith("hydra.") and not override.is_delete():
            check_directory(key, override.value())
        if override.is_interval_sweep():
            raise ConfigurationError(f"{text} names no values to run: list them, or give a range(start, stop, step).")
        earlier = seen.setdefault(place(override), text)  # of values the last one holds, as anywhere in a shell
        if earlier is not text and group_options(key, overrides):
            raise ConfigurationError(f"{key} is chosen twice, by {earlier} and {text}: leave one of them out.")
        if key.rpartition(".")[2] == "_target_" and not override.is_add():
            find_target(key, str(override.value()))
            what = key.removesuffix("._target_")
            raise ConfigurationError(
                f"{key} cannot be changed, for it decides what the other keys mean; choose another {what}=, or write a "
                "YAML of your own (docs/architecture.md, Adding things)."
            )


def expand_glob(text: str, overrides: Sequence[str]) -> str:
    """`env=glob(h*)` with the names spelled out: Hydra would look for them in its first directory alone."""
    override = parse(text)
    if override.value_type != ValueType.GLOB_CHOICE_SWEEP:
        return text
    names = override.value().filter(group_options(override.key_or_group, overrides))  # type: ignore[union-attr]
    if not names:
        raise ConfigurationError(f"{text} matches no configuration of a group {override.key_or_group!r}.")
    return f"{text.partition('=')[0]}={','.join(names)}" if len(names) > 1 else f"{text.partition('=')[0]}={names[0]}"


def deferred(overrides: Sequence[str]) -> list[str]:
    """The overrides of a sweep, as Hydra has to be given them: a key that only what is swept over has is a sweep, too.

    Before its first job Hydra composes the sweep itself, with all that is not swept over: of `algorithm=spmd,ppo
    algorithm.num_steps=64` the second, which its default for the first need not know. A sweep of one value waits.
    """
    keys = [override.key_or_group for override in map(parse, overrides) if override.is_sweep_override()]
    swept = {_top(key) for key in keys if group_options(key, overrides)}

    def told(text: str) -> str:
        override, (key, separator, value) = parse(text), text.partition("=")
        own = override.is_sweep_override() or override.is_delete() or override.is_hydra_override()
        top = _top(override.key_or_group)
        below = top != override.key_or_group and not {top, "experiment"}.isdisjoint(swept)
        return f"{key}{separator}choice({value})" if below and not own and value else text

    return [told(text) for text in overrides]


def _top(key: str) -> str:
    return re.split(r"[./]", key)[0]


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Every value of every sweep once, beside the first value of the others: the sum of the sizes, not the product."""
    plain, sweeps = [], []
    for text in overrides:
        override = parse(text)
        if override.is_sweep_override():
            sweeps.append([f"{text.partition('=')[0]}={value}" for value in _swept(text, override)])
        else:
            plain.append(text)
    first = [choices[0] for choices in sweeps]
    found = [plain + first]
    for index, choices in enumerate(sweeps):
        found += [plain + first[:index] + [choice] + first[index + 1 :] for choice in choices[1:]]
    return found


def _swept(text: str, override: Override) -> list[str]:
    try:
        values = list(islice(override.sweep_string_iterator(), LONGEST_SWEEP + 1))
    except (HydraException, ValueError, ArithmeticError) as error:  # such as a step of 0
        raise ConfigurationError(f"{text} cannot be run: {str(error).splitlines()[0]}.") from error
    if not values:
        raise ConfigurationError(f"{text} holds no value to run.")
    if len(values) > LONGEST_SWEEP:
        raise ConfigurationError(f"{text} asks for more than {LONGEST_SWEEP} runs; run them in several sweeps.")
    return values
