"""Values of environment and physics configurations, refused where they are given."""

from __future__ import annotations

import dataclasses
import importlib
import math
import subprocess
import sys
from types import SimpleNamespace

import pytest

from envs.config import MUJOCO_TASKS, GymnasiumConfig, MujocoConfig, check_parameter
from envs.physics.config import PhysicsConfig
from l2t.config import check_count, check_interval, check_range
from l2t.errors import ConfigurationError, MissingDependencyError

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("healthy_z_range", bad) for bad in ([2, 1], [1, 1], [1], [1, 2, 3], "ab", 0.7, None, [NAN, 1], [None, 1])],
        *[("healthy_z_range", bad) for bad in (["0.5", 1], [True, 2], [INF, INF], {"low": 1})],
        *[("ctrl_cost_weight", bad) for bad in ("abc", None, NAN, INF, -INF, True, [1.0], 10**400)],
        *[("reset_noise_scale", bad) for bad in (-1e-3, INF, "0.1", False)],
        *[("episode_length", bad) for bad in (0, -1, 10.0, True, None, 2**31)],
        *[("terminate_when_unhealthy", bad) for bad in ("yes", 1, None, 0.0)],
    ],
)
def test_a_parameter_of_the_wrong_kind_order_or_sign_is_refused_at_once(name, value):
    with pytest.raises(ConfigurationError, match=f"env.parameters.{name}") as refused:
        MujocoConfig("hopper", parameters={name: value})
    assert "\n" not in str(refused.value)


def test_every_parameter_of_every_task_is_of_the_kind_that_its_name_says():
    for task, cls in MUJOCO_TASKS.items():
        for field in dataclasses.fields(getattr(importlib.import_module(f"envs.mujoco.{task}"), cls)):
            if field.name in ("xml", "substeps", "reads"):
                continue
            check_parameter(field.name, field.default)
            kind = type(field.default)
            for wrong in {bool: [1.0], int: [1.5, True], float: [True, "1"], tuple: [1.0, (2.0, 1.0)]}[kind]:
                with pytest.raises(ConfigurationError, match=field.name):
                    check_parameter(field.name, wrong)


@pytest.mark.parametrize(
    "config", [MujocoConfig("hopper"), GymnasiumConfig("Pendulum-v1")], ids=["mujoco", "gymnasium"]
)
@pytest.mark.parametrize(
    ("name", "values"),
    {
        "student_noise": (INF, NAN, -0.1, "0.4", None, True),
        "student_noise_kind": ("normal", None, 1),
        "student_stack": (0, 2.0, True, None),
        "student_previous_action": (1, "yes", None),
        "reset_cost": (INF, -1.0, NAN, "1"),
        "parameters": (None, 3, [1], "a"),
    }.items(),
)
def test_values_of_an_environment_are_refused_at_once(config, name, values):
    for value in values:
        with pytest.raises(ConfigurationError, match=f"env.{name}"):
            dataclasses.replace(config, **{name: value})


def test_weights_of_rewards_that_pay_nothing_or_weigh_none_are_refused():
    assert MujocoConfig("hopper", reward="runs/a", reward_weight=0.0, task_reward_weight=1.0).task_reward_weight == 1.0
    with pytest.raises(ConfigurationError, match="are both 0: nothing would be paid"):
        MujocoConfig("hopper", reward="runs/a", reward_weight=0.0)
    with pytest.raises(ConfigurationError, match=r"env.reward_weight weighs a learned reward, and there is none"):
        MujocoConfig("hopper", reward_weight=0.5)


def test_a_time_limit_of_a_gymnasium_environment_is_a_number_of_steps():
    for value in (0, 1.5, True, 2**31):
        with pytest.raises(ConfigurationError, match=r"env\.episode_length"):
            GymnasiumConfig("Pendulum-v1", episode_length=value)


@pytest.mark.parametrize(
    "interval", [[1.2, 0.8], [0.8], [0.8, 1.0, 1.2], "ab", 1.0, None, [-1.0, 1.0], [0.5, INF], [NAN, 1.0], [0.5, "1"]]
)
def test_factors_that_are_no_interval_of_finite_numbers_from_zero_up_are_refused_at_once(interval):
    with pytest.raises(ConfigurationError, match=r"env\.randomise\.body_mass"):
        MujocoConfig("hopper", randomise={"body_mass": interval})


@pytest.mark.parametrize("factor", [-0.1, INF, NAN, True, "1", None, [0.5, 1.0]])
def test_a_fixed_factor_is_one_finite_number_from_zero_up(factor):
    with pytest.raises(ConfigurationError, match=r"env\.model\.body_mass"):
        MujocoConfig("hopper", model={"body_mass": factor})


@pytest.mark.parametrize("slope", [91.0, -91.0, NAN, "5", True])
def test_a_slope_is_at_most_a_wall(slope):
    with pytest.raises(ConfigurationError, match=r"env\.slope"):
        MujocoConfig("hopper", slope=slope)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("body_weight", "no"),
        ("geom_type", "no"),
        ("nq", "no"),
        ("opt.iterations", "no"),
        ("mesh_vert", "cannot differ"),
        ("tendon_damping", "empty or zero"),
        ("dof_frictionloss", "empty or zero"),
    ],
)
def test_fields_that_cannot_be_scaled_or_would_not_change_are_refused_when_the_environment_is_built(name, reason):
    with pytest.raises(ConfigurationError, match=name) as refused:
        MujocoConfig("hopper", randomise={name: [0.5, 1.5]}).build(PhysicsConfig("native"))
    assert reason in str(refused.value)


def test_values_of_the_physics_are_refused_at_once():
    for name, values in {
        "engine": ("cuda", None, 1),
        "threads": (-1, 2.0, True, 10**6, None),
        "contacts": (0, 1e4, 2**31),
        "constraints": (0, "256", 2**31),
        "allow_cpu": (1, "yes", None),
    }.items():
        for value in values:
            with pytest.raises(ConfigurationError, match=f"physics.{name}"):
                PhysicsConfig(**{name: value})


def test_devices_are_asked_for_only_where_the_answer_matters(monkeypatch):
    asked = []
    monkeypatch.setattr("jax.devices", lambda *backend: asked.append(backend) or [])
    PhysicsConfig("native").factory()
    assert asked == []
    PhysicsConfig("auto").factory()
    assert len(asked) == 1
    with pytest.raises(MissingDependencyError, match="needs a GPU"):
        PhysicsConfig("mjx").factory()


@pytest.mark.parametrize("physics", [PhysicsConfig("mjx", allow_cpu=True), SimpleNamespace(engine="warp")])
def test_an_engine_for_an_environment_that_brings_its_own_is_refused(physics):
    with pytest.raises(ConfigurationError, match=f"physics.engine={physics.engine} does nothing here") as refused:
        GymnasiumConfig("Pendulum-v1").build(physics)
    assert "\n" not in str(refused.value)
    for engine in ("auto", "native"):
        assert GymnasiumConfig("Pendulum-v1").build(PhysicsConfig(engine)).spec.name == "Pendulum-v1"


def test_checking_parameters_imports_neither_jax_nor_mujoco():
    code = (
        "import sys; from envs.config import MujocoConfig; from envs.physics.config import PhysicsConfig;"
        "PhysicsConfig(); MujocoConfig('hopper', parameters={'healthy_z_range': [0.6, 2]});"
        "assert not {'jax', 'mujoco', 'gymnasium'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_infinities_have_to_be_asked_for():
    for value in (INF, -INF, 10**400):
        with pytest.raises(ConfigurationError, match=r"must lie in \(-inf, inf\)"):
            check_range("x", value)
        check_range("x", value, allow_infinite=True)
    with pytest.raises(ConfigurationError, match=r"must lie in \[0, inf\)"):
        check_range("x", INF, 0.0)
    with pytest.raises(ConfigurationError, match=r"must lie in \[0, inf\]"):
        check_range("x", -1.0, 0.0, allow_infinite=True)
    for bad in (NAN, "1", None, True):
        with pytest.raises(ConfigurationError):
            check_range("x", bad, allow_infinite=True)


def test_intervals_are_ordered_and_proper_where_they_have_to_be():
    check_interval("x", [1, 1])
    check_interval("x", (-INF, 2), proper=True, allow_infinite=True)
    for bad in ([1, 1], [2, 1], [-INF, -INF]):
        with pytest.raises(ConfigurationError, match=r"x\[1\]"):
            check_interval("x", bad, proper=True, allow_infinite=True)
    with pytest.raises(ConfigurationError, match=r"x\[0\]"):
        check_interval("x", [-INF, 1])
    with pytest.raises(ConfigurationError):
        check_count("x", True)
