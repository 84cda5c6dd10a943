"""What an experiment sets and another choice does not have is told as that, not as a key that somebody mistyped."""

from __future__ import annotations

import pytest

from configs.command_line import prepare
from l2t.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["experiment=l2t_irl", "algorithm=ipmd"], "experiment=l2t_irl sets algorithm/teacher, which algorithm=ipmd "),
        (["experiment=l2t_hopper", "algorithm=sac"], "experiment=l2t_hopper sets algorithm.teacher, which algorithm="),
        (["experiment=cassie_flat", "env=hopper"], "experiment=cassie_flat sets env.episode_length, which env=hopper "),
        (
            ["experiment=l2t_ant", "algorithm.teacher=sac"],
            "experiment=l2t_ant sets algorithm.teacher.ratio_clip, which algorithm/teacher=sac does not have",
        ),
        (["experiment=irl_mujoco", "algorithm=spmd"], "sets algorithm.demonstrations, which algorithm=spmd does not"),
    ],
)
def test_what_an_experiment_sets_for_another_choice_is_not_called_a_typing_error(given, told):
    with pytest.raises(ConfigurationError) as raised:
        prepare(given)
    assert told in str(raised.value)
    assert str(raised.value).endswith("leave one of the two out.")


@pytest.mark.parametrize(
    "given",
    [
        ["experiment=l2t_hopper", "env.episode_lenth=3"],
        ["experiment=l2t_hopper", "algorithm.teacher.epoch=3"],
        ["env=hopper", "env.episode_length=3"],
        ["experiment=cassie_flat", "env=hopper", "env.episode_length=3"],
    ],
)
def test_what_was_typed_is_answered_as_ever(given):
    with pytest.raises(ConfigurationError, match=r"is not known; choose one of"):
        prepare(given)


@pytest.mark.parametrize(
    ("experiment", "key"),
    [("irl_mujoco", "algorithm.demonstrations"), ("l2t_irl", "algorithm.teacher.demonstrations")],
)
def test_a_value_that_is_made_of_what_is_not_there_names_the_key_to_give(experiment, key):
    with pytest.raises(ConfigurationError) as raised:
        prepare([f"experiment={experiment}", "env=gymnasium"])
    assert str(raised.value) == (
        f"{key} cannot be read: it is made of env.task, which is not there; give {key}=... on the command line."
    )
