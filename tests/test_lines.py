import numpy as np
import pytest
from astropy import units as u

from lab2.grid import BRACKETT, WAVELENGTH
from lab2.lines import (
    UNIDENTIFIED,
    absorption,
    concentration,
    leading_species,
    name_peaks,
    peak_names,
    strong_lines,
)
from lab2.simulate import emulator

# Wavelengths in air [Angstrom] of lines that APOGEE abundance work rests on: Smith et al. 2013, ApJ 765, 16,
# tables 2 and 5, by element; the strongest Si I line of the band, at 15888.41, from NIST.
PUBLISHED_AIR = {
    "Mg": (15740.716, 15748.9, 15765.8, 15954.477),
    "Si": (15376.831, 15833.602, 15888.41, 15960.063, 16060.009, 16094.787, 16680.770),
    "Fe": (15207.526, 15395.718, 15648.510, 15964.867, 16040.657, 16165.032),
    "Al": (16718.957, 16763.359),
    "Ca": (16136.823, 16150.763, 16155.236, 16157.364),
    "K": (15163.067, 15168.376),
    "Ni": (15632.654, 16589.295),
    "Ti": (15543.756, 15715.573),
    "Cr": (15680.063, 15860.214),
}


def edlen_vacuum(air):
    """Edlen's dispersion formula of 1953 as Morton 1991 (ApJS 77, 119) gives it: another than the tool's."""
    wavelength = air
    for _ in range(5):
        s2 = (1e4 / wavelength) ** 2
        wavelength = air * (1 + 6.4328e-5 + 2.94981e-2 / (146 - s2) + 2.5540e-4 / (41 - s2))
    return wavelength


def nearest(table, wavelength):
    return table[np.argmin(np.abs(table["wavelength"].to_value(u.AA) - wavelength))]


@pytest.mark.parametrize(("element", "air"), PUBLISHED_AIR.items())
def test_published_lines_stand_at_their_vacuum_wavelengths(element, air):
    lines = strong_lines(element)
    for wavelength in air:
        found = nearest(lines, edlen_vacuum(wavelength))
        assert abs(found["wavelength"].to_value(u.AA) - edlen_vacuum(wavelength)) < 0.1
        assert found["strength"].value > -0.6


@pytest.mark.parametrize(
    ("element", "vacuum"),
    [("Mg", [15745.0, 15753.3, 15770.1]), ("Si", [15892.8, 15964.4, 16099.2, 16685.3])],
)
def test_the_lines_to_mark_are_the_few_strongest(element, vacuum):
    wavelength = strong_lines(element, minimum_strength=2.2)["wavelength"].to_value(u.AA)
    distance = np.abs(wavelength - np.array(vacuum)[:, None])
    assert (distance.min(axis=1) < 0.1).all()
    assert (distance.min(axis=0) < 0.2).all()  # components of the same lines


@pytest.mark.parametrize("head_in_air", [15582.0, 15780.5, 15988.0, 16189.5])
def test_band_heads_of_carbon_monoxide(head_in_air):
    # The 12CO features of Smith et al. 2013, table 4: lines crowd at a head and there are few to its blue.
    lines = strong_lines("CO")
    lines = lines[lines["species"] == "12CO"]
    wavelength = lines["wavelength"].to_value(u.AA)
    opacity = 10 ** lines["strength"].value
    head = edlen_vacuum(head_in_air)
    inside = opacity[(wavelength > head - 6) & (wavelength < head + 6)].sum()
    blueward = opacity[(wavelength > head - 30) & (wavelength < head - 18)].sum()
    assert inside > 5 * blueward


def test_strength_follows_boltzmann_within_a_species():
    lines = strong_lines("Fe")
    lines = lines[np.abs(lines["wavelength"].to_value(u.AA) - 16550) < 200]
    level = lines["strength"].value - lines["log_gf"].value
    slope = np.polyfit(lines["excitation"].to_value(u.eV), level, 1)[0]
    # theta = 5040 K / T with a line-forming layer between 0.9 and 1 of Teff = 4600 K.
    assert 5040 / 4600 < -slope < 5040 / 4140


def test_isotopes_differ_by_their_abundance():
    lines = strong_lines("CO")
    offset = {}
    for species in ("12CO", "13CO"):
        near = np.abs(lines["wavelength"].to_value(u.AA) - 16550) < 200
        of_one = lines[near & (lines["species"] == species)]
        level = of_one["strength"].value - of_one["log_gf"].value
        offset[species] = np.median(level + 5040 / 4400 * of_one["excitation"].to_value(u.eV))
    # The masses, and with them the Doppler widths, differ a little too.
    assert offset["12CO"] - offset["13CO"] == pytest.approx(np.log10(15), abs=0.02)


def test_table_is_sound():
    lines = strong_lines()
    wavelength = lines["wavelength"].to_value(u.AA)
    assert len(lines) > 2000
    assert np.all(np.diff(wavelength) >= 0)
    assert wavelength[0] >= 15100
    assert wavelength[-1] <= 17000
    for name in ("excitation", "log_gf", "strength"):
        assert np.all(np.isfinite(lines[name].value))
    assert np.all(lines["excitation"] >= 0 * u.eV)
    assert lines["strength"].unit == u.dex
    atoms = {"Mg", "Si", "Fe", "Al", "Ca", "Ti", "Mn", "Ni", "K", "Na", "C", "S", "V", "Co", "Cr"}
    assert set(lines["element"]) == atoms | {"CN", "CO", "OH"}
    assert set(lines["source"]) == {"linemake, log gf calibrated"}


def test_selection():
    strong = strong_lines("Fe", minimum_strength=1.0)
    assert set(strong["element"]) == {"Fe"}
    assert strong["strength"].value.min() >= 1.0
    assert len(strong) < len(strong_lines("Fe"))


def test_one_caller_cannot_spoil_the_next():
    lines = strong_lines()
    lines["strength"][:] = 0 * u.dex
    assert np.ptp(strong_lines()["strength"].value) > 3


def test_unknown_element_is_refused():
    with pytest.raises(ValueError, match=r"element 'Xx' are carried.*Mg"):
        strong_lines("Xx")


def test_concentration_in_the_lines_of_an_element():
    wavelength = np.arange(15150.0, 16950.0, 0.2)
    near = (np.abs(wavelength[:, None] - strong_lines("Si", 1.0)["wavelength"].value) <= 0.3).any(axis=1)
    spectrum = np.where(near, 2.0, 1.0)
    spectrum[:7] = np.nan
    table = concentration(wavelength, spectrum, ["Si", "Mg"], minimum_strength=1.0)
    share = near[7:].mean()
    assert table["element"].tolist() == ["Si", "Mg"]
    assert table["pixels"][0] == pytest.approx(share)
    assert table["square"][0] == pytest.approx(4 * share / (4 * share + 1 - share))
    assert table["ratio"][0] == pytest.approx(table["square"][0] / share)
    assert 0.5 < table["ratio"][1] < 1.5  # as by chance


def giant(**values):
    """Synthetic spectrum of the giant that the strengths of the lines are computed for."""
    labels = dict.fromkeys(emulator.inputs(), 0.0) | {"teff": 4600.0, "logg": 2.2, "vmicro": 1.5} | values
    return emulator.spectra(np.array([list(labels.values())]))[0].astype(float)


def test_the_known_lines_absorb_where_a_synthetic_giant_does():
    spectrum = giant()
    inside = (WAVELENGTH > 15160) & (WAVELENGTH < 16940)
    assert np.corrcoef(absorption(WAVELENGTH[inside]), 1 - spectrum[inside])[0, 1] > 0.9


@pytest.mark.parametrize(("element", "name", "least"), [("Mg", "mg_fe", 8), ("Si", "si_fe", 14), ("Al", "al_fe", 8)])
def test_a_synthetic_spectrum_responds_to_an_element_where_its_lines_absorb(element, name, least):
    """The strongest peaks of the response, beside chance: the element's pixels are a few per cent of all."""
    response = giant(**{name: 0.1}) - giant(**{name: -0.1})
    inside = (WAVELENGTH > 15160) & (WAVELENGTH < 16940)
    peaks = name_peaks(WAVELENGTH[inside], response[inside], 15)
    on_lines = absorption(WAVELENGTH[inside], element) >= 0.01
    assert on_lines[peaks["pixel"]].sum() >= least
    assert on_lines.mean() < 0.1


def test_the_absorption_of_all_elements_adds_up():
    wavelength = np.arange(15500.0, 15800.0, 0.2)
    elements = {*strong_lines()["element"].tolist(), "H"}
    total = sum(absorption(wavelength, element) for element in elements)
    assert total == pytest.approx(absorption(wavelength), abs=1e-12)
    assert 0 <= total.min() < total.max() < 0.4
    with pytest.raises(ValueError, match=r"no lines of element 'Xx'.*Mg"):
        absorption(wavelength, "Xx")


@pytest.mark.parametrize(
    ("wavelength", "species"),
    [
        (15745.02, "Mg I"),  # a faint line of CN lies nearer
        (15753.3, "Mg I"),
        (15770.9, "Mg I"),  # in the wing of the line at 15770.1
        (15235.8, "Mg I"),
        (15697.7, "Mg I"),
        (16351.3, "Si I"),
        (16723.5, "Al I"),  # beside a line of OH
        (15339.0, "Ti I"),
        (15892.75, "Si I"),
        (16811.2, "H I"),
        (15391.8, "CN"),
        (15981.9, "CO"),
    ],
)
def test_features_of_giants_bear_the_name_of_what_absorbs_there(wavelength, species):
    assert leading_species([wavelength]).tolist() == [species]


def test_where_nothing_absorbs_a_peak_stays_unidentified():
    wavelength = np.arange(15160.0, 16940.0, 0.2)
    clear = absorption(wavelength) < 0.002
    assert clear.any()
    assert set(leading_species(wavelength[clear])) == {UNIDENTIFIED}
    middle = wavelength[clear][len(wavelength[clear]) // 2]
    spectrum = np.exp(-0.5 * ((wavelength - middle) / 0.3) ** 2)
    peaks = name_peaks(wavelength, spectrum, count=1)
    assert peaks["species"].tolist() == [UNIDENTIFIED]
    assert np.isnan(peaks["line"][0])
    assert peak_names(peaks) == {}


def test_peaks_come_highest_first_with_the_line_that_absorbs_most():
    wavelength = np.linspace(15700, 15800, 1001)
    spectrum = -0.2 * np.exp(-0.5 * ((wavelength - 15753.3) / 0.3) ** 2)
    spectrum += 0.1 * np.exp(-0.5 * ((wavelength - 15770.1) / 0.3) ** 2)
    spectrum[:5] = np.nan
    peaks = name_peaks(wavelength, spectrum, count=2)
    assert peaks["wavelength"] == pytest.approx([15753.3, 15770.1])
    assert wavelength[peaks["pixel"]] == pytest.approx(peaks["wavelength"])
    assert peaks["value"] == pytest.approx([-0.2, 0.1])
    assert peaks["line"] == pytest.approx([15753.3, 15770.1], abs=0.15)
    assert peaks["absorbed"] == pytest.approx(absorption(peaks["wavelength"], "Mg"))
    assert list(peak_names(peaks)) == ["Mg I 15753.3", "Mg I 15770.1"]
    assert list(peak_names(peaks, apart=20.0)) == ["Mg I 15753.3"]


def test_brackett_lines_are_broad_and_weaken_up_the_series():
    depth = absorption(BRACKETT[:4], "H")
    assert (np.diff(depth) < 0).all()
    assert absorption([BRACKETT[0] + 1.5], "H")[0] > 0.35 * depth[0]
