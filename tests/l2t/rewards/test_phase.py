import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.phase import gait_phase, phase_portrait

TIME = np.arange(4000) * 0.0531
TRUE_PHASE = (0.8 * TIME + 0.13) % 1.0


def test_the_phase_of_a_sinusoid_is_its_own():
    found = gait_phase(3.0 * np.cos(2.0 * np.pi * TRUE_PHASE) + 5.0)
    apart = (found - TRUE_PHASE + 0.5) % 1.0 - 0.5
    assert np.abs(apart[60:-60]).max() < 0.02


def test_the_reward_along_the_cycle_is_that_of_each_phase():
    x, v = np.cos(2 * np.pi * TRUE_PHASE), -np.sin(2 * np.pi * TRUE_PHASE)
    portrait = phase_portrait("expert", x, v, v**2, phase=TRUE_PHASE, parts=20)
    middle = (np.arange(20) + 0.5) / 20
    np.testing.assert_allclose(portrait.cycle_position, np.cos(2 * np.pi * middle), atol=0.05)
    np.testing.assert_allclose(portrait.cycle_reward, np.sin(2 * np.pi * middle) ** 2, atol=0.1)
    assert np.all((portrait.cycle_low <= portrait.cycle_reward) & (portrait.cycle_reward <= portrait.cycle_high))


def test_a_part_without_a_step_is_unknown():
    portrait = phase_portrait("a", np.arange(8.0), np.arange(8.0), np.ones(8), phase=np.zeros(8), parts=4)
    assert np.isnan(portrait.cycle_reward[1:]).all()
    assert portrait.cycle_reward[0] == 1.0


def test_something_that_stands_still_has_no_gait():
    with pytest.raises(L2TError, match="varies"):
        gait_phase(np.ones(100))
    with pytest.raises(L2TError, match="each of the 8"):
        phase_portrait("a", np.arange(8.0), np.arange(7.0), np.ones(8))
