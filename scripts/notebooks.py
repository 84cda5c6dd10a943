"""Run notebooks from top to bottom, each in a process of its own, without Jupyter.

python scripts/notebooks.py                          # all of notebooks/, as a reader would: hours on two cores
python scripts/notebooks.py --small                  # every cell of all, on a small run: minutes
python scripts/notebooks.py learned_reward_analysis --set run=runs/a demonstrations=demonstrations/b --figures pictures

What a notebook trains goes to runs/ and demonstrations/ of the working directory. The files themselves are not changed.
"""

from __future__ import annotations

import argparse
import ast
import json
import linecache
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from l2t.config import check_choice
from l2t.errors import L2TError
from scripts.command_line import exit_code, path_argument

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
SMALL = "L2T_NOTEBOOK_SMALL"
"""Environment variable that the notebooks read: 1 asks for a small run."""


@dataclass(frozen=True)
class Code:
    """A code cell, and its tags: `parameters` where it makes SETTINGS, `figure` where it shows a picture."""

    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Executed:
    """A code cell that was run.

    Attributes:
        number: among the code cells, from 1.
        pictures: PNG files of what it showed, by path.
        seconds: it took.
    """

    number: int
    pictures: tuple[str, ...]
    seconds: float


class NotebookError(L2TError):
    """A notebook that cannot be read, or a cell that failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _command(options))


def code_cells(path: Path) -> list[Code]:
    """The code cells of a notebook.

    Raises:
        NotebookError: it cannot be read.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            Code("".join(cell["source"]), tuple(cell["metadata"].get("tags", ())))
            for cell in cells
            if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotebookError(f"{path} is no notebook that can be read: {error}") from error


def run_notebook(
    path: Path,
    figures: Path,
    *,
    small: bool = False,
    settings: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> list[Executed]:
    """Run a notebook in a fresh Python process whose output passes through.

    Args:
        path: of the notebook.
        figures: folder for the pictures; made where it is missing.
        small: ask it for a small run.
        settings: in place of those of its first cell.
        folder: working directory of the process.

    Raises:
        NotebookError: a cell failed, or it has no such setting.
    """
    code_cells(path)
    figures.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"MPLBACKEND": "Agg", SMALL: str(int(small))}
    with tempfile.TemporaryDirectory() as temporary:
        said = Path(temporary) / "executed.json"
        inside = [sys.executable, "-m", "scripts.notebooks", "--inside", str(said)]
        given = [f"{name}={value!r}" for name, value in (settings or {}).items()]
        command = [*inside, str(path.resolve()), "--figures", str(figures.resolve()), "--set", *given]
        code = subprocess.run(command, env=_importable(environment), cwd=folder, check=False).returncode
        if code or not said.is_file():
            raise NotebookError(f"{path.name} stopped: see above.")
        return [Executed(**(cell | {"pictures": tuple(cell["pictures"])})) for cell in json.loads(said.read_text())]


def execute(path: Path, figures: Path, settings: Mapping[str, Any]) -> list[Executed]:
    """Run the cells here, showing what the last expression of each gives, and keeping its pictures.

    Raises:
        NotebookError: a cell failed; its traceback is printed.
        ConfigurationError: it has no such setting.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    done = []
    for number, cell in enumerate(code_cells(path), start=1):
        began = time.monotonic()
        try:
            shown = _run_cell(cell.source, f"{path.stem}, cell {number}", names)
        except Exception as error:
            traceback.print_exc()
            raise NotebookError(f"{path.name}, cell {number} failed: {error}") from error
        if "parameters" in cell.tags:
            for name, value in settings.items():
                check_choice(f"setting of {path.stem}", name, names["SETTINGS"])
                names["SETTINGS"][name] = value
        pictures = [
            _keep(png, figures / f"{path.stem}-{number:02d}{'abcdefgh'[index]}.png") for index, png in enumerate(shown)
        ]
        done.append(Executed(number, tuple(pictures), round(time.monotonic() - began, 2)))
        print(f"[cell {number}: {done[-1].seconds:.1f} s, {len(pictures)} figure(s)]", flush=True)
    return done


def _run_cell(source: str, name: str, names: dict[str, Any]) -> list[bytes]:
    """Execute a cell and return the pictures that Jupyter would show below it, as PNG."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for tracebacks
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    value = eval(compile(ast.Expression(last.value), name, "eval"), names) if isinstance(last, ast.Expr) else None
    if isinstance(last, ast.Expr) and source.rstrip().endswith(";"):
        value = None
    show = getattr(value, "_repr_png_", None)
    if show is not None:
        return [show()]
    if value is not None:
        print(repr(value))
    return []


def _keep(png: bytes, path: Path) -> str:
    path.write_bytes(png)
    return str(path)


def _importable(environment: dict[str, str]) -> dict[str, str]:
    """With the rooms on the path, also where they are not installed."""
    root = str(NOTEBOOKS.parent)
    known = environment.get("PYTHONPATH", "")
    return environment | {"PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}


def _command(options: argparse.Namespace) -> None:
    settings = dict(map(_setting, options.settings))
    if options.inside:
        (path,) = options.notebooks
        done = execute(Path(path), options.figures, settings)
        options.inside.write_text(json.dumps([asdict(cell) for cell in done]))
        return
    paths = [_find(name) for name in options.notebooks] or sorted(NOTEBOOKS.glob("*.ipynb"))
    with tempfile.TemporaryDirectory() as temporary:
        for path in paths:
            print(f"{path.name} ...", flush=True)
            done = run_notebook(path, options.figures or Path(temporary), small=options.small, settings=settings)
            count, seconds = sum(len(cell.pictures) for cell in done), sum(cell.seconds for cell in done)
            print(f"{path.name}: {len(done)} cells, {count} figures, {seconds:,.0f} s", flush=True)


def _setting(text: str) -> tuple[str, Any]:
    """`name=value`; the value as Python reads it, otherwise as text."""
    name, separator, value = text.partition("=")
    if not separator:
        raise NotebookError(f"--set {text}: give NAME=VALUE, such as seeds=5.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _find(name: str) -> Path:
    """A notebook by its name or its path."""
    found = [path for path in (Path(name).expanduser(), NOTEBOOKS / f"{name}.ipynb") if path.is_file()]
    if not found:
        known = ", ".join(sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
        raise NotebookError(f"There is no notebook {name!r}; give a path, or one of: {known}.")
    return found[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("notebooks", nargs="*", help="names, such as quick_start, or paths (default: all)")
    parser.add_argument("--small", action="store_true", help="ask for a small run")
    parser.add_argument("--figures", type=path_argument, help="folder that keeps the pictures as PNG files")
    parser.add_argument(
        "--set",
        dest="settings",
        nargs="*",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="in place of the settings in its first cell, such as run=runs/a",
    )
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
