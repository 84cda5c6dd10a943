"""The task: walk as commanded, on any terrain, without falling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from envs.cassie import commands, dynamics, gait, mirror, observation, rewards
from envs.cassie.figures import FOOT_RADIUS, PELVIS
from envs.cassie.information import information
from envs.cassie.memory import CassieMemory
from envs.cassie.model import FEET, GROUND_GEOMS
from envs.cassie.pose import standing_pose
from envs.cassie.quantities import measure
from envs.cassie.rotations import turned, yaw_of
from envs.cassie.scene import scene_of
from envs.cassie.sensors import columns
from envs.cassie.settings import CommandConfig, NoiseConfig, RandomisationConfig, RewardTermsConfig
from envs.cassie.student import sensed_along, turned_along
from envs.cassie.terrain import curriculum
from envs.cassie.terrain.config import KINDS, CurriculumConfig, TerrainConfig
from envs.cassie.terrain.contact import contact_planes
from envs.cassie.terrain.motion import ground_motion
from envs.cassie.terrain.terrain import Terrain
from envs.cassie.terrain.terrain import draw as draw_terrain
from envs.mujoco import pushes
from envs.mujoco.task import Ended, Metrics, Start, Surroundings, Transition
from envs.physics.base import PhysicsState, Reads
from envs.push import PushConfig
from l2t.rl.keys import aside
from l2t.rl.types import Observation, cut_off

LOWEST = {"flat": 0.65, "slope": 0.65, "stairs": 0.5, "uneven": 0.65, "moving": 0.65}
"""Height in m of the pelvis over the ground, by terrain, below which the robot has fallen."""
STEEPEST = {"flat": 20.0, "slope": 35.0, "stairs": 35.0, "uneven": 35.0, "moving": 35.0}
"""Tilt of the pelvis in degrees, by terrain, beyond which the robot has fallen."""
LOWEST_HEEL = 0.08
FASTEST = 60.0
"""Of any joint, rad/s."""
ENDINGS = ("low", "tilted", "heel", "fast")
"""How an episode may end: below `LOWEST`, beyond `STEEPEST`, a heel below `LOWEST_HEEL`, or beyond `FASTEST`."""


@dataclass(frozen=True)
class Cassie:
    """See `envs.cassie.config.CassieConfig` for the fields."""

    terrain: TerrainConfig = TerrainConfig("flat")
    difficulty: float = 0.5
    curriculum: bool = False
    progress: CurriculumConfig = CurriculumConfig()
    prior: str = "stepping"
    reach: float = 0.5
    mirrored: bool = True
    command: CommandConfig = CommandConfig()
    randomisation: RandomisationConfig = RandomisationConfig()
    push: PushConfig = PushConfig()
    noise: NoiseConfig = NoiseConfig()
    rewards: RewardTermsConfig = RewardTermsConfig()
    start_speed: float = 0.5
    start_scatter: float = 0.0
    episode_length: int = 1000
    substeps: int = 8
    xml: str = ""
    reads: Reads = field(default=Reads(("qpos", "qvel", "qacc", "sensordata", "actuator_force"), precise=("qpos",)))

    def start(self, key: Key[Array, ""], model: mujoco.MjModel) -> Start:
        """Standing, on level ground, at up to `start_speed` in the commanded direction."""
        keys = jax.random.split(key, 6)
        drawn = dynamics.draw(keys[1], self.randomisation)
        return self._start(keys, jnp.asarray(self.difficulty, jnp.float32), drawn, model)

    def restart(self, key: Key[Array, ""], ended: Ended, model: mujoco.MjModel) -> Start:
        """On the terrain that the curriculum gives after such an episode, and perhaps with the same dynamics."""
        memory: CassieMemory = ended.memory
        difficulty, kind = memory.terrain.difficulty, None
        if self.curriculum:
            kind = memory.terrain.kind  # what is learnt on easy ground does not make the stairs higher
            tracked = jnp.where(memory.asked > 0.5, memory.walked / jnp.maximum(memory.asked, 0.5), 1.0)
            # One whose clock began late has survived, too, when it comes to its time limit, unless it falls there.
            lasted = (memory.steps - ended.terminated) / self.episode_length
            survived = jnp.where(cut_off(ended.terminated, ended.truncated), 1.0, lasted)
            difficulty = curriculum.update(aside(key), self.progress, difficulty, survived, tracked)
        keys = jax.random.split(key, 6)
        drawn = dynamics.redraw(keys[1], self.randomisation, memory.dynamics, ended.terminated)
        return self._start(keys, difficulty, drawn, model, kind)

    def _start(
        self,
        keys: Key[Array, "6"],
        difficulty: Float[Array, ""],
        drawn: dynamics.Dynamics,
        model: mujoco.MjModel,
        kind: Int[Array, ""] | None = None,
    ) -> Start:
        pose = standing_pose()
        command = commands.draw(keys[0], self.command)
        phase, share = jax.random.uniform(keys[2], (2,))
        # Who begins by standing will begin to walk with a whole step.
        phase = jnp.where(command.stepping > 0.0, phase, 0.5 * jnp.floor(2.0 * phase))
        along = jnp.clip(command.velocity[:2], -1.0, 1.0)
        velocity = self.start_speed * share * along
        if self.start_scatter > 0.0:
            velocity += self.start_scatter * jax.random.normal(aside(keys[2]), (2,))
        qvel = jnp.zeros(model.nv).at[:2].set(velocity)
        memory = CassieMemory(
            steps=jnp.zeros((), jnp.int32),
            phase=phase,
            command=command,
            push=pushes.draw(keys[3], self.push),
            dynamics=drawn,
            terrain=draw_terrain(keys[4], self.terrain, difficulty, kind),
            action=jnp.zeros(10),
            noise=observation.noise(keys[5], self._noise),
            sensed=jnp.zeros(35),
            walked=jnp.zeros(()),
            asked=jnp.zeros(()),
        )
        return Start(jnp.asarray(pose.qpos, jnp.float32), qvel, memory, dynamics.overrides(drawn, model))

    def bounds(self, model: mujoco.MjModel) -> tuple[Float[Array, "10"], Float[Array, "10"]]:
        """[-1, 1] for each motor."""
        limit: Any = np.ones(model.nu)  # of NumPy: a specification may be asked for while a program is traced
        return -limit, limit

    def control(
        self, action: Float[Array, "10"], physics: PhysicsState, memory: CassieMemory, model: mujoco.MjModel
    ) -> Float[Array, "10"]:
        """Targets: standing offset + stepping prior + reach a, within the joints' ranges; a may be a step late."""
        own = self._own(action, memory)
        acting = jnp.where(memory.dynamics.action_delay, memory.action, own)
        target = jnp.asarray(standing_pose().offset, jnp.float32) + self.reach * acting
        if self.prior == "stepping":
            middle = gait.advance(memory.phase, 0.5 * self._duration(model))
            target += gait.prior(middle, memory.command.velocity, memory.command.stepping)
        low, high = jnp.asarray(model.actuator_ctrlrange.T, jnp.float32)
        return jnp.clip(target, low, high)

    def surroundings(self, physics: PhysicsState, memory: CassieMemory, model: mujoco.MjModel) -> Surroundings:
        """The ground under the feet, gravity in its frame, and pushes."""
        duration, fields = self._duration(model), {}
        if self.terrain.kind not in ("flat", "moving"):
            planes = [self._planes(physics, memory.terrain, foot, duration, model) for foot in FEET]
            for name, poses in zip(("geom_pos", "geom_quat"), zip(*planes, strict=True), strict=True):
                nominal = jnp.asarray(getattr(model, name), jnp.float32)
                fields[name] = nominal.at[jnp.array(GROUND_GEOMS)].set(jnp.concatenate(poses))
        if self.terrain.kind in ("moving", "mixed"):
            motion = ground_motion(memory.terrain, (memory.steps + 0.5) * duration)
            fields["opt.gravity"] = jnp.asarray(model.opt.gravity, jnp.float32) - motion.acceleration
        forces = jnp.zeros((model.nbody, 6)).at[model.body(PELVIS.name).id, :3].set(memory.push.acting)
        return Surroundings(fields, forces)

    def _planes(
        self, physics: PhysicsState, terrain: Terrain, foot: tuple[str, str], duration: float, model: mujoco.MjModel
    ) -> tuple[Array, Array]:
        places, data = columns(model), physics["sensordata"]
        centre, velocity = (data[places[f"{foot[0]}-{foot[1]}-{what}"]] for what in ("position", "velocity"))
        plane = contact_planes(terrain, centre, velocity, duration, FOOT_RADIUS)
        return plane.position, plane.orientation

    def advance(self, key: Key[Array, ""], transition: Transition, model: mujoco.MjModel) -> CassieMemory:
        """Clock, command, pushes, and what was done and sensed."""
        memory: CassieMemory = transition.memory
        command_key, push_key, noise_key = jax.random.split(key, 3)
        duration = self._duration(model)
        after = transition.after
        velocity = turned(after["qvel"][:3], -yaw_of(after["qpos"][3:7]))[:2]
        wanted = memory.command.velocity[:2]
        speed = jnp.linalg.norm(wanted)
        onward = gait.advance(memory.phase, duration)
        command = commands.follow(command_key, memory.command, self.command, duration, onward)
        return replace(
            memory,
            steps=memory.steps + 1,
            phase=jnp.where(command.stepping > 0.0, onward, memory.phase),  # of whoever stands the clock stands still
            command=command,
            push=pushes.follow(push_key, memory.push, self.push, duration) if self.push.force[1] else memory.push,
            action=self._own(transition.action, memory),
            noise=observation.noise(noise_key, self._noise),
            sensed=self._sensed(transition.before, memory),
            walked=memory.walked + duration * jnp.dot(velocity, wanted) / jnp.maximum(speed, 1e-6),
            asked=memory.asked + duration * speed,
        )

    def observe(self, physics: PhysicsState, memory: CassieMemory, model: mujoco.MjModel) -> Observation:
        """`teacher` sees everything exactly, `student` what sensors say; both in a mirror for half of each cycle."""
        now = measure(physics, memory.terrain, model)
        known = observation.known(memory)
        motion = ground_motion(memory.terrain, memory.steps * self._duration(model))
        springs = observation.heel_spring_angles(physics["qpos"], model)
        exact = jnp.concatenate(
            [
                observation.sense(physics, memory.command),
                known,
                observation.privileged(now, memory, motion, springs),
            ]
        )
        late = memory.dynamics.sensor_delay & (memory.steps > 0)
        sensed = jnp.where(late, memory.sensed, self._sensed(physics, memory))
        groups = {"teacher": exact, "student": jnp.concatenate([sensed, known])}
        if not self.mirrored:
            return groups
        blocks = {"teacher": observation.TEACHER, "student": observation.STUDENT}
        flipped = self._flipped(memory)
        return {
            name: jnp.where(flipped, observation.reflection(blocks[name])(seen), seen) for name, seen in groups.items()
        }

    def reward_terms(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """See `envs.cassie.rewards`."""
        memory: CassieMemory = transition.memory
        after = gait.advance(memory.phase, self._duration(model))
        moment = rewards.Moment(
            now=measure(transition.after, memory.terrain, model),
            command=memory.command,
            swinging=gait.swinging(after, memory.command.stepping),
            change=self._own(transition.action, memory) - memory.action,
        )
        return rewards.reward_terms(moment, self.rewards)

    def terminated(self, physics: PhysicsState, memory: CassieMemory, model: mujoco.MjModel) -> Bool[Array, ""]:
        """The robot has fallen, is about to, or moves as no robot can: any of the `endings`."""
        return jnp.any(jnp.stack(list(self.endings(physics, memory, model).values())))

    def endings(self, physics: PhysicsState, memory: CassieMemory, model: mujoco.MjModel) -> dict[str, Bool[Array, ""]]:
        """Which criteria of `ENDINGS` a state meets; several may hold at once, and the first two differ by ground."""
        now = measure(physics, memory.terrain, model)
        lowest = jnp.array([LOWEST[kind] for kind in KINDS])[memory.terrain.kind]
        upright = jnp.cos(jnp.deg2rad(jnp.array([STEEPEST[kind] for kind in KINDS])))[memory.terrain.kind]
        stands = (
            now.clearance >= lowest,
            now.up[2] >= upright,
            now.heel_heights.min() >= LOWEST_HEEL,
            jnp.abs(physics["qvel"]).max() <= FASTEST,
        )
        # Not a number compares false, and has fallen.
        return {name: ~held for name, held in zip(ENDINGS, stands, strict=True)}

    def information(self, transition: Transition, model: mujoco.MjModel) -> Metrics:
        """See `envs.cassie.information`."""
        memory: CassieMemory = transition.memory
        now = measure(transition.after, memory.terrain, model)
        endings = self.endings(transition.after, memory, model)
        return information(transition, now, endings, self._duration(model))

    def observation_names(self, model: mujoco.MjModel) -> Mapping[str, tuple[str, ...]]:
        """Of the teacher's coordinates."""
        return {"teacher": observation.names(observation.TEACHER)}

    def action_names(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """Of the motors."""
        return observation.names((observation.of_motors("target"),))

    def student_along(
        self, key: Key[Array, ""], exact: Float[Array, "time n"], first: Bool[Array, " time"]
    ) -> Float[Array, "time student"]:
        """What the student's sensors would have said; see `envs.cassie.student`."""
        return sensed_along(key, exact, first, self.randomisation, self._noise, self.mirrored)

    def undisturbed(self) -> Cassie:
        """Without what is for training only: pushes, and beginnings at any velocity."""
        return replace(self, push=self.push.judging, start_scatter=0.0)

    def turned(self, before: CassieMemory, after: CassieMemory) -> Bool[Array, ""]:
        """Whether the half cycle of the gait has changed, and with it the mirror."""
        return (self._flipped(before) != self._flipped(after)) & self.mirrored

    def turned_along(self, exact: Float[Array, "time n"], first: Bool[Array, " time"]) -> Bool[Array, " time"]:
        """The same along recorded episodes."""
        return turned_along(exact, first) & self.mirrored

    def reflect(self, rows: Float[Array, "*rows student"]) -> Float[Array, "*rows student"]:
        """What the student was shown, in a mirror."""
        return observation.reflection(observation.STUDENT)(rows)

    def reflect_action(self, action: Float[Array, "*rows 10"]) -> Float[Array, "*rows 10"]:
        """Actions in a mirror; policy units are the task's own."""
        return mirror.CONTROL(action)

    def scene(self, memory: CassieMemory) -> mujoco.MjModel:
        """The robot as it looks, on the episode's ground."""
        return scene_of(memory.terrain)

    @cached_property
    def _noise(self) -> np.ndarray:
        scale = self.noise
        joints = [scale.position] * 10 + [observation.SPEED * scale.velocity] * 10
        springs = [scale.position] * 4 + [observation.SPEED * scale.velocity] * 4
        return np.array([scale.gravity] * 3 + [scale.gyro] * 3 + joints + springs + [scale.heading], np.float32)

    def _sensed(self, physics: PhysicsState, memory: CassieMemory) -> Float[Array, "35"]:
        """What the student's sensors say now."""
        exact = observation.sense(physics, memory.command)
        return exact + observation.encoder_bias(memory.dynamics) + memory.noise

    def _flipped(self, memory: CassieMemory) -> Bool[Array, ""]:
        return memory.phase >= 0.5

    def _own(self, action: Float[Array, "10"], memory: CassieMemory) -> Float[Array, "10"]:
        """An action as the robot's own left and right have it."""
        return jnp.where(self._flipped(memory), mirror.CONTROL(action), action) if self.mirrored else action

    def _duration(self, model: mujoco.MjModel) -> float:
        return float(model.opt.timestep) * self.substeps
