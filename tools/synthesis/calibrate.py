"""Oscillator strengths corrected on real stars: the strengths in the lists are off by tenths of a dex and more.

Each line's log gf gets a correction with a Gaussian prior about zero, and all are solved for together: the model
spectrum is linearised in them (`Synthesis.log_gf_jacobian`), so that each round is one linear least-squares problem
with as many unknowns as there are atomic lines. Between rounds each star's own parameters are fitted anew, with Teff,
log g and [Fe/H] held.
"""

import numpy as np
from tqdm.auto import tqdm

from lab2.apstar import N_PIXELS
from tools.synthesis.chemistry import MOLECULES
from tools.synthesis.stars import CALIBRATORS, Parameters, agreement, fit, model, residual_weights

__all__ = ["calibrate", "fit_stars", "prior_width"]

FREE = ("alpha", "C", "N", "vmicro", "fwhm", "velocity")
_ROUNDS = 3
_LIMIT = 1.0  # dex
_WINDOW = 80  # pixels
# Lines that change no pixel by this much a dex cannot be calibrated.
_FAINTEST = 1e-3


def prior_width(lines):
    """Standard deviation of each line's correction [dex], 0 for hydrogen's, which stay as they are.

    Elements that laboratories have measured well, or that the lab reads as labels, and molecules, whose strengths come
    from good theory, may move less than the iron group's thousands of predicted lines. Chosen by leaving out one of the
    three stars at a time (tools/synthesis/README.md has the numbers).
    """
    width = np.full(len(lines), 0.25)
    width[np.isin(lines.species, [*MOLECULES, "Mg", "Si", "Al", "Ca", "Na", "K", "C", "S"])] = 0.10
    width[lines.species == "H"] = 0.0
    return width


def fit_stars(lines, stars, start=None):
    """Each star's own parameters, labels held.

    Parameters
    ----------
    lines : Lines
    stars : dict of str to Star
    start : dict of str to Parameters, optional

    Returns
    -------
    dict of str to Parameters
    """
    start = start or {name: Parameters(*CALIBRATORS[name]) for name in stars}
    return {name: fit(lines, star, start[name], FREE) for name, star in stars.items()}


def calibrate(lines, stars, width, parameters=None, progress=True):
    """Corrections of log gf.

    Parameters
    ----------
    lines : Lines
    stars : dict of str to Star
    width : numpy.ndarray, shape (n_lines,)
        As from `prior_width`.
    parameters : dict of str to Parameters, optional
        The stars' parameters to start from.
    progress : bool

    Returns
    -------
    correction : numpy.ndarray, shape (n_lines,)
        [dex].
    parameters : dict of str to Parameters
    """
    correction = np.zeros(len(lines))
    for _ in tqdm(range(_ROUNDS), desc="calibrating", disable=not progress):
        current = lines.corrected(correction)
        parameters = fit_stars(current, stars, parameters)
        correction = np.clip(correction + _step(current, stars, parameters, width, correction), -_LIMIT, _LIMIT)
    return correction, parameters


def _step(lines, stars, parameters, width, correction):
    """One linear step: minimise the weighted squares of the residuals plus (correction / width)^2."""
    active = np.flatnonzero(width > 0)
    place = np.full(len(lines), -1)
    place[active] = np.arange(active.size)
    normal = np.diag(width[active] ** -2.0)
    right = -correction[active] / width[active] ** 2
    for name, star in stars.items():
        p = parameters[name]
        synthesis = model(lines, p)
        flux = synthesis.pixels(p.fwhm)
        normalised = star.normalize_like(flux)
        residual = star.flux - normalised
        weight = residual_weights(star, residual)
        kept, first, values = synthesis.log_gf_jacobian(p.fwhm, _WINDOW)
        used = (place[kept] >= 0) & (np.abs(values).max(axis=1) > _FAINTEST)
        matrix = np.zeros((used.sum(), N_PIXELS + _WINDOW))
        rows = np.arange(used.sum())[:, None]
        matrix[rows, first[used][:, None] + np.arange(_WINDOW)] = values[used]
        matrix = matrix[:, :N_PIXELS] * (normalised / flux)  # the star's continuum divides the changes too
        where = place[kept[used]]
        normal[np.ix_(where, where)] += (matrix * weight) @ matrix.T
        right[where] += matrix @ (weight * residual)
    change = np.zeros(len(lines))
    change[active] = np.clip(np.linalg.solve(normal, right), -0.5, 0.5)
    return change


def report(lines, stars, parameters):
    """Correlation and rms of each star with its model."""
    return {
        name: agreement(star, star.normalize_like(model(lines, parameters[name]).pixels(parameters[name].fwhm)))
        for name, star in stars.items()
    }
