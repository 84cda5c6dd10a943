"""Cassie's configuration, checked before anything heavy is imported."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envs.cassie.settings import CommandConfig, NoiseConfig, RandomisationConfig, RewardTermsConfig
from envs.cassie.terrain.config import CurriculumConfig, TerrainConfig
from envs.config import REWARD, check_parameter, check_reward, within
from envs.physics.config import PhysicsConfig
from envs.push import PushConfig
from l2t.config import MEANING, check_choice, check_count, check_flag, check_idle, check_range
from l2t.errors import ConfigurationError

if TYPE_CHECKING:
    from envs.mujoco.environment import MujocoEnvironment

PRIORS = ("stepping", "none")


@dataclass(frozen=True)
class CassieConfig:
    """Cassie walks as commanded.

    Attributes:
        terrain: kinds of ground; `env.terrain=flat|slope|stairs|uneven|moving|mixed`.
        difficulty: of the terrain, in [0, 1]; where a curriculum begins.
        curriculum: whether difficulty follows success, in every environment by itself; see `progress`.
        progress: how.
        prior: `stepping` adds a stepping motion to the motors' targets, which the policy corrects; `none` does not.
        reach: radians by which an action of 1 moves a motor's target.
        mirrored: whether observation and action are those of the mirrored robot in the second half of each cycle, so
            that a policy has to learn one step instead of two.
        command: what is asked of the robot; `env.command=forward|any`.
        randomisation, push, noise, rewards: see each one's own fields.
        start_speed: an episode begins at up to this share of the commanded velocity.
        start_scatter: standard deviation along each axis [m/s] of what is added to that in training.
        student_stack: how many of the last observations the student sees.
        reset_cost: charge for a fall in the average-reward setting.
        episode_length: time limit in steps of 20 ms.
        reward: directory of a learned reward, or of the run that left it, to train on; empty for the task's own alone.
        reward_weight, task_reward_weight: what the learned and the task's own count for where there is a learned one.
    """

    terrain: TerrainConfig = field(default_factory=lambda: TerrainConfig("flat"))
    difficulty: float = 0.5
    curriculum: bool = False
    progress: CurriculumConfig = field(default_factory=CurriculumConfig)
    prior: str = field(default="stepping", metadata=MEANING)
    reach: float = field(default=0.5, metadata=MEANING)
    mirrored: bool = field(default=True, metadata=MEANING)
    command: CommandConfig = field(default_factory=CommandConfig)
    randomisation: RandomisationConfig = field(default_factory=RandomisationConfig)
    push: PushConfig = field(default_factory=PushConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    rewards: RewardTermsConfig = field(default_factory=RewardTermsConfig)
    start_speed: float = 0.5
    start_scatter: float = 0.0
    student_stack: int = 5
    reset_cost: float = 30.0
    episode_length: int = 1000
    reward: str = field(default="", metadata=REWARD)
    reward_weight: float = 1.0
    task_reward_weight: float = 0.0

    task = "cassie"

    def __post_init__(self) -> None:
        check_range("env.difficulty", self.difficulty, 0.0, 1.0)
        check_choice("env.prior", self.prior, PRIORS)
        check_range("env.reach", self.reach, 0.0, math.pi, open_low=True)
        for name in ("curriculum", "mirrored"):
            check_flag(f"env.{name}", getattr(self, name))
        if self.curriculum and self.terrain.kind == "flat":
            raise ConfigurationError(
                "env.curriculum=true would change nothing: flat ground has no difficulty. Give env.curriculum=false "
                "or another env.terrain."
            )
        check_range("env.start_speed", self.start_speed, 0.0, 1.0)
        check_range("env.start_scatter", self.start_scatter, 0.0, 2.0)
        check_count("env.student_stack", self.student_stack)
        check_range("env.reset_cost", self.reset_cost, 0.0)
        check_parameter("env.episode_length", self.episode_length)
        check_reward(self)

    def check_given(self, names: Iterable[str]) -> None:
        """Raise where a field that somebody set has no effect.

        Args:
            names: of those fields, nested ones too, such as `push.pause`. Others may be left over from an experiment,
                or from a run that is read back.

        Raises:
            ConfigurationError: a field without effect is not at its default.
        """
        names = tuple(names)
        if self.terrain.kind == "flat" and "difficulty" in names:
            check_idle("env", self, ("difficulty",), "flat ground has no difficulty; give another env.terrain")
        if not self.curriculum:
            check_idle("env.progress", self.progress, within("progress", names), "env.curriculum=false")
        self.push.check_given(within("push", names))

    @property
    def name(self) -> str:
        """In run directories and tables."""
        return "cassie"

    def build(self, physics: PhysicsConfig) -> MujocoEnvironment:
        """Put the robot on a physics engine."""
        from envs.cassie.model import cassie_model
        from envs.cassie.task import Cassie
        from envs.mujoco.environment import MujocoEnvironment
        from envs.observation import History, StudentView

        known = {each.name for each in dataclasses.fields(Cassie)}
        task = Cassie(**{name: value for name, value in vars(self).items() if name in known})
        engine = physics.factory()(cassie_model(), task.reads)
        view = StudentView(history=History(self.student_stack))
        return MujocoEnvironment(self.name, task, engine, view, reset_cost=self.reset_cost)
