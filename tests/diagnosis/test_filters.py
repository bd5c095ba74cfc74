"""Matched filters against spectra in which the answer was planted."""

import numpy as np
import pytest
from stars_with_lines import COOL, GRID, LABELS, MEAN, NOISE, SPREAD, STEP, clean, labels_of, observe, one
from twins import pixel_chi2

from lab2 import cannon
from lab2.diagnosis import filters
from lab2.grid import BRACKETT, chip_of


def screened(model, flux, seed=42, noise=NOISE):
    flux = np.atleast_2d(flux)
    spectra = observe(flux, np.tile(LABELS, (len(flux), 1)), np.random.default_rng(seed), noise)
    return filters.screen(model, spectra, cannon.fit_labels(model, spectra))


def test_significances_of_ordinary_stars_are_normal(model):
    rng = np.random.default_rng(44)
    labels = MEAN + SPREAD * rng.uniform(-1, 1, (200, 3))
    spectra = observe(clean(labels), labels, rng)
    found = filters.screen(model, spectra, cannon.fit_labels(model, spectra))
    # one template; the model's own errors add a little
    assert 0.85 < found.emission_z.values.std() < 1.3
    assert abs(found.emission_z.values.mean()) < 0.3
    # the best of fifty, never far out
    assert 0.5 < np.median(found.velocity_z) < 3.0
    assert found.velocity_z.max() < 6.0


def test_z_is_the_fall_of_chi2_when_the_template_is_fitted_with_the_labels(model):
    template = np.exp(-0.5 * ((GRID - BRACKETT[:, None]) / 3.5) ** 2)
    template = ((11 / np.arange(11, 21)) ** 3) @ template
    spectrum = one(clean(LABELS) + 0.15 * template)
    fit = cannon.fit_labels(model, spectrum)
    weight = cannon.weights(model, spectrum.ivar.values)[0]
    slopes = np.stack([model.gradient(name, fit.labels.values[0]).values for name in model.labels])
    columns = np.concatenate([slopes, template[None]]) * np.sqrt(weight)
    residual = (spectrum.flux.values - model.predict(fit.labels).values)[0] * np.sqrt(weight)
    amplitude, left, *_ = np.linalg.lstsq(columns.T, residual)
    _, without, *_ = np.linalg.lstsq(columns[:-1].T, residual)
    found = filters.screen(model, spectrum, fit)
    assert float(found.emission_z[0]) == pytest.approx(np.sqrt(without[0] - left[0]), rel=1e-6)
    assert amplitude[-1] == pytest.approx(0.15, abs=0.03)


def test_each_kind_is_recognized_by_its_own_filter(model):
    still = clean(LABELS)[0]
    shapes = {
        "velocity": 0.7 * still + 0.3 * clean(COOL, 50.0)[0],
        "rotation": clean(LABELS, width=2.8)[0],
        "emission": still + 0.4 * np.exp(-0.5 * ((GRID - BRACKETT[:, None]) / 3.5) ** 2).sum(axis=0) * 0.5,
        "veil": 1.0 - (1.0 - still) * np.where(GRID > 15835, np.linspace(0.5, 1.0, GRID.size), 1.0),
    }
    found = screened(model, np.array(list(shapes.values())))
    for star, kind in enumerate(shapes):
        z = {other: float(found[f"{other}_z"][star]) for other in shapes}
        assert max(z, key=z.get) == kind, z
        assert z[kind] > 10
    assert float(found.velocity[0]) == pytest.approx(50.0, abs=STEP)
    assert float(found.velocity_share[0]) == pytest.approx(0.3, abs=0.08)
    assert str(found.veiled_chip.values[3]) == "green"


def test_a_star_without_data_says_nothing(model):
    spectrum = one(clean(LABELS))
    empty = spectrum.assign(ivar=0.0 * spectrum.ivar)
    found = filters.screen(model, empty, cannon.fit_labels(model, empty))
    assert [float(found[f"{kind}_z"][0]) for kind in ("velocity", "rotation", "emission", "veil")] == [0.0] * 4


def test_pixels_of_unequal_velocity_are_refused(model):
    spectrum = one(clean(LABELS))
    fit = cannon.fit_labels(model, spectrum)
    with pytest.raises(ValueError, match="steps of 6e-06 in log10"):
        filters.screen(model, spectrum.assign_coords(wavelength=np.linspace(15600, 16000, GRID.size)), fit)


def test_excess_says_where_chi2_comes_from(model):
    spectrum = one(clean(LABELS))
    fit = cannon.fit_labels(model, spectrum)
    spoiled = spectrum.copy(deep=True)
    green = chip_of(GRID) == "green"
    spoiled["flux"] = spectrum.flux + np.where(green, 0.05 * np.sin(np.arange(GRID.size)), 0.0)
    before, after = (filters.excess(model, some, fit) for some in (spectrum, spoiled))
    assert after.sel(region="green chip").item() > 5 * before.sel(region="green chip").item()
    assert after.sel(region="blue chip").item() == pytest.approx(before.sel(region="blue chip").item())
    seen = (spectrum.ivar.values[0] > 0) & model.trained.values
    total = pixel_chi2(model, spectrum.flux.values[0], spectrum.ivar.values[0], fit.labels.values[0])
    chips = before.sel(region=["blue chip", "green chip"]).values[0]
    assert chips @ [seen[~green].sum(), seen[green].sum()] == pytest.approx(total)


@pytest.mark.parametrize("lag", [-3, 0, 2])
def test_rows_move_to_the_red_and_leave_nothing_behind(lag):
    rows = np.arange(1.0, 13.0).reshape(2, 6)
    expected = [[row[i - lag] if 0 <= i - lag < 6 else 0.0 for i in range(6)] for row in rows]
    np.testing.assert_array_equal(filters.moved(rows, lag), expected)


@pytest.fixture(scope="module")
def shape():
    """What a hidden abundance does: some of the lines grow."""
    return 0.05 * (1.0 - clean(LABELS)[0]) * (1 + np.sin(np.arange(GRID.size) / 40))


@pytest.fixture(scope="module")
def with_factor(shape):
    rng = np.random.default_rng(46)
    labels = labels_of(300, rng)
    return cannon.train(observe(clean(labels) + rng.normal(size=(300, 1)) * shape, labels, rng), factors=1)


def test_what_a_hidden_factor_does_is_not_odd(model, with_factor, shape):
    rng = np.random.default_rng(47)
    labels = MEAN + SPREAD * rng.uniform(-1, 1, (60, 3))
    spectra = observe(clean(labels) + 3.0 * shape, labels, rng)
    z = {}
    for name, one_model in {"without": model, "with": with_factor}.items():
        found = filters.screen(one_model, spectra, cannon.fit_labels(one_model, spectra))
        z[name] = max(float(np.median(found[f"{kind}_z"])) for kind in ("velocity", "rotation", "emission", "veil"))
    assert z["without"] > 2 * z["with"]


def test_z_with_a_hidden_factor_is_the_fall_of_chi2(with_factor):
    """The factor's amplitude is one more parameter, held by its prior."""
    template = ((11 / np.arange(11, 21)) ** 3) @ np.exp(-0.5 * ((GRID - BRACKETT[:, None]) / 3.5) ** 2)
    spectrum = one(clean(LABELS) + 0.15 * template)
    fit = cannon.fit_labels(with_factor, spectrum)
    root = np.sqrt(cannon.weights(with_factor, spectrum.ivar.values)[0])
    slopes = [with_factor.gradient(name, fit.labels.values[0]).values for name in with_factor.labels]
    columns = np.column_stack([*slopes, with_factor.loadings.values, template]) * root[:, None]
    residual = (spectrum.flux.values - with_factor.predict(fit.labels).values)[0] * root
    prior = np.zeros(columns.shape[1])
    prior[len(slopes)] = 1.0
    columns, residual = np.vstack([columns, prior]), np.append(residual, 0.0)
    left, without = (np.linalg.lstsq(one_set, residual)[1][0] for one_set in (columns, columns[:, :-1]))
    found = filters.screen(with_factor, spectrum, fit)
    assert float(found.emission_z[0]) == pytest.approx(np.sqrt(without - left), rel=1e-6)


def test_light_on_every_chip_is_measured_with_factors(model, with_factor):
    for share in (0.2, -0.1):  # added, and too much subtracted
        spectrum = one(1.0 - (1.0 - share) * (1.0 - clean(LABELS)[0]))
        found = filters.screen(with_factor, spectrum, cannon.fit_labels(with_factor, spectrum))
        assert float(found.dilution[0]) == pytest.approx(share, abs=0.04)
        assert np.sign(share) * found.dilution_z[0] > 5
        assert filters.screen(model, spectrum, cannon.fit_labels(model, spectrum)).dilution_z[0] == 0
