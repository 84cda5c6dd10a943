"""What a learner learns from, fresh steps or a ring of those that are remembered, and whether memory holds the ring."""

from __future__ import annotations

from algorithms.config import TeacherConfig
from algorithms.inverse.config import InverseConfig
from algorithms.replay.config import ReplayConfig
from algorithms.teaching.config import StudentConfig
from l2t.errors import ConfigurationError
from l2t.rl.algorithm import BuildContext
from l2t.rl.experience import Experience, Fresh
from l2t.rl.replay import Replay
from l2t.rl.reward import TaskReward
from l2t.runtime import free_memory


def experience_of(config: TeacherConfig, context: BuildContext, path: str = "algorithm") -> Experience:
    """What the configuration's learner learns from; `path` is where the configuration is on the command line."""
    if isinstance(config, InverseConfig):
        return experience_of(config.optimizer, context, f"{path}.optimizer")
    if not isinstance(config, ReplayConfig):
        return Fresh()
    groups = tuple(dict.fromkeys((config.observation, *context.reward.groups)))
    ring = Replay(config.buffer_size, config.updates(context.num_envs), config.batch_size, groups, config.n_step)
    check_memory(ring, config.num_steps, context, f"{path}.buffer_size")
    return ring


def memories_of(config: StudentConfig, labelled_on: str, num_steps: int, context: BuildContext) -> Experience:
    """What a student learns from again; a learned reward looks at it too, as at all that is replayed."""
    paid = not isinstance(context.reward, TaskReward)
    groups = tuple(dict.fromkeys((labelled_on, "student", *context.reward.groups)))
    ring = Replay(config.replay, config.replay_updates, config.replay_batch_size, groups, following=paid)
    check_memory(ring, num_steps, context, "algorithm.student.replay")
    return ring


def check_memory(ring: Replay, num_steps: int, context: BuildContext, name: str = "algorithm.buffer_size") -> None:
    """Raise where a run that trains has no room for a ring, filled by `num_steps` of each environment at a time."""
    if not context.trains:
        return
    steps, seeds = ring.capacity, context.num_seeds
    taken, free = ring.bytes(context.environment.spec, num_steps, context.num_envs), free_memory()
    if taken * seeds > free:
        each = taken // steps
        times = f" for each of {seeds} seeds" if seeds > 1 else ""
        fits = max(1, int(0.5 * free) // (each * seeds))
        raise ConfigurationError(
            f"{name}={steps:,} steps of {each} bytes{times} take {taken * seeds / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free; half of that holds {name}={fits}."
        )
