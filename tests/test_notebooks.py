"""The notebooks run from top to bottom on a small run, draw what they promise, and are kept without outputs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2t.errors import L2TError
from scripts.notebooks import NOTEBOOKS, code_cells, main, run_notebook

FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_the_four_are_there():
    names = {path.stem for path in FILES}
    assert names == {"quick_start", "average_reward_theory", "learned_reward_analysis", "reward_transfer"}


@EACH
def test_files_are_plain_notebooks_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9-]{1,64}", name) for name in ids)
    for cell in notebook["cells"]:
        assert set(cell) <= {"cell_type", "id", "metadata", "source", "execution_count", "outputs"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert notebook["cells"][0]["source"][0].startswith("# ")


@EACH
def test_settings_come_first_and_the_story_is_short(path):
    cells = code_cells(path)
    assert cells[0].tags == ("parameters",)
    assert len(cells) <= 12
    assert not re.search(r"/(home|tmp|root|work|Users)/", path.read_text(encoding="utf-8"))


@EACH
def test_links_lead_somewhere(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        file, _, anchor = target.partition("#")
        if not target.startswith("https://"):
            page = (path.parent / file).resolve()
            assert page.is_file(), target
            titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert not anchor or anchor in slugs, target


def check_figures(path, executed):
    """Cells with the tag show one picture each, with something on it; others none."""
    cells = code_cells(path)
    assert [cell.number for cell in executed] == list(range(1, len(cells) + 1))
    for cell, done in zip(cells, executed, strict=True):
        assert len(done.pictures) == int("figure" in cell.tags)
        for picture in done.pictures:
            ink = np.asarray(Image.open(picture).convert("L"))
            assert ink.std() > 3.0
            assert min(ink.shape) > 100


def play(name, folder, **settings):
    path = NOTEBOOKS / f"{name}.ipynb"
    executed = run_notebook(path, folder / "figures", small=True, settings=settings, folder=folder)
    check_figures(path, executed)


def test_a_learned_reward_is_analysed_and_then_transferred(tmp_path):
    """The second is given what the first has made; its own cells for that are the same commands."""
    play("learned_reward_analysis", tmp_path)
    (run,) = tmp_path.glob("runs/*/*-ipmd-*")
    (expert,) = tmp_path.glob("runs/*/*-spmd-*")
    play("reward_transfer", tmp_path, run=str(run), expert=str(expert))
    fresh = [json.loads((path / "result.json").read_text()) for path in tmp_path.glob("runs/*/*-spmd-*-s100*")]
    assert len(fresh) == 2
    assert all(result["status"] == "finished" for result in fresh)
    slopes = [(path / ".hydra" / "config.yaml").read_text() for path in tmp_path.glob("runs/*/*-spmd-*-s100*")]
    assert all("slope: 10" in text for text in slopes)
    assert sum(str(run) in text for text in slopes) == 1


def test_the_quick_start_trains_watches_and_evaluates(tmp_path, capfd):
    play("quick_start", tmp_path)
    (run,) = tmp_path.glob("runs/*/*")
    assert json.loads((run / "result.json").read_text())["status"] == "finished"
    assert "Did you mean algorithm.teacher.target_kl?" in capfd.readouterr().out


def test_the_theory_agrees_with_closed_forms(tmp_path, capfd):
    play("average_reward_theory", tmp_path)
    said = capfd.readouterr().out
    pairs = re.findall(r"= (\S+), closed form (\S+)", said)
    assert len(pairs) == 2
    assert all(found == known for found, known in pairs)
    assert float(re.search(r"residual of the Poisson equation (\S+)", said)[1]) < 1e-12
    assert "EVRTD (exploration > 0) sees the others" in said


def notebook(folder, *sources):
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# A title"]}]
    for number, source in enumerate(sources):
        tags = {"tags": ["parameters"]} if number == 0 else {}
        cells.append({"cell_type": "code", "id": f"c{number}", "metadata": tags, "source": source.splitlines(True)})
    path = Path(folder) / "own.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_cells_share_names_and_settings_can_be_replaced(tmp_path, capfd):
    path = notebook(tmp_path, "SETTINGS = {'n': 1, 'who': 'a'}", "twice = 2 * SETTINGS['n']\ntwice", "twice + 1;")
    done = run_notebook(path, tmp_path / "figures", settings={"n": 21})
    assert len(done) == 3
    lines = capfd.readouterr().out.splitlines()
    assert "42" in lines
    assert "43" not in lines  # a semicolon keeps it quiet, as in Jupyter
    assert main([str(path), "--set", "n=4", "who=me"]) == 0
    assert "8" in capfd.readouterr().out.splitlines()


def test_what_a_cell_shows_is_kept_as_a_picture(tmp_path):
    path = notebook(
        tmp_path,
        "SETTINGS = {}",
        "from l2t.report.plots import picture\nf = picture(2, 1)\nf.subplots().plot([1, 2])\nf",
    )
    _, drawn = run_notebook(path, tmp_path / "figures")
    assert [Path(name).name for name in drawn.pictures] == ["own-02a.png"]
    assert Image.open(drawn.pictures[0]).size == (220, 110)


def test_a_cell_that_fails_is_named(tmp_path, capfd):
    path = notebook(tmp_path, "SETTINGS = {'n': 1}", "1 / 0")
    with pytest.raises(L2TError, match=r"own\.ipynb"):
        run_notebook(path, tmp_path / "figures")
    said = capfd.readouterr().err
    assert "own.ipynb, cell 2 failed: division by zero" in said
    assert "    1 / 0" in said  # the traceback shows the line
    assert main([str(path), "--set", "m=4"]) == 1
    assert "choose one of: n" in capfd.readouterr().err


def test_what_is_no_notebook_is_said_in_one_line(tmp_path, capfd):
    (tmp_path / "a.ipynb").write_text("[]")
    for arguments in (["nowhere"], [str(tmp_path / "a.ipynb")], ["quick_start", "--set", "seeds"]):
        assert main(arguments) == 1
        assert capfd.readouterr().err.count("\n") == 1
