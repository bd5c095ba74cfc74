"""What a user can give to the public functions, and what is said of what cannot be."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import QTable, Table

import lab2
from lab2 import cannon, continuum, diagnosis, validation
from lab2.grid import WAVELENGTH
from lab2.labels import Label, units_of
from lab2.validation import baselines, hidden

N = 60


@pytest.fixture(scope="module")
def spectra():
    """Made spectra of 40 pixels with two labels, one of them the user's own, and noise."""
    rng = np.random.default_rng(50)
    labels = np.column_stack([rng.uniform(4000, 5200, N), rng.uniform(1.0, 12.0, N)])
    x = (labels - [4600.0, 6.0]) / [300.0, 3.0]
    flux = 0.9 + x @ rng.normal(0.0, 0.02, (2, 40)) + rng.normal(0.0, 0.01, (N, 40))
    wavelength = 15200.0 * 10 ** (6e-6 * np.arange(40))
    names = ["teff", Label("age", unit="Gyr")]
    made = lab2.from_arrays(flux, np.full(flux.shape, 1e4), wavelength, labels, label=names)
    return made.assign(snr=("star", np.full(N, 90.0)))


@pytest.fixture(scope="module")
def model(spectra):
    return lab2.train(spectra)


@pytest.fixture(scope="module")
def fits(spectra):
    return validation.cross_validate(spectra, 3)


# --- wrong and swapped arguments --------------------------------------------------------------------------------

MODEL, SPECTRA, FITS = "must be a trained model", "must be normalized spectra", "must be fits, a Dataset"
SWAPPED = "are swapped"
WRONG = {
    "fit_labels": (lambda m, s, f: lab2.fit_labels(s, m), f"model {MODEL}.*: model and spectra {SWAPPED}"),
    "train": (lambda m, s, f: lab2.train(m), f"spectra {SPECTRA}.* got a lab2 Cannon"),
    "train on fits": (lambda m, s, f: lab2.train(f), f"spectra {SPECTRA}.* got fits"),
    "quartics": (lambda m, s, f: cannon.quartics(s, m), SWAPPED),
    "misfit": (lambda m, s, f: cannon.misfit(m, f, s), f"spectra {SPECTRA}.*: spectra and fits {SWAPPED}"),
    "best_spectra": (lambda m, s, f: cannon.best_spectra(f, m), SWAPPED),
    "errors": (lambda m, s, f: cannon.errors(s), f"fits {FITS}.*; got spectra"),
    "to_table": (lambda m, s, f: lab2.to_table(s), f"fits {FITS}.*; got spectra"),
    "predict": (lambda m, s, f: m.predict(s), "labels must be labels, an array, a DataArray or a table .* got spectra"),
    "calibrate": (lambda m, s, f: validation.calibrate(s.labels, f), f"fits {FITS}.*: fits and truth {SWAPPED}"),
    "calibrate on spectra": (lambda m, s, f: validation.calibrate(f, s), "truth must be labels, .*; got spectra"),
    "statistics": (lambda m, s, f: validation.statistics(s.labels, f), SWAPPED),
    "coverage": (lambda m, s, f: validation.coverage(s.labels, f), SWAPPED),
    "cross_validate": (lambda m, s, f: validation.cross_validate(m), f"spectra {SPECTRA}"),
    "degrade": (lambda m, s, f: validation.degrade(f, 50.0), f"spectra {SPECTRA}"),
    "held_out": (lambda m, s, f: validation.held_out_likelihood(m, [0], [0]), f"spectra {SPECTRA}"),
    "log_likelihood": (lambda m, s, f: validation.log_likelihood(s, m, f), SWAPPED),
    "fit_by_hand": (lambda m, s, f: validation.fit_by_hand(s, m), f"model and spectrum {SWAPPED}"),
    "diagnose": (lambda m, s, f: diagnosis.diagnose(s, f, QTable()), f"fits and spectra {SWAPPED}"),
    "diagnose without rows": (lambda m, s, f: diagnosis.diagnose(f, s, None), "rows must be an astropy Table"),
    "fit_shift": (lambda m, s, f: diagnosis.fit_shift(s, m), SWAPPED),
    "attach": (lambda m, s, f: lab2.catalog.attach(QTable({"a": [1]}), s), f"spectra and catalog {SWAPPED}"),
    "select_giants": (lambda m, s, f: lab2.catalog.select_giants("dr17"), "catalog must be .*; got 'dr17'"),
    "normalize": (lambda m, s, f: continuum.normalize(s), "raw must be spectra as from .*; got spectra"),
    "raw spectra": (
        lambda m, s, f: lab2.fit_labels(m, s.rename(ivar="error")),
        "got raw spectra .*: normalize them first",
    ),
    "read_many": (
        lambda m, s, f: lab2.apstar.read_many("apStar.fits"),
        "paths must be a sequence of paths; got",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_argument_of_another_kind_is_named(case, model, spectra, fits):
    call, message = WRONG[case]
    with pytest.raises(TypeError, match=message):
        call(model, spectra, fits)


# --- labels as any array ----------------------------------------------------------------------------------------


def as_given(kind, labels):
    """The same labels as a user may have them."""
    values, names, stars = labels.values, labels.label.values.tolist(), labels.star.values.tolist()
    frame = pd.DataFrame(values[:, ::-1], columns=names[::-1], index=stars)
    table = QTable({"star": stars, "age": (values[:, 1] * 1e9) * u.yr, "teff": values[:, 0] * u.K, "more": stars})
    return {
        "array": values,
        "list": values.tolist(),
        "masked": np.ma.array(values, mask=False),
        "DataArray without names": xr.DataArray(values, dims=("star", "label")),
        "DataArray": labels.isel(label=[1, 0]).transpose("label", "star"),
        "DataFrame": frame,
        "DataFrame without names": pd.DataFrame(values),
        "table": table,
        "catalog": Table(table[["age", "teff"]]),
    }[kind]


KINDS = ["array", "list", "masked", "DataArray without names", "DataArray", "DataFrame", "DataFrame without names"]
KINDS += ["table", "catalog"]


@pytest.mark.parametrize("kind", KINDS)
def test_truth_may_be_any_array_of_the_right_shape(kind, fits, spectra):
    truth = as_given(kind, spectra.labels)
    np.testing.assert_allclose(validation.shrinkage(fits, truth), validation.shrinkage(fits, spectra.labels))
    np.testing.assert_allclose(validation.pulls(fits, truth), validation.pulls(fits, spectra.labels), atol=1e-9)


def test_a_calibration_from_an_array_is_that_from_a_data_array(fits, spectra):
    known = validation.calibrate(fits, spectra.labels)
    for kind in ("array", "table"):
        np.testing.assert_allclose(
            validation.calibrate(fits, as_given(kind, spectra.labels)).dataset.floor, known.dataset.floor, rtol=1e-6
        )
    held_out = validation.calibrate_held_out(fits, spectra.labels.values)
    np.testing.assert_array_equal(held_out.labels, validation.calibrate_held_out(fits, spectra.labels).labels)


def test_an_unknown_true_label_is_left_out(fits, spectra):
    truth = np.ma.array(spectra.labels.values, copy=True)
    truth[3, 0] = np.ma.masked
    truth[4, 1] = -9999.0
    assert len(validation.pulls(fits, truth)) == N - 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:-1], r"truth must have the shape of the fitted labels, 60 stars and 2 labels \(teff, age\)"),
        (lambda a: a[:, :1], r"got an array \(60, 1\)"),
        (lambda a: a[:, 0], r"truth must be \(n_stars, n_labels\); got an array \(60,\)"),
        (lambda a: pd.DataFrame(a, columns=["teff", "logg"]), "truth must have the labels teff, age; age is not among"),
        (
            lambda a: pd.DataFrame(a, columns=["teff", "age"], index=range(1, N + 1)),
            "do not have the same stars in the same",
        ),
        (lambda a: QTable({"teff": a[:, 0] * u.K, "age": a[:, 1] * u.m}), "age of truth has the unit m, not Gyr"),
        (lambda a: a.astype(str), "truth must be an array of real numbers"),
    ],
)
def test_truth_of_another_shape_is_refused(change, message, fits, spectra):
    with pytest.raises(ValueError, match=message):
        validation.calibrate(fits, change(spectra.labels.values))


@pytest.mark.parametrize("kind", ["DataArray", "DataFrame", "table"])
def test_the_model_takes_named_labels_by_name(kind, model, spectra):
    given = as_given(kind, spectra.labels)
    if kind == "table":
        assert given["age"].unit == u.yr  # which is converted
    np.testing.assert_allclose(model.predict(given), model.predict(spectra.labels.values))
    np.testing.assert_allclose(model.design(given), model.design(spectra.labels.values))


def test_labels_with_names_make_simulated_spectra_by_name():
    ordered = dict(zip(lab2.labels.label_names(), [4500.0, 2.0, -0.1, 0.1, 0.05], strict=True))
    frame = pd.DataFrame([ordered])[["si_fe", "teff", "fe_h", "logg", "mg_fe"]]
    np.testing.assert_array_equal(lab2.simulate.spectrum(frame)[0], lab2.simulate.spectrum([*ordered.values()]))


def test_groups_may_be_any_array(spectra, fits):
    folds = validation.split(spectra)
    for given in (folds.values, folds.values.tolist()):
        assert validation.cross_validate(spectra, given).labels.equals(validation.cross_validate(spectra, folds).labels)
        assert baselines.ridge(spectra, given).equals(baselines.ridge(spectra, folds))
    frame = spectra.labels.to_pandas()
    guessed = baselines.without_spectrum(frame, folds.values, known=["teff"])
    np.testing.assert_array_equal(guessed.labels, baselines.without_spectrum(spectra.labels, folds, ["teff"]).labels)
    found = hidden.guess_abundances(fits, frame, folds.values, factors=False)
    np.testing.assert_array_equal(
        found.labels, hidden.guess_abundances(fits, spectra.labels, folds, factors=False).labels
    )
    with pytest.raises(ValueError, match=r"labels need names, .*; got an array \(60, 2\)"):
        baselines.without_spectrum(spectra.labels.values, folds)
    with pytest.raises(ValueError, match="folds must give the group of each of 60 stars"):
        baselines.ridge(spectra, folds[:-1])


def test_a_catalog_may_be_a_data_frame():
    rows = {"APOGEE_ID": ["a", "b"], "SNR": [150.0, 40.0], "TEFF": [4500.0, 4600.0], "LOGG": [2.0, 2.1]}
    rows |= {"FE_H": [0.0, 0.1], "MG_FE": [0.1, 0.1], "SI_FE": [0.0, 0.0]}
    giants, _ = lab2.catalog.select_giants(pd.DataFrame(rows))
    assert giants["APOGEE_ID"].tolist() == ["a"]


# --- wavelengths ------------------------------------------------------------------------------------------------


def test_wavelengths_in_single_precision_are_the_same(model, spectra):
    """Rounding to float32 moves a pixel by 0.4 % of its width at most; the fits do not change."""
    single = spectra.assign_coords(wavelength=spectra.wavelength.values.astype("f4"))
    assert (single.wavelength.values != spectra.wavelength.values).any()
    fits = lab2.fit_labels(model, spectra)
    assert lab2.fit_labels(model, single).equals(fits)
    np.testing.assert_array_equal(cannon.misfit(model, single, fits), cannon.misfit(model, spectra, fits))


def test_wavelengths_half_a_pixel_off_are_not(model, spectra):
    off = spectra.assign_coords(wavelength=spectra.wavelength + 0.1)
    message = r"the model has 40 pixels .* and differ by up to 0.1 Angstrom, at 15200.000. Bring the spectra to"
    for call in (lab2.fit_labels, lambda m, s: cannon.misfit(m, s, lab2.fit_labels(m, spectra))):
        with pytest.raises(ValueError, match=message):
            call(model, off)


def test_spectra_on_another_grid_are_not_normalized():
    wavelength = np.linspace(15000.0, 17000.0, 4000)
    ones = (("star", "wavelength"), np.ones((1, 4000)))
    raw = xr.Dataset({"flux": ones, "error": ones}, coords={"star": ["a"], "wavelength": wavelength})
    message = re.escape(
        "APOGEE's grid has 8575 pixels from 15100.802 to 16999.807 Angstrom, "
        "the spectra 4000 from 15000.000 to 17000.000"
    )
    with pytest.raises(ValueError, match=f"{message}.*pass them to lab2.from_arrays"):
        continuum.normalize(raw)
    with pytest.raises(ValueError, match=message):
        continuum.find_pixels(lab2.from_arrays(np.ones((1, 4000)), np.full((1, 4000), 1e4), wavelength, [[1.0]]))


def test_trusted_pixels_may_be_a_plain_array():
    pixels = continuum.load_pixels()
    flux = (("star", "wavelength"), np.full((1, len(WAVELENGTH)), 7.0))
    raw = xr.Dataset({"flux": flux, "error": flux}, coords={"star": ["a"], "wavelength": WAVELENGTH})
    assert continuum.normalize(raw, pixels.values).equals(continuum.normalize(raw, pixels))
    with pytest.raises(ValueError, match="pixels must be 8575 booleans; got int64"):
        continuum.normalize(raw, np.flatnonzero(pixels))


# --- units of one's own labels ----------------------------------------------------------------------------------


def test_units_stay_from_the_training_labels_to_the_table(spectra, model, tmp_path):
    from lab2.report import products

    assert model.units == ["K", "Gyr"]
    model.save(tmp_path / "model.nc")
    again = lab2.Cannon.load(tmp_path / "model.nc")
    assert again.units == ["K", "Gyr"]
    products.save(spectra, tmp_path / "spectra.nc")
    assert units_of(products.load(tmp_path / "spectra.nc")) == ["K", "Gyr"]
    fits = lab2.fit_labels(again, spectra)
    assert units_of(fits) == ["K", "Gyr"]
    assert units_of(fits.sel(label=["age"])) == ["Gyr"]
    assert units_of(validation.cross_validate(spectra, 2)) == ["K", "Gyr"]
    table = lab2.to_table(validation.calibrate(fits, spectra.labels).apply(fits), full=True)
    assert {str(table[name].unit) for name in ("age", "sigma_age", "formal_sigma_age")} == {"Gyr"}
    assert str(table["teff"].unit) == "K"


def test_labels_without_a_unit_have_none_anywhere(spectra, tmp_path):
    bare = spectra.drop_vars("unit").assign_coords(label=["p", "q"])
    model = lab2.train(bare)
    model.save(tmp_path / "model.nc")
    assert lab2.Cannon.load(tmp_path / "model.nc").units == ["", ""]
    assert lab2.to_table(lab2.fit_labels(model, bare))["p"].unit is None


def test_labels_of_one_s_own_are_converted_and_checked():
    flux, wavelength = np.ones((2, 3)), [15200.0, 15201.0, 15202.0]
    age = Label("age", unit="Gyr", lowest=0.0, highest=14.0)
    made = lab2.from_arrays(flux, flux * 1e4, wavelength, [[5e9], [1e9]] * u.yr, label=[age])
    assert (made.labels.values.ravel().tolist(), units_of(made)) == ([5.0, 1.0], ["Gyr"])
    with pytest.warns(UserWarning, match="age of 1 of 2 stars is outside 0 to 14 Gyr"):
        made = lab2.from_arrays(flux, flux * 1e4, wavelength, [[5.0], [50.0]], label=[age])
    assert np.isnan(made.labels.values[1, 0])
    table = QTable({"star": ["a", "b"], "mass": [1.0, 1.2] * u.Msun, "teff": [4.5, 4.6] * u.kK})
    made = lab2.from_arrays(flux, flux * 1e4, wavelength, table)
    assert (made.star.values.tolist(), made.label.values.tolist()) == (["a", "b"], ["mass", "teff"])
    assert units_of(made) == ["solMass", "K"]
    np.testing.assert_allclose(made.labels, [[1.0, 4500.0], [1.2, 4600.0]])
    with pytest.raises(ValueError, match="the label age has the unit m, not Gyr"):
        lab2.from_arrays(flux, flux * 1e4, wavelength, [[5.0], [1.0]] * u.m, label=[age])


def test_priors_have_the_units_of_the_labels(model):
    pytest.importorskip("pymc")
    from lab2 import posterior

    assert posterior.default_priors(model)["unit"].tolist() == ["K", "Gyr"]


# --- simulated giants -------------------------------------------------------------------------------------------


def test_simulated_giants_are_the_model_spectra_and_their_noise():
    from lab2.simulate import giants

    noisy, clean = giants(8, snr=50.0, seed=3), giants(8, snr=1e6, seed=3)
    assert noisy.labels.equals(clean.labels)
    pull = (noisy.flux - clean.flux).values * np.sqrt(noisy.ivar.values)
    assert abs(pull.std() - 1.0) < 0.02
    assert abs(pull.mean()) < 0.02
    assert noisy.simulated.all()
    assert lab2.train(giants(30), degree=1).simulated
    with pytest.raises(ValueError, match="positive numbers; got 0"):
        giants(0)
