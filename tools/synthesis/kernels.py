"""The loops over lines, layers and wavelengths, compiled by numba: Voigt profiles, transfer, and its derivative."""

import math

import numpy as np
from numba import njit, prange
from scipy.special import wofz

__all__ = ["add_lines", "line_jacobian", "transfer", "transfer_gradient", "voigt"]

_OPTIONS = {"cache": True, "fastmath": {"reassoc", "contract", "arcp", "nsz"}}

# H(a, v) = Re w(v + i a). For small a its Taylor series in a (Harris 1948, ApJ 108, 112), whose terms follow from the
# derivatives of w, w' = 2i/sqrt(pi) - 2 z w and w^(n) = -2 z w^(n-1) - 2 (n-1) w^(n-2) (Abramowitz & Stegun 7.1.20-21).
_STEP, _SMALL_A, _WING = 0.01, 0.2, 6.0


def _taylor():
    v = np.arange(0.0, _WING + 2 * _STEP, _STEP)
    w = [wofz(v + 0j)]
    w.append(2j / np.sqrt(np.pi) - 2 * v * w[0])
    for n in (2, 3):
        w.append(-2 * v * w[n - 1] - 2 * (n - 1) * w[n - 2])
    return np.ascontiguousarray([(1j**n * w[n] / math.factorial(n)).real for n in range(4)]).T.copy()


def _weideman(n=16):
    """Coefficients of Weideman 1994 (SIAM J. Numer. Anal. 31, 1497), table 1: a rational expansion of w."""
    m = 2 * n
    k = np.arange(-m + 1, m)
    scale = math.sqrt(n / math.sqrt(2))
    t = scale * np.tan(k * np.pi / m / 2)
    f = np.concatenate([[0.0], np.exp(-(t**2)) * (scale**2 + t**2)])
    coefficients = np.fft.fft(np.fft.fftshift(f)).real / (2 * m)
    return scale, coefficients[1 : n + 1][::-1].copy()


_TABLE = _taylor()
_SCALE, _COEFFICIENTS = _weideman()


@njit(**_OPTIONS)
def voigt(a, v):
    """Voigt function H(a, v), H(0, 0) = 1, for a >= 0 and v >= 0; within 1e-3 of it everywhere."""
    if v > _WING or a > 8.0:
        # the first term of the continued fraction of w (Humlicek 1982, JQSRT 27, 437, region I)
        real, imaginary = 0.5 + a * a - v * v, -2 * a * v
        return 0.5641896 * (a * real - v * imaginary) / (real * real + imaginary * imaginary)
    if a < _SMALL_A:
        x = v / _STEP
        i = int(x)
        f = x - i
        total = 0.0
        for n in (3, 2, 1, 0):
            total = total * a + (1 - f) * _TABLE[i, n] + f * _TABLE[i + 1, n]
        return total
    z = complex(v, a)
    below = _SCALE - 1j * z
    big = (_SCALE + 1j * z) / below
    polynomial = 0j
    for c in _COEFFICIENTS:
        polynomial = polynomial * big + c
    return (2 * polynomial / (below * below) + 0.5641896 / below).real


@njit(parallel=True, **_OPTIONS)
def add_lines(opacity, position, half_width, peak, damping, doppler):
    """Add each line's absorption to the opacity of each layer, in place.

    opacity (n_depth, n_wavelength), on a grid even in ln(wavelength); position (n_lines,) and half_width (n_lines,) in
    steps of that grid; peak [1/cm], damping a, and doppler width in grid steps (n_lines, n_depth).
    """
    for d in prange(opacity.shape[0]):
        for k in range(position.size):
            first = max(0, int(position[k] - half_width[k]))
            last = min(opacity.shape[1], int(position[k] + half_width[k]) + 2)
            inverse = 1.0 / doppler[k, d]
            for p in range(first, last):
                opacity[d, p] += peak[k, d] * voigt(damping[k, d], abs(p - position[k]) * inverse)


@njit(**_OPTIONS)
def _weights(dt):
    """Of the source at both ends of a layer whose optical depth is dt, the source linear in it: and e^-dt."""
    if dt < 1e-3:
        return 0.5 * dt - dt * dt / 3, 0.5 * dt - dt * dt / 6, math.exp(-dt)
    e = math.exp(-dt)
    inner = (1 - e - dt * e) / dt
    return 1 - e - inner, inner, e


@njit(parallel=True, **_OPTIONS)
def transfer(opacity, source, path, mu, weight):
    """Flux at the surface of plane layers, by direct integration along rays.

    opacity [1/cm] and source (n_depth, n_wavelength); path (n_depth,), the thickness of the layer above each point
    [cm], the first one that of all above the outermost; mu and weight (n_rays,), a quadrature over (0, 1).
    """
    n_depth, n_wavelength = opacity.shape
    flux = np.zeros(n_wavelength)
    for p in prange(n_wavelength):
        total = 0.0
        for m in range(mu.size):
            intensity, transmitted = 0.0, 1.0
            for d in range(n_depth):
                above = max(d - 1, 0)
                dt = math.sqrt(opacity[d, p] * opacity[above, p]) * path[d] / mu[m]
                outer, inner, e = _weights(dt)
                intensity += transmitted * (outer * source[above, p] + inner * source[d, p])
                transmitted *= e
                if transmitted < 1e-6:
                    break
            intensity += transmitted * source[n_depth - 1, p]
            total += weight[m] * mu[m] * intensity
        flux[p] = 2 * math.pi * total
    return flux


@njit(parallel=True, **_OPTIONS)
def transfer_gradient(opacity, source, path, mu, weight):
    """d flux / d ln opacity of every layer, (n_depth, n_wavelength): the adjoint of `transfer`, in one sweep back.

    The intensity that arrives is a sum of layers, each dimmed by what lies above it: thickening a layer changes its
    own term and dims everything below.
    """
    n_depth, n_wavelength = opacity.shape
    gradient = np.zeros((n_depth, n_wavelength))
    for p in prange(n_wavelength):
        thickness, dimmed, term = np.empty(n_depth), np.empty(n_depth), np.empty(n_depth)
        for m in range(mu.size):
            transmitted = 1.0
            for d in range(n_depth):
                above = max(d - 1, 0)
                dt = math.sqrt(opacity[d, p] * opacity[above, p]) * path[d] / mu[m]
                outer, inner, e = _weights(dt)
                thickness[d], dimmed[d] = dt, transmitted
                term[d] = transmitted * (outer * source[above, p] + inner * source[d, p])
                transmitted *= e
            below = transmitted * source[n_depth - 1, p]
            for d in range(n_depth - 1, -1, -1):
                above = max(d - 1, 0)
                dt = thickness[d]
                if dt < 1e-3:
                    d_outer, d_inner = 0.5 - 2 * dt / 3, 0.5 - dt / 3
                else:
                    _, inner, e = _weights(dt)
                    d_inner = e - inner / dt
                    d_outer = e - d_inner
                slope = dimmed[d] * (d_outer * source[above, p] + d_inner * source[d, p]) - below
                change = math.pi * weight[m] * mu[m] * slope * dt  # half of it to either end
                gradient[d, p] += change
                gradient[above, p] += change
                below += term[d]
    return gradient


@njit(parallel=True, **_OPTIONS)
def line_jacobian(sensitivity, lines, smoothing, n_sub, n_pixels):
    """d pixel flux / d ln(gf) of each line.

    sensitivity (n_depth, n_wavelength), d flux / d opacity; lines = (position, half_width, peak, damping, doppler) as
    for `add_lines`; smoothing, the instrumental profile in grid steps (odd length); pixels of n_sub grid steps.

    Returns the first pixel of each line's window (n_lines,) and the derivatives (n_lines, n_pixels).
    """
    position, half_width, peak, damping, doppler = lines
    n_lines, reach = position.size, smoothing.size // 2
    values, first_pixel = np.zeros((n_lines, n_pixels)), np.zeros(n_lines, dtype=np.int64)
    total = sensitivity.shape[1]
    widest = (n_pixels * n_sub) // 2 - reach - n_sub
    for k in prange(n_lines):
        width = min(half_width[k], widest)
        first, last = max(0, int(position[k] - width)), min(total, int(position[k] + width) + 2)
        fine = np.zeros(max(last - first, 0))
        for d in range(sensitivity.shape[0]):
            inverse = 1.0 / doppler[k, d]
            for p in range(first, last):
                profile = voigt(damping[k, d], abs(p - position[k]) * inverse)
                fine[p - first] += sensitivity[d, p] * peak[k, d] * profile
        start = max(0, (first - reach) // n_sub)
        first_pixel[k] = start
        for j in range(n_pixels):
            for sub in range((start + j) * n_sub, (start + j + 1) * n_sub):
                for p in range(max(first, sub - reach), min(last, sub + reach + 1)):
                    values[k, j] += fine[p - first] * smoothing[p - sub + reach] / n_sub
    return first_pixel, values
