"""The synthesizer against closed forms, other formulas and published numbers. Nothing here is downloaded."""

import math

import numpy as np
import pytest
from astropy import constants, units
from scipy.special import wofz

from lab2.grid import BRACKETT
from tools.synthesis import calibrate, chemistry, fit_equilibrium, hydrogen, inputs, kernels, opacity, spectrum
from tools.synthesis.atmosphere import Atmosphere
from tools.synthesis.lines import Lines, absorption, air_to_vacuum, hydrogen_absorption

# A model atmosphere of MARCS (Gustafsson et al. 2008, A&A 486, 951), spherical, Teff 4500 K, log g 2.0, solar: log10
# tau_Rosseland, T [K], electron and gas pressure [dyn/cm2], density [g/cm3].
MARCS = np.array([
    (-5.0, 2944.9, 2.5175e-4, 19.727, 1.0222e-10),
    (-3.0, 3444.1, 6.9368e-3, 249.20, 1.1039e-9),
    (-2.0, 3678.7, 2.6794e-2, 762.57, 3.1626e-9),
    (-1.0, 4021.4, 1.1529e-1, 2319.6, 8.7983e-9),
    (0.0, 4946.3, 6.9022e-1, 6920.3, 2.1325e-8),
    (0.6, 6235.3, 1.1049e1, 11196.0, 2.7340e-8),
    (1.0, 7488.7, 1.1332e2, 12153.0, 2.4502e-8),
])  # fmt: skip


def gray_atmosphere(teff=4500.0, logg=2.0):
    """A gray atmosphere with Hopf's function put as 0.7, and a plain run of mass with depth."""
    log_tau = np.linspace(-5, 1.4, 53)
    tau = 10**log_tau
    temperature = teff * (0.75 * (tau + 0.7)) ** 0.25
    mass = 40.0 * tau**0.55
    return Atmosphere(log_tau, temperature, mass * 10**logg, mass)


def one_line(log_gf, species="Fe", excitation=5.0, wavelength=16000.0):
    return Lines(*(np.array([v]) for v in (wavelength, species, 0, f"{species} I", 1.0, excitation, log_gf, False)))


@pytest.fixture(scope="module")
def gas():
    return chemistry.solve(MARCS[:, 1], MARCS[:, 3], chemistry.abundances(0.0))


def test_electrons_and_density_are_those_of_marcs(gas):
    pressure = gas.electrons * chemistry.BOLTZMANN * gas.temperature
    np.testing.assert_allclose(pressure, MARCS[:, 2], rtol=0.01)
    # 1 % is that of the elements heavier than nickel, which the sum leaves out, and rounding of the tables
    np.testing.assert_allclose(gas.density, MARCS[:, 4], rtol=0.02)


def test_nuclei_charge_and_pressure_are_conserved(gas):
    abundance = chemistry.abundances(0.0)
    for element in chemistry.ELEMENTS:
        bound = sum(
            pair.count(element) * gas.molecules[m] for m, pair in chemistry.MOLECULES.items() if element != "Fe"
        )
        total = gas.neutral[element] + gas.ionized[element] + bound
        np.testing.assert_allclose(total, abundance[element] * gas.hydrogen, rtol=1e-3)
    positive = sum(gas.ionized.values())
    np.testing.assert_allclose(gas.electrons, positive, rtol=0.05)  # H- takes a few per cent of the electrons
    assert (gas.electrons < positive).all()
    particles = gas.electrons + sum(sum(part.values()) for part in (gas.neutral, gas.ionized, gas.molecules))
    np.testing.assert_allclose(particles * chemistry.BOLTZMANN * gas.temperature, MARCS[:, 3], rtol=1e-4)


def test_cool_gas_puts_its_carbon_into_carbon_monoxide(gas):
    cold = chemistry.solve(np.array([2500.0]), np.array([100.0]), chemistry.abundances(0.0))
    carbon = chemistry.abundances(0.0)["C"] * cold.hydrogen
    assert cold.molecules["CO"][0] / carbon[0] == pytest.approx(1, abs=1e-3)
    assert gas.molecules["CO"][-1] / gas.hydrogen[-1] < 1e-6


# Dissociation energy [eV], rotational and vibrational constants [1/cm], electronic weight over symmetry number: Huber &
# Herzberg 1979, Constants of Diatomic Molecules.
@pytest.mark.parametrize(("molecule", "energy", "rotation", "vibration", "weight", "within"), [
    ("CO", 11.09, 1.931, 2170.0, 1.0, 0.07), ("CN", 7.72, 1.900, 2069.0, 2.0, 0.10),
    ("OH", 4.39, 18.91, 3738.0, 4.0, 0.12), ("N2", 9.76, 1.998, 2359.0, 0.5, 0.05),
    ("H2", 4.478, 60.85, 4401.0, 0.5, 0.13),
])  # fmt: skip
def test_dissociation_follows_statistical_mechanics(molecule, energy, rotation, vibration, weight, within):
    # A rigid rotor times a harmonic oscillator: real molecules have a few per cent more states.
    t = np.array([3500.0, 4400.0, 5500.0])
    first, second = chemistry.MOLECULES[molecule]
    masses = [chemistry.mass_of(atom) for atom in (first, second)]
    reduced = masses[0] * masses[1] / sum(masses) * chemistry.MASS_UNIT
    kt = chemistry.BOLTZMANN * t
    internal = weight * t / (1.438777 * rotation) / (1 - np.exp(-1.438777 * vibration / t))
    translation = (2 * np.pi * reduced * kt / chemistry.PLANCK**2) ** 1.5
    atoms = chemistry.partition(first, t) * chemistry.partition(second, t)
    expected = translation * kt * atoms / internal * np.exp(-energy * chemistry.EV / kt)
    np.testing.assert_allclose(np.log10(chemistry.dissociation_constant(molecule, t)), np.log10(expected), atol=within)
    assert (chemistry.partition(molecule, t) > 0.98 * internal).all()


def test_partition_functions_begin_with_the_lowest_levels():
    # Weights and energies [1/cm] of the lowest levels (NIST): at 3000 K little else is populated.
    t = np.array([3000.0])
    levels = {
        "Si": [(1, 0), (3, 77.1), (5, 223.2), (5, 6298.9), (1, 15394.4)],
        "Mg": [(1, 0), (1, 21850.4), (3, 21870.5), (5, 21911.2)],
        "O": [(5, 0), (3, 158.3), (1, 227.0), (5, 15867.9)],
        "C": [(1, 0), (3, 16.4), (5, 43.4), (5, 10192.7), (1, 21648.0)],
        "Al": [(2, 0), (4, 112.1)],
    }
    for element, states in levels.items():
        total = sum(g * np.exp(-1.438777 * e / t) for g, e in states)
        np.testing.assert_allclose(chemistry.partition(element, t), total, rtol=0.03)


def test_h_minus_against_another_fit():
    # Gray 2005, eq. 8.13, after Bell & Berrington 1987
    def gray(wavelength, temperature):
        x, theta = np.log10(wavelength), np.log10(5040 / temperature)
        f0 = -2.2763 - 1.6850 * x + 0.76661 * x**2 - 0.053346 * x**3
        f1 = 15.2827 - 9.2846 * x + 1.99381 * x**2 - 0.142631 * x**3
        f2 = -197.789 + 190.266 * x - 67.9775 * x**2 + 10.6913 * x**3 - 0.625151 * x**4
        return 1e-26 * 10 ** (f0 + f1 * theta + f2 * theta**2)

    t = np.linspace(3000, 8000, 20)
    for wavelength in (15200.0, 16000.0, 16900.0):
        np.testing.assert_allclose(opacity.h_minus_free_free(wavelength, t), gray(wavelength, t), rtol=0.01)
    assert (opacity.h_minus_bound_free(16420.0, t) == 0).all()
    assert (opacity.h_minus_bound_free(15200.0, t) > opacity.h_minus_bound_free(16000.0, t)).all()


def test_the_continuum_of_a_giant_is_h_minus(gas):
    total = opacity.continuum(16000.0, gas)
    h_minus = opacity.h_minus_free_free(16000.0, gas.temperature) + opacity.h_minus_bound_free(16000.0, gas.temperature)
    share = h_minus * gas.electrons * chemistry.BOLTZMANN * gas.temperature * gas.neutral["H"] / total
    photosphere = (MARCS[:, 0] > -2.5) & (MARCS[:, 0] < 0.5)
    assert (share[photosphere] > 0.9).all()
    assert (share < 1).all()


@pytest.mark.parametrize("a", [0.0, 1e-3, 0.05, 0.19, 0.21, 0.7, 3.0, 7.9, 8.1, 30.0])
def test_voigt_against_the_error_function(a):
    v = np.concatenate([np.linspace(0, 8, 400), [20.0, 100.0, 1000.0]])
    exact = wofz(v + 1j * a).real
    ours = np.array([kernels.voigt(a, x) for x in v])
    np.testing.assert_allclose(ours, exact, atol=1e-3 * exact.max(), rtol=3e-3)


def test_a_line_absorbs_its_oscillator_strength():
    # the integral of the Voigt function is sqrt(pi) whatever the damping, less the wings beyond the window
    absorbed = np.zeros((2, 4001))
    damping = np.array([[0.01, 0.5]])
    width = np.array([[12.0, 12.0]])
    kernels.add_lines(absorbed, np.array([2000.3]), np.array([1900.0]), np.array([[2.0, 3.0]]), damping, width)
    lost = 2 * damping[0] / np.sqrt(np.pi) * width[0] / 1900.0 / np.sqrt(np.pi)
    np.testing.assert_allclose(absorbed.sum(axis=1), np.sqrt(np.pi) * width[0] * [2.0, 3.0] * (1 - lost), rtol=2e-3)


def test_add_lines_against_its_plain_twin():
    rng = np.random.default_rng(2)
    n_lines, n_depth, n_wavelength = 7, 3, 300
    position, reach = rng.uniform(-5, 310, n_lines), rng.uniform(5, 60, n_lines)
    peak, damping = rng.uniform(0.1, 2, (n_lines, n_depth)), rng.uniform(0, 0.6, (n_lines, n_depth))
    doppler = rng.uniform(2, 9, (n_lines, n_depth))
    fast = np.ones((n_depth, n_wavelength))
    kernels.add_lines(fast, position, reach, peak, damping, doppler)
    slow = np.ones((n_depth, n_wavelength))
    for k in range(n_lines):
        for p in range(max(0, int(position[k] - reach[k])), min(n_wavelength, int(position[k] + reach[k]) + 2)):
            for d in range(n_depth):
                v = abs(p - position[k]) / doppler[k, d]
                slow[d, p] += peak[k, d] * wofz(v + 1j * damping[k, d]).real
    np.testing.assert_allclose(fast, slow, atol=2e-3)


def quadrature():
    nodes, weights = np.polynomial.legendre.leggauss(4)
    return (nodes + 1) / 2, weights / 2


def test_flux_of_a_constant_source_is_pi_times_it():
    absorption = np.full((40, 3), 1e-3)
    flux = kernels.transfer(absorption, np.full((40, 3), 2.5), np.full(40, 500.0), *quadrature())
    np.testing.assert_allclose(flux, 2.5 * np.pi, rtol=1e-4)


def test_flux_of_a_linear_source_obeys_eddington_and_barbier():
    tau = np.concatenate([[1e-5], np.geomspace(1e-4, 40, 120)])
    source = (1 + 2 * tau)[:, None]
    flux = kernels.transfer(np.ones((tau.size, 1)), source, np.diff(tau, prepend=0.0), *quadrature())
    assert flux[0] == pytest.approx(np.pi * (1 + 2 * 2 / 3), rel=2e-3)


def test_gradient_of_the_flux_against_finite_differences():
    rng = np.random.default_rng(4)
    absorption = np.exp(rng.normal(0, 0.5, (12, 3))) * np.geomspace(1e-3, 3, 12)[:, None]
    source = np.sort(rng.uniform(1, 5, (12, 3)), axis=0)
    path = rng.uniform(0.2, 1.0, 12)
    gradient = kernels.transfer_gradient(absorption, source, path, *quadrature())
    for d in range(12):
        up, down = absorption.copy(), absorption.copy()
        up[d] *= np.exp(1e-4)
        down[d] *= np.exp(-1e-4)
        slope = kernels.transfer(up, source, path, *quadrature()) - kernels.transfer(down, source, path, *quadrature())
        np.testing.assert_allclose(gradient[d], slope / 2e-4, rtol=2e-3, atol=1e-5)


def equivalent_width(log_gf):
    # less the errors of interpolation in the continuum, which a very weak line does not stand out from
    with_line, without = (
        spectrum.synthesize(one_line(gf), 4500.0, 2.0, 0.0, atmosphere=gray_atmosphere()).flux for gf in (log_gf, -20.0)
    )
    return np.sum(without - with_line)


def test_curve_of_growth():
    # weak lines grow like gf, saturated ones hardly, damped ones like its root
    slope = {
        name: np.log10(equivalent_width(gf + 0.1) / equivalent_width(gf - 0.1)) / 0.2
        for name, gf in {"weak": -3.5, "saturated": -0.3, "damped": 2.3}.items()
    }
    assert slope["weak"] == pytest.approx(1, abs=0.03)
    assert slope["saturated"] < 0.25
    assert slope["damped"] == pytest.approx(0.5, abs=0.02)


def line_in(gas, line):
    level = np.ones((1, gas.temperature.size)) * 1e-12
    _, _, peak, damping, doppler = absorption(line, gas, level, 1.5, spectrum.STEP, np.array([True]))
    return peak[0], damping[0], doppler[0]


def test_strength_of_a_line_is_that_of_its_oscillators():
    # the integral over frequency is pi e^2/(m c) gf n/Q exp(-E/kT) (1 - exp(-h nu/kT)), by astropy's constants
    atmosphere = gray_atmosphere()
    gas = chemistry.solve(atmosphere.temperature, atmosphere.gas_pressure, chemistry.abundances(0.0))
    peak, _, doppler = line_in(gas, one_line(-1.0))
    frequency = constants.c.cgs.value / 16000e-8
    kt = constants.k_B.cgs.value * gas.temperature
    states = gas.neutral["Fe"] / chemistry.partition("Fe", gas.temperature)
    states = states * np.exp(-5.0 * (1 * units.eV).to_value(units.erg) / kt)
    stimulated = 1 - np.exp(-constants.h.cgs.value * frequency / kt)
    classical = np.pi * constants.e.esu.value**2 / (constants.m_e.cgs.value * constants.c.cgs.value)
    integral = peak * np.sqrt(np.pi) * doppler * spectrum.STEP * frequency
    np.testing.assert_allclose(integral, classical * 0.1 * states * stimulated, rtol=1e-3)


WAVELENGTH_11 = 1e8 / (109677.58 * (1 / 16 - 1 / 121))


@pytest.fixture
def stark_tables(monkeypatch):
    """A table in Lemke's form: a Gaussian core of the thermal width and a wing ne distance^-2.5, of area 1 together."""
    density, temperature, alpha = 10 + 0.5 * np.arange(17), 3.39794 + 0.30103 * np.arange(7), np.arange(-3.0, 3.0, 0.2)
    values = np.empty((17, 7, alpha.size))
    for i, ne in enumerate(10**density):
        for j, t in enumerate(10**temperature):
            field = hydrogen.normal_field(ne)
            values[i, j] = np.log10(stark_profile(10**alpha * field, ne, t) * field)
    tables = {11: (density, temperature, alpha, values)}
    hydrogen._tables.cache_clear()
    monkeypatch.setattr(hydrogen, "brackett_tables", lambda: tables)
    yield
    hydrogen._tables.cache_clear()


def doppler_width(temperature):
    """[Angstrom], of hydrogen at 16811 Angstrom."""
    speed = np.sqrt(2 * chemistry.BOLTZMANN * temperature / (1.008 * chemistry.MASS_UNIT))
    return WAVELENGTH_11 * speed / chemistry.LIGHT


def stark_profile(distance, ne, temperature):
    width, share = doppler_width(temperature), 1e-3 * (ne / 1e12)
    core = np.exp(-((distance / width) ** 2)) / np.sqrt(np.pi) / width
    # 0.75 s^1.5 / (s + x)^2.5 has half of its area on either side
    return (core + share * 0.75 / (1 + distance) ** 2.5) / (1 + share)


def test_stark_profiles_scale_with_density_and_temperature(stark_tables):
    x = np.geomspace(1e-4, 3e3, 40_000)
    ne, t = np.array([3e11, 7e12, 7e12, 2e13]), np.array([4000.0, 4000.0, 6000.0, 7000.0])
    found = hydrogen.profile(11, x, ne, t)
    np.testing.assert_allclose(2 * np.trapezoid(found, x, axis=1), 1, rtol=0.01)
    for row, density, temperature in zip(found, ne, t, strict=True):
        core = x < doppler_width(temperature)
        np.testing.assert_allclose(row[core], stark_profile(x, density, temperature)[core], rtol=0.03)
    # the far wing: in proportion to the density, whatever the temperature, and falling as distance^-2.5
    wing = (x > 300) & (x < 1000)
    np.testing.assert_allclose(found[3, wing] / found[1, wing], 20 / 7, rtol=0.06)
    np.testing.assert_allclose(found[2, wing] / found[1, wing], 1, rtol=0.03)
    between = hydrogen.profile(11, x, np.array([1.8e12]), np.array([4000.0]))[0]
    np.testing.assert_allclose(between[wing], stark_profile(x, 1.8e12, 4000.0)[wing], rtol=0.04)
    slope = np.gradient(np.log(found[1]), np.log(x))
    np.testing.assert_allclose(slope[wing], -2.5, atol=0.02)


def test_normal_field_of_holtsmark():
    # 1.25e-9 ne^(2/3): at 1e12 cm-3 an eighth of an electrostatic unit
    np.testing.assert_allclose(hydrogen.normal_field(np.array([1e12, 1e15])), [0.125, 12.5], rtol=1e-12)


def test_below_the_table_a_profile_is_that_of_the_lowest_density(stark_tables):
    x = np.geomspace(1e-3, 50, 300)
    thin, thinner = (hydrogen.profile(11, x, np.array([ne]), np.array([4000.0])) for ne in (1e10, 1e7))
    np.testing.assert_array_equal(thin, thinner)


def test_a_hydrogen_line_absorbs_its_oscillator_strength(stark_tables):
    gas = chemistry.solve(MARCS[3:6, 1], MARCS[3:6, 3], chemistry.abundances(0.0))
    line = one_line(-0.58, "H", 12.75, WAVELENGTH_11)
    wavelength = WAVELENGTH_11 + np.arange(-99.0, 99.0, 0.02)
    found = hydrogen_absorption(line, gas, wavelength).sum(axis=1) * 0.02
    frequency = chemistry.LIGHT / (WAVELENGTH_11 * 1e-8)
    kt = chemistry.BOLTZMANN * gas.temperature
    states = gas.neutral["H"] / 2 * np.exp(-12.75 * chemistry.EV / kt)
    stimulated = 1 - np.exp(-chemistry.PLANCK * frequency / kt)
    in_angstrom = WAVELENGTH_11 / frequency
    np.testing.assert_allclose(found, 0.026540 * 10**-0.58 * states * stimulated * in_angstrom, rtol=0.03)
    assert hydrogen.upper_level(WAVELENGTH_11) == 11


def test_hydrogen_jacobian_against_finite_differences(stark_tables):
    line, atmosphere = one_line(-0.58, "H", 12.75, WAVELENGTH_11), gray_atmosphere(5200.0, 2.5)
    which, values = spectrum.synthesize(line, 5200.0, 2.5, 0.0, atmosphere=atmosphere).hydrogen_jacobian()
    assert which.tolist() == [0]
    up, down = (
        spectrum.synthesize(line.corrected(step), 5200.0, 2.5, 0.0, atmosphere=atmosphere).pixels()
        for step in (0.01, -0.01)
    )
    slope = (up - down) / 0.02
    assert np.abs(slope).max() > 1e-4
    np.testing.assert_allclose(values[0], slope, atol=0.01 * np.abs(slope).max())


def test_isotopes_of_another_star():
    lines = Lines(*(np.array(column) for column in zip(
        (16000.0, "CN", 0, "12CN", 15 / 16, 1.0, -1.0, False), (16001.0, "CN", 0, "13CN", 1 / 16, 1.0, -1.0, False),
        (16002.0, "Fe", 0, "Fe I", 1.0, 5.0, -1.0, False), strict=True)))  # fmt: skip
    change = lines.isotopes(7.0).log_gf + 1
    # of eight carbon nuclei one is 13C there, of sixteen here
    np.testing.assert_allclose(change, [np.log10(7 / 8 * 16 / 15), np.log10(1 / 8 * 16), 0.0], atol=1e-12)


def test_lines_of_an_atlas_may_move_most_and_those_of_the_labels_least():
    lines = one_line(-1.0).joined(one_line(-1.0, "Mg")).joined(one_line(-1.0, "H"))
    width = dict(zip(lines.species, calibrate.prior_width(lines), strict=True))
    assert width["Mg"] < width["Fe"] < width["H"]
    lines.unmeasured[lines.species == "Fe"] = True
    assert calibrate.prior_width(lines).max() > 2 * width["Fe"]


def test_lines_share_corrections():
    wavelengths = [float(w) for w in BRACKETT[:4]]  # upper levels 11 to 14
    lines = one_line(-1.0, "CO", wavelength=15000.0).joined(one_line(-1.0, wavelength=15100.0))
    for wavelength in wavelengths:
        lines = lines.joined(one_line(-1.0, "H", wavelength=wavelength))
    free = np.array([0.1, 0.2, 9.0, 0.3, 9.0, 0.5, 0.05, 7.0, 8.0, 0.01])  # of CO, Fe, H 14, 13, 12, 11; CO, CN, OH, H
    found = calibrate._combinations(lines) @ free
    # the own correction of Brackett 14 is not used; Brackett 12 has the mean of its neighbours'
    np.testing.assert_allclose(found, [0.15, 0.2, 0.01, 0.31, 0.41, 0.51], atol=1e-12)


def test_a_public_file_is_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB2_SYNTHESIS_INPUTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"data/lines/atlas_line_ids_apogee.txt .*sdss/apogee.*INPUTS"):
        inputs.public_file("atlas_line_ids_apogee.txt")
    (tmp_path / "atlas_line_ids_apogee.txt").write_text("15000.870   ;another file\n")
    with pytest.raises(ValueError, match="sha256"):
        inputs.public_file("atlas_line_ids_apogee.txt")


def test_no_line_no_absorption():
    flux = spectrum.synthesize(one_line(-20.0), 4500.0, 2.0, 0.0, atmosphere=gray_atmosphere()).flux
    np.testing.assert_allclose(flux, 1, atol=1e-4)


def test_log_gf_jacobian_against_finite_differences():
    lines = Lines(*(np.concatenate(pair) for pair in zip(
        *(tuple(getattr(one_line(gf, wavelength=w), f) for f in Lines.__dataclass_fields__)
          for gf, w in ((-1.0, 16000.0), (0.3, 16001.5), (-0.5, 16010.0))), strict=True)))  # fmt: skip
    atmosphere = gray_atmosphere()
    kept, first, values = spectrum.synthesize(lines, 4500.0, 2.0, 0.0, atmosphere=atmosphere).log_gf_jacobian()
    assert kept.tolist() == [0, 1, 2]
    for k in kept:
        change = np.where(np.arange(3) == k, 0.01, 0.0)
        up, down = (
            spectrum.synthesize(lines.corrected(s * change), 4500.0, 2.0, 0.0, atmosphere=atmosphere).pixels()
            for s in (1, -1)
        )
        slope = ((up - down) / 0.02)[first[k] : first[k] + values.shape[1]]
        assert np.abs(slope).max() > 0.02
        np.testing.assert_allclose(values[k], slope, atol=0.01 * np.abs(slope).max())


def test_broadening_keeps_the_light():
    flux = np.ones(8575 * 5)
    flux[20000:20020] = 0.3
    sharp, smooth = spectrum.broaden(flux, 5.0), spectrum.broaden(flux, 30.0)
    assert np.sum(1 - smooth) == pytest.approx(20 * 0.7 / 5, rel=1e-6)
    # the width of a Gaussian from its height and area
    depth = (1 - smooth).max()
    fwhm = np.sum(1 - smooth) / depth / math.sqrt(2 * np.pi) * math.sqrt(8 * math.log(2)) * 4.1419
    assert fwhm == pytest.approx(np.hypot(30, 16.6 / math.sqrt(12) * 2.3548), rel=0.02)
    assert (1 - sharp).max() > depth


def test_vacuum_wavelengths():
    # Edlen 1953 as Morton 1991 (ApJS 77, 119) writes it
    vacuum = 15770.15
    s2 = (1e4 / vacuum) ** 2
    air = vacuum / (1 + 6.4328e-5 + 2.94981e-2 / (146 - s2) + 2.5540e-4 / (41 - s2))
    assert air_to_vacuum(air) == pytest.approx(vacuum, abs=0.005)


def test_a_gas_of_no_star_is_refused():
    with pytest.raises(RuntimeError, match="did not settle"):
        chemistry.solve(np.array([4500.0, np.nan]), np.array([1e3, 1e3]), chemistry.abundances(0.0))


def test_the_fits_of_the_equilibrium_are_found_again_in_tables_made_from_them(tmp_path):
    # tables in the format of Barklem & Collet 2016, filled with what our polynomials say
    t = np.geomspace(1500.0, 12000.0, 400)
    ions = {f"{s}_{'I' * (i + 1)}": (s, i) for s in chemistry.ELEMENTS for i in (0, 1) if (s, i) != ("H", 1)}
    tables = {
        "atomic_partition": {name: chemistry.partition(s, t, i) for name, (s, i) in ions.items()},
        "molecular_partition": {m: chemistry.partition(m, t) for m in chemistry.MOLECULES},
        # in pascals there
        "equilibrium_constants": {m: np.log10(chemistry.dissociation_constant(m, t)) - 1 for m in chemistry.MOLECULES},
    }
    for name, rows in tables.items():
        lines = ["# T [K] " + " ".join(f"{v:.6e}" for v in t)]
        lines += [" ".join([species, *(f"{v:.10e}" for v in values)]) for species, values in rows.items()]
        (tmp_path / f"BC2016-{name}.dat").write_text("\n".join(lines))
    found = fit_equilibrium.fit(tmp_path)
    x = np.log(fit_equilibrium.TEMPERATURES / 5000)
    silicon = np.exp(np.polynomial.polynomial.polyval(x, found["atom_log_partition"]["Si0"]))
    np.testing.assert_allclose(silicon, chemistry.partition("Si", fit_equilibrium.TEMPERATURES), rtol=1e-3)
    theta = 5040 / fit_equilibrium.TEMPERATURES
    a, b, c, d, energy = found["molecule_log10_constant"]["CO"]
    y = np.log10(theta)
    ours = a + b * y + c * y**2 + d * y**3 + energy * theta
    kept = np.log10(chemistry.dissociation_constant("CO", fit_equilibrium.TEMPERATURES))
    np.testing.assert_allclose(ours, kept, atol=2e-3)
