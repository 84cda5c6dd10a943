"""A value that makes no sense gets the same line where it was stored with a run, changes one, or comes from Python."""

import dataclasses
import math

import pytest
from omegaconf import OmegaConf

from configs.build import experiment_config, read_config
from configs.command_line import compose_config
from configs.schema import ExperimentConfig
from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError, RunDirectoryError
from scripts import studies

studies.register()


def _stored(tmp_path, **changes):
    config = compose_config(["env=hopper"])
    OmegaConf.set_struct(config, False)
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(config))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_envs": math.nan}, "num_envs=nan must be a whole number"),
        ({"env__student_stack": "x"}, "env.student_stack='x' must be a whole number"),
        ({"algorithm": 3}, "_target_ of 'algorithm' gave a int"),
        ({"network": None}, "network must be a NetworkConfig"),
        ({"foo": 1}, "foo is not known"),
        ({"tracking__wandb": 3}, "tracking.wandb=3 must be of the kind WandbConfig"),
        ({"algorithm__teacher": None}, "algorithm.teacher=None must be of the kind TeacherConfig"),
        ({"seed": "${foo}"}, "seed cannot be read"),
        ({"env___target_": "nowhere.X"}, "nowhere.X cannot be imported"),
        ({"env___partial_": True}, "_partial_ is not known"),
        ({"study": {"a": 1}}, "gave a dict"),
    ],
)
def test_a_stored_configuration_is_checked_like_a_typed_one(changes, message, tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        read_config(_stored(tmp_path, **changes))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["a: [", "- 3", "3", "\x00", ""])
def test_a_stored_configuration_that_is_none_is_told_by_its_path(text, tmp_path):
    run = _stored(tmp_path)
    (run / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises((RunDirectoryError, ConfigurationError)) as refused:
        read_config(run)
    assert "config.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_stored_configuration_is_read_without_what_only_a_starting_run_resolves(tmp_path):
    run = _stored(tmp_path, run_dir="runs/${now:%H}/${hydra:job.num}")
    assert read_config(run).env.name == "hopper"


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("env.student_stack=1e1", "student_stack", 10),
        ("env.student_noise=0.2", "student_noise", 0.2),
        ("env.student_noise_kind='gaussian'", "student_noise_kind", "gaussian"),
        ("env.parameters.terminate_when_unhealthy=false", "parameters", {"terminate_when_unhealthy": False}),
        ("env.parameters={healthy_reward: 2.0}", "parameters", {"healthy_reward": 2.0}),
        ("++env.randomise.body_mass=[0.8,1.2]", "randomise", {"body_mass": [0.8, 1.2]}),
    ],
)
def test_a_change_to_a_run_is_written_in_hydras_grammar(override, key, value, tmp_path):
    assert getattr(read_config(_stored(tmp_path), [override]).env, key) == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("env.student_stack=inf", "env.student_stack=inf must be a whole number"),
        ("env.student_noise=null", "env.student_noise=None must be a number"),
        ("env.student_noise=", "env.student_noise='' must be a number"),
        ("env.student_noise=[", "cannot be read; write key=value"),
        ("env.student_noise=1,2", "give one value"),
        ("env.student_noise=${foo}", "env.student_noise cannot be read"),
        ("~env.task", "give one value"),
        ("env@x=hopper", "give one value"),
        ("env.foo=3", "env.foo is not known; choose one of: env.model"),
        ("env.parameters=3", "env.parameters=3 must be a mapping"),
        ("env=3", "gave a int"),
        ("physics=nativ", "physics=nativ is not known; choose one of: auto, mjx, native, warp"),
        ("physics=3", "physics=3 must be an engine's configuration"),
    ],
)
def test_a_change_to_a_run_that_makes_no_sense_is_refused(override, message, tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        read_config(_stored(tmp_path), [override])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_change_may_choose_what_the_command_line_may(tmp_path):
    config = read_config(_stored(tmp_path), ["physics=native", "network=medium"])
    composed = experiment_config(compose_config(["physics=native", "network=medium"]))
    assert (config.physics, config.network) == (composed.physics, composed.network)
    assert config.physics.engine == "native"


@pytest.mark.parametrize(
    "changes",
    [
        {"num_envs": 1.5},
        {"num_envs": True},
        {"num_envs": math.inf},
        {"seed": None},
        {"total_steps": 10**12 + 1},
        {"physics": "native"},
        {"physics": None},
        {"network": 3},
        {"network": {"hidden": [3]}},
        {"tracking": None},
        {"algorithm": NetworkConfig()},
        {"env": 3},
        {"run_dir": ""},
        {"resume": 1.5},
        {"study": "amdp_speed"},
        {"report": "yes"},
    ],
    ids=str,
)
def test_python_is_refused_what_the_command_line_is(changes):
    with pytest.raises(ConfigurationError):
        dataclasses.replace(_sensible(), **changes)


def _sensible() -> ExperimentConfig:
    return experiment_config(compose_config([]))


def test_python_may_give_paths_and_round_numbers(tmp_path):
    config = dataclasses.replace(_sensible(), run_dir=tmp_path, num_envs=8.0)
    assert (config.run_dir, config.num_envs) == (str(tmp_path), 8)
