"""A message about a dataclass that stands inside another one names the keys that are there, every one of them."""

from __future__ import annotations

import pytest

from configs.build import experiment_config
from configs.command_line import compose_config
from l2t.errors import ConfigurationError

TAUGHT = ["algorithm=l2t", "algorithm/teacher=ipmd"]
SHOWN = [*TAUGHT, "algorithm.teacher.demonstrations=x"]


@pytest.mark.parametrize(
    ("given", "told", "wrong"),
    [
        (TAUGHT, "such as algorithm.teacher.demonstrations=", "algorithm.demonstrations"),
        (
            ["algorithm=l2t", "algorithm/teacher=sac", "algorithm.teacher.n_step=100"],
            "algorithm.teacher.n_step=100 is longer than algorithm.teacher.num_steps=32",
            "algorithm.num_steps",
        ),
        ([*SHOWN, "algorithm.teacher.reward.inputs=foo"], "algorithm.teacher.reward.inputs='foo'", "reward.reward"),
        ([*SHOWN, "algorithm.teacher.reward.network.hidden=[]"], "algorithm.teacher.reward.network.hidden", " network"),
        (
            ["algorithm=spmd_vrtd", "algorithm.actor.reset_rate=0.1"],
            "algorithm.actor.reset_rate=0.1 would change nothing: algorithm.actor.adapt_reset_cost is off",
            "algorithm.adapt",
        ),
        (["algorithm=ipmd"], "such as algorithm.demonstrations=", "teacher"),
    ],
)
def test_every_key_of_a_message_is_that_of_the_part_that_is_wrong(given, told, wrong):
    with pytest.raises(ConfigurationError) as raised:
        experiment_config(compose_config(given))
    assert told in str(raised.value)
    assert wrong not in str(raised.value)
