"""Charts show the numbers that they were given, and nothing lies on top of anything else."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.report.plots import save_png, style
from l2t.report.statistics import Interval
from l2t.rewards import maps, plots
from l2t.rewards.decomposition import Gap
from l2t.rewards.ensemble import Ensemble
from l2t.rewards.phase import phase_portrait
from l2t.rewards.regret import RegretMatrix
from l2t.rewards.samples import Estimates
from l2t.rewards.surrogate import fit_surrogate

NAMES = ("torso height above rest [m]", "torso x velocity [m/s]", "back thigh velocity [rad/s]", "back thigh motor")


def numbers(values=(0.2, -0.9, 0.5, 0.0), half=0.1) -> Estimates:
    estimate = np.array(values)
    return Estimates(NAMES, estimate, estimate - half, estimate + half)


def labels_of(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def assert_legible(figure, tmp_path):
    """No text overlaps another or leaves the picture."""
    save_png(figure, tmp_path / "picture.png")
    with style():
        figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts_of(figure)]
    assert len(boxes) > 5
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in boxes:
        assert -1 < box.x0 <= box.x1 < width + 1, text
        assert -1 < box.y0 <= box.y1 < height + 1, text
    for (one, first), (other, second) in combinations(boxes, 2):
        assert not first.padded(-1.0).overlaps(second.padded(-1.0)), f"{one!r} on {other!r}"


def texts_of(figure) -> list:
    """All that is written: ticks beyond the ends of an axis are objects too, but are not drawn."""
    written = [*figure.texts, figure._supxlabel, figure._supylabel, figure._suptitle]
    for ax in figure.axes:
        written += [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks()[: len(axis.get_majorticklocs())]:
                if low <= tick.get_loc() <= high:
                    written += [label for label in (tick.label1, tick.label2) if label.get_visible()]
    unique = {id(text): text for text in written if text is not None and text.get_text().strip()}
    return list(unique.values())


def test_bars_are_ranked_and_as_long_as_the_numbers(tmp_path):
    figure = plots.ranking(numbers(), title="Ranking", x_label="attribution [reward]", top=3)
    (ax,) = figure.axes
    assert labels_of(ax.yaxis) == [NAMES[1], NAMES[2], NAMES[0]]
    assert [bar.get_width() for bar in ax.patches] == [-0.9, 0.5, 0.2]
    assert "; 1 smaller not shown" in ax.get_xlabel()
    low, high = ax.get_xlim()
    assert low < -1.0
    assert high > 0.6
    assert_legible(figure, tmp_path)


def test_the_waterfall_goes_from_zero_to_the_total(tmp_path):
    terms = numbers()
    gap = Gap(Interval(-0.1, -0.3, 0.1), terms, Interval(0.1, 0.0, 0.2))
    figure = plots.waterfall(gap, title="Gap", x_label="reward per step", top=2)
    (ax,) = figure.axes
    starts = [bar.get_x() for bar in ax.patches]
    sizes = [bar.get_width() for bar in ax.patches]
    assert labels_of(ax.yaxis) == [NAMES[1], NAMES[2], "2 others", "residual", "expert − policy"]
    np.testing.assert_allclose(sizes, [-0.9, 0.5, 0.2, 0.1, -0.1])
    np.testing.assert_allclose(starts, [0.0, -0.9, -0.4, -0.2, 0.0], atol=1e-12)
    assert [text.get_text() for text in ax.texts] == ["−0.900", "0.500", "0.200", "0.100", "−0.100"]
    assert_legible(figure, tmp_path)


def footer(figure):
    return " ".join(text.get_text() for text in figure.texts)


def test_the_matrix_says_its_numbers_and_intervals(tmp_path):
    regret = np.array([[0.0, 0.0], [1234.0, -56.0]])
    half = np.array([[0, 0], [10, 20]])
    low, high = regret - half, regret + half
    matrix = RegretMatrix(("true", "learned"), ("nominal", "low friction"), regret, low, high, regret[:, :, None])
    figure = plots.regret_table(matrix, title="Regret", unit="return")
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == ["0", "0", "1,234", "[1,224, 1,244]", "−56", "[−76, −36]"]
    assert_legible(figure, tmp_path)
    assert "over 1 seed, too few" in footer(figure)
    many = replace(matrix, returns=np.repeat(matrix.returns, 5, axis=-1))
    assert footer(plots.regret_table(many, title="Regret", unit="return")).endswith("over 5 seeds")


def test_unstable_columns_are_pale_in_the_ensemble(tmp_path):
    slope = np.array([[1.0, 0.2, -0.1, 0.0], [0.9, -0.2, -0.12, 0.0], [1.1, 0.1, -0.11, 0.0]])
    unsure = Interval(0.4, np.nan, np.nan)
    means = Estimates(NAMES, slope.mean(0), slope.min(0), slope.max(0))
    ensemble = Ensemble(
        NAMES, np.abs(slope), slope, means, means, np.array([True, False, True, False]), unsure, Interval(0.9, 0.8, 1.0)
    )
    figure = plots.ensemble_dots(ensemble, title="Seeds")
    (ax,) = figure.axes
    assert labels_of(ax.yaxis) == [NAMES[0], NAMES[2], NAMES[1], NAMES[3]]
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert [line.get_color() for line in dots] == [plots.BLUE, plots.BLUE, plots.GREY, plots.GREY]
    np.testing.assert_array_equal(dots[0].get_xdata(), slope[:, 0])
    assert "columns 0.40, samples 0.90 [0.80, 1.00]" in figure.get_supxlabel()
    assert_legible(figure, tmp_path)


def test_curves_are_ordered_by_what_they_contribute_on_one_scale(tmp_path):
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (400, 4))
    surrogate = fit_surrogate(x, 0.2 * x[:, 0] + np.sin(3 * x[:, 1]) - x[:, 2], NAMES, resamples=10)
    figure = maps.surrogate_curves(surrogate, x, title="Surrogate", top=3, columns=3)
    assert [ax.get_xlabel() for ax in figure.axes[:3]] == [NAMES[1], NAMES[2], NAMES[0]]
    assert len({ax.get_ylim() for ax in figure.axes[:3]}) == 1
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_ydata(), surrogate.components[1].value)
    assert "R² 1.00" in figure.get_suptitle()
    assert_legible(figure, tmp_path)


def test_the_map_is_the_mean_of_the_samples_in_each_cell(tmp_path):
    x, y = np.random.default_rng(1).normal(size=(2, 3000))
    r = x + 2.0 * y
    figure = maps.heat_map(x, y, r, x_label="x [m]", y_label="y [m]", title="Map", bins=12)
    mesh = figure.axes[0].collections[0]
    shown = np.ma.filled(mesh.get_array(), np.nan)
    xs, ys = mesh.get_coordinates()[0, :, 0], mesh.get_coordinates()[:, 0, 1]
    for row, column in ((6, 6), (3, 8), (11, 11), (0, 0)):
        inside = (x >= xs[column]) & (x < xs[column + 1]) & (y >= ys[row]) & (y < ys[row + 1])
        expected = r[inside].mean() if inside.sum() >= 3 else np.nan
        np.testing.assert_allclose(shown[row, column], expected)
    assert np.isnan(shown[0, 0])
    assert_legible(figure, tmp_path)


def test_portraits_share_their_axes(tmp_path):
    time = np.arange(300) * 0.05
    both = [
        phase_portrait(name, a * np.cos(9 * time), -9 * a * np.sin(9 * time), np.sin(9 * time))
        for name, a in (("expert", 0.5), ("policy", 0.3))
    ]
    figure = maps.phase_portraits(both, x_label="angle [rad]", y_label="velocity [rad/s]", title="Gait")
    upper = figure.axes[:2]
    assert upper[0].get_xlim() == upper[1].get_xlim()
    assert upper[0].get_ylim() == upper[1].get_ylim()
    assert_legible(figure, tmp_path)


def test_nothing_to_draw_is_said():
    with pytest.raises(L2TError, match="at least one"):
        maps.phase_portraits([], x_label="", y_label="", title="")
    with pytest.raises(L2TError, match="two columns that vary"):
        maps.heat_map(np.ones(9), np.arange(9.0), np.ones(9), x_label="", y_label="", title="")
