"""The page on demonstrations says what works: its Python is run as it stands."""

import re
from pathlib import Path

import numpy as np

from l2t.demonstrations.files import write_demonstrations
from tests.support.recordings import TRUNCATED, recording

PAGE = Path(__file__).parents[3] / "docs" / "demonstrations.md"


def test_every_line_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    low, high = (-1.0,) * 3, (1.0,) * 3
    episodes, facts = recording(
        [(4, TRUNCATED)] * 5, task="hopper", timestep=0.008, action_low=low, action_high=high, policies=("a", "b")
    )
    rng = np.random.default_rng(1)
    shaped = [
        episode._replace(
            observation=rng.normal(size=(5, 11)).astype(np.float32),
            action=rng.uniform(-1.0, 1.0, (4, 3)).astype(np.float32),
        )
        for episode in episodes
    ]
    write_demonstrations("demonstrations/hopper-expert", shaped, facts)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S):
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["steps"].action.shape == (4, 3)
    assert len(names["training"].returns) == 3
    assert "hopper, 5 episodes, 20 steps of 0.008 s" in capsys.readouterr().out
