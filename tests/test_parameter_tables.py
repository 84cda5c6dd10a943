"""The pages' tables of parameters: every name exists, every default is what a run begins with, and none is left out.

A table has the columns names, defaults and meaning, and on pages of several algorithms whose they are, as a second one.
Groups that differ in their defaults are parted by semicolons there.
"""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from configs.library import compose

PAGES = Path(__file__).parents[1] / "docs" / "algorithms"
DEMONSTRATIONS = ["algorithm.demonstrations=none"]
# What a page describes, with what its configurations cannot do without.
ALGORITHMS = {
    "spmd": {"spmd": []},
    "ppo": {"ppo": []},
    "l2t": {"l2t": []},
    "distillation": {"distillation": ["algorithm.teacher_run=none"]},
    "replay": {"sac": [], "rvi_sac": [], "spmd_replay": []},
    "inverse": dict.fromkeys(("ipmd", "gail", "airl", "f_irl", "iq_learn", "bc"), DEMONSTRATIONS)
    | {"dagger": ["algorithm.expert_run=none"]},
}
# Configurations inside one: told whole by this page, or by another one.
INSIDE = ("student", "disturbance", "reward", "regression")
ELSEWHERE = ("optimizer", "replay", "network")


def parameters(page: str) -> list[tuple[str, str, str]]:
    """(algorithm, name, default as it is told) of the page's table; values of an environment are left out."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    head, _, *lines = text[text.index("| name (`algorithm.`) |") :].splitlines()
    found, owners = [], [list(ALGORITHMS[page])]
    for line in lines:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if "| of |" in head:
            told = cells.pop(1)
            owners = owners if told == "the same" else [_owners(page, part) for part in told.split(";")]
        names = [name for name in re.findall(r"`([^`]+)`", cells[0]) if not name.startswith("env.")]
        for group, values in zip(owners, cells[1].split(";"), strict=True):
            defaults = re.split(r", (?![^\[]*\])", values.replace("`", "").strip())
            found += [(owner, *pair) for owner in group for pair in zip(names, defaults, strict=bool(names))]
    return found


def _owners(page: str, told: str) -> list[str]:
    named = re.findall(r"`(\w+)`", told)
    return [name for name in ALGORITHMS[page] if name not in named] if told.startswith("all") else named


def _composed(page: str) -> dict[str, object]:
    return {
        name: compose([f"algorithm={name}", "env=hopper", *needed]).algorithm
        for name, needed in ALGORITHMS[page].items()
    }


def _value(config: object, name: str) -> object:
    for part in name.split("."):
        config = getattr(config, part)
    return list(config) if isinstance(config, tuple) else config


@pytest.mark.parametrize("page", ALGORITHMS)
def test_the_table_is_what_a_run_begins_with(page):
    configs = _composed(page)
    for owner, name, told in parameters(page):
        value = _value(configs[owner], name)
        if dataclasses.is_dataclass(value) or told == "none":  # a preset's name, or nothing to begin with
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        expected = float(told.replace(",", "")) if number else yaml.safe_load(told or '""')
        assert expected == value, f"{page}.md: {name} of {owner}"


@pytest.mark.parametrize("page", ALGORITHMS)
def test_no_parameter_is_left_out(page):
    for owner, config in _composed(page).items():
        told = {name for whose, name, _ in parameters(page) if whose == owner}
        assert {name for name in _fields(config) if not name.endswith(ELSEWHERE)} <= told, owner


def _fields(config: object) -> list[str]:
    names = [field.name for field in dataclasses.fields(config)]
    inside = [f"{name}.{inner}" for name in names if name in INSIDE for inner in _fields(getattr(config, name))]
    return [name for name in names if name not in INSIDE] + inside
