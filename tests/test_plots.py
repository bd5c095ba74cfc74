"""Figures: units on the axes, lines that break where there is no data, and the numbers that were given."""

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from lab2 import isochrones, plots
from lab2.labels import LABELS, label_names
from lab2.plots.style import axis_text, spectrum_line

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def labels_of(n, seed=3):
    rng = np.random.default_rng(seed)
    values = rng.normal([4500, 2, -0.2, 0.1, 0.1], [300, 0.8, 0.3, 0.1, 0.1], (n, 5))
    return xr.DataArray(values, dims=("star", "label"), coords={"label": label_names()})


def test_every_label_has_its_unit_on_the_axis():
    assert [axis_text(label.name) for label in LABELS] == [f"{label.symbol} [{label.unit}]" for label in LABELS]
    assert axis_text("[C/N]") == "[C/N]"


def test_a_spectrum_breaks_at_the_seam_of_two_chips_and_where_it_is_nan():
    _, ax = plt.subplots()
    (line,) = spectrum_line(ax, np.arange(6.0), [1, np.nan, 1, 1, 1, 1], chip=["a", "a", "a", "b", "b", "b"])
    assert np.isnan(line.get_ydata()).tolist() == [False, True, True, False, False, False]


def test_the_kiel_diagram_runs_the_astronomers_way():
    ax = plots.kiel(labels_of(30), {"MIST": isochrones.mist(6, 0.0)}).axes[0]
    assert ax.get_xlim()[0] > ax.get_xlim()[1]  # hot stars on the left
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # giants at the top
    assert "[K]" in ax.get_xlabel()
    assert "dex" in ax.get_ylabel()


def test_the_comparison_shows_all_labels_with_the_line_of_equality_and_the_statistics():
    from lab2.validation import statistics

    truth = labels_of(200).assign_coords(star=np.arange(200).astype(str))
    noise = np.random.default_rng(4).normal(0, 0.01, truth.shape)
    fits = xr.Dataset({"labels": truth + np.array([10.0, 0.1, 0, 0, 0]) + noise})
    numbers = statistics(fits, truth)
    figure = plots.label_comparison(fits.labels, truth, numbers, "ASPCAP")
    upper, lower = figure.axes[:5], figure.axes[5:10]
    assert "bias +10" in upper[0].get_title()
    for ax, low, label in zip(upper, lower, LABELS, strict=True):
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), ax.lines[0].get_ydata())
        assert f"[{label.unit}]" in low.get_xlabel()


def test_spectra_of_a_sequence_are_offset_by_equal_steps():
    fluxes = np.ones((3, 50))
    values = [-1.0, 0.0, 0.5]
    figure = plots.sequence(np.linspace(16000, 16200, 50), fluxes, values, "[Fe/H]", ["a", "b", "c"], offset=0.3)
    heights = [line.get_ydata()[0] for line in figure.axes[0].lines]
    assert heights == pytest.approx([1.0, 1.3, 1.6])
    assert len({line.get_color() for line in figure.axes[0].lines}) == 3
    assert "[$" in figure.axes[0].get_xlabel()


def test_a_corner_plot_holds_each_pair_and_names_the_sets():
    draws = labels_of(300).values
    figure = plots.corner({"one": draws, "two": draws + 0.1}, label_names())
    assert len(figure.axes) == 25
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    assert any("[K]" in ax.get_xlabel() for ax in figure.axes)


def test_plotting_leaves_the_users_style_alone():
    before = dict(matplotlib.rcParams)
    plots.kiel(labels_of(5), {"MIST": isochrones.mist(6, 0.0)})
    assert dict(matplotlib.rcParams) == before
