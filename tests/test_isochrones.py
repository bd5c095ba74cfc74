import numpy as np
import pytest
from astropy import units as u

from lab2.isochrones import RGB_BASE, bump, mist, teff_on_rgb

FEH = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5)


@pytest.mark.parametrize(
    ("feh", "published"),
    [
        # log g: Teff on the giant branch at 6 Gyr, read off a public MIST grid by other code than ours.
        (0.0, {3.5: 4989, 3.0: 4832, 2.5: 4625, 2.0: 4374, 1.5: 4108, 1.0: 3834}),
        (-1.0, {3.5: 5468, 3.0: 5197, 2.5: 4998, 2.0: 4774, 1.5: 4520, 1.0: 4250}),
    ],
)
def test_giant_branch_agrees_with_mist(feh, published):
    teff = teff_on_rgb(list(published), feh)
    np.testing.assert_allclose(teff.to_value(u.K), list(published.values()), atol=10)


@pytest.mark.parametrize("feh", FEH)
def test_gravity_follows_from_mass_luminosity_and_temperature(feh):
    isochrone = mist(6, feh)
    # g = 4 pi G M sigma T^4 / L; giants have lost mass, so that the initial mass only bounds their gravity.
    sun = np.log10(27420.0)
    mass, teff = isochrone["initial_mass"].to_value(u.Msun), isochrone["teff"].to_value(u.K)
    expected = sun + np.log10(mass) + 4 * np.log10(teff / 5772) - isochrone["log_luminosity"].value
    excess = expected - isochrone["logg"].value
    unevolved = np.isin(isochrone["phase"], ["MS", "SGB"])
    np.testing.assert_allclose(excess[unevolved], 0, atol=0.01)
    assert np.all(excess > -0.01)
    assert np.all(excess < 0.12)


@pytest.mark.parametrize("feh", [*FEH, -0.6, 0.1])
def test_evolutionary_order(feh):
    isochrone = mist(6, feh)
    assert np.all(np.diff(isochrone["eep"]) > 0)
    phase = isochrone["phase"]
    order = list(dict.fromkeys(phase))
    assert order == ["MS", "SGB", "RGB", "CHeB"]
    ascent = phase != "CHeB"
    assert np.all(np.diff(isochrone["initial_mass"][ascent]) > 0)
    turnoff = isochrone["initial_mass"][phase == "SGB"][0].to_value(u.Msun)
    assert 0.9 < turnoff < 1.25
    assert 0.4 < isochrone["initial_mass"][0].to_value(u.Msun) < 0.6


@pytest.mark.parametrize("feh", FEH)
def test_base_of_the_giant_branch_is_a_minimum_of_luminosity(feh):
    isochrone = mist(6, feh)
    near = np.abs(isochrone["eep"] - RGB_BASE) <= 8
    lowest = isochrone["eep"][near][np.argmin(isochrone["log_luminosity"][near].value)]
    assert abs(lowest - RGB_BASE) <= 3


def test_red_clump_lies_where_red_clump_stars_do():
    isochrone = mist(6, 0.0)
    clump = isochrone[isochrone["phase"] == "CHeB"]
    assert np.all((clump["logg"].value > 2.2) & (clump["logg"].value < 2.6))
    # At equal gravity the clump is hotter than the giant branch: that is how the two are told apart.
    assert np.all(clump["teff"] > teff_on_rgb(clump["logg"].value, 0.0) + 50 * u.K)


def test_metal_rich_giants_are_cooler():
    logg = np.linspace(0.6, 3.5, 30)
    teff = np.array([teff_on_rgb(logg, feh).value for feh in np.arange(-1, 0.51, 0.125)])
    assert np.all(np.diff(teff, axis=0) < 0)


def test_interpolation_in_metallicity():
    middle, poor, rich = mist(6, -0.1), mist(6, -0.25), mist(6, 0.0)
    expected = 0.4 * poor["teff"] + 0.6 * rich["teff"]
    np.testing.assert_allclose(middle["teff"].value, expected.value, rtol=1e-12)
    # Leaving a tabulated metallicity out and interpolating across it is a harder task than any real call.
    across = 0.5 * (teff_on_rgb([1.0, 2.0, 3.0], -0.5) + teff_on_rgb([1.0, 2.0, 3.0], 0.0))
    np.testing.assert_allclose(across.value, teff_on_rgb([1.0, 2.0, 3.0], -0.25).value, atol=12)


@pytest.mark.parametrize("feh", FEH)
def test_bump_does_not_make_the_temperature_jump(feh):
    isochrone = mist(6, feh)
    gravity = isochrone["logg"].value[isochrone["phase"] == "RGB"]
    assert np.any(np.diff(gravity) > 0), "the isochrone has a bump"
    steps = np.diff(teff_on_rgb(np.arange(0.5, 3.5, 0.002), feh).to_value(u.K))
    assert np.all(steps >= 0)
    assert steps.max() < 3


def test_one_gravity_gives_one_temperature():
    assert teff_on_rgb(2.0, 0.0).shape == ()
    assert teff_on_rgb([[2.0, 1.0]], 0.0).shape == (1, 2)


def test_units_and_provenance():
    isochrone = mist(6, -0.5)
    assert isochrone["teff"].unit == u.K
    assert isochrone["initial_mass"].unit == u.Msun
    assert isochrone["logg"].unit == u.dex(u.cm / u.s**2)
    assert isochrone["log_luminosity"].unit == u.dex(u.Lsun)
    assert isochrone.meta["feh"] == -0.5
    assert "lachesis-grids" in isochrone.meta["source"]


def test_one_caller_cannot_spoil_the_next():
    first = mist(6, 0.0)
    kept = first["teff"].copy()
    first["teff"][:] = 0 * u.K
    first["eep"][:] = 0
    first.meta["references"].clear()
    again = mist(6, 0.0)
    assert np.all(again["teff"] == kept)
    assert again["eep"][0] > 0
    assert again.meta["references"]


@pytest.mark.parametrize(
    ("age", "feh"),
    [(float("nan"), 0.0), (21, 0.0), (0, 0.0), (5.9, 0.0), (6, 0.6), (6, -4.1), (6, -1.01), (6, np.nan)],
)
def test_what_is_not_carried_is_refused_with_what_is(age, feh):
    carried = r"isochrones are included for 6 Gyr and \[Fe/H\] from -1 to \+0\.5; got .* Gyr and .*isochrone_table\.py"
    with pytest.raises(ValueError, match=carried):
        mist(age, feh)
    with pytest.raises(ValueError, match=carried):
        teff_on_rgb(2.0, feh, age)


@pytest.mark.parametrize("logg", [-0.5, 4.4, float("nan"), [2.0, 5.0]])
def test_gravities_off_the_giant_branch_are_refused(logg):
    with pytest.raises(ValueError, match="giant branch of 6 Gyr"):
        teff_on_rgb(logg, 0.0)


def test_at_the_bump_the_star_turns_back():
    solar, poor = (mist(6, metals) for metals in (0.0, -1.0))
    for track in (solar, poor):
        teff, logg = bump(track)
        branch = track[track["phase"] == "RGB"]
        rising = np.flatnonzero(np.diff(branch["logg"].value) > 0)
        assert branch["logg"].value[rising].min() <= logg <= branch["logg"].value[rising + 1].max()
        assert branch["teff"].value.min() < teff < branch["teff"].value.max()
    assert bump(poor)[1] < bump(solar)[1]  # brighter in metal-poor stars
    with pytest.raises(ValueError, match="no bump"):
        bump(solar[solar["phase"] != "RGB"])
