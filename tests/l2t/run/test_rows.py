import jax
import numpy as np
import pytest

from l2t.errors import DivergenceError
from l2t.rl.measured import Measured
from l2t.run.guard import check_finite, check_physics
from l2t.run.rows import evaluations, metric_rows, pool


def test_seeds_are_pooled_as_if_all_their_episodes_were_one_sample():
    rng = np.random.default_rng(0)
    returns, lengths = rng.normal(100.0, 40.0, (3, 8)), rng.integers(10, 1000, (3, 8))
    each = [
        {
            "return_mean": r.mean(),
            "return_std": r.std(),
            "average_reward": r.sum() / n.sum(),
            "episode_length_mean": n.mean(),
            "episodes": 8,
        }
        for r, n in zip(returns, lengths, strict=True)
    ]
    pooled = pool(each)
    assert pooled["return_mean"] == pytest.approx(returns.mean())
    assert pooled["return_std"] == pytest.approx(returns.std())
    assert pooled["average_reward"] == pytest.approx(returns.sum() / lengths.sum())
    assert pooled["episodes"] == 24


def test_a_metric_is_a_number_or_one_for_each_seed():
    assert metric_rows({"loss": np.float32(2.0)}, 10, None) == [{"step": 10, "loss": 2.0}]
    rows = metric_rows({"loss": np.array([1.0, 2.0]), "steps": np.array([3, 4])}, 10, 2)
    assert rows == [{"step": 10, "seed": 0, "loss": 1.0, "steps": 3}, {"step": 10, "seed": 1, "loss": 2.0, "steps": 4}]


def test_what_is_not_known_is_left_out_whatever_its_name_and_value():
    for unknown in (np.nan, 0.0):
        assert metric_rows({"loss/critic": Measured(np.float32(unknown), np.False_)}, 10, None) == [{"step": 10}]
        told = Measured(np.array([unknown, 3.0]), np.array([False, True]))
        rows = metric_rows({"loss": np.array([1.0, 2.0]), "train/episode_return": told}, 10, 2)
        assert rows == [
            {"step": 10, "seed": 0, "loss": 1.0},
            {"step": 10, "seed": 1, "loss": 2.0, "train/episode_return": 3.0},
        ]


@pytest.mark.parametrize("name", ["loss/critic", "train/episode_return"])
def test_a_number_that_is_known_and_not_finite_is_a_divergence(name):
    for number in (np.float32(np.nan), Measured(np.float32(np.nan), np.True_)):
        with pytest.raises(DivergenceError, match=f"{name} became nan in iteration 3"):
            check_finite(metric_rows({name: number}, 10, None), 3, 10)
    check_finite(metric_rows({name: Measured(np.float32(np.nan), np.False_)}, 10, None), 3, 10)


def test_an_evaluation_is_told_seed_by_seed():
    assert evaluations({"teacher": {"return_mean": np.float32(5.0)}}, None) == [{"teacher": {"return_mean": 5.0}}]
    batched = evaluations({"teacher": {"return_mean": np.array([1.0, 2.0])}}, 2)
    assert [each["teacher"]["return_mean"] for each in batched] == [1.0, 2.0]


def test_the_seeds_that_diverged_are_named_with_what_the_others_can_do():
    found = np.array([0.0, np.nan, 0.0, np.inf], np.float32)
    cure = "to leave them out, num_seeds=1 trains those before it alike, and another"
    with pytest.raises(DivergenceError, match=rf"loss/x became nan .* seeds 1 and 3\).*{cure}"):
        check_finite(metric_rows({"loss/x": found}, 10, 4), 3, 10)
    with pytest.raises(DivergenceError, match=r"10\.0% .* seed 0\).*to leave it out, another seed= gives others\.$"):
        check_physics(metric_rows({"train/unstable": np.array([0.1, 0.0])}, 10, 2), 3, 10)
    with pytest.raises(DivergenceError, match=r"the step size\.$"):  # nothing is left that could go on
        check_finite(metric_rows({"loss/x": found[1::2]}, 10, 2), 3, 10)


def test_a_smaller_batch_of_seeds_has_the_first_keys_of_a_larger_one():
    few, many = (jax.random.key_data(jax.random.split(jax.random.key(5), count)) for count in (3, 8))
    np.testing.assert_array_equal(few, many[:3])
