"""What can be set about Cassie's task, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass

from l2t.config import check_range, hold_interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class CommandConfig:
    """What the robot is asked to do; intervals are drawn from uniformly.

    Attributes:
        forward, lateral: velocity in the robot's heading frame in m/s, x forward and y to the left.
        turn: rate of the heading in rad/s.
        stand: probability of the command to stand still.
        duration: until the next command, in seconds.
        acceleration: how fast what is asked for changes, in m/s² and rad/s²; inf lets it jump.
    """

    forward: Interval = (-0.3, 1.5)
    lateral: Interval = (-0.3, 0.3)
    turn: Interval = (-0.4, 0.4)
    stand: float = 0.1
    duration: Interval = (1.0, 5.0)
    acceleration: float = 1.0

    def __post_init__(self) -> None:
        for name in ("forward", "lateral", "turn"):
            hold_interval(f"env.command.{name}", self)
        hold_interval("env.command.duration", self, 0.02)
        check_range("env.command.stand", self.stand, 0.0, 1.0)
        check_range("env.command.acceleration", self.acceleration, 0.0, open_low=True, allow_infinite=True)


@dataclass(frozen=True)
class RandomisationConfig:
    """What differs from episode to episode, drawn uniformly and known to the teacher alone.

    Attributes:
        amount: 0 for the nominal robot, 1 for the whole of each interval; between, intervals shrink to the nominal.
        friction: coefficient of sliding friction of both feet.
        mass: factor on every body's mass and inertia.
        payload: added to the pelvis in kg.
        centre: the pelvis's centre of mass is moved up to so far along each axis, in m.
        damping: factor on the damping of every joint.
        stiffness: factor on the springs.
        gains: factor on the controllers' kp and kd.
        strength: factor on the motors' torque limits.
        encoder_bias: of each encoder up to so much, in rad.
        action_delay, sensor_delay: probability that all actions, or all that the student senses, come a step late.
        repeat: probability that a robot which has fallen meets all of these again as they were, so that what falls at
            once is not met in few steps only.
    """

    amount: float = 1.0
    friction: Interval = (0.4, 1.2)
    mass: Interval = (0.8, 1.2)
    payload: Interval = (-1.0, 3.0)
    centre: float = 0.02
    damping: Interval = (0.5, 2.5)
    stiffness: Interval = (0.8, 1.2)
    gains: Interval = (0.9, 1.1)
    strength: Interval = (0.9, 1.0)
    encoder_bias: float = 0.02
    action_delay: float = 0.5
    sensor_delay: float = 0.5
    repeat: float = 0.0

    def __post_init__(self) -> None:
        check_range("env.randomisation.amount", self.amount, 0.0, 1.0)
        for name in ("friction", "mass", "damping", "stiffness", "gains", "strength"):
            hold_interval(f"env.randomisation.{name}", self, 0.01)
        hold_interval("env.randomisation.payload", self, -9.0)
        for name, high in (
            ("centre", 0.1),
            ("encoder_bias", 0.5),
            ("action_delay", 1.0),
            ("sensor_delay", 1.0),
            ("repeat", 1.0),
        ):
            check_range(f"env.randomisation.{name}", getattr(self, name), 0.0, high)


@dataclass(frozen=True)
class NoiseConfig:
    """Standard deviations of the student's sensors, fresh at each step.

    Attributes:
        gravity: of the direction of gravity, a unit vector.
        gyro: rad/s.
        position, velocity: of encoders, rad and rad/s.
        heading: rad.
    """

    gravity: float = 0.03
    gyro: float = 0.1
    position: float = 0.01
    velocity: float = 0.1
    heading: float = 0.02

    def __post_init__(self) -> None:
        for name in ("gravity", "gyro", "position", "velocity", "heading"):
            check_range(f"env.noise.{name}", getattr(self, name), 0.0)


@dataclass(frozen=True)
class RewardTermsConfig:
    """Weights of the reward terms, of which each lies in [0, 1]; see `envs.cassie.rewards`."""

    forward: float = 0.2
    lateral: float = 0.1
    turn: float = 0.05
    orientation: float = 0.15
    swing: float = 0.2
    stance: float = 0.2
    acceleration: float = 0.04
    smoothness: float = 0.03
    torque: float = 0.03

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            check_range(f"env.rewards.{name}", getattr(self, name), 0.0)
