"""The physics of the model spectra."""

import numpy as np
import pytest
from a_giant import FIXED, GIANT, changed, nearest_pixel
from scipy import optimize

from lab2 import apstar, continuum, grid, lines
from lab2.simulate import spectrum

SCALE = np.array([1000.0, 1, 1, 1, 1])


# Strength of a molecule's strong lines: the table's layer lies too deep for CO and OH.
STRONG = {"CO": 0.4, "CN": 0.7, "OH": -0.5}


def pixels_of(element, least):
    return nearest_pixel(lines.strong_lines(element, least)["wavelength"].value)


def test_one_star_and_many_agree():
    # as well as the network's single precision allows
    many = spectrum([GIANT, changed(teff=5000.0), GIANT], {"c_fe": [0.0, 0.1, -0.2]})
    np.testing.assert_allclose(many[2], spectrum(GIANT, {"c_fe": -0.2}), rtol=1e-6)


def test_spectrum_is_no_quadratic_of_the_labels():
    rng = np.random.default_rng(5)
    low, high = np.array([[3900, 0.8, -0.9, 0, 0], [5000, 3.3, 0.3, 0.3, 0.3]], float)
    x = rng.uniform(-1, 1, (300, 5))
    flux = spectrum((low + high) / 2 + x * (high - low) / 2)
    pairs = [x[:, i] * x[:, j] for i in range(5) for j in range(i, 5)]
    design = np.column_stack([np.ones(300), x, *pairs])
    residual = flux - design @ np.linalg.lstsq(design, flux)[0]
    assert np.sqrt(np.mean(residual**2)) > 1e-3


def test_flux_is_one_between_lines_and_positive_everywhere():
    flux = spectrum(GIANT)
    assert flux.shape == (8575,)
    assert 0 < flux.min() < 0.7
    assert flux.max() < 1.01
    assert np.percentile(flux, 95) > 0.99


@pytest.mark.parametrize(("name", "element"), [("mg_fe", "Mg"), ("si_fe", "Si")])
def test_more_of_an_element_deepens_its_lines_and_others_little(name, element):
    more = spectrum(changed(**{name: 0.0}), FIXED) - spectrum(changed(**{name: 0.3}), FIXED)
    own = pixels_of(element, 1.5)
    assert more[own].min() > 0.005
    assert more[own].mean() > 10 * np.median(np.abs(more))


@pytest.mark.parametrize(("name", "element"), [("mg_fe", "Mg"), ("si_fe", "Si")])
def test_gradients_peak_at_lines_of_their_element(name, element):
    slope = spectrum(changed(**{name: 0.12}), FIXED) - spectrum(changed(**{name: 0.08}), FIXED)
    peaks = lines.name_peaks(grid.WAVELENGTH, slope)
    assert (lines.absorption(peaks["wavelength"], element) > 0.01).sum() >= 14


def test_iron_deepens_iron_lines():
    more = spectrum(changed(fe_h=-0.4), FIXED) - spectrum(changed(fe_h=-0.2), FIXED)
    assert more[pixels_of("Fe", 1.5)].min() > 0


@pytest.mark.parametrize(("given", "molecule"), [("c_fe", "CO"), ("n_fe", "CN"), ("o_fe", "OH")])
def test_carbon_nitrogen_and_oxygen_drive_their_molecules(given, molecule):
    plain = spectrum(GIANT, FIXED)
    more = plain - spectrum(GIANT, FIXED | {given: FIXED[given] + 0.15})
    assert np.mean(more[pixels_of(molecule, STRONG[molecule])]) > 0.004


def test_carbon_monoxide_takes_carbon_from_cyanogen():
    # more oxygen locks more carbon up in CO, and the lines of CN weaken
    more = spectrum(GIANT, FIXED) - spectrum(GIANT, FIXED | {"o_fe": 0.3})
    assert np.mean(more[pixels_of("CN", STRONG["CN"])]) < 0


@pytest.mark.parametrize("molecule", ["CO", "OH"])
def test_molecules_fade_in_hotter_stars(molecule):
    strong = pixels_of(molecule, STRONG[molecule])
    depth = [1 - spectrum(changed(teff=t))[strong].mean() for t in (4000.0, 4500.0, 5000.0, 5500.0)]
    assert (np.diff(depth) < 0).all()


def test_brackett_lines_grow_with_temperature():
    line = nearest_pixel(grid.BRACKETT[:4])
    cool, hot = (1 - spectrum(changed(teff=t))[line].mean() for t in (4300.0, 5700.0))
    assert hot > cool + 0.02


def test_macroturbulence_broadens_and_keeps_the_light():
    narrow, broad = (spectrum(GIANT, {"vmacro": v}) for v in (1.0, 12.0))
    assert np.sum(1 - broad) == pytest.approx(np.sum(1 - narrow), rel=1e-6)
    assert broad.min() > narrow.min() + 0.02


@pytest.mark.parametrize(("bad", "message"), [
    (changed(teff=3000.0), "teff = 3000"), (changed(logg=5.0), "logg = 5"), (changed(fe_h=np.nan), "NaN"),
    (changed(fe_h=-2.0), "fe_h = -2"), (changed(mg_fe=0.9), "mg_fe = 0.9"), (GIANT[:4], "shape"),
])  # fmt: skip
def test_labels_outside_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        spectrum(bad)


@pytest.mark.parametrize(("bad", "message"), [
    ({"uranium_fe": 0.0}, "uranium"), ({"n_fe": 3.0}, "n_fe = 3"), ({"c_fe": 0.3, "o_fe": 0.0}, "c_fe - o_fe"),
    ({"vmacro": -1.0}, "vmacro = -1"),
])  # fmt: skip
def test_abundances_unknown_or_outside_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        spectrum(GIANT, bad)


def test_emulator_fits_a_real_giant_that_never_calibrated_it(real_data):
    raw = apstar.mask_bad_pixels(apstar.read(real_data / "course" / "mystery_spec_wiped.fits"))
    star = continuum.normalize(raw)
    good = np.zeros(grid.N_PIXELS, dtype=bool)
    good[np.r_[continuum.ASPCAP_SLICES]] = True
    good &= star.ivar.values[0] > 0

    def model(x):
        flux = spectrum(
            x[:5] * SCALE, dict(zip(("c_fe", "n_fe", "o_fe", "vmicro"), x[5:9], strict=True)) | {"vmacro": 3.0}
        )
        relative = raw.error / raw.flux
        return continuum.normalize(raw.assign(flux=(raw.flux.dims, flux[None]), error=relative * flux)).flux.values[0]

    def residual(x):
        return (model(x) - star.flux.values[0])[good]

    low = np.array([3.9, 0.5, -1.2, -0.2, -0.2, -0.6, -0.25, -0.2, 0.9])
    high = np.array([5.2, 3.6, 0.3, 0.5, 0.5, 0.1, 0.9, 0.55, 2.2])
    start = np.array([4.5, 2.0, -0.7, 0.25, 0.2, 0.0, 0.2, 0.2, 1.6])
    best = optimize.least_squares(residual, start, bounds=(low, high), loss="soft_l1", f_scale=0.02, diff_step=1e-2).x
    flux = model(best)
    assert np.corrcoef(flux[good], star.flux.values[0][good])[0, 1] > 0.95
    assert np.std(residual(best)) < 0.0155
