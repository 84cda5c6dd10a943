import numpy as np
import pytest

from l2t.report.plots import COLOURS, Line, Panel, draw, save_png, thin, to_svg
from l2t.report.statistics import Curve, Series


def line(label, role="", *, band=False) -> Line:
    steps = np.array([1.0, 2.0, 3.0])
    offset = 1.0 if band else np.nan
    return Line(label, Curve(steps, steps, steps - offset, steps + offset, 3), role)


def legend_of(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_thinning_keeps_the_extremes_of_what_it_averages():
    values = np.zeros(10_000)
    values[4321] = 50.0
    curve = thin(Series(np.arange(10_000.0), values), points=100)
    assert len(curve.steps) == 100
    assert curve.high.max() == 50.0
    assert curve.centre.max() == pytest.approx(0.5)
    assert curve.steps[-1] == 9999


def test_thinning_leaves_a_short_series_alone():
    curve = thin(Series(np.arange(5.0), np.arange(5.0)))
    np.testing.assert_array_equal(curve.centre, np.arange(5.0))


def test_one_line_has_no_legend():
    assert legend_of(draw([Panel("a", [line("x")])])) == []


def test_labels_choose_colours_and_roles_choose_dashes():
    lines = [line(label, role) for label in ("x", "y") for role in ("student", "teacher")]
    figure = draw([Panel("a", lines)])
    assert legend_of(figure) == ["x", "y", "student", "teacher"]
    drawn = figure.axes[0].get_lines()
    assert [one.get_color() for one in drawn] == [COLOURS[0], COLOURS[0], COLOURS[1], COLOURS[1]]
    assert [one.get_linestyle() for one in drawn] == ["-", "--", "-", "--"]


def test_a_label_with_one_role_each_is_one_entry():
    assert legend_of(draw([Panel("a", [line("student", "student"), line("teacher", "teacher")])])) == [
        "student",
        "teacher",
    ]


def test_a_label_keeps_its_colour_where_others_are_missing():
    figure = draw([Panel("a", [line("y"), line("z")])], labels=["x", "y", "z"])
    assert [one.get_color() for one in figure.axes[0].get_lines()] == list(COLOURS[1:3])


def test_the_band_is_drawn_where_it_is_known():
    figure = draw([Panel("a", [line("x"), line("y", band=True)])])
    assert len(figure.axes[0].collections) == 1


def test_two_charts_on_one_page_share_no_id_by_accident():
    charts = [to_svg(draw([Panel("a", [line(label)])]), label) for label in ("x", "y")]
    assert "<?xml" not in charts[0]
    clips = [{part.split('"')[0] for part in chart.split('clipPath id="')[1:]} for chart in charts]
    assert clips[0]
    assert not clips[0] & clips[1]


def test_a_chart_is_the_same_text_each_time():
    assert to_svg(draw([Panel("a", [line("x")])]), "t") == to_svg(draw([Panel("a", [line("x")])]), "t")


def test_a_picture_is_written(tmp_path):
    path = save_png(draw([Panel(name, [line("x"), line("y")]) for name in "abc"]), tmp_path / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
