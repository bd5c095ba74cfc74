import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

import lab2
from lab2.labels import LABELS, Label, from_catalog, label_names, numbers, texts, units_of


def catalog(**columns):
    table = Table({"APOGEE_ID": ["2M1", "2M2", "2M3"]})
    for k, label in enumerate(LABELS):
        table[label.column] = [4000.0, 4001.0, 4002.0] if k == 0 else 0.1 * k + 0.01 * np.arange(3)
    for name, values in columns.items():
        table[name] = values
    return table


def test_the_five_labels():
    assert label_names() == ["teff", "logg", "fe_h", "mg_fe", "si_fe"]
    assert [label.column for label in LABELS] == ["TEFF", "LOGG", "FE_H", "MG_FE", "SI_FE"]
    assert [label.unit for label in LABELS] == ["K", "dex", "dex", "dex", "dex"]
    assert LABELS[0].axis == r"$T_\mathrm{eff}$ [K]"
    assert lab2.LABELS is LABELS


def test_values_names_and_order():
    labels = from_catalog(catalog())
    assert labels.dims == ("star", "label")
    assert labels.dtype == float
    assert labels.star.values.tolist() == ["2M1", "2M2", "2M3"]
    assert labels.sel(label="fe_h").values.tolist() == pytest.approx([0.2, 0.21, 0.22])
    assert units_of(labels) == ["K", "dex", "dex", "dex", "dex"]


def test_every_kind_of_missing_becomes_nan():
    table = catalog(
        TEFF=np.array([-9999.0, 4500.0, 4600.0], dtype="f4"),
        LOGG=[1.0, np.nan, 2.0],
        FE_H=MaskedColumn([0.1, 0.2, 0.3], mask=[False, False, True]),
    )
    labels = from_catalog(table)
    assert np.argwhere(np.isnan(labels.values)).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert labels.sel(label="teff").values[1:].tolist() == [4500.0, 4600.0]


def test_quantities_are_taken_in_their_unit():
    table = QTable(catalog())
    table["TEFF"] = [4000.0, -9999.0, 5000.0] * u.K
    np.testing.assert_array_equal(from_catalog(table).sel(label="teff"), [4000.0, np.nan, 5000.0])


def test_missing_column_is_named():
    table = catalog()
    table.remove_columns(["MG_FE", "SI_FE"])
    with pytest.raises(ValueError, match=r"no column MG_FE, SI_FE; it has \['APOGEE_ID', 'TEFF'"):
        from_catalog(table)


# --- labels of other columns --------------------------------------------------------------------------------


def test_any_column_can_be_a_label():
    table = QTable(catalog(AL_FE=[0.1, -9999.0, -99.99], VMICRO=[1.5, 2.0, -9999.99], AGE=[5.0, 6.0, 7.0]))
    table["AGE"].unit = "Gyr"
    vmicro = Label("microturbulence", "$v$", "km/s", "VMICRO", 0.0, 10.0)
    labels = from_catalog(table, ["AL_FE", "TEFF", "logg", vmicro, "AGE"])
    assert labels.label.values.tolist() == ["al_fe", "teff", "logg", "microturbulence", "age"]
    assert units_of(labels) == ["dex", "K", "dex", "km/s", "Gyr"]
    np.testing.assert_array_equal(labels.sel(label="al_fe"), [0.1, np.nan, np.nan])
    np.testing.assert_array_equal(labels.sel(label="microturbulence"), [1.5, 2.0, np.nan])
    np.testing.assert_array_equal(labels.sel(label="age"), [5.0, 6.0, 7.0])
    assert from_catalog(table, "AL_FE").sizes == {"star": 3, "label": 1}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["AL_FE"], r"no column AL_FE; it has \['APOGEE_ID', 'TEFF'"),
        (["TEFF", "teff"], "more than one label: 'teff'"),
        (["APOGEE_ID"], "APOGEE_ID holds no numbers, but text such as '2M1'"),
    ],
)
def test_labels_that_cannot_be_had(wanted, message):
    with pytest.raises(ValueError, match=message):
        from_catalog(catalog(), wanted)


def test_labels_of_other_columns_train_fit_and_calibrate():
    rng = np.random.default_rng(60)
    n, x = 120, rng.uniform(-1, 1, (120, 2))
    rows = Table({"APOGEE_ID": [f"2M{k}" for k in range(n)], "TEFF": 4500 + 300 * x[:, 0], "AL_FE": 0.2 * x[:, 1]})
    flux = 0.9 + x @ rng.normal(0, 0.05, (2, 30)) + rng.normal(0, 0.005, (n, 30))
    wavelength, ivar = 15200.0 + np.arange(30), np.full(flux.shape, 0.005**-2)
    labels = from_catalog(rows, ["AL_FE", "TEFF"])
    spectra = lab2.from_arrays(flux, ivar, wavelength, labels)
    assert spectra.label.values.tolist() == ["al_fe", "teff"]
    assert spectra.star.values.tolist() == rows["APOGEE_ID"].tolist()
    fits = lab2.validation.cross_validate(spectra)
    applied = lab2.validation.calibrate(fits, labels).apply(fits)
    error = np.sqrt(np.diagonal(applied.covariance, axis1=1, axis2=2))
    assert (np.abs(applied.labels - labels) < 5 * error).all()
    assert (np.std(applied.labels - labels, axis=0) < [0.02, 30.0]).all()


# --- values that no star has --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("TEFF", value) for value in (0.0, 1e6, np.inf, -np.inf, -9999.0, -9999.99, 4.5, -1.0)),
        *(("LOGG", value) for value in (40.0, -99.99, -9999.9, np.inf)),
        *(("FE_H", value) for value in (25.0, -99.99, -9999.0, -9998.5)),
        *(("MG_FE", value) for value in (25.0, -9999.99)),
    ],
)
def test_a_value_that_no_star_has_is_missing(column, value):
    table = catalog()
    table[column][1] = value
    found = from_catalog(table)
    assert np.argwhere(np.isnan(found.values)).tolist() == [[1, [x.column for x in LABELS].index(column)]]


@pytest.mark.parametrize("text", ["-9999", "-9999.99", "nan", "NaN", "null", "", "--", "inf", "1e99", "4500,5", "abc"])
def test_numbers_written_as_text(text):
    np.testing.assert_array_equal(
        from_catalog(catalog(TEFF=["4500", text, " 4.6e3 "])).sel(label="teff"), [4500.0, np.nan, 4600.0]
    )


@pytest.mark.parametrize("kind", [">f4", "<f4", ">f8", "g", ">i4", "i8", "u2", "O"])
def test_any_type_of_number(kind):
    values = np.array([4000, 4500, 5000]).astype(kind)
    found = from_catalog(catalog(TEFF=MaskedColumn(values, mask=[False, True, False]))).sel(label="teff")
    assert found.dtype == np.dtype("=f8")
    np.testing.assert_array_equal(found, [4000.0, np.nan, 5000.0])


@pytest.mark.parametrize("values", [[True, False, True], [1j, 2j, 3j], np.ones((3, 2)), ["a", "b", "c"]])
def test_columns_of_no_numbers_are_refused(values):
    with pytest.raises(ValueError, match=r"TEFF (must hold a number in each row|holds no numbers)"):
        from_catalog(catalog(TEFF=values))


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("TEFF", [4.5, -9999.0, 5.0] * u.kK, [4500.0, np.nan, 5000.0]),
        ("TEFF", Masked([4.5, 4.6, 5.0] * u.kK, mask=[False, True, False]), [4500.0, np.nan, 5000.0]),
        ("LOGG", [2.0, -9999.0, 3.0] * u.dex(u.cm / u.s**2), [2.0, np.nan, 3.0]),
        ("FE_H", [0.1, 0.2, 0.3] * u.one, [0.1, 0.2, 0.3]),
        ("FE_H", [0.1, 0.2, 0.3] * u.dex, [0.1, 0.2, 0.3]),
        ("FE_H", [0.1, 0.2, 0.3] * u.mag, [-0.04, -0.08, -0.12]),
    ],
)
def test_units_are_converted(column, values, expected):
    table = QTable(catalog())
    table[column] = values
    found = from_catalog(table)[:, [label.column for label in LABELS].index(column)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("column", "unit"), [("TEFF", "m"), ("TEFF", "deg_C"), ("TEFF", "dex"), ("FE_H", "K"), ("FE_H", "percent")]
)
def test_units_of_something_else_are_refused(column, unit):
    table = catalog()
    table[column].unit = unit
    with pytest.raises(ValueError, match=f"{column} has the unit"):
        from_catalog(table)


def test_text_of_columns():
    assert texts(MaskedColumn([" 2M1 ", "2M2", "x"], mask=[False, False, True])).tolist() == ["2M1", "2M2", ""]
    assert texts(np.array([b"M67  "])).tolist() == ["M67"]
    np.testing.assert_array_equal(numbers(MaskedColumn([1, 2], mask=[True, False])), [np.nan, 2.0])
