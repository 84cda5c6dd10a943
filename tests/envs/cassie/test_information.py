"""What a step tells: every measure is on the page, an end has a reason, and the draw is that of the episode."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from envs.cassie.figures import PELVIS
from envs.cassie.settings import CommandConfig, RandomisationConfig
from envs.cassie.task import ENDINGS
from tests.envs.cassie.robots import build, episode

PAGE = Path(__file__).parents[3] / "docs" / "cassie.md"
STEPS, ROBOTS = 60, 6


@pytest.fixture(scope="module")
def fallen():
    """Robots of different builds that do what no robot should, long enough for all to fall: [step, robot]."""
    env = build(randomisation=RandomisationConfig(), command=CommandConfig())
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (STEPS, 10))
    start, states = episode(env, actions, instances=ROBOTS)
    return env, start, jax.device_get(states)


def test_the_page_has_every_measure_and_no_other(fallen):
    _, _, states = fallen
    text = PAGE.read_text(encoding="utf-8")
    section = text[text.index("## What is measured") :].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    measured = {name for name in states.metrics if not name.startswith("reward_")}
    assert len(told) == len(set(told))
    assert set(told) == measured
    assert all(len(row) == 3 and row[1].strip() for row in rows)


def test_a_step_ends_the_episode_where_it_tells_a_reason(fallen):
    _, _, states = fallen
    reasons = np.stack([states.metrics[f"ended_{name}"] for name in (*ENDINGS, "physics")])
    np.testing.assert_array_equal(reasons.any(axis=0), states.terminated)
    assert states.terminated.any(axis=0).all()
    np.testing.assert_array_equal(states.metrics["ended_physics"], states.unstable)


def test_what_is_told_of_the_draw_is_what_the_physics_runs_with(fallen):
    env, start, states = fallen
    told = states.metrics
    overrides, limit = start.extras["overrides"], env.model.actuator_forcerange[:, 1]
    np.testing.assert_allclose(
        told["drawn_strength"][-1], overrides["actuator_forcerange"][:, 0, 1] / limit[0], rtol=1e-5
    )
    damping = overrides["dof_damping"] / np.where(env.model.dof_damping > 0.0, env.model.dof_damping, 1.0)
    np.testing.assert_allclose(told["drawn_damping"][-1], damping.max(axis=1), rtol=1e-5)
    pelvis = env.model.body(PELVIS.name).id
    moved = overrides["body_ipos"][:, pelvis] - env.model.body_ipos[pelvis]
    drawn = np.stack([told[f"drawn_centre_{axis}"][-1] for axis in "xyz"], axis=1)
    np.testing.assert_allclose(drawn, moved, atol=1e-6)
    masses = overrides["body_mass"].sum(axis=1)
    expected = told["drawn_mass"][-1] * env.model.body_mass.sum() + told["drawn_payload"][-1]
    np.testing.assert_allclose(masses, expected, rtol=1e-4)
    drawn = {name: value for name, value in told.items() if name.startswith("drawn_")}
    assert all((value == value[0]).all() for value in drawn.values())  # for the whole episode
    assert (drawn["drawn_encoder_bias"][0] <= RandomisationConfig().encoder_bias).all()


def test_the_command_that_is_told_is_the_one_that_errors_are_counted_from(fallen):
    _, _, states = fallen
    told = states.metrics
    off = np.hypot(told["x_velocity"] - told["command_forward"], told["y_velocity"] - told["command_lateral"])
    np.testing.assert_allclose(told["velocity_error"], off, atol=1e-5)
    np.testing.assert_allclose(
        told["speed_asked"], np.hypot(told["command_forward"], told["command_lateral"]), atol=1e-6
    )
