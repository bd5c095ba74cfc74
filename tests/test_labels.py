import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table

import lab2
from lab2.labels import LABELS, from_catalog, label_names


def catalog(**columns):
    table = Table({"APOGEE_ID": ["2M1", "2M2", "2M3"]})
    for k, label in enumerate(LABELS):
        table[label.column] = np.arange(3.0) + 10 * k
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
    assert labels.sel(label="fe_h").values.tolist() == [20.0, 21.0, 22.0]
    assert labels.attrs["units"] == ["K", "dex", "dex", "dex", "dex"]


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
