"""Checkpoints of a training state: the newest few are kept, and each is complete or absent."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from l2t.config import Default
from l2t.errors import CheckpointError
from l2t.run.files import writing

_FORMAT = 2
_STATE, _BULK = "state", "newest"
"""Parts of a checkpoint: what each keeps, and what only the newest does."""

_KINDS = ("algorithm", "env")
"""What a run is called by."""


class Checkpoints:
    """The checkpoints below one directory.

    Reading leaves the directory as it is, so that a run can be looked at while it trains; only `save` writes.

    The leaves are stored under their index, next to a listing of paths, shapes and types: a state is restored into the
    structure of a freshly built one, and a checkpoint of another configuration is told apart by name.

    Args:
        path: the directory; it is made at the first save.
        keep: how many of the newest to keep; None for all.
        newest_only: path of a part of the state, such as `.transient.store`, that only the newest checkpoint keeps:
            a replay buffer is large. An older one can still be read without it.
    """

    def __init__(self, path: Path, keep: int | None = 3, newest_only: str = "") -> None:
        self.path = Path(path).absolute()
        self._keep = keep
        self._newest_only = newest_only

    def steps(self) -> list[int]:
        """Environment steps of the complete checkpoints, oldest first."""
        if not self.path.is_dir():
            return []
        return sorted(int(child.name) for child in self.path.iterdir() if child.name.isdecimal() and child.is_dir())

    def save(self, step: int, state: PyTree, host: Mapping[str, Any], identity: Mapping[str, str]) -> None:
        """Write a checkpoint; it appears under its name only when it is complete.

        Args:
            step: environment steps so far; the checkpoint's name.
            state: the training state.
            host: counters that live outside it, as JSON.
            identity: what a run must share with this one to read it.
        """
        leaves, listing = jax.device_get(_leaves(state)), _listing(state)
        parts: dict[str, dict[str, Any]] = {_STATE: {}, _BULK: {}}
        for i, (leaf, entry) in enumerate(zip(leaves, listing, strict=True)):
            entry["part"] = _BULK if _within(entry["path"], self._newest_only) else _STATE
            if leaf.size:  # Orbax refuses arrays without elements; their shape says all there is to know.
                parts[entry["part"]][str(i)] = leaf
        record = {
            "format": _FORMAT,
            "host": dict(host),
            "identity": dict(identity),
            "leaves": listing,
            "checksums": {name: _checksum(part) for name, part in parts.items()},
        }
        with writing(self.path), self._manager() as manager:
            if step in manager.all_steps():
                return
            items = {name: ocp.args.StandardSave(part) for name, part in parts.items() if part}
            manager.save(step, args=ocp.args.Composite(**items, record=ocp.args.JsonSave(record)))
            manager.wait_until_finished()
            for older in set(self.steps()) - {step}:
                shutil.rmtree(self.path / str(older) / _BULK, ignore_errors=True)

    def drop(self, unwanted: Callable[[int], bool]) -> None:
        """Remove the checkpoints of the steps that are `unwanted`."""
        for step in filter(unwanted, self.steps()):
            shutil.rmtree(self.path / str(step), ignore_errors=True)

    def restore(
        self, like: PyTree, identity: Mapping[str, str], left_out: str = "", step: int | None = None
    ) -> tuple[PyTree, dict[str, Any]]:
        """The newest checkpoint's state and host-side counters, or those of a step.

        Args:
            like: a state of the same structure, or its `jax.eval_shape`.
            identity: of the run that asks.
            left_out: path of a part that was saved and `like` lacks, such as `.transient`.
            step: which one; None for the newest.

        Raises:
            CheckpointError: there is none, it is damaged, or it belongs to another configuration.
        """
        return self._chosen(step, partial(self._state, like=like, identity=identity, left_out=left_out))

    def host(self, identity: Mapping[str, str], step: int | None = None) -> dict[str, Any]:
        """The newest checkpoint's host-side counters alone, or those of a step; raises as `restore` does."""
        return self._chosen(step, partial(self._record, identity=identity))["host"]

    def _chosen(self, step: int | None, read: Callable[[int], Any]) -> Any:
        """What `read` makes of the checkpoint of a step, or of the newest one."""
        if step is None:
            return self._newest(read)
        if step not in self.steps():
            raise CheckpointError(f"There is no checkpoint of step {step:,} in {self.path}; {told(self.steps())}.")
        try:
            return read(step)
        except CheckpointError:
            raise
        except Exception as error:
            raise self._damaged(step, error) from error

    def _newest(self, read: Callable[[int], Any]) -> Any:
        """What `read` makes of the newest checkpoint; whoever trains may remove it once a newer one is complete."""
        while True:
            steps = self.steps()
            if not steps:
                raise CheckpointError(
                    f"There is no checkpoint in {self.path}: the run stopped before its first one. Start it again."
                )
            try:
                return read(steps[-1])
            except CheckpointError:
                raise
            except Exception as error:
                if self.steps()[-1:] == steps[-1:]:
                    raise self._damaged(steps[-1], error) from error

    def _state(
        self, step: int, like: PyTree, identity: Mapping[str, str], left_out: str
    ) -> tuple[PyTree, dict[str, Any]]:
        record = self._record(step, identity)
        saved = [(str(i), entry) for i, entry in enumerate(record["leaves"]) if not _within(entry["path"], left_out)]
        _check_listing([entry for _, entry in saved], _listing(like), self.path)
        stored: dict[str, Any] = {}
        for name in sorted({entry["part"] for _, entry in saved}):
            if name == _BULK and not (self.path / str(step) / _BULK).is_dir():
                raise CheckpointError(
                    f"{self.path / str(step)} has no replay buffer, which only the newest checkpoint keeps: it can be "
                    "evaluated and rendered, and not resumed."
                )
            part = self._read(step, **{name: ocp.args.StandardRestore()})[name]
            if _checksum(part) != record["checksums"][name]:
                raise ValueError("its checksum does not match")
            stored |= part
        # Arrays without elements are not stored.
        leaves = [
            np.asarray(stored[i]) if i in stored else np.empty(entry["shape"], entry["dtype"]) for i, entry in saved
        ]
        return _rebuild(like, leaves), record["host"]

    def _record(self, step: int, identity: Mapping[str, str]) -> dict[str, Any]:
        record = self._read(step, record=ocp.args.JsonRestore())["record"]
        if not {"format", "host", "identity", "leaves"} <= set(record):
            raise ValueError("its record is incomplete")
        if record["format"] == 1:  # before there were parts
            record["checksums"] = {_STATE: record["checksum"]}
            for entry in record["leaves"]:
                entry["part"] = _STATE
        _check_identity(record["identity"], identity, self.path)
        return record

    def _read(self, step: int, **items: Any) -> Any:
        # Not by a manager: that one removes what another process is writing.
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            return reader.restore(self.path / str(step), args=ocp.args.Composite(**items))

    def _damaged(self, step: int, reason: object) -> CheckpointError:
        detail = (str(reason).strip().splitlines() or [type(reason).__name__])[0][:200]
        older = [other for other in self.steps() if other != step]
        if not older:
            cure = "it is the only one, so start the run again"
        elif (self.path / str(step) / _BULK).is_dir():
            cure = f"without it step {older[-1]} can be evaluated; to train on, start the run again"
        else:
            cure = f"delete it to continue from step {older[-1]}"
        return CheckpointError(f"The checkpoint {self.path / str(step)} is damaged ({detail}); {cure}.")

    def _manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._keep, enable_async_checkpointing=False, create=True, cleanup_tmp_directories=True
        )
        return ocp.CheckpointManager(self.path, options=options)


def dump(path: Path, state: PyTree) -> None:
    """Write a state's leaves to `path` as one `.npz`, named by their place in the state, for a post-mortem."""
    names = [entry["path"] for entry in _listing(state)]
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **dict(zip(names, jax.device_get(_leaves(state)), strict=True)))


def told(steps: Sequence[int]) -> str:
    """In words, which checkpoints there are."""
    return f"there are those of {', '.join(f'{step:,}' for step in steps)}" if steps else "there is none"


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _leaves(state: PyTree) -> list[Any]:
    """The leaves, with typed keys as the integers behind them."""
    return [_key_data(leaf) if _is_key(leaf) else leaf for leaf in jax.tree.leaves(state)]


def _key_data(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.eval_shape(jax.random.key_data, leaf)
    return jax.random.key_data(leaf)


def _key_implementation(leaf: Any) -> Any:
    found = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), leaf)
    return found[0]


def _rebuild(like: PyTree, leaves: list[np.ndarray]) -> PyTree:
    def rebuild(target: Any, leaf: np.ndarray) -> jax.Array:
        array = jnp.asarray(leaf)
        return jax.random.wrap_key_data(array, impl=_key_implementation(target)) if _is_key(target) else array

    targets, structure = jax.tree.flatten(like)
    return structure.unflatten([rebuild(target, leaf) for target, leaf in zip(targets, leaves, strict=True)])


def _listing(state: PyTree) -> list[dict[str, Any]]:
    paths = jax.tree_util.tree_leaves_with_path(state)
    return [
        {"path": jax.tree_util.keystr(path), "shape": list(leaf.shape), "dtype": str(leaf.dtype)}
        for path, leaf in paths
    ]


def _checksum(part: Mapping[str, Any]) -> int:
    """Of the arrays, in the order of their indices."""
    total = 0
    for index in sorted(part, key=int):
        total = zlib.crc32(np.ascontiguousarray(part[index]).data, total)
    return total


def _within(path: str, part: str) -> bool:
    """Whether a leaf's path is that of a part of the state, or below it."""
    return bool(part) and path.startswith(part)


def _check_identity(saved: Mapping[str, str], wanted: Mapping[str, str], path: Path) -> None:
    # A field that came later, and that nobody has set, is as it was.
    old = {key: value for key, value in wanted.items() if isinstance(value, Default)} | dict(saved)
    different = [key for key in sorted({*old, *wanted}) if old.get(key) != wanted.get(key)]
    # Of another algorithm or task nearly everything differs: the name says it all.
    kind = [key for key in _KINDS if key in different]
    if kind:
        cure = "For another task begin a new run"
        if kind == ["algorithm"]:
            cure = f"start_from={path.parent} begins a new run with those networks"
        told = "; ".join(f"{key} was {old.get(key)}, now {wanted.get(key)}" for key in kind)
        raise CheckpointError(f"The checkpoints in {path} belong to another configuration: {told}. {cure}.")
    if different:
        listed = "; ".join(f"{key} was {old.get(key)}, now {wanted.get(key)}" for key in different)
        raise CheckpointError(
            f"The checkpoints in {path} belong to another configuration: {listed}. Resume with what the run was "
            f"started with, or begin a new one with its networks: start_from={path.parent}."
        )


def _check_listing(saved: list[dict[str, Any]], wanted: list[dict[str, Any]], path: Path) -> None:
    old = {entry["path"]: (entry["shape"], entry["dtype"]) for entry in saved}
    new = {entry["path"]: (entry["shape"], entry["dtype"]) for entry in wanted}
    if list(old.items()) == list(new.items()):
        return
    name = next((key for key in [*new, *old] if old.get(key) != new.get(key)), "the order of its parts")
    raise CheckpointError(
        f"The checkpoints in {path} belong to another configuration: {name} was {_describe(old.get(name))}, "
        f"now {_describe(new.get(name))}. Leave what decides on such shapes as the run was started with."
    )


def _describe(entry: tuple[list[int], str] | None) -> str:
    return "absent" if entry is None else f"{entry[1]}{entry[0]}"
