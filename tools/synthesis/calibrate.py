"""Line strengths corrected on real stars: those in the lists are off by tenths of a dex and more.

Each line's log gf gets a correction with a Gaussian prior about zero; the lines of each molecule, and of hydrogen,
share one more; all are solved for together. The model spectrum is linearized in them (`Synthesis.log_gf_jacobian`), so that each
round is one linear least-squares problem, sparse because a line reaches few pixels. Between rounds the free parameters
of each anchor (`tools.synthesis.anchors`) are fitted anew.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve
from tqdm.auto import tqdm

from lab2.grid import N_PIXELS
from tools.synthesis.chemistry import MOLECULES
from tools.synthesis.hydrogen import upper_level
from tools.synthesis.stars import agreement, fit, model, residual_weights

__all__ = ["calibrate", "fit_anchors", "prior_width", "report"]

# Species whose lines share a correction, and its prior [dex].
SHARED, _SHARED_WIDTH = ("CO", "CN", "OH", "H"), 0.3
# Upper levels of the strong Brackett lines with both wings well inside a chip: these have a correction of their own.
# Brackett 12 and 14 lie at a chip's end, where the wing is mostly the continuum's doing.
_INNER_BRACKETT = (11, 13)
_ROUNDS = 4
_LIMIT, _FARTHEST = 1.5, 0.5  # dex, in all and in one round
_WINDOW = 80  # pixels
# Lines that change no pixel by this much a dex cannot be calibrated.
_FAINTEST = 1e-3


def prior_width(lines):
    """Standard deviation of each line's correction [dex].

    Elements that laboratories have measured well, or that the lab reads as labels, and molecules, whose strengths come
    from good theory, may move less than the iron group's thousands of predicted lines; the lines whose strength nothing
    but the atlas tells (`lines.identified`) may move freely. The corrections of hydrogen's lines, whose log gf are
    exact, stand for departures from LTE: their cores are too deep in clump stars and in the Sun alike. All but two of
    these lines are tied to the shared correction.
    """
    width = np.full(len(lines), 0.25)
    width[np.isin(lines.species, [*MOLECULES, "Mg", "Si", "Al", "Ca", "Na", "K", "C", "S"])] = 0.10
    width[lines.unmeasured] = 0.7
    for line in np.flatnonzero(lines.species == "H"):
        width[line] = 0.3 if upper_level(lines.wavelength[line]) in _INNER_BRACKETT else 1e-3
    return width


def fit_anchors(lines, anchors, parameters=None, rounds=3):
    """The free parameters of every anchor.

    Parameters
    ----------
    lines : Lines
    anchors : list of Anchor
    parameters : list of Parameters, optional
        Where to start.
    rounds : int

    Returns
    -------
    list of Parameters
    """
    parameters = parameters or [anchor.start for anchor in anchors]
    return [
        fit(lines.isotopes(anchor.carbon_ratio), anchor.star, start, anchor.free, rounds)
        for anchor, start in zip(anchors, parameters, strict=True)
    ]


def calibrate(lines, anchors, width, progress=True):
    """Corrections of log gf.

    Parameters
    ----------
    lines : Lines
    anchors : list of Anchor
    width : numpy.ndarray, shape (n_lines,)
        As from `prior_width`.
    progress : bool

    Returns
    -------
    correction : numpy.ndarray, shape (n_lines,)
        [dex].
    shared : dict of str to float
        The part of it that the lines of a species share.
    parameters : list of Parameters
        The anchors', under the lines so corrected.
    """
    own, shared, parameters = np.zeros(len(lines)), np.zeros(len(SHARED)), None
    for _ in tqdm(range(_ROUNDS), desc="calibrating", disable=not progress):
        current = lines.corrected(own + _spread(lines, shared))
        parameters = fit_anchors(current, anchors, parameters, 2)
        step, shared_step = _step(current, anchors, parameters, width, own, shared)
        own, shared = np.clip(own + step, -_LIMIT, _LIMIT), shared + shared_step
    correction = own + _spread(lines, shared)
    parameters = fit_anchors(lines.corrected(correction), anchors, parameters)
    return correction, dict(zip(SHARED, shared.tolist(), strict=True)), parameters


def _spread(lines, shared):
    """The shared corrections, by line."""
    values = np.zeros(len(lines))
    for molecule, value in zip(SHARED, shared, strict=True):
        values[lines.species == molecule] = value
    return values


def _step(lines, anchors, parameters, width, own, shared):
    """One linear step: minimize the weighted squares of the residuals plus (correction / width)^2."""
    widths = np.concatenate([width, np.full(len(SHARED), _SHARED_WIDTH)])
    normal = sparse.diags(widths**-2.0).tocsc()
    right = -np.concatenate([own, shared]) / widths**2
    for anchor, p in zip(anchors, parameters, strict=True):
        matrix, residual, weight = _linearized(lines.isotopes(anchor.carbon_ratio), anchor, p)
        members = sparse.csr_matrix(np.array([lines.species == molecule for molecule in SHARED], dtype=float))
        matrix = sparse.vstack([matrix, members @ matrix]).tocsr()
        weighted = matrix @ sparse.diags(anchor.weight * weight)
        normal = normal + weighted @ matrix.T
        right = right + weighted @ residual
    solution = np.clip(spsolve(normal.tocsc(), right, permc_spec="MMD_AT_PLUS_A"), -_FARTHEST, _FARTHEST)
    return solution[: len(lines)], solution[len(lines) :]


def _linearized(lines, anchor, parameters):
    """d normalized flux / d log gf (n_lines, 8575), sparse, the residual, and the weight of each pixel."""
    star = anchor.star
    synthesis = model(lines, parameters)
    flux = synthesis.pixels(parameters.fwhm)
    normalized = star.normalize_like(flux)
    kept, first, values = synthesis.log_gf_jacobian(parameters.fwhm, _WINDOW)
    pixels = first[:, None] + np.arange(_WINDOW)
    used = (np.abs(values).max(axis=1) > _FAINTEST)[:, None] & (pixels < N_PIXELS)
    values = values * (normalized / flux)[np.minimum(pixels, N_PIXELS - 1)]  # the continuum divides the changes too
    rows = np.broadcast_to(kept[:, None], pixels.shape)
    shape = len(lines), N_PIXELS
    matrix = sparse.csr_matrix((values[used], (rows[used], pixels[used])), shape=shape)
    hydrogen, wide = synthesis.hydrogen_jacobian(parameters.fwhm)
    rows, columns = np.nonzero(np.abs(wide) > _FAINTEST)
    wide = wide * (normalized / flux)
    matrix = matrix + sparse.csr_matrix((wide[rows, columns], (hydrogen[rows], columns)), shape=shape)
    residual = star.flux - normalized
    return matrix, residual, residual_weights(star, residual)


def report(lines, anchors, parameters):
    """Correlation and rms of each anchor with its model, by the anchor's name."""
    result = {}
    for anchor, p in zip(anchors, parameters, strict=True):
        flux = model(lines.isotopes(anchor.carbon_ratio), p).pixels(p.fwhm)
        result[anchor.star.name] = agreement(anchor.star, anchor.star.normalize_like(flux))
    return result
