"""The error budget: shares of known variances add up, and an entry of the table comes out again."""

import numpy as np
import pytest

from lab2 import validation
from lab2.labels import label_names
from lab2.simulate.stars import draw_survey
from lab2.validation.budget import CAUSES
from tools.error_budget import N_STARS, SEED, entry, halves, observed, shares


def variants(variance, interaction=0.0):
    """Normal residuals whose variance is a sum over the causes, and over two of them in a pair; the misfit is 1."""
    deviates = np.random.default_rng(1).normal(size=(300, 2))

    def residuals(on):
        pair = interaction * (CAUSES[0] in on and CAUSES[1] in on)
        return np.sqrt(1 + sum(variance[cause] for cause in on) + pair) * deviates

    found = {"nothing": residuals(CAUSES), "everything": residuals(())}
    found |= {cause: residuals([c for c in CAUSES if c != cause]) for cause in CAUSES}
    return found | {f"only {cause}": residuals([cause]) for cause in CAUSES}


@pytest.mark.parametrize("interaction", [0.0, 3.0])
def test_shares_of_causes_that_act_alone_or_in_pairs_add_up_to_one(interaction):
    variance = dict(zip(CAUSES, (4.0, 3.0, 2.0, 1.0, 0.5, 0.0), strict=True))
    found = shares(variants(variance, interaction))
    total = 1 + sum(variance.values()) + interaction
    for cause in CAUSES:
        pair = interaction / 2 if cause in CAUSES[:2] else 0.0  # each of a pair has half of what they do together
        np.testing.assert_allclose(found[cause][2], (variance[cause] + pair) / total, atol=1e-9)
    np.testing.assert_allclose(found["everything"][2], 1 / total)
    np.testing.assert_allclose(found["remainder"][2], 0.0, atol=1e-9)
    np.testing.assert_allclose(found["nothing"][0], np.sqrt(total), rtol=0.25)


def test_the_table_is_complete_and_closes():
    for with_factors in (False, True):
        table = validation.error_budget(with_factors)
        off = {"nothing", "everything", "remainder", *CAUSES, *(f"only {cause}" for cause in CAUSES)}
        assert set(table["off"]) == off
        assert set(table["label"]) == set(label_names())
        assert table.meta["seed"] == SEED
        assert table.meta["n_stars"] == N_STARS
        assert {"lab2", "numpy"} <= set(table.meta["versions"])
        for name in label_names():
            rows = table[(table["label"] == name) & np.isfinite(table["share"])]
            counted = rows[rows["off"] != "nothing"]
            assert counted["share"].sum() == pytest.approx(1.0, abs=1e-3)
            causes = validation.largest_causes(table, name)
            assert [share for _, share in causes] == sorted((share for _, share in causes), reverse=True)
            sure = rows[np.isin(rows["off"], CAUSES) & (rows["share"] > 2 * rows["share_error"])]
            assert {cause for cause, _ in causes} == set(map(str, sure["off"]))


def test_an_entry_of_the_table_comes_out_again():
    stars, _ = draw_survey(SEED, N_STARS)
    spectra = observed(stars, CAUSES)
    residuals, formal = entry(spectra, stars, halves(spectra, stars), 0, CAUSES)
    table = validation.error_budget(with_factors=False)
    rows = table[table["off"] == "everything"]
    np.testing.assert_allclose(validation.robust_scatter(residuals), rows["scatter"], rtol=1e-3)
    np.testing.assert_allclose(formal, rows["formal"], rtol=1e-3)


def test_what_is_off_leaves_no_trace():
    stars, _ = draw_survey(3, 150)
    few = stars[:4]
    noisy, clean, exact = (observed(few, off, seed=3) for off in ((), ("photon noise",), ("photon noise", "continuum")))
    good = (noisy.ivar > 0) & (clean.ivar > 0) & (exact.ivar > 0)
    pulls = ((noisy.flux - clean.flux) * np.sqrt(noisy.ivar)).where(good)
    assert float(pulls.std()) == pytest.approx(1.0, abs=0.1)
    # without noise two versions differ by a smooth continuum alone: neighbors differ by the same
    step = (clean.flux / exact.flux).where(good).diff("wavelength")
    assert float(abs(step).median()) < 1e-4
    true = observed(few, ("catalog labels",), seed=3).labels
    np.testing.assert_allclose(true.sel(label="teff"), few["teff"])
    np.testing.assert_allclose(noisy.labels.sel(label="teff"), few["TEFF"])
