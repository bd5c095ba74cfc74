"""Figures: units on the axes, lines that break where there is no data, and the numbers that were given."""

import matplotlib
import numpy as np
import pytest
import xarray as xr
from astropy.table import Table
from matplotlib import pyplot as plt

from lab2 import isochrones, plots
from lab2.labels import LABELS, Label, label_names
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
    assert axis_text("age", "Gyr") == axis_text(Label("age", unit="Gyr")) == "age [Gyr]"


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
    from lab2.validation import running_medians, statistics

    truth = labels_of(200).assign_coords(star=np.arange(200).astype(str))
    noise = np.random.default_rng(4).normal(0, 0.01, truth.shape)
    fits = xr.Dataset({"labels": truth + np.array([10.0, 0.1, 0, 0, 0]) + noise})
    numbers = statistics(fits, truth)
    running = running_medians(fits, truth)
    figure = plots.label_comparison(fits.labels, truth, numbers, "ASPCAP", running=running)
    upper, lower = figure.axes[:5], figure.axes[5:10]
    assert upper[0].texts[0].get_text().startswith("bias 9.9997 ± 0.0007\n")
    for ax, low, label in zip(upper, lower, LABELS, strict=True):
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), ax.lines[0].get_ydata())
        assert ax.get_title() == label.axis
        assert f"[{label.unit}]" in low.get_xlabel()
        np.testing.assert_array_equal(low.lines[1].get_ydata(), running["median"].sel(label=label.name))
    places = np.array([ax.get_position().y0 for ax in upper])
    assert (places[:3] > places[3:].max()).all()  # two rows


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


def test_two_corners_have_axes_of_their_own_that_reach_to_the_truth():
    draws = labels_of(300).values
    wide = draws.mean(axis=0) + 5 * (draws - draws.mean(axis=0))
    truth = draws.mean(axis=0) + np.array([0.0, 0.0, 9.0, 0.0, 0.0]) * draws.std(axis=0)
    figure = plots.two_corners(("formal", draws), ("calibrated", wide), label_names(), truth)
    axes = np.array(figure.axes).reshape(5, 5)
    for i in range(5):
        for j in range(i):
            below, above = axes[i, j], axes[j, i]
            assert np.ptp(above.get_ylim()) > 3 * np.ptp(below.get_xlim()) or j == 2
            assert below.get_xlim()[0] < truth[j] < below.get_xlim()[1]
            assert above.get_xlim()[0] < truth[i] < above.get_xlim()[1]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "truth"
    unknown = plots.two_corners(("formal", draws), ("calibrated", wide), label_names(), None)
    assert len(unknown.legends[0].get_texts()) == 2


def test_features_of_the_kiel_diagram_are_joined_to_their_names():
    track = isochrones.mist(6, 0.0)
    plain = plots.kiel(labels_of(5), {"MIST": track}).axes[0]
    ax = plots.kiel(labels_of(5), {"MIST": track}, {"clump": [(4800, 2.4), (5300, 2.0)]}).axes[0]
    line, point = ax.lines[len(plain.lines) :]
    assert line.get_xydata().tolist() == [[5300, 2.0], [4800, 2.4]]
    assert point.get_xydata().tolist() == [[4800, 2.4]]
    assert ax.texts[0].get_position() == (5300, 2.0)


def test_a_page_of_odd_stars_shows_data_over_fit_and_the_difference():
    wavelength = np.linspace(15200, 15290, 400)
    flux = 1 - 0.2 * np.exp(-0.5 * ((wavelength - 15240) / 2) ** 2)
    zoom = xr.Dataset({"flux": ("wavelength", flux), "best": ("wavelength", np.ones(400))}, {"wavelength": wavelength})
    zoom = zoom.assign_attrs(star="2M0", verdict="a verdict")
    double = zoom.assign(explained=zoom.flux)
    figure = plots.odd_stars([zoom, double, zoom])
    tops, lows = figure.axes[::2], figure.axes[1::2]
    assert len(tops) == len(lows) == 3
    assert all(ax.get_title(loc="left") == "2M0\na verdict" for ax in tops)
    np.testing.assert_allclose(lows[0].lines[0].get_ydata(), flux - 1)
    assert [len(ax.lines) for ax in tops] == [2, 3, 2]
    assert len(figure.legends[0].get_texts()) == 4


def test_plotting_leaves_the_users_style_alone():
    before = dict(matplotlib.rcParams)
    plots.kiel(labels_of(5), {"MIST": isochrones.mist(6, 0.0)})
    assert dict(matplotlib.rcParams) == before


def catalog_of(n, flag):
    rng = np.random.default_rng(5)
    columns = {"teff": rng.normal(4500, 200, n), "logg": rng.normal(2, 0.5, n), "fe_h": rng.normal(0, 0.2, n)}
    columns |= {"mg_fe": rng.normal(0.1, 0.05, n), "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-80, 80, n)}
    return Table(columns | {"flag": flag, "read": np.ones(n, bool), "simulated": np.zeros(n, bool)})


def test_the_summary_of_a_catalog_counts_stars_without_a_flag_and_shows_where_flags_are():
    flag = np.zeros(2000, int)
    table = catalog_of(2000, flag)
    lost = (table["ra"] > 40) & (table["ra"] < 50)
    table["flag"][lost] = 4
    table["flag"][0] = 1
    table["teff"][0] = table["ra"][0] = np.nan
    figure = plots.catalog_summary(table)
    kiel, _, sky = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    good = 2000 - lost.sum() - (not lost[0])
    assert figure.get_suptitle().startswith(f"2000 spectra: {good} without a flag")
    assert 0.98 * good < kiel.collections[0].get_array().sum() <= good
    assert kiel.get_xlim()[0] > kiel.get_xlim()[1]
    assert kiel.get_ylim()[0] > kiel.get_ylim()[1]
    fraction = sky.collections[0].get_array()
    column = np.nanmax(fraction.filled(0.0), axis=0)
    assert column[-45 // 10 + 18] == 1.0  # 45 degrees lie left of the middle, 18 cells of 10 degrees from the edge
    assert np.delete(column, -45 // 10 + 18).max() < 1.0


@pytest.mark.parametrize(("n", "flag"), [(1, [0]), (3, [0, 0, 0]), (2, [1, 4])])
def test_the_summary_of_a_few_stars_is_drawn(n, flag):
    assert plots.catalog_summary(catalog_of(n, flag)).get_suptitle().startswith(f"{n} spectra: {flag.count(0)} without")


@pytest.mark.parametrize(
    ("simulated", "said"),
    [([True, True, False], "3 simulated spectra:"), ([True, False, False], "3 spectra (1 of them simulated):")],
)
def test_the_summary_says_of_simulated_stars_that_they_are(simulated, said):
    table = catalog_of(3, [0, 0, 1])
    table["simulated"], table["read"] = simulated, [True, True, False]  # a file that cannot be read does not say
    assert plots.catalog_summary(table).get_suptitle().startswith(said)


def test_an_odd_star_is_shown_whole_and_enlarged_in_the_given_window():
    wavelength = np.linspace(15200, 16400, 4000)
    chip = np.where(wavelength < 15835, "blue", "green")
    model = np.ones(4000)
    flux = model - 0.2 * np.exp(-0.5 * ((wavelength - 16000) / 2) ** 2)
    flux[:30] = np.nan
    window = slice(2600, 2800)
    figure = plots.odd_star(wavelength, chip, flux, model, window, "a verdict", explained=flux)
    blue, green, zoom = figure.axes
    assert blue.get_title(loc="left") == "a verdict"
    assert blue.get_xlim()[1] < 15836 < green.get_xlim()[1]
    assert zoom.get_xlim() == pytest.approx((wavelength[2600], wavelength[2799]))
    np.testing.assert_allclose(np.nanmin(zoom.lines[2].get_ydata()), 0.3 - 0.2, atol=0.01)  # the residual
    assert len(figure.legends[0].get_texts()) == 4


def test_ranks_stand_on_the_band_of_uniform_ones():
    ranks = xr.DataArray(np.arange(1000).reshape(200, 5) % 100, dims=("star", "label"), coords={"label": label_names()})
    figure = plots.rank_histograms({"formal": ranks, "calibrated": ranks}, 99)
    assert len(figure.axes) == 10
    assert figure.axes[5].get_ylabel().startswith("calibrated")
    band = figure.axes[0].patches[0]
    # 200 stars in 10 bins: 20, and 2 sigma of a binomial
    assert band.get_y() < 20 < band.get_y() + band.get_height()
    assert band.get_height() == pytest.approx(4 * np.sqrt(200 * 0.1 * 0.9), rel=0.15)


def test_pulls_beyond_the_axis_are_counted_at_its_ends():
    far = np.full((50, 5), 40.0)
    axes = plots.pulls(far, np.zeros((50, 5)), label_names()).axes
    formal = axes[0].patches[0].get_xy()
    assert formal[formal[:, 1] > 0, 0].min() == pytest.approx(4.75)
    assert "residual / error" in axes[0].get_xlabel()


def test_the_band_of_predicted_spectra_is_the_one_given():
    wavelength = np.linspace(15700, 15800, 300)
    band = np.repeat([[0.96], [1.0], [1.04]], 300, axis=1)
    top, bottom = plots.predictive(wavelength, np.ones(300), band, (15720, 15780)).axes
    x, y = bottom.collections[0].get_paths()[0].vertices.T
    assert (x.min(), x.max()) == pytest.approx((15720, 15780), abs=1)
    assert (y.min(), y.max()) == pytest.approx((-0.04, 0.04))
    assert "[$" in bottom.get_xlabel()
    assert top.get_xlim() == (15720, 15780)


def test_the_gain_of_factors_is_the_one_given():
    ax = plots.factor_gain([0, 2, 5], [[0, 1, 2], [0, 3, 4], [0, 5, 6]], 2).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0], [2, 3], [5, 4]])
    assert ax.lines[1].get_xdata() == [2, 2]
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "used: 2"


def test_shared_residuals_have_a_panel_a_group():
    wavelength = np.linspace(15700, 16000, 300)
    chip = np.where(wavelength < 15835, "blue", "green")
    figure = plots.shared_residual(wavelength, chip, {"double": np.sin(wavelength), "labels": np.zeros(300) + 0.01})
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["double", "labels"]
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).sum() == 1  # the seam of the chips


def test_gradients_mark_lines_in_their_row_and_chip_only():
    wavelength = np.arange(15140.0, 16960.0, 1.0)
    slope = np.sin(wavelength)
    marks, names = {"b": [15745.0, 16685.0]}, {"a": {"Br 11": 16811.2}}
    figure = plots.gradients(wavelength, {"a": slope, "b": slope}, marks, names)
    rows = np.array(figure.axes).reshape(2, 3)
    triangles = [next(line.get_xdata() for line in ax.lines if line.get_marker() == "v") for ax in rows.ravel()]
    assert [list(at) for at in triangles] == [[], [], [], [15745.0], [], [16685.0]]
    texts = [[text.get_text() for text in ax.texts] for ax in rows.ravel()]
    assert texts == [[], [], ["Br 11"], [], [], []]


def test_a_zoom_has_a_column_a_window_and_curves_that_differ_without_color():
    wavelength = np.arange(15700.0, 16200.0, 0.5)
    slopes = {"x": np.sin(wavelength), "y": np.cos(wavelength), "z": 0 * wavelength}
    windows = {(15740, 15780): {"Mg I 15753": 15753.3}, (16090, 16110): {"Si I 16099": 16099.2}}
    figure = plots.line_zooms(wavelength, 1 + 0 * wavelength, slopes, windows)
    assert len(figure.axes) == 4
    assert [ax.get_xlim() for ax in figure.axes[:2]] == list(windows)
    assert [text.get_text() for ax in figure.axes[:2] for text in ax.texts] == ["Mg I 15753", "Si I 16099"]
    styles = {str(line._dash_pattern) for line in figure.axes[2].lines[:3]}
    assert len(styles) == len(figure.legends[0].get_texts()) == 3


def test_the_scatter_names_its_peaks_without_their_wavelengths():
    wavelength = np.arange(15140.0, 16960.0, 1.0)
    scatters = {"all": np.full(wavelength.shape, 0.02), "some": np.full(wavelength.shape, 0.01)}
    figure = plots.scatter_spectrum(
        wavelength, scatters, 1 + 0 * wavelength, {"CN 15391.7": 15391.7, "OH 16876.7": 16876.7}
    )
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["CN"], [], ["OH"]]
    assert np.nanmax(figure.axes[0].lines[1].get_ydata()) == 0.01


def test_names_of_a_sequence_stand_above_all_spectra():
    wavelength, fluxes = np.linspace(16000, 16200, 50), np.full((3, 50), 1.05)
    figure = plots.sequence(wavelength, fluxes, [1, 2, 3], "x", ["a", "b", "c"], lines={"Si 16099": 16099.0})
    ax = figure.axes[0]
    (name,) = [text for text in ax.texts if text.get_text() == "Si 16099"]
    highest = max(np.max(line.get_ydata()) for line in ax.lines)
    assert name.xy[1] > highest >= 1.05 + 0.8


def test_a_contrast_shows_both_spectra_and_both_differences():
    wavelength = np.linspace(16000, 16200, 50)
    flux = 1 - 0.1 * np.exp(-(((wavelength - 16100) / 5) ** 2))
    figure = plots.contrast(
        wavelength, {"cool": flux, "warm": flux**2}, {"model": flux**2 - flux, "pairs": flux * 0}, {}
    )
    top, low = figure.axes
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["cool", "warm"]
    np.testing.assert_allclose(low.lines[0].get_ydata(), flux**2 - flux)
