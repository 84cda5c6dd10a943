"""Where a run is written: what a shell hands over, and folders of sweeps."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from configs.command_line import compose_config, prepare
from configs.overrides import quote, quoted_path
from configs.places import sweep_claimed
from configs.resuming import resume_overrides
from l2t.errors import ConfigurationError, RunDirectoryError


def value(override):
    return OverridesParser.create().parse_overrides([override])[0].value()


def values(arguments):
    parsed = OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
    return {o.key_or_group: o.value() for o in parsed if not o.is_sweep_override()}


@pytest.mark.parametrize(
    "name",
    [
        "my run=ü",
        "it's",
        'say "hi"',
        "a,b",
        "{x}",
        "a:b",
        "5",
        "true",
        "back\\slash",
        "end\\",
        "x;y&z",
        "日本 (1)",
    ],
)
def test_any_name_that_a_shell_hands_over_is_the_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    found = values(prepare([f"run_dir=runs/{name}"]))
    assert found["run_dir"] == found["hydra.run.dir"] == f"runs/{name}"
    assert value(quoted_path(f"resume={name}")) == name


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_quoting_gives_back_the_same_text(text):
    assert value(f"run_dir={quote(text)}") == text


def test_what_is_quoted_for_hydra_already_and_no_place_at_all_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for override in ("run_dir='a b'", 'resume="x"', "run_dir=null", "seed=1", "env.parameters.run_dir=3"):
        assert quoted_path(override) == override
    assert value(quoted_path("run_dir=~/a b")) == str(tmp_path / "a b")


@pytest.mark.parametrize("name", ["a run", "x=ü", "it's"])
def test_a_run_in_a_place_of_any_name_can_be_resumed(tmp_path, name):
    run = tmp_path / name
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text("- seed=1\n- run_dir=runs/x_${seed}\n- eval_every=${total_steps}\n")
    (run / ".hydra" / "hydra.yaml").write_text(
        "hydra:\n  overrides:\n    hydra:\n    - hydra.run.dir='x_${seed}'\n    - hydra.searchpath=[y]\n"
    )
    (run / "result.json").write_text('{"status": "interrupted"}')
    arguments = resume_overrides(run, [quoted_path(f"resume={run}")], compose_config)
    found = values(arguments)
    assert (found["seed"], found["resume"], found["hydra.run.dir"]) == (1, str(run), str(run))
    assert "eval_every=${total_steps}" in arguments
    assert "hydra.searchpath=[y]" in arguments


def sweep(*arguments):
    return sweep_claimed(prepare(["-m", *arguments]))


def folder(arguments):
    return values(arguments)["hydra.sweep.dir"]


def test_two_sweeps_that_start_in_one_second_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sweep("seed=0,1") as first, sweep("seed=0,1") as second, sweep("seed=2") as third:
        assert len({folder(first), folder(second), folder(third)}) == 3
        assert all((tmp_path / folder(each)).is_dir() for each in (first, second, third))
    assert list(tmp_path.glob("runs/*/*")) == []  # nothing came of them


def test_a_folder_in_which_another_sweep_runs_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sweep("seed=0,1", "run_dir=here") as arguments:
        assert folder(arguments) == "here"
        with pytest.raises(RunDirectoryError, match="here is being written by process"):
            sweep("seed=0,1", "run_dir=here").__enter__()


def test_a_name_that_differs_between_the_runs_of_a_sweep_is_no_folder_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="would differ between the runs"):
        sweep("seed=0,1", "run_dir=x_${seed}").__enter__()
    with sweep("seed=0,1", "run_dir=x_${num_envs}_${hydra:runtime.choices.env}") as arguments:
        assert folder(arguments) == "x_64_half_cheetah"
    assert list(tmp_path.iterdir()) == []


def test_a_single_run_is_left_to_claim_its_own_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = prepare(["seed=1", "run_dir=here"])
    with sweep_claimed(arguments) as same:
        assert same == arguments
    assert list(tmp_path.iterdir()) == []
