"""What a learned reward looks at, taken from transitions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.config import NetworkConfig
from l2t.errors import ConfigurationError
from l2t.rewards.artefact import LearnedReward, load
from l2t.rewards.model import RewardModel, named_columns
from l2t.rl.types import EnvironmentSpec, Transitions


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


def _spec(names=("height [m]", "left knee velocity [rad/s]", "right knee velocity [rad/s]")):
    return EnvironmentSpec(
        name="walk",
        observation_sizes={"teacher": 3, "student": 3},
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
        episode_length=10,
        observation_names={"teacher": names} if names else {},
    )


@pytest.mark.parametrize(
    ("features", "columns"),
    [
        ((), ()),
        (("height [m]",), (0,)),
        (("height",), (0,)),
        (("*velocity", "height"), (0, 1, 2)),
        (("right knee velocit?",), (2,)),
        (("left knee velocity [rad/s]", "left*"), (1,)),
    ],
)
def test_features_are_named_with_or_without_units_and_in_the_order_of_the_observation(features, columns):
    model = RewardModel.of_task(_spec(), "state", "teacher", NetworkConfig((8,), "tanh"), features)
    assert model.columns == columns
    assert model.names(_spec()) == tuple(_spec().observation_names["teacher"][i] for i in columns or range(3))


def test_a_feature_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ConfigurationError, match=r"no feature 'left knee speed' .* 'left knee velocity \[rad/s\]'"):
        named_columns(_spec(), "teacher", ("left knee speed",))
    with pytest.raises(ConfigurationError, match=r"there are 'height \[m\]', .* '\*velocity\*' stands for the 2 with"):
        named_columns(_spec(), "teacher", ("velocity",))
    many = replace(_spec(), observation_names={"teacher": tuple(f"joint {number} speed" for number in range(40))})
    with pytest.raises(ConfigurationError, match=r"there are 'joint 7 speed', .* and others \(40 in all, spec.observ"):
        named_columns(many, "teacher", ("joint 7 sped",))
    with pytest.raises(ConfigurationError, match="does not name what the teacher group shows"):
        named_columns(_spec(names=()), "teacher", ("height",))


@pytest.mark.parametrize("inputs", ["state", "state_action", "state_action_next"])
def test_a_reward_of_features_is_blind_to_the_rest_and_stays_so_on_disk(inputs, tmp_path):
    rng = np.random.default_rng(1)
    model = RewardModel.of_task(_spec(), inputs, "teacher", NetworkConfig((8,), "tanh"), ("*velocity",))
    reward = LearnedReward(model, model.init(jax.random.key(0)), "walk", model.names(_spec()))
    again = load(reward.save(tmp_path / "reward"))
    assert again.model == model
    s, following = rng.normal(size=(2, 5, 3)).astype(np.float32)
    action = rng.uniform(-1, 1, (5, 2)).astype(np.float32)
    value = reward.of(s, action, following)
    assert reward.inputs(s, action, following).shape[-1] == len(reward.names) == model.size
    np.testing.assert_array_equal(again.of(s, action, following), value)
    other = s + np.float32([3.0, 0.0, 0.0])
    np.testing.assert_array_equal(reward.of(other, action, following + np.float32([2.0, 0.0, 0.0])), value)
    assert np.abs(reward.of(s + np.float32([0.0, 0.0, 1.0]), action, following) - value).min() > 1e-4
    steps = Transitions(
        {"teacher": jnp.asarray(s)},
        jnp.asarray(action),
        jnp.zeros(5),
        {"teacher": jnp.asarray(following)},
        *[jnp.zeros(5, bool)] * 2,
    )
    np.testing.assert_allclose(reward(steps), value, rtol=1e-5, atol=1e-6)
