import numpy as np
import xarray as xr

from lab2 import plots


def test_losses_are_drawn_against_the_step_without_the_first_fall():
    values = np.column_stack([-np.log(np.arange(1, 41)), -1.1 * np.log(np.arange(1, 41)), np.zeros(40)])
    values[0] = 500.0
    coords = {"part": ["as shown", "training", "validation"], "step": ("epoch", 14 * np.arange(1, 41))}
    figure = plots.losses(xr.DataArray(values, dims=("epoch", "part"), coords=coords))
    (ax,) = figure.axes
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), 14 * np.arange(1, 41))
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), values[:, 1])
    assert ax.get_ylim()[1] < 10


def test_each_method_has_a_curve_in_each_panel():
    curves = {"one": np.array([[2.0, 0.2], [1.0, 0.1]]), "two": np.array([[3.0, 0.3], [2.0, 0.2]])}
    figure = plots.against([10, 40], curves, ["teff", "logg"], ("S/N", "scatter"), logarithmic=True)
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), [0.2, 0.1])
    low, high = figure.axes[0].get_ylim()
    assert low < 1.0
    assert high > 3.0


def test_sensitivities_are_drawn_in_units_of_their_largest_value_in_the_window():
    x = np.linspace(15700.0, 15800.0, 101)
    curve = np.where(np.abs(x - 15750) < 0.5, -4e3, 1.0)
    marks = {"mg_fe": [15750.0, 16000.0]}
    figure = plots.sensitivities(x, {"mg_fe": curve}, {"mg_fe": curve / 1e6}, marks, (15720, 15780))
    network, gradient, mark = figure.axes[0].lines[:3]
    assert network.get_ydata().min() == -1
    np.testing.assert_allclose(gradient.get_ydata(), network.get_ydata())
    assert mark.get_xdata()[0] == 15750


def test_every_response_is_written_in_its_cell():
    matrix = np.array([[1.0, 0.25], [-0.1, 0.75]])
    figure = plots.responses({"network": matrix}, ["mg_fe", "si_fe"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["+1.00", "+0.25", "−0.10", "+0.75"]
