"""Slopes against exact power laws, and the files of a study."""

from __future__ import annotations

import json

import numpy as np
import pytest

from l2t.errors import L2TError, RunDirectoryError
from l2t.report.study import (
    SeedCurves,
    StudyResult,
    Table,
    fitted_slope,
    interval_text,
    markdown,
    mean_with_band,
    value_at,
)
from l2t.report.study_page import write_study

FACTS = {"seed": 3, "wall_seconds": 1.0, "versions": {"jax": "0"}}
X = np.geomspace(1e3, 1e6, 13)


def _curve(power=-1.0, noise=0.0, seeds=16):
    rng = np.random.default_rng(0)
    return SeedCurves("ring", "vrtd", X, 5.0 * X**power * np.exp(noise * rng.standard_normal((seeds, 13))))


def test_the_slope_of_a_power_law_is_its_power() -> None:
    slope = fitted_slope(_curve(-0.7))
    assert (slope.estimate, slope.low, slope.high) == pytest.approx((-0.7, -0.7, -0.7))


def test_the_slope_is_fitted_where_it_is_asked_for() -> None:
    y = np.where(X < 3e4, 1.0, 3e4 / X)
    curve = SeedCurves("ring", "vrtd", X, np.tile(y, (3, 1)))
    assert fitted_slope(curve, 1e5).estimate == pytest.approx(-1.0)
    assert fitted_slope(curve, 0.0, 2e4).estimate == pytest.approx(0.0)


def test_the_interval_of_a_noisy_slope_covers_the_truth_and_narrows_with_seeds() -> None:
    few, many = fitted_slope(_curve(noise=0.5, seeds=8)), fitted_slope(_curve(noise=0.5, seeds=512))
    assert many.low - 0.02 < -1.0 < many.high + 0.02
    assert many.high - many.low < 0.3 * (few.high - few.low)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(L2TError, match="vrtd on ring has 2 points"):
        fitted_slope(_curve(), 5e5)
    with pytest.raises(L2TError, match="between 1,000 and 1,000,000"):
        value_at(_curve(), 10.0)


def test_without_seeds_or_numbers_there_is_no_interval() -> None:
    one = fitted_slope(_curve(seeds=1))
    assert one.estimate == pytest.approx(-1.0)
    assert np.isnan(one.low)
    assert interval_text(one) == "-1.00"
    lost = SeedCurves("ring", "vrtd", X, np.where(X < 1e5, 1.0, np.nan) * np.ones((3, 13)))
    assert interval_text(fitted_slope(lost)) == "–"


def test_a_value_between_two_points_lies_on_the_power_law_through_them() -> None:
    curve = _curve(-0.8)
    np.testing.assert_allclose(value_at(curve, X[4]), curve.y[:, 4])
    np.testing.assert_allclose(value_at(curve, 2.5e5), 5.0 * 2.5e5**-0.8)


def test_the_band_is_that_of_the_mean() -> None:
    y = np.random.default_rng(0).normal(3.0, 1.0, (400, 2))
    mean, low, high = mean_with_band(y)
    np.testing.assert_allclose(high - low, 2 * 1.96 / 20.0, rtol=0.15)
    assert np.all((low < mean) & (mean < high))
    assert np.isnan(mean_with_band(y[:1])[1]).all()


def test_the_files_of_a_study_hold_what_it_found(tmp_path) -> None:
    table = Table("Slopes", ("process", "method", "slope"), (("ring", "vrtd", "-1.00"),))
    result = StudyResult([_curve(noise=0.1)], [table], "transitions", "error", ["vrtd: a <warning>."])
    write_study("tiny", result, tmp_path / "study", FACTS, "run me")
    (line,) = (tmp_path / "study" / "curves.jsonl").read_text().splitlines()
    np.testing.assert_allclose(json.loads(line)["y"], result.curves[0].y)
    stored = json.loads((tmp_path / "study" / "result.json").read_text())
    assert stored["tables"] == {"Slopes": [{"process": "ring", "method": "vrtd", "slope": "-1.00"}]}
    assert (stored["seed"], stored["status"]) == (3, "finished")
    page = (tmp_path / "study" / "report.html").read_text()
    assert "<svg" in page
    assert "a &lt;warning&gt;." in page
    assert "run me" in page
    assert (tmp_path / "study" / "curves.png").stat().st_size > 10_000
    assert markdown(table).splitlines()[2:] == [
        "| process | method | slope |",
        "|---|---|---:|",
        "| ring | vrtd | -1.00 |",
    ]


def test_a_place_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="file"):
        write_study("tiny", StudyResult([_curve()], [], "x", "y"), tmp_path / "file" / "study", {}, "")
