"""The page on learned rewards says what works: its example is run as it stands, and its answers are known."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "rewards.md"


def test_the_example_runs_and_finds_what_was_planted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S):
        exec(compile(block, str(PAGE), "exec"), names)
    assert {path.name for path in tmp_path.iterdir()} == {"ranking.png", "curves.png", "gap.png"}
    assert names["found"].magnitude["foot angle [rad]"].estimate == 0.0
    assert names["surrogate"].r_squared.estimate > 0.99
    expert, policy = (names[side][:, :2].T for side in ("expert", "policy"))
    expected = [
        np.tanh((expert[0] - 2) / 2).mean() - np.tanh((policy[0] - 2) / 2).mean(),
        8 * ((policy[1] ** 2).mean() - (expert[1] ** 2).mean()),
    ]
    found = [names["gap"].terms[name].estimate for name in ("torso x velocity [m/s]", "torso pitch angle [rad]")]
    assert found == pytest.approx(expected, abs=0.02)
