"""How well a saved policy makes Cassie walk: whether it stays up, follows its commands, and moves like a walker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from l2t.config import check_count
from l2t.errors import ConfigurationError
from l2t.report.study import StudyContext, StudyResult, Table

SKIPPED = 50
"""Steps at the start of an episode, 1 s, that are not judged: the robot has to begin to walk."""

RECOVERED = 150
"""Steps after a push, 3 s, that a robot has to stay up for to have recovered from it."""

EVERYWHERE = ("env.episode_length=1000",)
"""Changes of every case before its own: an episode lasts 20 s, however long those of the training were."""


@dataclass(frozen=True)
class Walking:
    """One saved policy in several cases.

    Attributes:
        policy_run: run directory of the policy.
        cases: changes to the environment, `key=value`, by label.
        name: of the study.
        roles: whose policies; those that the run has.
        episodes: of each case, each with a seed of its own.
    """

    policy_run: str = field(metadata={"path": True})
    cases: Mapping[str, Sequence[str]]
    name: str = "cassie_walking"
    roles: Sequence[str] = ("teacher", "student")
    episodes: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.policy_run, str) or not self.policy_run:
            raise ConfigurationError("study.policy_run is empty; give study.policy_run=<run directory of a policy>.")
        if not self.cases:
            raise ConfigurationError("study.cases must name at least one.")
        check_count("study.episodes", self.episodes, 2)

    def run(self, context: StudyContext) -> StudyResult:
        """Play every case.

        Raises:
            L2TError: the run cannot be read, or its environment is not Cassie's.
        """
        rows, gaits = [], []
        for label, changes in self.cases.items():
            run = context.load_run(self.policy_run, [*EVERYWHERE, *changes])
            if run.environment.spec.name != "cassie":
                raise ConfigurationError(f"{self.policy_run} is a run on {run.environment.spec.name}, not on cassie.")
            for role in (role for role in run.algorithm.roles if role in self.roles):
                context.notice(f"{label}, {role}: {self.episodes} episodes ...")
                seen = played(run, role, self.episodes, context.seed)
                rows.append((label, role, *follows(seen)))
                gaits.append((label, role, *_walks(seen)))
        errors = ("velocity error [m/s]", "heading error [rad]")
        followed = ("case", "role", "survival", *errors, "fall after [s]", "pushes recovered from")
        gait = ("foot clearance [m]", "slip [m/s]", "double support [%]", "flight [%]", "steps / s", "at limit [%]")
        return StudyResult(
            curves=(),
            tables=(
                Table("Following commands", followed, tuple(rows)),
                Table("Gait", ("case", "role", *gait), tuple(gaits)),
            ),
            x_label="",
            y_label="",
            notes=(f"{self.episodes} episodes a row, seed {context.seed}; mean actions.",),
        )


@dataclass(frozen=True)
class Played:
    """What episodes were like, `[episode, time]`; `alive` is false once an episode has ended."""

    alive: Float[ndarray, "episode time"]
    metrics: Mapping[str, Float[ndarray, "episode time"]]
    contacts: Float[ndarray, "episode time 2"]
    fallen: Float[ndarray, " episode"]
    timestep: float


def played(run: Any, role: str, episodes: int, seed: int) -> Played:
    """Play the modes of a run's policy, one episode per instance, to its end."""
    import jax
    import jax.numpy as jnp

    from l2t.rl.vector import scale_action, with_action

    environment, policy = run.environment, run.algorithm.policy(run.state.learnt, role)
    spec = environment.spec

    def step(carry: tuple[Any, ...], time: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        state, action, memory, alive = carry
        memory, distribution = policy.step(
            memory, with_action(state.observation, action), jnp.full(episodes, time == 0)
        )
        action = jnp.clip(distribution.mode(), -1.0, 1.0)
        state = jax.vmap(environment.step)(state, scale_action(spec, action))
        seen = (alive, state.metrics, alive & state.terminated)
        return (state, action, memory, alive & ~state.terminated), seen

    @jax.jit
    def play(key: Any) -> tuple[Any, ...]:
        state = jax.vmap(environment.reset)(jax.random.split(key, episodes))
        start = (state, jnp.zeros((episodes, spec.action_size)), policy.initial(episodes), jnp.ones(episodes, bool))
        return jax.lax.scan(step, start, jnp.arange(spec.episode_length))[1]

    alive, metrics, fallen = jax.device_get(play(jax.random.key(seed)))
    by_episode = {name: np.swapaxes(values, 0, 1) for name, values in metrics.items()}
    contacts = np.stack([by_episode[f"{side}_contact"] for side in ("left", "right")], axis=-1)
    return Played(np.swapaxes(alive, 0, 1), by_episode, contacts, fallen.any(axis=0), spec.timestep)


def follows(seen: Played) -> tuple[str, ...]:
    """Survival, errors, when it falls, and what it recovers from, as the table has them."""
    judged = seen.alive.astype(bool).copy()
    judged[:, :SKIPPED] = False
    ends = seen.alive.sum(axis=1).astype(int) - 1
    survived = ~seen.fallen
    heading = seen.metrics["heading_error"][np.arange(len(ends)), ends]
    falls = seen.timestep * (ends[seen.fallen] + 1)
    return (
        f"{survived.mean():.3f}",
        f"{seen.metrics['velocity_error'][judged].mean():.3f}" if judged.any() else "–",
        f"{heading[survived].mean():.3f}" if survived.any() else "–",
        f"{falls.mean():.1f}" if falls.size else "–",
        _recovers(seen),
    )


def _recovers(seen: Played) -> str:
    """Of pushes that begin 3 s before the time limit or earlier: what share is still up 3 s later, and of how many."""
    alive, pushed = seen.alive.astype(bool), seen.metrics["push"] > 0.0
    begins = (alive & pushed)[:, 1:-RECOVERED] & ~pushed[:, : -RECOVERED - 1]
    if not begins.any():
        return "–"
    return f"{alive[:, 1 + RECOVERED :][begins].mean():.3f} of {begins.sum()}"


def _walks(seen: Played) -> tuple[str, ...]:
    judged = seen.alive.astype(bool).copy()
    judged[:, :SKIPPED] = False
    if not judged.any():
        return ("–",) * 6
    landings = (seen.contacts[:, 1:] > seen.contacts[:, :-1]).any(axis=-1) & judged[:, 1:]
    # The highest point of each second, when a foot has swung once at least.
    height = np.where(judged, seen.metrics["foot_clearance"], 0.0)
    seconds = height.shape[1] // 50
    highest = height[:, : 50 * seconds].reshape(len(height), seconds, 50).max(axis=2)
    whole = judged[:, : 50 * seconds].reshape(len(height), seconds, 50).all(axis=2)
    return (
        f"{highest[whole].mean():.3f}" if whole.any() else "–",
        f"{seen.metrics['slip'][judged].mean():.3f}",
        f"{100 * seen.metrics['double_support'][judged].mean():.1f}",
        f"{100 * seen.metrics['flight'][judged].mean():.1f}",
        f"{landings.sum() / (judged.sum() * seen.timestep):.2f}",
        f"{100 * seen.metrics['saturation'][judged].mean():.2f}",
    )
