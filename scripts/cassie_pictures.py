"""Draw the pictures of Cassie's page: `python scripts/cassie_pictures.py runs/a --out docs/images`.

The five terrains; a strip of one gait cycle; and when which foot is on the ground. With `--commands`, for a policy
that knows any: what it is told in 20 s, and what it does. With `--stairs`, for a policy that knows them: eight seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command_line import exit_code, path_argument

if TYPE_CHECKING:
    import numpy as np

DIFFICULTY = 0.6
"""Of the terrains that are drawn."""

WALK = (
    "env.terrain=flat",
    "env.curriculum=false",
    "env.command.forward=[1,1]",
    "env.command.lateral=[0,0]",
    "env.command.turn=[0,0]",
    "env.command.stand=0",
    "env.push.force=[0,0]",
)
"""1 m/s straight ahead, and nobody pushes."""

FOLLOW = (
    *("env.terrain=flat", "env.curriculum=false", "env.command.stand=0.2"),
    *("env.push.force=[0,0]", "env.episode_length=1000"),
)
"""Any command, told to stand now and then, and nobody pushes."""

CLIMB = (
    *("env.terrain=stairs", "env.difficulty=0.3", "env.curriculum=false"),
    *("env.command=forward", "env.command.forward=[0.5,0.5]", "env.push.force=[0,0]", "env.episode_length=1000"),
)
"""0.5 m/s on stairs of 9 cm."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=path_argument, help="a run on cassie")
    parser.add_argument("--role", default="teacher", help="who walks (default: %(default)s)")
    parser.add_argument("--out", type=path_argument, default=Path(), help="folder (default: here)")
    parser.add_argument("--commands", action="store_true", help="what is told and what is done, and nothing else")
    parser.add_argument("--stairs", action="store_true", help="a walk on stairs, and nothing else")
    options = parser.parse_args(arguments)
    if options.commands and options.stairs:
        parser.error("give one of --commands and --stairs")
    chosen = draw_commands if options.commands else draw_stairs if options.stairs else draw
    return exit_code(lambda: chosen(options.run_dir, options.role, options.out))


def draw(run_dir: Path, role: str, out: Path) -> None:
    """Write `cassie_terrains.png`, `cassie_gait.png` and `cassie_contacts.png`."""
    import numpy as np
    from PIL import Image

    from envs.cassie.gait import PERIOD
    from l2t.runtime import configure

    configure()
    qpos, contacts, phase, timestep, scene = _walk(run_dir, role)
    cycle = len(qpos) // 2 + np.round(np.arange(8) * PERIOD / 8 / timestep).astype(int)  # in the middle of the walk
    out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(terrains()).save(out / "cassie_terrains.png", optimize=True)
    Image.fromarray(_strip(qpos[cycle], scene)).save(out / "cassie_gait.png", optimize=True)
    _contacts(contacts, phase, timestep, out / "cassie_contacts.png")


def draw_commands(run_dir: Path, role: str, out: Path, seed: int = 1) -> None:
    """Write `cassie_commands.png`."""
    import numpy as np

    from l2t.runtime import configure

    configure()

    def see(state: Any, outcome: Any) -> Any:
        command = state.environment.extras["memory"].command.velocity[0]
        velocity = [outcome.metrics[name][0] for name in ("x_velocity", "y_velocity")]
        return command, [*velocity, state.environment.physics["qvel"][0, 5]]

    (told, done), run, _ = _roll(run_dir, role, FOLLOW, 999, see, seed)
    out.mkdir(parents=True, exist_ok=True)
    _followed(told, np.stack(done, axis=1), run.environment.spec.timestep, out / "cassie_commands.png")


def draw_stairs(run_dir: Path, role: str, out: Path, seed: int = 1) -> None:
    """Write `cassie_stairs.png`, a picture a second."""
    from PIL import Image

    from l2t.runtime import configure

    configure()
    qpos, run, extras = _roll(run_dir, role, CLIMB, 400, lambda state, _: state.environment.physics["qpos"][0], seed)
    every = round(1.0 / run.environment.spec.timestep)
    out.mkdir(parents=True, exist_ok=True)
    strip = _strip(qpos[every - 1 :: every], run.environment.scene(extras))
    Image.fromarray(strip).save(out / "cassie_stairs.png", optimize=True)


def terrains(width: int = 360, height: int = 300) -> np.ndarray:
    """The robot in front of each kind of ground, side by side."""
    import jax
    import numpy as np

    from envs.cassie.pose import standing_pose
    from envs.cassie.scene import scene_of
    from envs.cassie.terrain.config import KINDS, TerrainConfig
    from envs.cassie.terrain.terrain import draw as draw_terrain
    from envs.rendering import Renderer
    from l2t.report.film import write_on

    pictures = []
    for kind in KINDS:
        terrain = draw_terrain(jax.random.key(3), TerrainConfig(kind), jax.numpy.asarray(DIFFICULTY))
        renderer = Renderer(scene_of(jax.device_get(terrain)), width, height)
        pictures.append(write_on(renderer.frame(standing_pose().qpos), kind))
        renderer.close()
    return np.concatenate(pictures, axis=1)


def _walk(run_dir: Path, role: str, steps: int = 200) -> tuple[Any, ...]:
    """Positions, contacts and phase of a walk at 1 m/s on flat ground."""
    import numpy as np

    def see(state: Any, outcome: Any) -> Any:
        touching = [outcome.metrics[f"{side}_contact"][0] for side in ("left", "right")]
        return state.environment.physics["qpos"][0], touching, state.environment.extras["memory"].phase[0]

    (qpos, contacts, phase), run, extras = _roll(run_dir, role, WALK, steps, see)
    return qpos, np.array(contacts), phase, run.environment.spec.timestep, run.environment.scene(extras)


def _roll(
    run_dir: Path, role: str, overrides: Sequence[str], steps: int, see: Callable[[Any, Any], Any], seed: int = 0
) -> tuple[Any, Any, Any]:
    """What `see` makes of each step of one robot; the run; and what the robot's first state carried with it."""
    import jax

    from configs.build import read_config
    from configs.loading import load_run
    from l2t.rl.playing import go_on
    from l2t.rl.vector import VectorEnvironment

    run: Any = load_run(run_dir, config=read_config(run_dir, overrides, engine="native"))
    vector, policy = VectorEnvironment(run.environment, 1), run.algorithm.policy(run.state.learnt, role)

    def step(carry: Any, _: Any) -> Any:
        state, memory, outcome = go_on(vector, policy, *carry)
        return (state, memory), see(state, outcome)

    start = vector.init(jax.random.key(seed), staggered=False)
    seen = jax.device_get(jax.jit(lambda s: jax.lax.scan(step, (s, policy.initial(1)), None, steps)[1])(start))
    return seen, run, jax.device_get(jax.tree.map(lambda leaf: leaf[0], start.environment.extras))


def _strip(qpos: np.ndarray, scene: Any) -> np.ndarray:
    """The robot in each of these positions, side by side."""
    import numpy as np

    from envs.rendering import Renderer

    renderer = Renderer(scene, 220, 260)
    strip = np.concatenate([renderer.frame(row) for row in qpos], axis=1)
    renderer.close()
    return strip


def _contacts(contacts: np.ndarray, phase: np.ndarray, timestep: float, file: Path) -> None:
    """Bars where a foot is on the ground, above where the clock says that it should be."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    seconds = timestep * np.arange(len(phase))
    figure, axes = plt.subplots(figsize=(8, 1.9), layout="constrained")
    for index, (side, colour) in enumerate((("left", "#19737f"), ("right", "#f08019"))):
        due = (phase + 0.5 * index) % 1.0 >= 0.5
        axes.fill_between(seconds, index - 0.42, index + 0.42, where=due, color="#dddddd", step="mid", lw=0)
        on = contacts[index] > 0.5
        axes.fill_between(seconds, index - 0.25, index + 0.25, where=on, color=colour, step="mid", lw=0, label=side)
    axes.set(yticks=[0, 1], yticklabels=["left", "right"], xlabel="time [s]", xlim=(0, seconds[-1]), ylim=(1.6, -0.6))
    axes.set_title("Feet on the ground (colour), and when the clock asks for it (grey)", fontsize=10)
    for spine in ("top", "right", "left"):
        axes.spines[spine].set_visible(False)
    axes.tick_params(left=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _followed(told: np.ndarray, done: np.ndarray, timestep: float, file: Path) -> None:
    """Three velocities, as commanded and as they are: each moment, and averaged over a cycle of the gait."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    from envs.cassie.gait import PERIOD

    cycle = round(PERIOD / timestep)
    seconds, window = timestep * np.arange(len(told)), np.ones(cycle) / cycle
    figure, axes = plt.subplots(3, 1, figsize=(8, 4.6), sharex=True, layout="constrained")
    names = ("forward [m/s]", "to the left [m/s]", "turn [rad/s]")
    for index, (name, panel) in enumerate(zip(names, axes, strict=True)):
        mean = np.convolve(np.pad(done[:, index], (cycle // 2, (cycle - 1) // 2), mode="edge"), window, mode="valid")
        panel.plot(seconds, done[:, index], color="#19737f", lw=0.6, alpha=0.35, label="each moment")
        panel.plot(seconds, told[:, index], color="#f08019", lw=1.6, label="told")
        panel.plot(seconds, mean, color="#19737f", lw=1.6, label="over a cycle")
        panel.set_ylabel(name)
        panel.set_xlim(0, seconds[-1])
        for spine in ("top", "right"):
            panel.spines[spine].set_visible(False)
    axes[0].legend(ncols=3, frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    axes[-1].set_xlabel("time [s]")
    figure.savefig(file, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
