"""The main job on a GPU: `make test-gpu`. Nothing here runs where JAX sees no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def train(run_dir: Path, *arguments: str) -> dict:
    command = [sys.executable, "scripts/train.py", f"run_dir={run_dir}", "video=false", "report=false", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((run_dir / "result.json").read_text())


@pytest.mark.gpu
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", ["mjx", "warp"])
def test_learn_to_teach_learns_half_cheetah_on_the_gpu(engine: str, tmp_path: Path) -> None:
    if engine == "warp":
        pytest.importorskip("mujoco_warp", reason="pip install 'l2t[cuda,warp]'")
    result = train(
        tmp_path / "run",
        *("algorithm=l2t", "env=half_cheetah", f"physics={engine}", "num_envs=2048", "algorithm.teacher.num_steps=16"),
        *("total_steps=2_000_000", "eval_every=1_000_000", "tracking.wandb.mode=disabled"),
    )
    assert result["status"] == "finished"
    assert result["role_steps"]["student"] == 0
    # A policy that does nothing scores about 0.
    assert result["evaluation"]["teacher"]["return_mean"] > 500.0
