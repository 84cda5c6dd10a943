"""What a study of Cassie makes of episodes that are made up."""

import numpy as np
import pytest

from scripts.studies.gait import Played, measure

STILL = ("heading_error", "velocity_error", "slip", "double_support", "flight", "saturation", "push")
ALONG = ("speed_along", "speed_asked", "left_clearance", "right_clearance")


def made_up(episodes=1, steps=400, alive=None, fallen=None, endings=None, contacts=None, **metrics):
    """Episodes of nothing but what is given; feet stand."""
    alive = np.ones((episodes, steps)) if alive is None else alive
    nothing = dict.fromkeys((*STILL, *ALONG), np.zeros(alive.shape))
    contacts = np.ones((*alive.shape, 2)) if contacts is None else contacts
    fallen = np.zeros(len(alive), bool) if fallen is None else np.asarray(fallen)
    return Played(alive, nothing | metrics, contacts, fallen, endings or {}, 0.02)


def swings(heights, contact, first=100, every=35, length=17):
    """Give a foot a swing of each of these peaks, in an episode of its own heights and contacts."""
    for index, peak in enumerate(heights):
        begin = first + every * index
        contact[begin : begin + length] = 0.0
        height = np.zeros(len(contact))
        height[begin : begin + length] = peak * np.sin(np.linspace(0.1, np.pi - 0.1, length))
        height[begin + length // 2] = peak
        yield height


def feet(left, right, steps=1000):
    """Contacts and heights of an episode in which the feet swing as high as that."""
    contacts, heights = np.ones((1, steps, 2)), np.zeros((1, steps, 2))
    for foot, peaks in enumerate((left, right)):
        heights[0, :, foot] = sum(swings(peaks, contacts[0, :, foot]), np.zeros(steps))
    return {"contacts": contacts, "left_clearance": heights[..., 0], "right_clearance": heights[..., 1], "steps": steps}


def test_a_push_counts_as_recovered_from_three_seconds_later():
    alive = np.ones((3, 400))
    alive[0, 150:] = 0.0  # falls within 3 s of its push
    alive[1, 300:] = 0.0  # falls later
    push = np.zeros((3, 400))
    push[:2, 100:110] = push[2, 260:270] = 100.0  # the last one comes too late to be judged
    walk = measure(made_up(alive=alive, fallen=[True, True, False], push=push))
    assert (walk.recovered, walk.pushes) == (0.5, 2)
    assert (walk.survival, walk.episodes) == (pytest.approx(1 / 3), 3)
    assert walk.fall_after == pytest.approx(0.02 * (150 + 300) / 2)


def test_who_marks_time_survives_and_covers_no_ground():
    walk = measure(made_up(episodes=2, speed_asked=np.full((2, 400), 0.5)))
    assert (walk.survival, walk.walked) == (1.0, 0.0)
    assert walk.asked == pytest.approx(4.0)


def test_ground_is_covered_and_asked_for_up_to_the_fall():
    alive = np.ones((2, 400))
    alive[0, 100:] = 0.0  # slides on after its fall
    speed = np.full((2, 400), 0.9)
    walk = measure(made_up(alive=alive, fallen=[True, False], speed_along=speed, speed_asked=speed / 0.9))
    assert walk.walked == pytest.approx(0.9 * 0.02 * (100 + 400) / 2)
    assert walk.asked == pytest.approx(0.02 * (100 + 400) / 2)


def test_clearance_is_that_of_the_foot_that_lifts_less_swing_by_swing():
    low = np.linspace(0.01, 0.05, 21)
    walk = measure(made_up(**feet(np.full(21, 0.2), low)))
    assert walk.clearance == pytest.approx(low.mean())
    assert walk.lowest_clearance == pytest.approx(np.quantile(low, 0.1))
    assert measure(made_up(**feet(low, np.full(21, 0.2)))).clearance == pytest.approx(low.mean())


def test_a_foot_that_drags_has_no_clearance_and_whoever_stands_has_none_to_measure():
    walk = measure(made_up(**feet(np.full(5, 0.2), [])))
    assert (walk.clearance, walk.lowest_clearance) == (0.0, 0.0)
    assert np.isnan(measure(made_up()).clearance)


def test_a_bounce_is_no_swing_and_neither_is_one_that_the_end_cuts_short():
    seen = feet([0.1, 0.1], [0.1, 0.1])
    bounced = seen["contacts"].copy()
    bounced[0, 300:304] = 0.0
    bounced[0, -10:] = 0.0
    assert measure(made_up(**seen | {"contacts": bounced})).lowest_clearance == pytest.approx(0.1)


def test_a_fall_is_counted_under_every_criterion_that_its_last_step_meets():
    alive = np.ones((3, 400))
    alive[0, 200:] = alive[1, 300:] = 0.0
    low, tilted = np.zeros((2, 3, 400), bool)
    low[0, 199:] = tilted[0, 199:] = tilted[1, 299:] = True
    tilted[2, 399] = low[1, 350:] = True  # at the time limit, and after the fall: no fall of that kind
    walk = measure(made_up(alive=alive, fallen=[True, True, False], endings={"low": low, "tilted": tilted}))
    assert walk.endings == {"low": 1, "tilted": 2}
