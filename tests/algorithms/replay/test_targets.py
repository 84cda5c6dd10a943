"""Backups against the same sums written out as loops."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.replay.targets import average_backup, discounted_backup

ROWS, GAIN, DISCOUNT = 200, 0.7, 0.9


def _window(n: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(n)
    reward, bonus = rng.normal(size=(2, ROWS, n)).astype(np.float32)
    terminated, truncated = rng.random((2, ROWS, n)) < 0.25
    return reward, bonus, terminated, truncated & ~terminated


@pytest.mark.parametrize("horizon", [math.inf, 4.0])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_without_a_discount_every_step_owes_the_gain_and_only_a_time_limit_cuts(n: int, horizon: float) -> None:
    reward, bonus, _, truncated = _window(n)
    backup = average_backup(*map(jnp.asarray, (reward, bonus, truncated)), jnp.asarray(GAIN), horizon)
    for row in range(ROWS):
        paid, last, alive, anew = 0.0, 0, 1.0, 0.0
        for k in range(n):
            paid += alive * (reward[row, k] - GAIN + (bonus[row, k] if k else 0.0))
            anew, alive, last = anew + alive / horizon, alive * (1.0 - 1.0 / horizon), k
            if truncated[row, k]:
                break
        assert float(backup.paid[row]) == pytest.approx(paid, abs=1e-5)
        assert int(backup.last[row]) == last
        assert float(backup.weight[row]) == pytest.approx(alive, abs=1e-6)
        assert float(backup.anew[row]) == pytest.approx(anew, abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_with_a_discount_nothing_comes_after_a_termination(n: int) -> None:
    reward, bonus, terminated, truncated = _window(n)
    backup = discounted_backup(*map(jnp.asarray, (reward, bonus, terminated, truncated)), DISCOUNT)
    for row in range(ROWS):
        paid, power, weight, last = 0.0, 1.0, 0.0, 0
        for k in range(n):
            paid += power * (reward[row, k] + (bonus[row, k] if k else 0.0))
            power, last = power * DISCOUNT, k
            weight = 0.0 if terminated[row, k] else power
            if terminated[row, k] or truncated[row, k]:
                break
        assert float(backup.paid[row]) == pytest.approx(paid, abs=1e-5)
        assert float(backup.weight[row]) == pytest.approx(weight, abs=1e-6)
        assert float(backup.anew[row]) == 0.0
        assert int(backup.last[row]) == last
