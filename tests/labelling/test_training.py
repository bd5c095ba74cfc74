import numpy as np
import pytest
from astropy.table import Table, vstack

from lab2.labelling.training import read_catalog, train_files


def test_a_star_with_several_rows_gets_that_of_its_field_and_its_signal(giants):
    rows = Table(giants.rows["APOGEE_ID", "FIELD", "SNR", "TEFF", "LOGG"])
    wrong = rows[:6].copy()
    wrong["TEFF"] = 9000.0
    wrong["FIELD"][:3] = "elsewhere"
    wrong["SNR"][3:5] *= 1.1  # the same field, seen by another telescope
    found = train_files(giants.files, vstack([wrong, rows]), ["teff", "logg"])
    # the sixth has the same field and S/N twice: nobody can tell
    assert found.left_out == {"several rows in the catalog": 1}
    assert found.model.dataset.sizes["training_star"] == len(rows) - 1
    assert found.model.training_labels.sel(label="teff").max() < 6000


def test_the_calibration_covers_the_residuals_of_stars_that_were_not_trained_on(giants):
    rows = giants.rows
    found = train_files(giants.files, rows, ["teff", "logg", "fe_h"])
    error = found.calibration.floor_errors.values
    assert (error < 1.5 * np.asarray(found.statistics["std"])).all()
    assert (error > 0.3 * np.asarray(found.statistics["scatter"])).all()


def test_a_wrong_column_is_found_before_any_file_is_read(giants):
    with pytest.raises(ValueError, match="no column ZZ_FE"):
        train_files(["no such file"], giants.rows, ["teff", "ZZ_FE"])


def test_nothing_to_train_on_says_why(giants, tmp_path):
    with pytest.raises(ValueError, match="none of 1 files can be trained on: 1 cannot be read"):
        train_files([tmp_path / "missing.fits"], giants.rows)


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits"])
def test_catalogs_of_any_kind(giants, tmp_path, suffix):
    rows = Table(giants.rows["APOGEE_ID", "FIELD", "TEFF"])[:5]
    rows["TEFF"].unit = "K"
    rows.write(tmp_path / f"catalog{suffix}")
    found = read_catalog(tmp_path / f"catalog{suffix}")
    assert list(found["APOGEE_ID"]) == list(rows["APOGEE_ID"])
    np.testing.assert_allclose(
        np.asarray(getattr(found["TEFF"], "value", found["TEFF"])), np.asarray(rows["TEFF"]), rtol=1e-6
    )


def test_what_is_no_catalog(tmp_path):
    (tmp_path / "a.ecsv").write_text("nothing")
    for name, message in (("a.ecsv", "cannot be read as a table"), ("a.txt", r"\.fits, \.ecsv or \.csv")):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=message):
            read_catalog(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such catalog"):
        read_catalog(tmp_path / "b.fits")
