"""What the carried table says of real giants under a model trained on the simulated survey."""

import re

import numpy as np
from astropy.table import Table

from lab2.simulate import REAL_GIANTS, real_offsets


def test_offsets_of_real_giants_are_those_of_the_table():
    table = Table.read(REAL_GIANTS, format="ascii.ecsv")
    numbers = [float(x) for x in re.findall(r"[\d.]+", real_offsets().split(" dex")[0])]
    for number, name, digits in zip(numbers, ("teff", "logg", "fe_h", "mg_fe"), (0, 2, 2, 2), strict=True):
        assert number == np.round(table[f"size_{name}"].max(), digits)
    assert real_offsets().endswith("68 % of the stars)")


def test_the_survey_teaches_the_gravities_of_real_giants():
    # before the lines were calibrated at ASPCAP's labels, log g of clump stars came out 0.7 to 1.1 dex too high
    table = Table.read(REAL_GIANTS, format="ascii.ecsv")
    assert list(table["region"]) == ["upper branch", "clump", "lower branch"]
    for name, limit in (("teff", 100), ("logg", 0.25), ("fe_h", 0.10), ("mg_fe", 0.10)):
        assert (np.abs(table[name]) < limit).all()
        assert (table[f"size_{name}"] > 0).all()
