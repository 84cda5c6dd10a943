"""JAX's own switches, each in a process of its own: they are read when JAX is imported."""

import os
import subprocess
import sys

import pytest

from l2t.runtime import container_memory, source_commit

_PROGRAM = """
from l2t.errors import L2TError
from l2t.runtime import configure
try:
    print(configure()["device"])
except L2TError as error:
    print("refused:", error)
"""


def configured(**variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run([sys.executable, "-c", _PROGRAM], env=environment | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("variables", "answer"),
    [
        ({"JAX_ENABLE_X64": "1"}, "refused: JAX_ENABLE_X64 is on, but"),
        ({"JAX_DEBUG_NANS": "true"}, "refused: JAX_DEBUG_NANS is on, but"),
        ({"JAX_PLATFORMS": "quantum"}, "refused: JAX finds no device on the platform 'quantum'"),
        ({"JAX_PLATFORMS": "tpu,cpu"}, "refused: JAX finds no device on the platform 'tpu,cpu'"),
        ({"JAX_PLATFORMS": "cpu"}, "cpu ("),
        ({"JAX_ENABLE_X64": "0", "JAX_DISABLE_JIT": "1", "JAX_PLATFORMS": "cpu"}, "cpu ("),
    ],
)
def test_a_switch_of_jax_works_or_is_one_line(variables, answer):
    said = configured(**variables)
    assert said.startswith(answer)
    assert "\n" not in said


def test_the_commit_is_that_of_a_checkout_and_marked_where_it_was_changed(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    package = tmp_path / "package"
    package.mkdir()
    source = package / "runtime.py"
    source.write_text("")

    def git(*words):
        names = ["-c", "user.name=nobody", "-c", "user.email=nobody@nowhere"]
        subprocess.run(["git", *names, *words], cwd=tmp_path, check=True, capture_output=True)

    def commit():
        return source_commit.__wrapped__(package)

    assert commit() == "", "no repository"
    git("init")
    assert commit() == "", "a repository of other things"
    git("add", "package")
    git("commit", "-m", "first")
    clean = commit()
    assert len(clean) == 12
    source.write_text("changed = True")
    assert commit() == f"{clean}-dirty"
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    assert commit() == f"{clean}-dirty", "as inside a hook of another repository"


V2 = ("memory.max", "memory.current", "memory.stat", "inactive_file")
V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file")


@pytest.mark.parametrize("names", [V2, V1], ids=["v2", "v1"])
def test_files_that_a_container_has_read_take_none_of_its_memory(tmp_path, names):
    limit, used, statistics, inactive = names
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    (tmp_path / limit).write_text("1000\n")
    (tmp_path / used).write_text("900\n")
    assert container_memory(tmp_path) == 100, "nothing is told of files"
    (tmp_path / statistics).write_text(f"anon 200\nactive_file 50\n{inactive} 650\n")
    assert container_memory(tmp_path) == 750


def test_without_a_limit_a_container_is_none(tmp_path):
    assert container_memory(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("900\n")
    assert container_memory(tmp_path) is None
