"""What a learned reward looks at, taken from transitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.config import NetworkConfig
from l2t.rewards.artefact import LearnedReward
from l2t.rewards.model import RewardModel
from l2t.rl.types import Transitions


@pytest.mark.parametrize(("inputs", "columns"), [("state", 3), ("state_action", 5), ("state_action_next", 8)])
def test_the_table_has_a_column_for_each_name_and_gives_the_reward_of_training(inputs, columns):
    rng = np.random.default_rng(0)
    observation, following = (jnp.asarray(rng.normal(size=(6, 3)), jnp.float32) for _ in range(2))
    action = jnp.asarray(rng.uniform(-1.5, 1.5, (6, 2)), jnp.float32)
    steps = Transitions(
        {"teacher": observation}, action, jnp.zeros(6), {"teacher": following}, *[jnp.zeros(6, bool)] * 2
    )
    model = RewardModel(inputs, "teacher", 3, 2, NetworkConfig((8,), "tanh"))
    reward = LearnedReward(model, model.init(jax.random.key(0)), "walk", tuple("abcdefgh"[:columns]))
    table = reward.table(steps)
    # Actions count as the robot plays them: in the box.
    played = np.clip(action, -1.0, 1.0)
    parts = {"state": 1, "state_action": 2, "state_action_next": 3}[inputs]
    np.testing.assert_array_equal(table, np.hstack([observation, played, following][:parts]))
    assert table.shape[1] == len(reward.names)
    np.testing.assert_allclose(reward.of_inputs(table), reward(steps), rtol=1e-6)
