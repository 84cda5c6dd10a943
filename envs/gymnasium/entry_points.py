"""What the registered ids call: `single_hopper`, `vector_hopper`, `tabular_garnet` and so on, made when asked for.

Each is bound to its task or family. Were that a keyword argument of the registration, `make("l2t/Hopper-v5",
task="walker2d")` would be a walker that is called Hopper.
"""

from __future__ import annotations

from functools import partial
from typing import Any


def __getattr__(name: str) -> Any:
    face, _, subject = name.partition("_")
    if face == "tabular":
        from envs.gymnasium.tabular import TabularEnvironment, make_tabular

        return _bind(make_tabular, subject, TabularEnvironment.metadata)
    if face == "single":
        from envs.gymnasium.single import SingleEnvironment

        return _bind(SingleEnvironment, subject, SingleEnvironment.metadata)
    if face == "vector":
        from envs.gymnasium.vector import VectorizedEnvironment

        return _bind(VectorizedEnvironment, subject, VectorizedEnvironment.metadata)
    raise AttributeError(name)


def _bind(make: Any, subject: str, metadata: dict[str, Any]) -> Any:
    bound: Any = partial(make, subject)
    # Gymnasium looks here for the render modes, and puts a wrapper around for those that it can make of them.
    bound.metadata = metadata
    return bound
