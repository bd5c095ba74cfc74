"""What the telescope makes of a spectrum: noise, sky, gaps and persistence."""

import numpy as np
import pytest
from a_giant import GIANT
from astropy.table import Table

from lab2 import apstar
from lab2.simulate import spectrum
from lab2.simulate.instrument import CHIP_EDGES, observe_star
from lab2.simulate.pipeline import SNREV_RATIO
from lab2.simulate.sky import airglow


def an_observed_star(n_visits, seed=0, oddity="", snr=150.0):
    star = Table({"teff": [4550.0], "ak": [0.3], "h": [11.0], "oddity": [oddity]})[0]
    rng = np.random.default_rng(seed)
    velocities = np.linspace(-60, 40, n_visits)
    # the last visit is twice as good as the others
    share = np.r_[np.ones(n_visits - 1), 2.0]
    return observe_star(rng, spectrum(GIANT), star, velocities, snr * share / np.linalg.norm(share)), velocities


@pytest.mark.parametrize("n_visits", [1, 3])
def test_noise_of_unflagged_pixels_is_what_the_error_says(n_visits):
    pulls, snr = [], []
    for seed in range(6):
        (flux, error, bitmask, truth, _), _ = an_observed_star(n_visits, seed)
        good = np.isfinite(flux[0]) & (bitmask[0] == 0)
        pulls.append((flux[0, good] - truth[good]) / error[0, good])
        snr.append(1 / np.median(error[0, good] / truth[good]))
    pulls = np.concatenate(pulls)
    assert np.std(pulls) == pytest.approx(1, abs=0.03)
    assert abs(np.mean(pulls)) < 0.05
    assert np.mean(snr) == pytest.approx(150, rel=0.1)


def test_rows_and_gaps_are_those_of_dr17():
    (flux, _, bitmask, _, edges), _ = an_observed_star(1)
    assert flux.shape == (2, 8575)
    assert not flux[1].any()
    assert np.isnan(flux[0, : edges["BMIN"]]).all()
    assert np.isfinite(flux[0, edges["GMIN"] : edges["GMAX"] + 1]).all()
    assert (bitmask[0, np.isnan(flux[0])] == 0).all()
    (flux, _, _, _, _), _ = an_observed_star(3)
    assert flux.shape == (5, 8575)
    assert np.isnan(flux[:2, 0]).all()
    assert (flux[2:, 0] == 0).all()


def median_snr(flux, error):
    good = (flux != 0) & np.isfinite(flux) & (error < 1e9)
    return np.median(flux[good] / error[good])


def test_visits_and_middle_chip_have_the_snr_that_headers_say():
    (flux, error, *_, edges), _ = an_observed_star(3, snr=200.0)
    expected = 200.0 * np.array([1, 1, 2]) / np.sqrt(6)
    np.testing.assert_allclose([median_snr(*row) for row in zip(flux[2:], error[2:], strict=True)], expected, rtol=0.03)
    middle = slice(edges["GMIN"], edges["GMAX"] + 1)
    ratio = median_snr(flux[0, middle], error[0, middle]) / median_snr(flux[0], error[0])
    assert ratio == pytest.approx(SNREV_RATIO, abs=0.01)


def test_ranges_of_any_and_of_all_visits():
    (flux, *_, edges), velocities = an_observed_star(3)
    shift = np.round(velocities / (6e-6 * np.log(10) * 299792.458)).astype(int)
    for chip, (first, last) in zip("BGR", CHIP_EDGES, strict=True):
        assert edges[f"{chip}MIN"] == first - shift.max() < edges[f"{chip}OVERMIN"] == first - shift.min()
        assert edges[f"{chip}MAX"] == last - shift.min() > edges[f"{chip}OVERMAX"] == last - shift.max()
        seen = (flux[2:] != 0).sum(axis=0)
        assert (seen[edges[f"{chip}OVERMIN"] : edges[f"{chip}OVERMAX"] + 1] == 3).all()
        assert seen[edges[f"{chip}MIN"]] == seen[edges[f"{chip}MAX"]] == 1
        assert seen[edges[f"{chip}MIN"] - 1] == seen[edges[f"{chip}MAX"] + 1] == 0
    (*_, edges), _ = an_observed_star(1)
    assert all(edges[f"{chip}OVER{end}"] == edges[f"{chip}{end}"] for chip in "BGR" for end in ("MIN", "MAX"))


def test_sky_lines_and_chip_edges_move_with_the_velocity():
    step = 6e-6 * np.log(10) * 299792.458
    still, moving = airglow(0.0), airglow(20 * step)
    assert np.correlate(still[500:8000], moving[480:7980]).item() > 0.99 * np.sum(still[500:8000] ** 2)
    (*_, edges), velocities = an_observed_star(1)
    assert edges["BMIN"] == CHIP_EDGES[0][0] - round(velocities[0] / step)


def test_persistence_raises_the_blue_end_and_says_so():
    (flux, _, bitmask, truth, _), _ = an_observed_star(1, oddity="persistence")
    good = (bitmask[0] & 0xFF) == 0
    excess = np.where(good, flux[0] / truth - 1, np.nan)
    assert np.nanmedian(excess[300:800]) > 0.05
    assert abs(np.nanmedian(excess[4000:6000])) < 0.01
    assert (bitmask[0, 300:1200] & apstar.PixelBit.PERSIST_HIGH).all()
