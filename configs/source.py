"""Where Hydra finds configurations, and how a YAML comes by the defaults of the dataclass that it names.

A default has one home, the dataclass or function that a YAML names as `_target_`. The YAML says only what differs: what
it leaves out is put in front of it when it is read, so that the command line can set it, `--help` shows it and
`.hydra/config.yaml` keeps it. This holds for our own files, for those beside the studies and for a stranger's
`--config-dir`. `--info defaults-tree` shows the defaults that stand in front of a file `a/b` as `fields/a/b`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource  # reads YAML from a directory
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from configs.record import plain
from l2t.errors import ConfigurationError

_FIELDS = "fields/"
_ONLY_FIELDS = "_fields_"
"""In the place of `_target_`: the defaults of a dataclass without its name, for the root."""


class DataclassSource(FileConfigSource):
    """A directory of YAML files, each filled up with the defaults of what it names as `_target_`."""

    @staticmethod
    def scheme() -> str:
        """Of paths such as `l2t:///home/me/conf`."""
        return "l2t"

    def is_config(self, config_path: str) -> bool:
        """Whether there is such a file; each also has its fields."""
        return super().is_config(config_path.removeprefix(_FIELDS))

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file, or the fields that it does not spell out.

        Raises:
            ConfigurationError: the file cannot be read, or names a target that cannot be imported.
        """
        file = config_path.removeprefix(_FIELDS)
        try:
            result = super().load_config(file)
        except ConfigLoadError:  # Hydra knows what to say of a file that is not there
            raise
        except (OSError, ValueError, YAMLError) as error:
            raise ConfigurationError(
                f"{self.path}/{file}.yaml cannot be read: {' '.join(str(error).split())}"
            ) from error
        if isinstance(result.config, DictConfig):
            written = cast("dict[str, Any]", OmegaConf.to_container(result.config))
            listed = written.get("defaults", ["_self_"])
            if config_path.startswith(_FIELDS):
                result.config = OmegaConf.create(_unfilled(written))
            elif _names_a_target(written) and isinstance(listed, list):
                result.config.pop(_ONLY_FIELDS, None)
                result.config["defaults"] = [f"/{_FIELDS}{config_path}@_here_", *listed]
        return result


class _Configs(SearchPathPlugin):
    """Hydra reads this package, and the directories added to it, as `DataclassSource`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for element in search_path.get_path():
            if element.provider == "main" and element.path == "pkg://configs":
                element.path = location(Path(__file__).parent)
                for directory in _ADDED:
                    search_path.append("l2t", location(directory))


_ADDED: dict[Path, None] = {}


def add_directory(directory: Path) -> None:
    """Let every later composition find the configurations in `directory` too."""
    _ADDED[directory] = None


def location(path: str | Path) -> str:
    """An entry of Hydra's search path, for a directory or for what a user wrote into `hydra.searchpath`.

    Raises:
        ConfigurationError: there is no such directory or package.
    """
    kind, _, rest = str(path).rpartition("://")
    if kind == "pkg":
        try:
            package = importlib.util.find_spec(rest.replace("/", "."))
        except ImportError:
            package = None
        rest = next(iter(package.submodule_search_locations or ()), "") if package else ""
    directory = Path(rest).expanduser().absolute()
    if kind not in ("", "file", "pkg", DataclassSource.scheme()) or not rest or not directory.is_dir():
        raise ConfigurationError(f"{path or 'Nothing'} is not a directory, so no configurations can be found there.")
    return f"{DataclassSource.scheme()}://{directory}"


def group_options(group: str, overrides: Sequence[str] = ()) -> list[str]:
    """The configurations of a group, spelled with slashes, wherever Hydra finds some; empty where it is no group."""
    if not re.fullmatch(r"\w+(/\w+)*", group):
        return []
    search_path = [override for override in overrides if override.startswith("hydra.searchpath=")]
    with hydra_at_hand():
        return GlobalHydra.instance().config_loader().get_group_options(group, overrides=search_path)


def group_choice(group: str, choice: str) -> Any:
    """The configuration that a choice of a group below another one stands for, such as `env/terrain` and `slope`."""
    with hydra_at_hand():
        return OmegaConf.select(compose(f"{group}/{choice}"), group.replace("/", "."))


def hydra_at_hand() -> AbstractContextManager[Any]:
    """That of the job that is running, as of a study, or one for the moment: there can be no second one."""
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    return initialize_config_module("configs", version_base="1.3")


def list_groups_quickly() -> None:
    """For `--help`, which lists over a hundred groups: Hydra would copy its repository for each, a second in all."""
    search = ConfigLoaderImpl.get_group_options

    def options(loader: ConfigLoaderImpl, group_name: str, *arguments: Any, **keywords: Any) -> list[str]:
        if keywords.get("overrides"):  # which may extend the search path
            return search(loader, group_name, *arguments, **keywords)
        wanted = keywords.get("results_filter", arguments[0] if arguments else ObjectType.CONFIG)
        return loader.repository.get_group_options(group_name, wanted)

    ConfigLoaderImpl.get_group_options = options  # pyright: ignore[reportAttributeAccessIssue]


def find_target(place: str, target: str) -> Any:
    """Import what `_target_` names.

    Raises:
        ConfigurationError: it cannot be imported.
    """
    module, _, attribute = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # what a stranger's module does when it is imported can fail in any way
        raise ConfigurationError(
            f"{place}={target} cannot be imported: {error}. Is the package that defines it installed?"
        ) from error


def _names_a_target(written: Mapping[str, Any]) -> bool:
    below = (value for value in written.values() if isinstance(value, Mapping))
    return "_target_" in written or _ONLY_FIELDS in written or any(map(_names_a_target, below))


def _unfilled(config: dict[str, Any]) -> dict[str, Any]:
    """What the targets in a file have by default, nested as the file is, without what its defaults list brings."""
    return _below(config, {}, (), frozenset(_places(config.get("defaults", []))))


def _below(
    written: Mapping[str, Any], inherited: Mapping[str, Any], path: tuple[str, ...], taken: frozenset[tuple[str, ...]]
) -> dict[str, Any]:
    """The defaults for a node of the file; `inherited` are those of the dataclass around it, in this place."""
    target = written.get("_target_", written.get(_ONLY_FIELDS))
    known = isinstance(target, str) and "${" not in target and target != "???"
    found = _defaults(".".join((*path, "_target_")), target) if known else dict(inherited)
    if _ONLY_FIELDS in written:
        found.pop("_target_")
    for name in dict.fromkeys([*found, *written]):
        value, child, place = found.get(name), written.get(name), (*path, name)
        if place in taken:
            found.pop(name, None)
        elif isinstance(child, Mapping) or (isinstance(value, Mapping) and name not in written):
            below = _below(child or {}, value if isinstance(value, Mapping) else {}, place, taken)
            if below or isinstance(value, Mapping):
                found[name] = below
    return found


def _places(defaults: list[Any]) -> Iterator[tuple[str, ...]]:
    """Where the entries of a defaults list go, below the file that holds it."""
    for entry in defaults:
        text = str(next(iter(entry))) if isinstance(entry, dict) else str(entry)
        group, _, package = text.rpartition(" ")[2].partition("@")
        if not package and isinstance(entry, dict) and not group.startswith("/"):
            package = group.replace("/", ".")
        if package and not package.startswith("_"):
            yield tuple(package.split("."))


def _defaults(place: str, target: str) -> dict[str, Any]:
    """The fields of a dataclass, or the parameters of a function, with their defaults; `???` where there is none."""
    called = find_target(place, target)
    if dataclasses.is_dataclass(called):
        values = {field.name: _default(field) for field in dataclasses.fields(called) if field.init}
    else:
        values = {name: "???" if p.default is p.empty else p.default for name, p in _parameters(called).items()}
    return {"_target_": target} | plain(values)


def _parameters(called: Any) -> dict[str, inspect.Parameter]:
    try:
        found = inspect.signature(called).parameters
    except (TypeError, ValueError):  # of some builtins
        return {}
    return {name: p for name, p in found.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "???" if field.default is dataclasses.MISSING else field.default


Plugins.instance().register(_Configs)
Plugins.instance().register(DataclassSource)
