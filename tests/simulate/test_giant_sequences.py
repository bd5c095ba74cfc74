"""The relations of branch and clump are those that the tool fits."""

import numpy as np
import pytest

from lab2.simulate.population import branch_teff, clump_teff
from tools.giant_sequences import SEQUENCES, compare, fit


@pytest.mark.parametrize(("state", "relation"), [("RGB", branch_teff), ("RC", clump_teff)])
def test_the_tool_finds_the_relation_that_the_survey_follows(state, relation):
    rng = np.random.default_rng(51)
    low, high = SEQUENCES[state][1]
    logg, fe_h, mg_fe = rng.uniform([low, -0.9, 0.0], [high, 0.4, 0.35], (4000, 3)).T
    teff = relation(logg, fe_h, mg_fe) + rng.normal(0, 30, 4000)
    teff[::50] += 500  # binaries and other strays
    coefficients, scatter = fit(state, teff, logg, fe_h, mg_fe)
    assert scatter == pytest.approx(30, rel=0.08)
    terms = np.column_stack([np.ones(4000), *SEQUENCES[state][0](logg, fe_h, mg_fe)])
    np.testing.assert_allclose(terms @ coefficients, relation(logg, fe_h, mg_fe), atol=8)


def test_what_the_table_says_of_stars_on_the_relations():
    rng = np.random.default_rng(52)
    logg, fe_h, mg_fe = rng.uniform([1.0, -0.5, 0.0], [3.4, 0.2, 0.3], (6000, 3)).T
    clump = rng.random(6000) < 0.3
    logg = np.where(clump, rng.normal(2.45, 0.05, 6000), logg)
    teff = np.where(clump, clump_teff(logg, fe_h, mg_fe), branch_teff(logg, fe_h, mg_fe)) + 12
    rows = compare(teff, logg, fe_h, mg_fe, clump)
    assert float(rows["share of clump stars"]) == pytest.approx(0.3, abs=0.02)
    for name, value in rows.items():
        if "scatter" in name:
            assert value == "+12, 0"
