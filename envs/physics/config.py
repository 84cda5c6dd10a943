"""Which physics engine runs, checked before anything heavy is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from l2t.config import check_choice, check_count, check_flag, check_idle, check_range
from l2t.errors import MissingDependencyError

if TYPE_CHECKING:
    import mujoco

    from envs.physics.base import PhysicsEngine, Reads


_IDLE = {
    "native": ("contacts", "constraints", "allow_cpu"),
    "mjx": ("threads", "contacts", "constraints"),
    "warp": ("threads", "allow_cpu"),
    "auto": ("contacts", "constraints", "allow_cpu"),
}
"""What each engine does not look at."""


@dataclass(frozen=True)
class PhysicsConfig:
    """Choice of engine.

    Attributes:
        engine: `native` (C MuJoCo on the CPU), `mjx` (MuJoCo XLA), `warp` (MuJoCo Warp) or `auto`: `mjx` where JAX sees
            a GPU, `native` otherwise.
        threads: CPU threads of `native`; 0 uses every CPU.
        contacts, constraints: buffer sizes of `warp`: contacts of all environments together, constraints of each.
        allow_cpu: run `mjx` without a GPU, for a smoke test.
    """

    engine: str = "auto"
    threads: int = 0
    contacts: int = 65_536
    constraints: int = 256
    allow_cpu: bool = False

    def __post_init__(self) -> None:
        check_choice("physics.engine", self.engine, ("auto", "native", "mjx", "warp"))
        for name, low, high in (("threads", 0, 1024), ("contacts", 1, 2**31 - 1), ("constraints", 1, 2**31 - 1)):
            check_count(f"physics.{name}", getattr(self, name), low)
            check_range(f"physics.{name}", getattr(self, name), low, high)
        check_flag("physics.allow_cpu", self.allow_cpu)
        if self.engine == "warp" and not (importlib.util.find_spec("warp") and importlib.util.find_spec("mujoco_warp")):
            raise MissingDependencyError(
                "physics=warp needs NVIDIA Warp: install it with `pip install 'l2t[cuda,warp]'`."
            )

    def check_given(self) -> None:
        """Raise where something is set that the engine does not look at.

        A run that is read back is not asked: it may be played on another engine than it was trained on.

        Raises:
            ConfigurationError: a field without effect is not at its default.
        """
        check_idle("physics", self, _IDLE[self.engine], f"physics.engine={self.engine} does not look at it")

    def factory(self) -> Callable[[mujoco.MjModel, Reads], PhysicsEngine]:
        """A function that builds the engine for a model.

        Raises:
            MissingDependencyError: the engine needs a GPU that JAX does not see.
        """
        engine = self.engine
        # C MuJoCo needs no device of JAX's, and asking for them starts its back-ends.
        gpu = engine != "native" and _gpu_visible()
        if engine == "native" or (engine == "auto" and not gpu):
            from envs.physics.native import NativeEngine

            return lambda model, reads: NativeEngine(model, reads, self.threads)
        if engine == "warp":
            if not gpu:
                raise MissingDependencyError(
                    "physics=warp needs an NVIDIA GPU that JAX can see; use physics=native or physics=auto."
                )
            from envs.physics.mjx import MjxEngine

            return lambda model, reads: MjxEngine(model, reads, "warp", self.contacts, self.constraints)
        if not gpu and not self.allow_cpu:
            raise MissingDependencyError(
                "physics=mjx needs a GPU that JAX can see (on a CPU it is 10 to 100 times slower than physics=native). "
                "Use physics=native or physics=auto, or for a smoke test add physics.allow_cpu=true, in Python "
                "physics=PhysicsConfig('mjx', allow_cpu=True) of envs.physics.config."
            )
        from envs.physics.mjx import MjxEngine

        return lambda model, reads: MjxEngine(model, reads)


def _gpu_visible() -> bool:
    import jax

    return any(device.platform == "gpu" for device in jax.devices())
