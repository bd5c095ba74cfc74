"""Line strengths corrected on real stars: those in the lists are off by tenths of a dex and more.

Each line's log gf gets a correction with a Gaussian prior about zero; the lines of each molecule, and of hydrogen,
share one more; all are solved for together. The model spectrum is linearized in them (`Synthesis.log_gf_jacobian`), so
that each round is one linear least-squares problem, sparse because a line reaches few pixels. Between rounds the free
parameters of each anchor (`tools.synthesis.anchors`) are fitted anew.
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
# Brackett 12 lies at a chip's end, where the wing is mostly the continuum's doing: it has the mean of the two.
_INNER_BRACKETT, _BETWEEN = (11, 13), 12
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
    these lines are tied to each other (`_combinations`).
    """
    width = np.full(len(lines), 0.25)
    width[np.isin(lines.species, [*MOLECULES, "Mg", "Si", "Al", "Ca", "Na", "K", "C", "S"])] = 0.10
    width[lines.unmeasured] = 0.7
    width[lines.species == "H"] = 0.3
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
    combinations, parameters = _combinations(lines), None
    free, width = np.zeros(combinations.shape[1]), np.concatenate([width, np.full(len(SHARED), _SHARED_WIDTH)])
    for _ in tqdm(range(_ROUNDS), desc="calibrating", disable=not progress):
        current = lines.corrected(combinations @ free)
        parameters = fit_anchors(current, anchors, parameters, 2)
        free = np.clip(free + _step(current, anchors, parameters, combinations, width, free), -_LIMIT, _LIMIT)
    correction = combinations @ free
    parameters = fit_anchors(lines.corrected(correction), anchors, parameters)
    return correction, dict(zip(SHARED, free[len(lines) :].tolist(), strict=True)), parameters


def _combinations(lines):
    """Each line's correction as a sum of the free ones, one a line and one a species of SHARED: a sparse matrix.

    A line has its own and its species'; of hydrogen's, all but two have no own one.
    """
    own = sparse.identity(len(lines), format="lil")
    hydrogen = np.flatnonzero(lines.species == "H")
    level = {upper_level(lines.wavelength[line]): line for line in hydrogen}
    inner = [level[upper] for upper in _INNER_BRACKETT if upper in level]
    for line in set(hydrogen) - set(inner):
        own[line, line] = 0
    if _BETWEEN in level:
        own[level[_BETWEEN], inner] = 1 / len(_INNER_BRACKETT)
    members = np.array([lines.species == species for species in SHARED], dtype=float).T
    return sparse.hstack([own, members]).tocsr()


def _step(lines, anchors, parameters, combinations, width, free):
    """One linear step of the free corrections: minimize the weighted squares of the residuals plus (free / width)^2."""
    normal = sparse.diags(width**-2.0).tocsc()
    right = -free / width**2
    for anchor, p in zip(anchors, parameters, strict=True):
        matrix, residual, weight = _linearized(lines.isotopes(anchor.carbon_ratio), anchor, p)
        matrix = (combinations.T @ matrix).tocsr()
        weighted = matrix @ sparse.diags(anchor.weight * weight)
        normal = normal + weighted @ matrix.T
        right = right + weighted @ residual
    return np.clip(spsolve(normal.tocsc(), right, permc_spec="MMD_AT_PLUS_A"), -_FARTHEST, _FARTHEST)


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
