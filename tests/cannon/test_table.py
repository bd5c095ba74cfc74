import numpy as np
import pytest
from astropy.table import Table

import lab2
from lab2 import validation
from lab2.cannon import Flag


@pytest.fixture(scope="module")
def spectra():
    made = lab2.simulate.giants(60).sel(label=["teff", "fe_h"])
    made = made.assign(field=("star", np.full(60, "M15")), read_error=("star", np.full(60, "", dtype="U20")))
    made["snr"].attrs["long_name"] = "signal-to-noise ratio"
    dark = made.assign(ivar=made.ivar.copy(data=np.where(np.arange(60)[:, None] == 3, 0.0, made.ivar)))
    dark.read_error[4] = "the file is cut"
    return dark


@pytest.fixture(scope="module")
def model(spectra):
    return lab2.train(spectra.isel(star=np.arange(5, 60)), factors=2)


@pytest.fixture(scope="module")
def fits(model, spectra):
    return lab2.fit_labels(model, spectra)


def test_a_row_is_a_star_with_its_labels_and_formal_errors(fits, spectra):
    table = lab2.to_table(fits)
    assert table.colnames == [
        *("star", "teff", "sigma_teff", "fe_h", "sigma_fe_h", "chi2", "reduced_chi2", "n_pixels", "n_minima"),
        *("distance", "flag", "flag_words", "reason"),
    ]
    assert table["star"].tolist() == spectra.star.values.tolist()
    np.testing.assert_array_equal(table["fe_h"], fits.labels.sel(label="fe_h"))
    np.testing.assert_allclose(table["sigma_fe_h"] ** 2, fits.covariance[:, 1, 1])
    assert [str(table[name].unit) for name in ("teff", "sigma_teff", "fe_h")] == ["K", "K", "dex"]
    assert all(table[name].description for name in table.colnames)
    assert table["sigma_teff"].description.endswith("formal")
    assert table.meta["errors"] == "formal"
    assert table.meta["model"] == fits.attrs["model"]


def test_a_star_without_labels_has_a_reason(fits, spectra):
    table = lab2.to_table(fits, spectra)
    assert np.isnan(table["teff"]).tolist() == [k == 3 for k in range(60)]
    assert table["flag"][3] & Flag.NO_DATA
    assert "NO_DATA" in table["flag_words"][3]
    assert table["reason"][2:5].tolist() == ["-", "no pixels with information", "the file is cut"]


def test_what_the_spectra_say_of_each_star_is_there_once(fits, spectra):
    table = lab2.to_table(fits, spectra)
    assert table.colnames[-3:] == ["snr", "simulated", "field"]
    assert (table["snr"].description, table["field"][0], bool(table["simulated"].all())) == (
        "signal-to-noise ratio",
        "M15",
        True,
    )
    with pytest.raises(ValueError, match="do not have the same stars"):
        lab2.to_table(fits, spectra.isel(star=slice(None, None, -1)))


def test_the_full_table_gives_back_the_covariance_and_the_factors(fits, spectra):
    calibration = validation.calibrate(
        validation.cross_validate(spectra.isel(star=np.arange(5, 60))), spectra.labels[5:]
    )
    calibration.dataset.attrs["model"] = fits.attrs["model"]
    calibrated = calibration.apply(fits)
    table = lab2.to_table(calibrated, full=True)
    good = np.isfinite(table["teff"])
    covariance = table["correlation_teff_fe_h"] * table["sigma_teff"] * table["sigma_fe_h"]
    np.testing.assert_allclose(covariance[good], calibrated.covariance.values[good, 0, 1], rtol=1e-12)
    np.testing.assert_allclose(table["formal_sigma_teff"][good] ** 2, fits.covariance.values[good, 0, 0])
    np.testing.assert_array_equal(table["factor_2"], fits.factors[:, 1])
    assert "delta_chi2" in table.colnames
    assert table.meta["errors"] == "from residuals of 55 stars"


def test_it_survives_ecsv(fits, spectra, tmp_path):
    table = lab2.to_table(fits, spectra, full=True)
    table.write(tmp_path / "labels.ecsv")
    again = Table.read(tmp_path / "labels.ecsv")
    assert again.colnames == table.colnames
    for name in table.colnames:
        np.testing.assert_array_equal(np.asarray(again[name]), np.asarray(table[name]))
        assert (again[name].unit, again[name].description) == (table[name].unit, table[name].description)
    assert again.meta["model"] == table.meta["model"]
