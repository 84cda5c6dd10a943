"""An infinity may be written as the documentation, `--help` and a stored configuration show it: `.inf`."""

from __future__ import annotations

import math

import pytest
from omegaconf import OmegaConf

from configs import compose
from configs.build import experiment_config, read_config
from configs.command_line import compose_config, prepare
from configs.overrides import plain_infinities

INF = math.inf


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        (["env=walker2d", "env.parameters.healthy_z_range=[0.6,.inf]"], lambda c: c.env.parameters, [0.6, INF]),
        (["env=walker2d", "env.parameters={healthy_z_range: [-.inf, .inf]}"], lambda c: c.env.parameters, [-INF, INF]),
        (["algorithm=spmd", "algorithm.horizon=.inf"], lambda c: c.algorithm.horizon, INF),
        (["algorithm=spmd", "algorithm.ratio_clip=.Inf"], lambda c: c.algorithm.ratio_clip, INF),
        (["env=cassie", "env.command.acceleration=.inf"], lambda c: c.env.command.acceleration, INF),
        (["algorithm=spmd", "algorithm.horizon=inf"], lambda c: c.algorithm.horizon, INF),
    ],
)
def test_yamls_infinity_is_a_number_on_the_command_line_in_python_and_in_a_change(given, found, expected, tmp_path):
    for config in (experiment_config(compose_config(prepare(given))), compose(given)):
        value = found(config)
        assert (list(value["healthy_z_range"]) if isinstance(value, dict) else value) == expected
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(compose_config(given[:1]), tmp_path / ".hydra" / "config.yaml")
    value = found(read_config(tmp_path, given[1:]))
    assert (list(value["healthy_z_range"]) if isinstance(value, dict) else value) == expected


def test_each_value_of_a_sweep_may_be_one():
    assert "algorithm.horizon=200,inf" in prepare(["-m", "algorithm=spmd", "algorithm.horizon=200,.inf"])


@pytest.mark.parametrize(
    "text", ["a='.inf'", 'a="x,.inf"', "a=x.inf", "a=.info", "a=..inf", "a='b\\',.inf'", ".inf", "a=1.inf", "a=b/.inf"]
)
def test_what_only_looks_like_one_stays_as_it_is(text):
    assert plain_infinities(text) == text
