"""`start_from=` through the whole command: what another robot or another algorithm has learnt is refused, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs import compose, train
from configs.loading import build
from l2t.errors import ConfigurationError

SMALL = [
    *("physics=native", "physics.threads=1", "num_envs=4", "total_steps=32", "eval_episodes=1"),
    *("tracking.wandb.mode=disabled", "network.hidden=[8]"),
]
SPMD = ["algorithm=spmd", "algorithm.num_steps=8", "algorithm.minibatches=2", "algorithm.epochs=1", *SMALL]


@pytest.fixture(scope="module")
def cheetah(tmp_path_factory) -> Path:
    """SPMD on half_cheetah, which has as many observations and actions as walker2d."""
    return train([*SPMD, "env=half_cheetah"], tmp_path_factory.mktemp("cheetah") / "a").path


def test_what_another_robot_has_learnt_is_refused_though_the_sizes_agree(cheetah, tmp_path):
    with pytest.raises(ConfigurationError, match="that run was trained on half_cheetah, this one is walker2d") as told:
        train([*SPMD, "env=walker2d", f"start_from={cheetah}"], tmp_path / "a")
    assert "\n" not in str(told.value)
    with pytest.raises(ConfigurationError, match="trained on half_cheetah, this one is inverted_pendulum"):
        train([*SPMD, "env=inverted_pendulum", f"start_from={cheetah}"], tmp_path / "b")


def test_the_same_robot_with_other_masses_goes_on(cheetah, tmp_path):
    changed = ["env=half_cheetah", "env.model.body_mass=1.2", f"start_from={cheetah}"]
    assert train([*SPMD, *changed], tmp_path / "a").result["role_steps"]["pretraining"] == 32


def test_networks_whose_actions_would_mean_something_else_are_refused(tmp_path):
    zoo = Path(__file__).parents[2] / "zoo" / "cassie"
    other = ["env=cassie", "env.command=forward", "env.reach=1.0", "env.prior=none", f"start_from={zoo}"]
    with pytest.raises(ConfigurationError, match=r"trained with env.prior=stepping and env.reach=0.5, and") as told:
        train([*SPMD, *other], tmp_path / "a")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "overrides", [["algorithm=distillation", "algorithm.teacher_run="], ["algorithm=dagger", "algorithm.expert_run="]]
)
def test_teachers_and_experts_whose_actions_would_mean_something_else_are_refused(overrides):
    zoo = Path(__file__).parents[2] / "zoo" / "cassie"
    config = compose([overrides[0], f"{overrides[1]}{zoo}", "env=cassie", "env.command=forward", "env.reach=1.0"])
    with pytest.raises(ConfigurationError, match=r"The teacher of .*: that run was trained with env.reach=0.5, and"):
        build(config)


def test_algorithms_of_different_kinds_are_called_by_their_names(cheetah, tmp_path):
    overrides = ["algorithm=sac", "algorithm.warm_up=0", "algorithm.batch_size=8", "algorithm.buffer_size=64", *SMALL]
    overrides.remove("network.hidden=[8]")
    with pytest.raises(ConfigurationError) as told:
        train([*overrides, "env=half_cheetah", f"start_from={cheetah}"], tmp_path / "a")
    assert "that run of spmd (teacher) has no network in common with this one of sac (teacher)" in str(told.value)
    assert "State" not in str(told.value)
