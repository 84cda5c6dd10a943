"""A learned reward: a network over what it is asked about, and the normaliser that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from l2t.config import NetworkConfig
from l2t.rl.models import MLP, ModelState
from l2t.rl.normaliser import Normaliser
from l2t.rl.types import EnvironmentSpec, Transitions

INPUTS = ("state", "state_action", "state_action_next")
"""What a reward can be a function of; `state` is the one that carries over to other dynamics best."""

OUTPUTS = ("bounded", "linear", "softplus")
"""R tanh(y), y, log(1 + e^y)."""


@dataclass(frozen=True)
class RewardModel:
    """r(x) = R tanh(y(x)), y a network of the normalised x; or y itself, or log(1 + e^y).

    Smooth activations (tanh, elu) keep Integrated Gradients exact; relu does not.

    Attributes:
        inputs: one of `INPUTS`; the state is an observation group, the action in policy units, and the next state
            what comes after in the average-reward setting.
        group: the observation group; a group of named features makes it r(features).
        observation_size, action_size: lengths of both.
        network: hidden layers.
        output: one of `OUTPUTS`.
        bound: R.
    """

    inputs: str
    group: str
    observation_size: int
    action_size: int
    network: NetworkConfig
    output: str = "bounded"
    bound: float = 10.0

    @classmethod
    def of_task(
        cls, spec: EnvironmentSpec, inputs: str, group: str, network: NetworkConfig, **options: Any
    ) -> RewardModel:
        """For a task's sizes."""
        return cls(inputs, group, spec.observation_sizes[group], spec.action_size, network, **options)

    @property
    def size(self) -> int:
        """Length of x."""
        return {
            "state": self.observation_size,
            "state_action": self.observation_size + self.action_size,
            "state_action_next": 2 * self.observation_size + self.action_size,
        }[self.inputs]

    def names(self, spec: EnvironmentSpec) -> tuple[str, ...]:
        """Of the columns of x, as far as the task names them."""
        observed = tuple(spec.observation_names.get(self.group, ())) or _numbered("observation", self.observation_size)
        acted = tuple(spec.action_names) or _numbered("action", self.action_size)
        following = tuple(f"next {name}" for name in observed)
        return {
            "state": observed,
            "state_action": observed + acted,
            "state_action_next": observed + acted + following,
        }[self.inputs]

    def init(self, key: Key[Array, ""]) -> ModelState:
        """Rewards near zero, and a normaliser that has seen nothing."""
        return ModelState(self._mlp.init(key, jnp.zeros(self.size)), Normaliser.create(self.size))

    def stack(self, steps: Transitions) -> Float[Array, "*batch n"]:
        """x of transitions, raw."""
        parts = [steps.observation[self.group]]
        if self.inputs != "state":
            # As it is played: what a Gaussian asks for beyond the box would tell it from any expert.
            parts.append(jnp.clip(steps.action, -1.0, 1.0))
        if self.inputs == "state_action_next":
            parts.append(steps.following[self.group])
        return jnp.concatenate(parts, axis=-1)

    def apply(self, weights: PyTree, features: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """r at an x that is normalised already, as losses use it."""
        y = self.raw(weights, features)
        if self.output == "bounded":
            return self.bound * jnp.tanh(y)
        return jax.nn.softplus(y) if self.output == "softplus" else y

    def raw(self, weights: PyTree, features: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """y."""
        return jnp.asarray(self._mlp.apply(weights, features))[..., 0]

    def of_inputs(self, state: ModelState, x: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """r at a raw x."""
        return self.apply(state.weights, state.normaliser(x))

    def __call__(self, state: ModelState, steps: Transitions) -> Float[Array, " *batch"]:
        """r of transitions, whatever they say of their reward."""
        return self.of_inputs(state, self.stack(steps))

    @property
    def _mlp(self) -> MLP:
        return MLP(self.network.hidden, 1, self.network.activation, 0.1)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name} {i}" for i in range(count))
