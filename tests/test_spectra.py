import numpy as np
import pytest

from lab2.spectra import _all_usable, check, credible_errors, from_arrays, per_full_weight, seen

FLUX, IVAR, WAVELENGTH = np.ones((2, 3)), np.full((2, 3), 4.0), np.array([1.0, 2.0, 3.0])


def test_from_arrays_with_defaults():
    spectra = from_arrays(FLUX, IVAR, WAVELENGTH, [[1, 2], [3, 4]])
    assert spectra.flux.dims == spectra.ivar.dims == ("star", "wavelength")
    assert spectra.labels.dims == ("star", "label")
    assert spectra.star.values.tolist() == ["0", "1"]
    assert spectra.label.values.tolist() == ["label_0", "label_1"]
    assert spectra.labels.sel(star="1", label="label_0") == 3.0
    assert spectra.wavelength.values.tolist() == [1.0, 2.0, 3.0]


def test_from_arrays_with_names():
    spectra = from_arrays(FLUX, IVAR, WAVELENGTH, [[1], [3]], star=["a", "b"], label=["teff"])
    assert spectra.labels.sel(star="b", label="teff") == 3.0


def test_labels_may_be_left_out():
    assert "labels" not in from_arrays(FLUX, IVAR, WAVELENGTH)


def test_lists_are_as_good_as_arrays():
    assert from_arrays(FLUX.tolist(), IVAR.tolist(), [1.0, 2.0, 3.0]).equals(from_arrays(FLUX, IVAR, WAVELENGTH))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FLUX[0], IVAR[0], WAVELENGTH), r"got \(3,\), \(3,\) and \(3,\)"),
        ((FLUX, IVAR[:, :2], WAVELENGTH), r"got \(2, 3\), \(2, 2\) and \(3,\)"),
        ((FLUX, IVAR, WAVELENGTH[:2]), r"must be .* got \(2, 3\), \(2, 3\) and \(2,\)"),
        ((FLUX, IVAR, WAVELENGTH, [1, 2]), r"labels must be \(2, n_labels\); got \(2,\)"),
        ((FLUX, IVAR, WAVELENGTH, [[1], [2], [3]]), r"labels must be \(2, n_labels\); got \(3, 1\)"),
    ],
)
def test_shapes_that_do_not_match(arguments, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(*arguments)


def test_label_names_that_do_not_match():
    with pytest.raises(ValueError, match=r"1 label names for 2 labels: \['teff'\]"):
        from_arrays(FLUX, IVAR, WAVELENGTH, [[1, 2], [3, 4]], label=["teff"])


@pytest.mark.parametrize(
    ("flux", "ivar", "message"),
    [
        (1.0, -1.0, "ivar is negative or not finite in 1 pixels, first in star '1' at 3.00 Angstrom: give 0"),
        (1.0, np.inf, "ivar is negative or not finite"),
        (1.0, np.nan, "ivar is negative or not finite"),
        (
            np.nan,
            1.0,
            "flux is not finite in 1 pixels, first in star '1' at 3.00 Angstrom: give those pixels",
        ),
        (-np.inf, 1.0, "flux is not finite"),
    ],
)
def test_values_that_no_model_may_see(flux, ivar, message):
    wrong_flux, wrong_ivar = FLUX.copy(), IVAR.copy()
    wrong_flux[1, 2], wrong_ivar[1, 2] = flux, ivar
    with pytest.raises(ValueError, match=message):
        from_arrays(wrong_flux, wrong_ivar, WAVELENGTH)


def test_flux_without_weight_may_be_anything():
    flux, ivar = FLUX.copy(), IVAR.copy()
    flux[0, 1], ivar[0, 1] = np.nan, 0.0
    check(from_arrays(flux, ivar, WAVELENGTH))


def test_check_wants_both_variables_star_first():
    spectra = from_arrays(FLUX, IVAR, WAVELENGTH)
    with pytest.raises(ValueError, match="need ivar with dims"):
        check(spectra.drop_vars("ivar"))
    with pytest.raises(ValueError, match="need flux with dims"):
        check(spectra.transpose("wavelength", "star"))


def test_all_usable():
    rng = np.random.default_rng(10)
    ivar = 1 / rng.uniform(0.003, 0.3, (9, 33)) ** 2
    ivar[rng.random((9, 33)) < 0.1] = 0.0
    ivar[2, 5] = 0.0
    flux = rng.normal(1, 0.2, ivar.shape)
    flux[2, 5] = np.nan  # without weight, so it does not matter
    for kind in ("f4", "f8"):
        assert _all_usable(flux.astype(kind), ivar.astype(kind))
        for array, value in ((ivar, -1.0), (ivar, np.nan), (ivar, np.inf), (flux, np.nan), (flux, -np.inf)):
            wrong = array.copy()
            wrong[-1, -1] = value
            assert not _all_usable(*((flux, wrong) if array is ivar else (wrong, ivar)))


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
    error[0, 5:7] = np.median(error[0]) / 4.9, np.median(error[0]) / 5.2
    error[1, :6] = 0.0, -1.0, np.nan, np.inf, 1e-20, 1e-40
    error[2] = np.inf
    checked = credible_errors(error)
    assert np.flatnonzero(np.isinf(checked[0])).tolist() == [1, 2, 6]
    assert np.flatnonzero(np.isinf(checked[1])).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.isinf(checked[2]).all()
    untouched = np.isfinite(checked)
    assert (checked[untouched] == error[untouched]).all()
