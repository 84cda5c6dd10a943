"""A learned reward: a network over what it is asked about, and the normaliser that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rl.models import MLP, ModelState
from l2t.rl.normaliser import Normaliser
from l2t.rl.types import EnvironmentSpec, Transitions

INPUTS = ("state", "state_action", "state_action_next")
"""What a reward can be a function of; `state` is the one that carries over to other dynamics best."""

OUTPUTS = ("bounded", "linear", "softplus")
"""R tanh(y), y, log(1 + e^y)."""


@dataclass(frozen=True)
class RewardModel:
    """r(x) = R tanh(y(x)), y a network of the normalised x; or y itself, or log(1 + e^y); or the mean of several such.

    Smooth activations (tanh, elu) keep Integrated Gradients exact; relu does not.

    Attributes:
        inputs: one of `INPUTS`; the state is an observation group, the action in policy units, and the next state
            what comes after in the average-reward setting.
        group: the observation group.
        observation_size, action_size: lengths of both.
        network: hidden layers.
        output: one of `OUTPUTS`.
        bound: R.
        columns: of the observation, those that are looked at: r(features); none for all of them.
        members: of the mean. Of more than one, weights and normalisers have a leading axis.
    """

    inputs: str
    group: str
    observation_size: int
    action_size: int
    network: NetworkConfig
    output: str = "bounded"
    bound: float = 10.0
    columns: tuple[int, ...] = ()
    members: int = 1

    @classmethod
    def of_task(
        cls,
        spec: EnvironmentSpec,
        inputs: str,
        group: str,
        network: NetworkConfig,
        features: Sequence[str] = (),
        **options: Any,
    ) -> RewardModel:
        """For a task's sizes.

        Args:
            spec: the task.
            inputs, group, network, options: see the class.
            features: names of coordinates of the group, as `named_columns` takes them; none for all.

        Raises:
            ConfigurationError: a name is not there.
        """
        sizes = spec.size_of(group), spec.action_size
        columns = named_columns(spec, group, features)
        return cls(inputs, group, *sizes, network, columns=columns, **options)

    @property
    def size(self) -> int:
        """Length of x."""
        state = len(self.columns) or self.observation_size
        return {
            "state": state,
            "state_action": state + self.action_size,
            "state_action_next": 2 * state + self.action_size,
        }[self.inputs]

    def names(self, spec: EnvironmentSpec) -> tuple[str, ...]:
        """Of the columns of x, as far as the task names them."""
        observed = tuple(spec.observation_names.get(self.group, ())) or _numbered("observation", self.observation_size)
        observed = tuple(observed[column] for column in self.columns) or observed
        acted = tuple(spec.action_names) or _numbered("action", self.action_size)
        following = tuple(f"next {name}" for name in observed)
        return {
            "state": observed,
            "state_action": observed + acted,
            "state_action_next": observed + acted + following,
        }[self.inputs]

    def init(self, key: Key[Array, ""]) -> ModelState:
        """Rewards near zero, and a normaliser that has seen nothing."""
        if self.members > 1:
            return jax.vmap(replace(self, members=1).init)(jax.random.split(key, self.members))
        return ModelState(self._mlp.init(key, jnp.zeros(self.size)), Normaliser.create(self.size))

    def stack(self, steps: Transitions) -> Float[Array, "*batch n"]:
        """x of transitions, raw."""
        parts = [self.looked_at(steps.observation[self.group])]
        if self.inputs != "state":
            # As it is played: what a Gaussian asks for beyond the box would tell it from any expert.
            parts.append(jnp.clip(steps.action, -1.0, 1.0))
        if self.inputs == "state_action_next":
            parts.append(self.looked_at(steps.following[self.group]))
        return jnp.concatenate(parts, axis=-1)

    def looked_at(self, observation: Any) -> Any:
        """The columns of an observation that enter x."""
        return observation[..., np.array(self.columns)] if self.columns else observation

    def apply(self, weights: PyTree, features: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """r of one member at an x that is normalised already, as losses use it."""
        y = self.raw(weights, features)
        if self.output == "bounded":
            return self.bound * jnp.tanh(y)
        return jax.nn.softplus(y) if self.output == "softplus" else y

    def raw(self, weights: PyTree, features: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """y of one member."""
        return jnp.asarray(self._mlp.apply(weights, features))[..., 0]

    def of_inputs(self, state: ModelState, x: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """r at a raw x."""
        if self.members > 1:
            one = replace(self, members=1)
            return jax.vmap(one.of_inputs, in_axes=(0, None))(state, x).mean(axis=0)
        return self.apply(state.weights, state.normaliser(x))

    def __call__(self, state: ModelState, steps: Transitions) -> Float[Array, " *batch"]:
        """r of transitions, whatever they say of their reward."""
        return self.of_inputs(state, self.stack(steps))

    @property
    def _mlp(self) -> MLP:
        return MLP(self.network.hidden, 1, self.network.activation, 0.1)


def named_columns(spec: EnvironmentSpec, group: str, features: Sequence[str]) -> tuple[int, ...]:
    """Columns of an observation group by name.

    Args:
        spec: the task.
        group: the observation group.
        features: names, with or without their units; `*` and `?` stand for any characters and any one.

    Raises:
        ConfigurationError: the task does not name the group's coordinates, or none of them so.
    """
    names = tuple(spec.observation_names.get(group, ()))
    if features and not names:
        raise ConfigurationError(f"{spec.name} does not name what the {group} group shows: leave features out.")
    found: set[int] = set()
    for feature in features:
        # Units stand in brackets, which are a wildcard elsewhere.
        pattern = feature.replace("[", "[[]")
        matches = {i for i, name in enumerate(names) if feature == name or fnmatchcase(name.split(" [")[0], pattern)}
        if not matches:
            raise ConfigurationError(
                f"{spec.name} has no feature {feature!r} in its {group} group; {_told(feature, names, group)}"
            )
        found |= matches
    return tuple(sorted(found))


_MANY = 24
"""So many names can still be read in one message; of more the nearest ones are told."""


def _told(feature: str, names: Sequence[str], group: str) -> str:
    """Which names there are in place of one that is not."""
    word = feature.strip("*? ")
    inside = [name for name in names if word and word in name.split(" [")[0]]
    hint = f" '*{word}*' stands for the {len(inside)} with {word!r} in them." if inside else ""
    if len(names) <= _MANY:
        return f"there are {', '.join(map(repr, names))}.{hint}"
    like = get_close_matches(feature, names, 5, 0.3) or names[:5]
    return (
        f"there are {', '.join(map(repr, like))} and others ({len(names)} in all, spec.observation_names[{group!r}])."
        f"{hint}"
    )


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name} {i}" for i in range(count))
