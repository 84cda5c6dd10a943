"""How a YAML comes by the defaults of what it names, and where Hydra looks for YAMLs."""

import dataclasses
import inspect
import math
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import configs
from configs.build import experiment_config
from configs.command_line import compose_config, prepare
from configs.source import find_target, group_options
from l2t.errors import ConfigurationError
from scripts import studies

studies.register()
FOLDERS = [Path(str(module.__file__)).parent for module in (configs, studies)]
FILES = [path for folder in FOLDERS for path in sorted(folder.rglob("*.yaml"))]

STRANGER = """
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

class Part(Protocol):
    def build(self): ...

@dataclass(frozen=True)
class Inner:
    depth: int = 2
    names: tuple[str, ...] = ("a", "b")

@dataclass(frozen=True)
class Outer:
    needed: int
    inner: Inner = field(default_factory=lambda: Inner(depth=7))
    part: Part | None = None
    bound: float = float("inf")
    table: Mapping[str, float] = field(default_factory=lambda: {"x": 1.0})
    made: tuple[float, float] = (0.5, 2)
    place: Path = Path("somewhere")
    counted: int = field(default=3, init=False)
    name: str = "outer"

    def build(self, physics): ...

def outer(needed: int, *others, inner: Inner = Inner(), scale: float = 0.25, **more):
    return Outer(needed, inner)
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A function that writes YAMLs of a stranger and composes with them."""
    (tmp_path / "stranger_source.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def composed(files, *overrides):
        for name, text in files.items():
            path = tmp_path / "conf" / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        arguments = prepare(["--config-dir=conf", *overrides])
        return compose_config([text for text in arguments if not text.startswith("-")])

    return composed


def test_a_yaml_that_names_a_dataclass_has_its_fields(stranger):
    env = stranger({"env/own": "_target_: stranger_source.Outer\nneeded: 1\nmade: [1, 2]\n"}, "env=own").env
    assert OmegaConf.to_container(env) == {
        "_target_": "stranger_source.Outer",
        "needed": 1,
        "inner": {"_target_": "stranger_source.Inner", "depth": 7, "names": ["a", "b"]},
        "part": None,
        "bound": math.inf,
        "table": {"x": 1.0},
        "made": [1, 2],
        "name": "outer",
    }


def test_what_has_no_default_must_be_given_and_can_be_without_a_plus(stranger):
    files = {"env/own": "_target_: stranger_source.Outer\n"}
    with pytest.raises(ConfigurationError, match=r"give env\.needed=\.\.\. on the command line"):
        stranger(files, "env=own")
    with pytest.raises(ConfigurationError, match=r"env\.neded is not known.*Did you mean env\.needed") as raised:
        stranger(files, "env=own", "env.neded=1")
    assert "env.slope" not in str(raised.value), "the keys are those of the environment that was chosen"
    env = stranger(files, "env=own", "env.needed=4", "env.inner.names=[c]").env
    assert (env.needed, env.inner.names, env.inner.depth) == (4, ["c"], 7)


def test_a_function_gives_the_defaults_of_its_parameters(stranger):
    env = stranger({"env/own": "_target_: stranger_source.outer\nneeded: 3\n"}, "env=own", "env.scale=2").env
    assert (env.needed, env.scale, env.inner.depth) == (3, 2, 2)
    assert set(env) == {"_target_", "needed", "inner", "scale"}


def test_what_the_file_itself_or_its_defaults_list_brings_comes_before_the_dataclass(stranger):
    files = {
        "env/own": "defaults: [part@inner: deep, _self_]\n_target_: stranger_source.Outer\nneeded: 1\n",
        "env/part/deep": "_target_: stranger_source.Inner\ndepth: 9\n",
        "env/part/bare": "depth: 5\n",
        "env/derived": "defaults: [own@_here_, _self_]\n_target_: stranger_source.Outer\nbound: 3.0\n",
        "env/other": "_target_: stranger_source.Outer\nneeded: 1\ninner: {_target_: stranger_source.Inner}\n",
        "env/partly": "_target_: stranger_source.Outer\nneeded: 1\ninner: {names: []}\n",
    }
    assert stranger(files, "env=own").env.inner == {
        "_target_": "stranger_source.Inner",
        "depth": 9,
        "names": ["a", "b"],
    }
    with pytest.raises(ConfigurationError, match=r"env.inner={'depth': 5} must be of the kind Inner"):
        stranger(files, "env=own", "env/part@env.inner=bare")
    derived = stranger(files, "env=derived").env
    assert (derived.needed, derived.bound, derived.inner.depth) == (1, 3.0, 9)
    # A part that is named anew starts from its own defaults, one that is only changed from those around it.
    assert stranger(files, "env=other").env.inner.depth == 2
    assert OmegaConf.to_container(stranger(files, "env=partly").env.inner) == {
        "_target_": "stranger_source.Inner",
        "depth": 7,
        "names": [],
    }


def test_a_choice_within_an_algorithm_leaves_nothing_of_the_default_one():
    teacher = compose_config(["algorithm/teacher=ppo"]).algorithm.teacher
    assert "discount" in teacher
    assert "target_kl" not in teacher
    student = compose_config(["network@algorithm.student.network=small"]).algorithm.student
    assert student.network.hidden == [64, 64]


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        ([], "algorithm.student.network.hidden", [256, 256]),
        ([], "algorithm.teacher.ratio_clip", math.inf),
        ([], "algorithm.teacher.entropy", 0.05),
        ([], "total_steps", 2_000_000),
        ([], "tracking.wandb.mode", None),
        ([], "tracking.wandb.entity", None),
        (["algorithm=spmd"], "algorithm.ratio_clip", 0.5),
        (["algorithm=ppo"], "algorithm.discount", 0.99),
        (["env=hopper"], "env.reset_cost", 100.0),
        (["env=hopper"], "env.student_stack", 4),
        (["env=gymnasium"], "env.student_stack", 1),
        (["env=gymnasium"], "env.episode_length", None),
        (["physics=mjx"], "physics.engine", "mjx"),
        (["physics=mjx"], "physics.contacts", 65_536),
        (["experiment=amdp_evaluation"], "study.processes.garnet.teleport", 0.05),
        (["experiment=amdp_evaluation"], "study.processes.grid_world.width", 4),
        (["experiment=amdp_evaluation"], "study.methods.td_decaying.decay", 0.66),
        (["experiment=amdp_evaluation"], "study.methods.td_decaying.rate_step", 0.1),
        (["experiment=amdp_optimisation"], "study.cases.unregularised.process.num_actions", 200),
        (["experiment=amdp_optimisation"], "study.critics.evrtd.method.exploration", 0.3),
        (["experiment=amdp_sample_complexity"], "study.cases.unregularised.stages", 5),
        (["experiment=amdp_sample_complexity"], "study.critics.evrtd.method.skip", 1),
        (["experiment=amdp_speed"], "study.repeats", 3),
    ],
)
def test_a_composed_value_is_what_results_were_made_with(overrides, key, value):
    assert OmegaConf.select(compose_config(overrides), key) == value


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_no_yaml_repeats_a_default(file):
    node = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(node, dict)
    assert not list(_repeated(node))


def _repeated(node):
    if "_target_" in node:
        target = find_target(file := "", node["_target_"])
        for name, parameter in inspect.signature(target).parameters.items():
            default = parameter.default
            if dataclasses.is_dataclass(target):
                (field,) = [f for f in dataclasses.fields(target) if f.name == name]
                default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            default = list(default) if isinstance(default, tuple) else default
            if name in node and node[name] == default:
                yield f"{file}{name}"
    for child in node.values():
        if isinstance(child, dict):
            yield from _repeated(child)


def test_choices_are_those_of_every_place_where_configurations_are_found(stranger, tmp_path):
    with pytest.raises(ConfigurationError, match=r"env=owns is not known.*half_cheetah.*own.*Did you mean env=own\?"):
        stranger({"env/own": "_target_: stranger_source.Outer\nneeded: 1\n"}, "env=owns")
    assert stranger({"process/own": "_target_: envs.tabular.families.ring\n"}).env.task == "half_cheetah"
    search = [f"hydra.searchpath=['{tmp_path / 'conf'}']"]
    assert {"own", "ring"} <= set(group_options("process", search))
    assert "own" not in group_options("process")
    assert {"amdp_speed", "smoke"} <= set(group_options("experiment"))
    assert group_options("algorithm/learning_rate") == []


def test_what_a_file_lacks_or_breaks_is_told_in_one_line_that_names_it(stranger, tmp_path):
    for text, message in {
        "_target_: [\n": r"own\.yaml cannot be read",
        "task: a\ntask: b\n": "duplicate key task",
        "3\n": r"own\.yaml cannot be read",
        "# @package\n": "header",
        "_target_: nowhere.Config\n": "nowhere.Config cannot be imported",
        "_target_: stranger_broken.Config\n": "stranger_broken.Config cannot be imported",
        "defaults: x\n_target_: stranger_source.Outer\n": "defaults must be a list",
        "defaults: [nowhere]\n_target_: stranger_source.Outer\n": "nowhere is not known",
        "_target_: stranger_source.Outer\nneeded: 1\nneded: 2\n": "Did you mean env.needed",
        "_target_: stranger_source.Outer\nneeded: one\n": "env.needed='one' must be a whole number",
        "_target_: stranger_source.Outer\nneeded: 1\ninner: 3\n": "env.inner=3 must be of the kind Inner",
        "_target_: stranger_source.Outer\nneeded: 1\ninner: {_target_: builtins.dict}\n": "must be of the kind Inner",
        "_target_: stranger_source.Outer\nneeded: 1\nmade: [1, x]\n": "each item is a number",
    }.items():
        (tmp_path / "stranger_broken.py").write_text("def (\n")
        with pytest.raises(ConfigurationError, match=message) as refused:
            stranger({"env/own": text}, "env=own")
        assert "\n" not in str(refused.value)


def test_the_configuration_of_every_choice_is_checked_as_it_is_filled():
    for choice in group_options("env"):
        given = ["env.id=Pendulum-v1"] if choice == "gymnasium" else []
        assert experiment_config(compose_config([f"env={choice}", *given])).env.build
