"""What Cassie's task remembers from step to step beside the physics."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Float, Int

from envs.cassie.commands import Command
from envs.cassie.dynamics import Dynamics
from envs.cassie.terrain.terrain import Terrain
from envs.mujoco.pushes import Push


@struct.dataclass
class CassieMemory:
    """One episode's.

    Attributes:
        steps: taken so far.
        phase: of the gait, in [0, 1).
        command: what is asked for.
        push: what shoves.
        dynamics, terrain: drawn once an episode.
        action: the last one, of the robot's own left and right, not mirrored.
        noise: of the student's sensors now.
        sensed: what they said one step ago.
        walked, asked: metres along the commanded direction, and metres that were asked for.
    """

    steps: Int[Array, ""]
    phase: Float[Array, ""]
    command: Command
    push: Push
    dynamics: Dynamics
    terrain: Terrain
    action: Float[Array, "10"]
    noise: Float[Array, " sensed"]
    sensed: Float[Array, " sensed"]
    walked: Float[Array, ""]
    asked: Float[Array, ""]
