"""Probe environments: so small that the right answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from l2t.rl.types import EnvironmentSpec, EnvironmentState


@dataclass(frozen=True)
class Probe:
    """An environment from three functions of its memory, a small vector.

    Attributes:
        start: key -> memory.
        advance: (key, memory, action) -> (memory, reward, terminated).
        student_size: how many leading coordinates of the memory the student sees.
    """

    start: Callable[[Any], Any]
    advance: Callable[[Any, Any, Any], tuple[Any, Any, Any]]
    size: int = 1
    student_size: int = 1
    episode_length: int = 20
    reset_cost: float = 0.0

    @property
    def spec(self) -> EnvironmentSpec:
        return EnvironmentSpec(
            name="probe",
            observation_sizes={"teacher": self.size, "student": self.student_size},
            action_low=(-2.0,),
            action_high=(2.0,),
            episode_length=self.episode_length,
            reset_cost=self.reset_cost,
        )

    def reset(self, key: Any, needed: Any = True) -> EnvironmentState:
        key, start_key = jax.random.split(key)
        memory = self.start(start_key)
        return EnvironmentState(
            observation=self._groups(memory),
            reward=jnp.zeros(()),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
            metrics={"reward_total": jnp.zeros(())},
            step=jnp.zeros((), jnp.int32),
            key=key,
            extras=memory,
        )

    def step(self, state: EnvironmentState, action: Any) -> EnvironmentState:
        key, step_key = jax.random.split(state.key)
        memory, reward, terminated = self.advance(step_key, state.extras, action[0])
        reward = jnp.asarray(reward, jnp.float32)
        return EnvironmentState(
            observation=self._groups(memory),
            reward=reward,
            terminated=jnp.asarray(terminated, bool),
            truncated=state.step + 1 >= self.episode_length,
            metrics={"reward_total": reward},
            step=state.step + 1,
            key=key,
            extras=memory,
        )

    def as_student(self, key: Any, exact: Any, action: Any, first: Any) -> Any:
        return exact[:, : self.student_size]

    def _groups(self, memory: Any) -> dict[str, Any]:
        return {"teacher": memory, "student": memory[: self.student_size]}


def constant_reward(reward: float = 1.5) -> Probe:
    """Every step pays the same: ρ is that reward, V is constant."""
    return Probe(lambda key: jnp.zeros(1), lambda key, memory, action: (memory, reward, False))


def two_state_cycle() -> Probe:
    """0 -> 1 pays 0, 1 -> 0 pays 2: ρ = 1 and V(1) - V(0) = 1."""
    return Probe(
        lambda key: jnp.zeros(1), lambda key, memory, action: (1.0 - memory, 2.0 * memory[0], False), episode_length=50
    )


def signal_following(reset_cost: float = 0.0) -> Probe:
    """Two fresh signals a step, r = -(a - x - ½y)²: the best action is x + ½y; a student who sees x alone, x."""

    def draw(key: Any) -> Any:
        return jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)

    def advance(key: Any, memory: Any, action: Any) -> tuple[Any, Any, Any]:
        return draw(key), -((action - memory[0] - 0.5 * memory[1]) ** 2), False

    return Probe(draw, advance, size=2, student_size=1, reset_cost=reset_cost)


def delayed_credit() -> Probe:
    """The action is paid for one step later, r_{t+1} = -(a_t - ½)²: needs a critic or a trace; the best action is ½."""

    def advance(key: Any, memory: Any, action: Any) -> tuple[Any, Any, Any]:
        return jnp.array([action]), -((memory[0] - 0.5) ** 2), False

    return Probe(lambda key: jnp.array([0.5]), advance)


def tempting_end(reset_cost: float) -> Probe:
    """A positive action pays 1 and ends the episode, any other pays 0.

    Always ending has ρ = 1 - reset_cost, living has ρ = 0: with a cost above 1 the best policy lives, below it ends.
    """

    def advance(key: Any, memory: Any, action: Any) -> tuple[Any, Any, Any]:
        ends = action > 0.0
        return memory, ends.astype(jnp.float32), ends

    return Probe(lambda key: jnp.ones(1), advance, reset_cost=reset_cost)


def recall(steps: int = 8) -> Probe:
    """A cue in [-1, 1] is shown to the student once, as an episode begins; r = -(a - cue)² at every step.

    The teacher sees (what the student sees, cue). Without a memory the best student scores -(1 - 1/steps)/3 a step.
    """

    def start(key: Any) -> Any:
        cue = jax.random.uniform(key, minval=-1.0, maxval=1.0)
        return jnp.array([cue, cue])

    def advance(key: Any, memory: Any, action: Any) -> tuple[Any, Any, Any]:
        return jnp.array([0.0, memory[1]]), -((action - memory[1]) ** 2), False

    return Probe(start, advance, size=2, student_size=1, episode_length=steps)
