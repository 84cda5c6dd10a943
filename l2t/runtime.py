"""Process-wide JAX settings, made once before anything is compiled."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jax
import psutil

from l2t.errors import ConfigurationError, MissingDependencyError

PACKAGES = ("l2t", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "mujoco", "mujoco-mjx", "gymnasium", "numpy")

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may take."""

REFUSED = {
    "jax_enable_x64": "states and programs are in 32 bits",
    "jax_debug_nans": "NaN marks what has no value yet, and losses are watched anyway",
    "jax_debug_infs": "infinity marks what has no bound, and losses are watched anyway",
}
"""Switches of JAX under which nothing here runs, and why."""


def configure() -> dict[str, str]:
    """Set JAX up and return the versions and settings that a result depends on.

    Raises:
        ConfigurationError: a switch of JAX is on under which nothing here runs.
        MissingDependencyError: JAX finds no device, as where `JAX_PLATFORMS` names a platform that is absent.
    """
    for name, reason in REFUSED.items():
        if jax.config.values[name]:
            raise ConfigurationError(f"{name.upper()} is on, but {reason}: run without it.")
    _device()
    cache = cache_directory()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home: compile again each time
        pass
    else:
        if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
            jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # The native engine is called back from inside programs; asynchronous dispatch can deadlock there (jax#25861).
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    # GPUs multiply matrices in TF32 unless told otherwise.
    if _matmul_precision() is None:
        jax.config.update("jax_default_matmul_precision", "highest")
    return versions()


def cache_directory() -> Path:
    """Where compiled programs are kept between processes."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "l2t" / "jax"


def versions() -> dict[str, str]:
    """Package versions, the commit of a checkout that is run in place, device and numeric settings."""
    found = {"python": platform.python_version()}
    if commit := source_commit():
        found["commit"] = commit
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    device = _device()
    kind = platform.processor() or platform.machine() if device.platform == "cpu" else device.device_kind
    found["device"] = f"{device.platform} ({kind}, {jax.device_count()} device(s), {os.cpu_count()} CPUs)"
    found["matmul_precision"] = str(_matmul_precision())
    return found


@cache
def source_commit(folder: Path = Path(__file__).parent) -> str:
    """The Git commit that the sources are of, with `-dirty` where they were changed since; empty where nobody knows."""

    # Neither the repository that a hook of Git is run in, nor the lock that somebody's commit may be waiting for.
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    quiet = elsewhere | {"GIT_OPTIONAL_LOCKS": "0"}

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=quiet).stdout.strip()

    try:
        # A package that was installed may lie within somebody else's repository.
        git("ls-files", "--error-unmatch", "runtime.py")
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return ""


def free_memory() -> int:
    """Bytes that the device can still take; a container's limit counts."""
    device = _device()
    if device.platform != "cpu":
        memory = device.memory_stats() or {}
        if "bytes_limit" in memory:
            return memory["bytes_limit"] - memory["bytes_in_use"]
    free = psutil.virtual_memory().available
    limited = container_memory()
    return free if limited is None else min(free, limited)


def container_memory(root: Path = CGROUP) -> int | None:
    """Bytes that a container's limit leaves; None without one.

    Pages of files that nobody has read of late count as used there, and are given up as soon as memory is wanted: a
    container that has read its data sets would seem full.

    Args:
        root: of the control groups, of version 2 or 1.
    """
    v1 = root / "memory"
    for limit, used, statistics, inactive in (
        (root / "memory.max", root / "memory.current", root / "memory.stat", "inactive_file"),
        (v1 / "memory.limit_in_bytes", v1 / "memory.usage_in_bytes", v1 / "memory.stat", "total_inactive_file"),
    ):
        try:
            left = int(limit.read_text()) - int(used.read_text())
        except (OSError, ValueError):  # another version, no container, or one without a limit
            continue
        return left + _statistic(statistics, inactive)
    return None


def _statistic(file: Path, name: str) -> int:
    """A number of `memory.stat`; 0 where it does not tell."""
    try:
        lines = dict(line.split() for line in file.read_text().splitlines())
        return int(lines.get(name, 0))
    except (OSError, ValueError):
        return 0


def _device() -> Any:
    try:
        return jax.devices()[0]
    except (RuntimeError, AssertionError) as error:
        chosen = jax.config.values["jax_platforms"]
        reason = (str(error).strip().splitlines() or ["it is not installed"])[0]
        raise MissingDependencyError(
            f"JAX finds no device on the platform {chosen!r} ({reason}). Unset JAX_PLATFORMS to use what there is."
        ) from error


def _matmul_precision() -> str | None:
    return jax.config.values["jax_default_matmul_precision"]
