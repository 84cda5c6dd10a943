import numpy as np
import pytest

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
    rows = metric_rows({"loss": np.array([1.0, 2.0]), "train/episode_return": np.array([np.nan, 3.0])}, 10, 2)
    assert rows == [
        {"step": 10, "seed": 0, "loss": 1.0},
        {"step": 10, "seed": 1, "loss": 2.0, "train/episode_return": 3.0},
    ]


def test_an_evaluation_is_told_seed_by_seed():
    assert evaluations({"teacher": {"return_mean": np.float32(5.0)}}, None) == [{"teacher": {"return_mean": 5.0}}]
    batched = evaluations({"teacher": {"return_mean": np.array([1.0, 2.0])}}, 2)
    assert [each["teacher"]["return_mean"] for each in batched] == [1.0, 2.0]
