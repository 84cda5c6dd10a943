"""A run that is killed, terminated and resumed ends bit for bit where it would have ended undisturbed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.build import read_config
from configs.loading import build
from l2t.run.checkpoint import Checkpoints

TRAIN = str(Path(__file__).parents[3] / "scripts" / "train.py")
ITERATION = 64
TOTAL = 160 * ITERATION
OVERRIDES = [
    *("algorithm=l2t", "env=hopper", "physics=native", "num_envs=8", "physics.threads=1", "seed=3"),
    *("algorithm.teacher.num_steps=8", "algorithm.teacher.epochs=1", "algorithm.teacher.minibatches=2"),
    *("algorithm.student.epochs=1", "algorithm.student.minibatches=2", "env.student_stack=2"),
    *("algorithm.student.memory=gru", "algorithm.student.memory_size=8", "algorithm.student.memory_chunk=4"),
    *(f"total_steps={TOTAL}", f"eval_every={50 * ITERATION}", "eval_episodes=2"),
    *(f"checkpoint_every={20 * ITERATION}", "report=false", "video=false"),
]
TIMES = ("wall_seconds", "perf/steps_per_second")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, TRAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def steps_written(run):
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def stop_after(process, run, step, signum):
    """Send a signal as soon as the run has written a row of that step."""
    limit = time.monotonic() + 300
    while not (run / "metrics.jsonl").exists() or (run / "metrics.jsonl").read_text().count("\n") < step // ITERATION:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.send_signal(signum)
    output, _ = process.communicate(timeout=300)
    return output


def status(run):
    return json.loads((run / "result.json").read_text())["status"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    straight, stopped = folder / "straight", folder / "stopped"
    undisturbed = start(*OVERRIDES, "tracking.wandb.mode=disabled", f"run_dir={straight}")
    story = {}

    process = start(*OVERRIDES, f"run_dir={stopped}")
    stop_after(process, stopped, 47 * ITERATION, signal.SIGKILL)
    story["killed"] = (process.returncode, status(stopped), steps_written(stopped)[-1])
    overrides = (stopped / ".hydra" / "overrides.yaml").read_text()

    process = start(f"resume={stopped}")
    output = stop_after(process, stopped, 93 * ITERATION, signal.SIGTERM)
    story["terminated"] = (process.returncode, status(stopped), steps_written(stopped)[-1])
    story["output"] = output

    story["last"] = finish(start(f"resume={stopped}"))
    story["overrides"] = overrides == (stopped / ".hydra" / "overrides.yaml").read_text()
    finish(undisturbed)
    return straight, stopped, story


def test_a_kill_leaves_a_running_status_and_rows_beyond_the_checkpoint(runs):
    code, state, step = runs[2]["killed"]
    assert (code, state) == (-signal.SIGKILL, "running")
    assert step >= 47 * ITERATION


def test_a_termination_exits_with_its_signal_and_says_how_to_go_on(runs):
    code, state, step = runs[2]["terminated"]
    assert (code, state) == (128 + signal.SIGTERM, "interrupted")
    assert 93 * ITERATION <= step < TOTAL
    assert "Resuming at step" in runs[2]["output"]
    assert f"Continue with resume={runs[1]}" in runs[2]["output"]
    assert "Traceback" not in runs[2]["output"]


def test_every_metric_equals_that_of_the_undisturbed_run(runs):
    straight, stopped, _ = runs
    rows = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (straight, stopped)
    ]
    timeless = [[{k: v for k, v in row.items() if k not in TIMES} for row in each] for each in rows]
    assert len(timeless[0]) == TOTAL // ITERATION
    assert timeless[0] == timeless[1]
    assert any("eval/student/return_mean" in row for row in timeless[1])


def test_every_leaf_of_the_state_equals_that_of_the_undisturbed_run(runs):
    config = read_config(runs[0])
    like = jax.eval_shape(build(config).algorithm.init, jax.random.key(0))
    straight, stopped = (Checkpoints(run / "checkpoints").restore(like, config.identity)[0] for run in runs[:2])
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(straight)]
    differing = [
        name
        for name, a, b in zip(names, jax.tree.leaves(straight), jax.tree.leaves(stopped), strict=True)
        if _bytes(a) != _bytes(b)
    ]
    assert differing == []
    for part in (
        *(".learnt.agent.teacher", ".learnt.agent.student"),
        *(".transient.environments.environment.physics.engine", ".key"),
    ):
        assert any(name.startswith(part) for name in names)


def _bytes(leaf):
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf).tobytes()


def test_the_result_is_that_of_the_undisturbed_run(runs):
    results = [json.loads((run / "result.json").read_text()) for run in runs[:2]]
    assert results[0]["evaluation"] == results[1]["evaluation"]
    assert {result["status"] for result in results} == {"finished"}
    assert results[0]["role_steps"] == results[1]["role_steps"] == {"teacher": TOTAL, "student": 0}


def test_the_result_says_where_a_run_was_resumed(runs):
    straight, stopped = (json.loads((run / "result.json").read_text())["resumed_at"] for run in runs[:2])
    assert straight == []
    assert len(stopped) == 2
    assert stopped == sorted(stopped)


def test_resuming_leaves_the_description_of_the_run_alone(runs):
    assert runs[2]["overrides"]


def test_every_part_of_the_run_belongs_to_one_wandb_run(runs):
    ids = {folder.name.rpartition("-")[2] for folder in (runs[1] / "wandb").glob("offline-run-*")}
    assert len(ids) == 1
    assert len(list((runs[1] / "wandb").glob("offline-run-*/*.wandb"))) == 3
