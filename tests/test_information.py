"""Information is weight: what counts pixels and stars asks how far they were seen, not whether an error is finite."""

import numpy as np
import pytest
import xarray as xr
from twins import drawn_survey

import lab2
from lab2 import apstar, continuum
from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH, chip_of
from lab2.simulate.instrument import END_ERRORS
from lab2.spectra import credible_errors, per_full_weight, seen


def test_ordinary_pixels_count_in_full_and_useless_ones_by_their_weight():
    rng = np.random.default_rng(1)
    ivar = rng.uniform(1e3, 3e3, (4, 500))
    assert (seen(ivar) == 1).all()
    ivar[:, :100] *= 1e-6
    assert (seen(ivar)[:, 100:] == 1).all()
    assert (seen(ivar)[:, :100] < 1e-3).all()


def test_six_good_pixels_stay_the_typical_ones_among_thousands_of_useless_ones():
    ivar = np.full((1, 8006), 1e-8)
    ivar[0, :6] = 1e4
    assert seen(ivar).sum() == pytest.approx(6.0, abs=1e-3)


def test_the_count_does_not_depend_on_the_stars_signal_to_noise():
    ivar = np.random.default_rng(2).uniform(0.0, 1.0, (1, 300)) ** 4
    assert np.allclose(seen(1e-12 * ivar), seen(ivar), rtol=1e-12)
    assert np.allclose(seen(1e12 * ivar), seen(ivar), rtol=1e-12)


def test_a_star_without_information_sees_nothing():
    assert (seen(np.zeros((2, 10))) == 0).all()
    assert (per_full_weight(np.zeros((2, 10), "f4"), 0.0) == 0).all()


def test_the_full_weight_is_a_hundredth_of_the_contraharmonic_mean():
    ivar = np.random.default_rng(3).uniform(0.0, 5.0, (7, 40)).astype("f4")
    wide = ivar.astype(float)
    assert per_full_weight(ivar, 0.0) == pytest.approx(wide.sum(1) / (0.01 * (wide**2).sum(1)), rel=1e-12)


def test_absurd_errors_become_infinite_and_no_others():
    error = np.random.default_rng(4).uniform(0.5, 2.0, (3, 200))
    error[0, :3] = 99 * np.median(error[0]), 150 * np.median(error[0]), 1e10
    error[0, 5:7] = np.median(error[0]) / 99, 1e-20
    error[1, :4] = 0.0, -1.0, np.nan, np.inf
    error[2] = np.inf
    checked = credible_errors(error)
    assert np.flatnonzero(np.isinf(checked[0])).tolist() == [1, 2, 6]
    assert np.flatnonzero(np.isinf(checked[1])).tolist() == [0, 1, 2, 3]
    assert np.isinf(checked[2]).all()
    untouched = np.isfinite(checked)
    assert (checked[untouched] == error[untouched]).all()


def spoil(spectra, pixels, stars, factor):
    """The spectra with errors `factor` times as large in some pixels of some stars."""
    ivar = spectra.ivar.values.copy()
    ivar[np.ix_(stars, pixels)] /= factor**2
    return spectra.assign(ivar=(spectra.ivar.dims, ivar))


def test_a_pixel_that_few_stars_saw_well_is_not_trained_on():
    spectra, _, _ = drawn_survey(np.random.default_rng(5), 200, 2, 60, unseen=0.0)
    usual = lab2.train(spectra)
    few, many = np.arange(170), np.arange(100)  # 30 of 200 stars are left, and 100
    model = lab2.train(spoil(spoil(spectra, [7], few, 1e4), [8], many, 1e4))
    assert bool(usual.trained.all())
    assert np.flatnonzero(~model.trained.values).tolist() == [7]
    rest = np.delete(np.arange(60), [7, 8])
    assert np.allclose(model.theta.values[rest], usual.theta.values[rest], rtol=1e-7, atol=1e-12)


def test_a_pixel_that_all_stars_saw_badly_is_not_trained_on():
    spectra, _, _ = drawn_survey(np.random.default_rng(6), 200, 2, 60, unseen=0.0)
    model = lab2.train(spoil(spectra, [7], np.arange(200), 1e3))
    assert np.flatnonzero(~model.trained.values).tolist() == [7]


def test_absurd_errors_move_no_label_and_are_not_counted():
    spectra, _, _ = drawn_survey(np.random.default_rng(7), 300, 2, 400, unseen=0.0)
    rng = np.random.default_rng(8)
    ivar, flux = spectra.ivar.values.copy(), spectra.flux.values.copy()
    ends = np.r_[:20, 380:400]
    # most stars see the ends with absurd errors, a few do not; the flux there is anyone's
    absurd = rng.random((300, 40)) < 0.9
    ivar[:, ends] = np.where(absurd, ivar[:, ends] * 1e-10, ivar[:, ends])
    flux[:, ends] += np.where(absurd, rng.normal(0, 0.3, absurd.shape), 0.0)
    spoiled = spectra.assign(ivar=(("star", "wavelength"), ivar), flux=(("star", "wavelength"), flux))
    without = spectra.assign(ivar=spectra.ivar.where(~np.isin(np.arange(400), ends), 0.0))
    clean, dirty = lab2.train(without), lab2.train(spoiled)
    assert not dirty.trained.values[ends].any()
    fits, expected = lab2.fit_labels(dirty, spoiled), lab2.fit_labels(clean, without)
    assert (fits.n_pixels.values == expected.n_pixels.values).all()
    sigma = np.sqrt(np.diagonal(expected.covariance.values, axis1=1, axis2=2))
    assert (np.abs((fits.labels - expected.labels).values) < 1e-6 * sigma).all()


def test_a_star_with_fewer_informative_pixels_than_labels_has_no_data():
    spectra, _, _ = drawn_survey(np.random.default_rng(9), 100, 3, 300, unseen=0.0)
    model = lab2.train(spectra)
    few = spoil(spectra.isel(star=[0, 1]), np.arange(3, 300), [0], 1e5)
    fits = lab2.fit_labels(model, few)
    assert fits.n_pixels.values.tolist() == [3, 300]
    assert fits.flag.values[0] & lab2.cannon.Flag.NO_DATA
    assert np.isnan(fits.labels.values[0]).all()
    assert not fits.flag.values[1] & lab2.cannon.Flag.NO_DATA


def test_one_pixel_of_a_far_too_small_error_makes_the_others_not_untypical():
    spectra, _, _ = drawn_survey(np.random.default_rng(10), 200, 2, 300, unseen=0.0)
    model = lab2.train(spectra)
    scattering = int(np.argmax(model.s2.values))
    ivar = spectra.ivar.values.copy()
    ivar[0, scattering] *= 1e6
    fits, usual = (lab2.fit_labels(model, some) for some in (spectra.assign(ivar=(spectra.ivar.dims, ivar)), spectra))
    assert fits.n_pixels.values[0] == usual.n_pixels.values[0] == 300
    assert float(fits.reduced_chi2[0]) == pytest.approx(float(usual.reduced_chi2[0]), rel=0.1)
    assert fits.flag.values[0] == usual.flag.values[0]


def test_leaving_one_out_counts_as_a_fit_does():
    spectra, _, _ = drawn_survey(np.random.default_rng(11), 120, 2, 200, unseen=0.0)
    few = spoil(spectra, np.arange(2, 200), [0], 1e4)
    fits = lab2.validation.cross_validate(few, "star")
    assert fits.n_pixels.values[:2].tolist() == [2, 200]
    assert fits.flag.values[0] & lab2.cannon.Flag.NO_DATA


def raw_star(error):
    """One raw spectrum of flux 100 with these errors."""
    return xr.Dataset(
        {
            "flux": (("star", "wavelength"), np.full((1, N_PIXELS), 100.0)),
            "error": (("star", "wavelength"), error[None]),
            "bitmask": (("star", "wavelength"), np.zeros((1, N_PIXELS), "i4")),
            "chip_range": (("star", "chip_name", "edge"), [[[200, 3300], [3540, 6120], [6300, 8380]]]),
        },
        coords={
            "star": ["S"],
            "wavelength": WAVELENGTH,
            "chip": ("wavelength", chip_of(WAVELENGTH)),
            "chip_name": list(CHIPS),
        },
    )


def test_absurd_errors_stop_at_the_door():
    error = np.ones(N_PIXELS)
    error[300:319] = END_ERRORS
    masked = apstar.mask_bad_pixels(raw_star(error))
    absurd = 300 + np.flatnonzero(END_ERRORS > 100)
    assert len(absurd) == 17
    assert np.isinf(masked.error.values[0, absurd]).all()
    assert np.isfinite(masked.error.values[0, 317:330]).all()
    spectra = continuum.normalize(raw_star(error))
    assert (spectra.ivar.values[0, absurd] == 0).all()
    assert (spectra.ivar.values[0, 317:330] > 0).all()


def test_an_error_that_is_absurdly_small_spoils_no_star():
    error = np.ones(N_PIXELS)
    error[1000] = 1e-20
    spectra = continuum.normalize(apstar.mask_bad_pixels(raw_star(error)))
    assert np.isfinite(spectra.ivar.values).all()
    assert spectra.ivar.values[0, 1000] == 0
    assert (spectra.ivar.values[0, 1001:1100] > 0).all()


def test_a_continuum_needs_informative_pixels():
    pixels = continuum.load_pixels()
    blue = np.flatnonzero(pixels.values & (chip_of(WAVELENGTH) == "blue"))
    error = np.ones(N_PIXELS)
    error[blue[10:]] = 90.0  # not absurd, but no information beside that of ten pixels
    spectra = continuum.normalize(raw_star(error), pixels)
    assert spectra.bad_continuum.sel(chip_name="blue").item()
    assert spectra.n_trusted.sel(chip_name="blue").item() == pytest.approx(10 + (len(blue) - 10) / 81, abs=1)
    assert not spectra.bad_continuum.sel(chip_name=["green", "red"]).values.any()
