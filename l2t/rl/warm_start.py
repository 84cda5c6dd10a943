"""A run that starts from what another one has learnt: networks and the statistics they go with, nothing else.

Optimisers, step sizes and estimates of the old task start anew; so do demonstrations, learned rewards and whatever is
remembered of episodes under way, and exploration: a policy that has become sure of itself tries too little to learn
another task, and its standard deviation is again that of `network.initial_log_std`. Statistics of observations keep
their weight: a policy knows its inputs by them, and a robot that falls often in the new task would soon be shown
everything as if it lay there. What never changed in the old task, such as a command to walk at 1 m/s, is measured in
its own unit from there: in deviations of nothing the first other value would be a thousand of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from l2t.errors import ConfigurationError
from l2t.rl.normaliser import Normaliser

INHERITED = frozenset(
    {"models", "actor", "critic", "critics", "target", "student", "weights", "normaliser", "features", "theta"}
    | {"log_temperature", "value_mean", "value_scale", "best"}
)
"""Fields of learners' states that describe a policy and its values. A state of other fields lists its own in a class
attribute `inherited`."""


LOG_STD = "log_std"
"""Of a Gaussian policy's weights, those that only say how much it explores."""


@runtime_checkable
class Heirloom(Protocol):
    """A learner's state of which others take over something else than what it goes on with itself."""

    def heirloom(self) -> Self:
        """The state with the policy that is played in the place of the one that learns."""
        ...


@runtime_checkable
class Heir(Protocol):
    """A learner's state that does something else from the start where its networks were inherited."""

    def as_heir(self) -> Self:
        """A fresh state with inherited networks, told so; of leaves that may be shapes alone."""
        ...


class NothingInCommon(ConfigurationError):
    """Two runs' learners are of different kinds, or see different observation groups."""


def inherit(
    fresh: Mapping[str, PyTree], old: Mapping[str, PyTree], roles: Sequence[str] = ()
) -> tuple[dict[str, PyTree], tuple[str, ...]]:
    """The states of learners with the networks of other learners in them.

    Args:
        fresh: states of the run that begins, by role.
        old: states of the run that it starts from, by role.
        roles: that may inherit; none named: all.

    Returns:
        The states, and the roles that inherited something: those of both that are of one kind.

    Raises:
        ConfigurationError: networks of one role differ in shape, or a role that is named is not in both.
        NothingInCommon: no role of one fits the other.
    """
    unknown = [role for role in roles if role not in fresh or role not in old]
    if unknown:
        raise ConfigurationError(
            f"start_roles={_brackets(roles)}: {unknown[0]} is not a role of both runs; this one has "
            f"{_brackets(fresh)}, the one that start_from names has {_brackets(old)}."
        )
    heirs = [role for role in fresh if role in old and (not roles or role in roles)]
    states = {role: _inherit(state, old[role], role) if role in heirs else state for role, state in fresh.items()}
    inherited = tuple(role for role in heirs if states[role] is not fresh[role])
    if not inherited:
        raise NothingInCommon(
            f"start_from names a run whose learners {_brackets(old)} have no network in common with this run's "
            f"{_brackets(fresh)}: start from one of the same algorithm and observation group."
        )
    return states, inherited


def _inherit(fresh: Any, old: Any, path: str) -> Any:
    """`fresh` with what fits of `old`; itself where nothing does."""
    old = old.heirloom() if isinstance(old, Heirloom) else old
    ours, theirs, inherited = _names(fresh), _names(old), _inherited(fresh)
    if not ours & inherited:  # not a learner or a model, but a part of one
        return _of_same_shapes(fresh, old, path)
    if "models" in theirs - ours:  # learners with a critic keep both models there, the others an actor
        return _inherit(fresh, old.models, path)
    if "models" in ours - theirs:
        models = _inherit(fresh.models, old, path)
        return fresh if models is fresh.models else dataclasses.replace(fresh, models=models)
    parts = {
        name: _inherit(getattr(fresh, name), getattr(old, name), f"{path}.{name}")
        for name in sorted(ours & theirs & inherited)
    }
    changed = {name: part for name, part in parts.items() if part is not getattr(fresh, name)}
    if not changed:
        return fresh
    heir = dataclasses.replace(fresh, **changed)
    return heir.as_heir() if isinstance(heir, Heir) else heir


def _inherited(state: Any) -> frozenset[str]:
    return frozenset(getattr(type(state), "inherited", INHERITED))


def _names(state: Any) -> frozenset[str]:
    return frozenset(f.name for f in dataclasses.fields(state)) if dataclasses.is_dataclass(state) else frozenset()


def _of_same_shapes(fresh: PyTree, old: PyTree, path: str) -> PyTree:
    if type(fresh) is not type(old):
        return fresh
    ours, theirs = jax.tree.leaves(fresh), jax.tree.leaves(old)
    shapes, others = [jnp.shape(leaf) for leaf in ours], [jnp.shape(leaf) for leaf in theirs]
    if jax.tree.structure(fresh) != jax.tree.structure(old) or shapes != others:
        raise ConfigurationError(
            f"start_from does not fit: {path} has the shapes {_shapes(shapes)} here and {_shapes(others)} there. Give "
            "this run the network, memory and observations of the other one, name the roles that are to take over what "
            "was learnt (start_roles=[teacher]), or leave start_from out."
        )
    if isinstance(old, Mapping) and LOG_STD in old:
        return {**old, LOG_STD: fresh[LOG_STD]}
    return old.for_another_task() if isinstance(old, Normaliser) else old


def _shapes(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes if shape) or "of nothing"


def _brackets(roles: Iterable[str]) -> str:
    return f"[{', '.join(roles)}]"
