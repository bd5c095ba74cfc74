import numpy as np
import pytest
from scipy import constants

from lab2 import grid
from lab2.grid import BRACKETT, CHIPS, KM_S_PER_PIXEL, WAVELENGTH, chip_of, rotation_kernel

VELOCITIES = [1.0, 3.0, 4.14, 10.0, 40.0, 137.0]


def test_wavelength_grid():
    assert WAVELENGTH.shape == (grid.N_PIXELS,) == (8575,)
    assert WAVELENGTH[0] == pytest.approx(15100.8, abs=0.01)
    assert WAVELENGTH[-1] == pytest.approx(16999.8, abs=0.1)
    np.testing.assert_allclose(np.diff(np.log10(WAVELENGTH)), 6e-6, rtol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        WAVELENGTH[0] = 1.0


def test_a_pixel_is_a_velocity():
    # by Doppler's formula to first order, at either end of the grid
    for here, there in ((WAVELENGTH[0], WAVELENGTH[1]), (WAVELENGTH[-2], WAVELENGTH[-1])):
        assert pytest.approx(constants.c / 1e3 * (there / here - 1), rel=1e-5) == KM_S_PER_PIXEL
    assert pytest.approx(4.14, abs=0.005) == KM_S_PER_PIXEL


def test_chips():
    assert chip_of([15150, 15800, 15890, 16430, 16490, 16950]).tolist() == [
        "blue", "blue", "green", "green", "red", "red",
    ]  # fmt: skip
    chips = chip_of(WAVELENGTH)
    assert CHIPS == ("blue", "green", "red")
    for chip, first, last in (("blue", 201, 3320), ("green", 3538, 6127), ("red", 6295, 8380)):
        assert set(chips[first : last + 1]) == {chip}


def test_brackett_lines_follow_from_rydbergs_constant():
    # of hydrogen, whose nucleus takes part in the motion
    rydberg = constants.Rydberg / (1 + constants.m_e / constants.m_p)  # 1/m
    levels = np.arange(11, 21)
    np.testing.assert_allclose(BRACKETT, 1e10 / (rydberg * (1 / 4**2 - 1 / levels**2)), rtol=1e-6)
    assert (np.diff(BRACKETT) < 0).all()
    assert BRACKETT[0] == pytest.approx(16811.1, abs=0.2)  # Br 11, Angstrom, vacuum
    assert ((WAVELENGTH[0] < BRACKETT) & (WAVELENGTH[-1] > BRACKETT)).all()


@pytest.mark.parametrize("v_sin_i", [10.0, 40.0, 137.0])
def test_a_rotating_star_spreads_its_light_as_gray_says(v_sin_i):
    kernel = rotation_kernel(v_sin_i)
    offset = (np.arange(len(kernel)) - len(kernel) // 2) * KM_S_PER_PIXEL
    assert len(kernel) % 2 == 1
    assert kernel.sum() == pytest.approx(1.0, rel=1e-12)
    assert (kernel >= 0).all()
    np.testing.assert_allclose(kernel, kernel[::-1], rtol=1e-12, atol=1e-15)
    # variance of the profile with limb darkening e: (v sin i)^2 (1 - 7 e / 15) / (4 (1 - e / 3)), and of a pixel
    variance = v_sin_i**2 * (1 - 7 * 0.3 / 15) / (4 * (1 - 0.3 / 3)) + KM_S_PER_PIXEL**2 / 12
    assert kernel @ offset**2 == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("v_sin_i", VELOCITIES)
def test_rotation_kernel_is_the_closed_integral_of_grays_profile(v_sin_i):
    half = int(np.ceil(v_sin_i / KM_S_PER_PIXEL))
    edges = (np.arange(2 * half + 2) - half - 0.5) * KM_S_PER_PIXEL / v_sin_i
    x = np.clip(edges, -1.0, 1.0)
    # the integrals of sqrt(1 - x^2) and 1 - x^2; over the whole profile they are pi / 2 and 4 / 3
    roots, parabola = (x * np.sqrt(1 - x**2) + np.arcsin(x)) / 2, x - x**3 / 3
    area = 2 * (1 - 0.3) * roots + np.pi / 2 * 0.3 * parabola
    assert area[-1] - area[0] == pytest.approx(np.pi * (1 - 0.3 / 3))
    np.testing.assert_allclose(rotation_kernel(v_sin_i), np.diff(area) / (np.pi * (1 - 0.3 / 3)), atol=0.004)


def test_faster_rotation_is_wider_and_shallower():
    kernels = [rotation_kernel(v) for v in VELOCITIES]
    assert (np.diff([kernel.max() for kernel in kernels]) <= 0).all()
    assert (np.diff([len(kernel) for kernel in kernels]) >= 0).all()
