"""The page on the library says what works: its code is run as it stands, top to bottom."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "library.md"


def test_every_line_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S):
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["run"].result["status"] == "finished"
    assert names["run"].path == Path("runs/first")
    assert names["policy"].role == "teacher"
    assert len(names["curve"].steps) == len(names["curve"].values) > 0
