"""Measure speed: `python scripts/benchmark.py --env half_cheetah --num-envs 256 [--json] [--sb3-python PATH]`.

Side by side in one process, in turn over several rounds, so that a busy machine slows all alike:
    raw         the physics engine alone, replaying the collection's own actions from its own states
    collection  policy, environment and automatic resets
    training    whole iterations: collection and learning
With `--sb3-python`, Stable-Baselines3's PPO (8 environments, its defaults) runs under that interpreter, in turn, and
    ppo_8, ppo_256   whole iterations of PPO here with as many updates on batches as large as there: its own settings
                     with 8 environments, and the same with 256 environments and shorter roll-outs
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from l2t.errors import ConfigurationError, L2TError, MissingDependencyError

NOTE = "environment steps per second: median over rounds"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Steps per second of engine, collection and training.")
    parser.add_argument("--env", default="half_cheetah", help="a MuJoCo task, as in configs/env")
    parser.add_argument("--algorithm", default="spmd", choices=["spmd", "ppo", "l2t"])
    parser.add_argument("--physics", default="auto", choices=["auto", "native", "mjx", "warp"])
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--num-steps", type=int, default=64, help="roll-out length")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--sb3-python", help="interpreter of an environment with stable-baselines3 and gymnasium[mujoco]"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.parse_args()
    try:
        if min(arguments.num_envs, arguments.num_steps, arguments.rounds) < 1:
            raise ConfigurationError("--num-envs, --num-steps and --rounds must be at least 1.")
        result = benchmark(arguments)
    except L2TError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(result, indent=None if arguments.json else 2) if arguments.json else _table(result))


def benchmark(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run every measurement in turn, `rounds` times."""
    from l2t import runtime

    runtime.configure()
    environment = _environment(arguments)
    cases, facts = _cases(environment, arguments)
    if arguments.sb3_python:
        cases |= {f"ppo_{n}": _as_sb3(environment, n) for n in (8, 256)}
        cases["sb3"] = _sb3(arguments.sb3_python, arguments.env)
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, case in cases.items():
            rates[name].append(case())
    median = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {f"{a}/{b}": _paired(rates, a, b) for a, b in _RATIOS if a in rates and b in rates}
    return {
        "command": " ".join(["python", "scripts/benchmark.py", *sys.argv[1:]]),
        "env": arguments.env,
        "algorithm": arguments.algorithm,
        "num_envs": arguments.num_envs,
        "rounds": arguments.rounds,
        "steps_per_second": {name: round(value) for name, value in median.items()},
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "compilations": facts["compilations"](),
        "note": NOTE,
        "versions": runtime.versions(),
    }


_RATIOS = (
    *(("collection", "raw"), ("training", "raw")),
    *(("training", "sb3"), ("ppo_8", "sb3"), ("ppo_256", "sb3")),
)


def _paired(rates: dict[str, list[float]], a: str, b: str) -> float:
    """Median of the ratios round by round: neighbours in time share the machine's load."""
    return statistics.median(x / y for x, y in zip(rates[a], rates[b], strict=True))


def _environment(arguments: argparse.Namespace) -> Any:
    from envs.config import MujocoConfig
    from envs.physics.config import PhysicsConfig

    return MujocoConfig(arguments.env).build(PhysicsConfig(arguments.physics))


class _Training:
    """A training iteration, compiled and warm."""

    def __init__(self, environment: Any, config: Any, num_envs: int) -> None:
        import jax

        from algorithms.build import build
        from l2t.config import NetworkConfig
        from l2t.rl.algorithm import BuildContext

        self.algorithm: Any = build(config, BuildContext(environment, num_envs, 1_000_000, NetworkConfig()))
        self.iterate = cast("Any", jax.jit(self.algorithm.iterate, donate_argnums=0))
        self.state = jax.jit(self.algorithm.init)(jax.random.key(0))
        for _ in range(3):
            self.state, _ = self.iterate(self.state)

    def case(self, steps: int, repeats: int) -> Callable[[], float]:
        """`repeats` iterations of `steps` environment steps each, as steps per second."""
        import jax

        def run() -> float:
            start = time.perf_counter()
            for _ in range(repeats):
                self.state, _ = self.iterate(self.state)
            jax.block_until_ready(self.state)
            return repeats * steps / (time.perf_counter() - start)

        return run


def _as_sb3(environment: Any, num_envs: int) -> Callable[[], float]:
    """PPO with what Stable-Baselines3 does by default: for 16,384 steps 10 epochs in batches of 64."""
    from algorithms.config import PPOConfig

    config = PPOConfig(num_steps=16_384 // num_envs, epochs=10, minibatches=256)
    return _Training(environment, config, num_envs).case(16_384, 1)


def _cases(environment: Any, arguments: argparse.Namespace) -> tuple[dict[str, Callable[[], float]], dict[str, Any]]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from algorithms.config import PPOConfig, SPMDConfig
    from algorithms.teaching.config import LearnToTeachConfig
    from l2t.rl.rollout import collect
    from l2t.rl.vector import VectorEnvironment, scale_action

    num_envs, num_steps = arguments.num_envs, arguments.num_steps
    teacher = (PPOConfig if arguments.algorithm == "ppo" else SPMDConfig)(num_steps=num_steps)
    config = LearnToTeachConfig(teacher=teacher) if arguments.algorithm == "l2t" else teacher
    trained = _Training(environment, config, num_envs)
    vector = VectorEnvironment(environment, num_envs)

    @jax.jit
    def collect_batch(state: Any, learnt: Any, key: Any) -> Any:
        return collect(vector, trained.algorithm.agent.behaviour(learnt.agent), state, key, num_steps)[:2]

    # Copies: the training state is donated at each iteration.
    learnt, environments = jax.tree.map(jnp.copy, (trained.state.learnt, trained.state.transient.environments))
    repeats = max(1, 60_000 // (num_envs * num_steps))
    _, trajectory = collect_batch(environments, learnt, jax.random.key(1))
    controls = np.asarray(scale_action(vector.spec, trajectory.action), np.float64)

    def collection() -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            jax.block_until_ready(collect_batch(environments, learnt, jax.random.key(1)))
        return repeats * num_envs * num_steps / (time.perf_counter() - start)

    raw = _raw_engine(environment, environments.environment.physics, controls, repeats)
    cases = {"raw": raw, "collection": collection, "training": trained.case(num_envs * num_steps, repeats)}
    for case in cases.values():
        case()
    return cases, {"compilations": lambda: trained.iterate._cache_size()}


def _raw_engine(environment: Any, physics: Any, controls: Any, repeats: int) -> Callable[[], float]:
    """The engine alone: `mujoco.batch` outside JAX, or a bare scan of steps on an accelerator."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    engine, substeps = environment.engine, environment.task.substeps
    num_steps, num_envs = controls.shape[:2]
    if engine.name == "native":
        from mujoco.batch import Batch

        from envs.physics.native import evolving_columns

        batch = Batch(engine.model, nsim=num_envs)
        control = batch.bind("ctrl")
        for name in environment.task.reads.fields:
            batch.bind(name)
        rows, columns = np.asarray(physics.engine).view(np.float64), evolving_columns(engine.model)

        def steps() -> None:
            batch.state[:, columns] = rows
            for controls_t in controls:
                control[...] = controls_t
                batch.step(nstep=substeps)
    else:

        @jax.jit
        def scan(physics: Any, controls: Any) -> Any:
            def step(state: Any, control: Any) -> tuple[Any, None]:
                return jax.vmap(lambda s, c: engine.step(s, c, None, substeps))(state, control), None

            return jax.lax.scan(step, physics, controls)[0]

        device_controls = jnp.asarray(controls, jnp.float32)

        def steps() -> None:
            jax.block_until_ready(scan(physics, device_controls))

    def raw() -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            steps()
        return repeats * num_envs * num_steps / (time.perf_counter() - start)

    return raw


_SB3_PROGRAM = """
import sys, time
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
env = make_vec_env(sys.argv[1], n_envs=8)
model = PPO("MlpPolicy", env, device="cpu", verbose=0)
model.learn(8 * 2048)
start = time.perf_counter()
model.learn(8 * 2048 * 2, reset_num_timesteps=False)
print("STEPS_PER_SECOND", 8 * 2048 * 2 / (time.perf_counter() - start))
"""


def _sb3(python: str, env: str) -> Callable[[], float]:
    from envs.config import MUJOCO_TASKS

    if not Path(python).exists():
        raise MissingDependencyError(f"--sb3-python {python} does not exist; make it with `make bench`.")
    identifier = f"{MUJOCO_TASKS[env]}-v5"

    def run() -> float:
        done = subprocess.run([python, "-c", _SB3_PROGRAM, identifier], capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise MissingDependencyError(f"Stable-Baselines3 did not run under {python}: {last[0]}")
        return float(done.stdout.split("STEPS_PER_SECOND")[1])

    return run


def _table(result: dict[str, Any]) -> str:
    rates, ratios = result["steps_per_second"], result["ratios"]
    lines = [
        f"{result['env']}, {result['num_envs']} environments, {result['algorithm']}, {result['versions']['device']}",
        NOTE,
        "",
    ]
    lines += [f"  {name:<12}{rate:>10,}" for name, rate in rates.items()]
    lines += [""] + [f"  {name:<18}{ratio:>6.2f}" for name, ratio in ratios.items()]
    return "\n".join([*lines, "", f"  compilations of the training iteration: {result['compilations']}"])


if __name__ == "__main__":
    main()
