"""The codes that are compared, each behind the same two methods: ``train()`` and ``fit()``, which are what is timed.

``train_settings`` and ``fit_settings`` list the ways in which a code can be asked to work; the benchmark tries them
on a part of the data and uses the fastest. The key "blas" is the number of threads of a matrix product.

Annie's Lasso and TheCannon were written for older libraries. The few things that they miss are given to them here,
before they are imported or from outside, and nothing of their numerics is touched: README.md lists them.
"""

import contextlib
import importlib
import logging
import os
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

import lab2
from lab2.cannon import polynomial

__all__ = ["CORES", "AnniesLasso", "CurveFit", "Lab2", "Loop", "TheCannon", "missing", "quiet"]

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
# Two folders, because thecannon and TheCannon are one name to a file system that ignores case.
_FOLDER = Path(__file__).parent / ".peers"
_BLAS = tuple({"blas": threads} for threads in sorted({1, CORES}))


def missing() -> list[str]:
    """Names of the peers that `make bench` has not installed yet."""
    return [name for name in ("annieslasso", "TheCannon") if not (_FOLDER / name).is_dir()]


@contextlib.contextmanager
def quiet():
    """Throw away what a code prints, its child processes too."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        stderr = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _import(distribution, *modules):
    """Import modules of a peer from its own folder."""
    folder = str(_FOLDER / distribution)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with quiet():
        return [importlib.import_module(module) for module in modules]


class Lab2:
    """This package, with hidden factors or without."""

    train_settings = fit_settings = ({},)

    def __init__(self, train, test, factors=0):
        self.name, self.factors = f"lab2, {factors} factors" if factors else "lab2", factors
        self.training = lab2.from_arrays(train.flux, train.ivar, train.wavelength, train.labels)
        self.testing = lab2.from_arrays(test.flux, test.ivar, test.wavelength)

    def train(self):
        """Train the model."""
        self.model = lab2.train(self.training, factors=self.factors)

    def fit(self):
        """Labels of the test stars."""
        return lab2.fit_labels(self.model, self.testing).labels.values


class AnniesLasso:
    """annieslasso 0.2.96 (Casey et al. 2016), without regularization, s2 after the fact: another objective."""

    name = "annieslasso 0.2.96"
    # Its pool is handed one pixel at a time and waits for it: more processes only slow the training.
    train_settings = _BLAS
    fit_settings = tuple({**blas, "threads": threads} for blas in _BLAS for threads in sorted({1, CORES}))

    def __init__(self, train, test):
        np.linalg.linalg = np.linalg  # gone since numpy 2.4; named in an except clause
        thecannon, vectorizers = _import("annieslasso", "thecannon", "thecannon.vectorizer")
        logging.getLogger("thecannon").setLevel(logging.CRITICAL)
        _mend_annieslasso(thecannon.fitting, vectorizers.base.BaseVectorizer)
        names = [f"label_{i}" for i in range(train.labels.shape[1])]
        self.arrays = train.labels, train.flux.copy(), train.ivar.copy()
        self.vectorizer = vectorizers.PolynomialVectorizer(names, 2)
        self.package, self.wavelength = thecannon, train.wavelength
        self.test_arrays = test.flux.copy(), test.ivar.copy()

    def train(self):
        """Train a new model: one that was trained before would start from its result."""
        model = self.package.CannonModel(*self.arrays, vectorizer=self.vectorizer, dispersion=self.wavelength)
        model.train()
        self.model = model

    def fit(self, threads=1):
        """Labels of the test stars."""
        return self.model.test(*self.test_arrays, threads=threads)[0]


def _mend_annieslasso(fitting, vectorizer):
    """Two repairs, without which it does not run: see README.md."""
    if hasattr(fitting, "mended"):
        return
    fit_pixel = fitting.fit_pixel_fixed_scatter

    def fit_pixel_fixed_scatter(*args, **kwargs):
        theta, s2, metadata = fit_pixel(*args, **kwargs)
        return theta, np.ravel(s2)[0], metadata

    fitting.fit_pixel_fixed_scatter = fit_pixel_fixed_scatter
    vectorizer.__setstate__ = lambda self, state: self.__init__(**state[1])
    fitting.mended = True


class TheCannon:
    """TheCannon 0.7.3 (Ho et al. 2017): a parabola through three points of a grid of the scatter, then curve_fit."""

    name = "TheCannon 0.7.3"
    train_settings = _BLAS
    # Its own start is all scaled labels at 1; the middle of the training set is nearer to most stars.
    fit_settings = tuple({**blas, "start": start} for blas in _BLAS for start in ("its own", "middle"))

    def __init__(self, train, test):
        dataset, model = _import("TheCannon", "TheCannon.dataset", "TheCannon.model")
        number = [str(i) for i in range(len(train.flux) + len(test.flux))]
        split = len(train.flux)
        # it writes into the arrays that it is given
        self.data = dataset.Dataset(
            train.wavelength, np.array(number[:split]), train.flux.copy(), train.ivar.copy(), train.labels.copy(),
            np.array(number[split:]), test.flux.copy(), test.ivar.copy(),
        )  # fmt: skip
        self.n_labels = train.labels.shape[1]
        self.data.set_label_names([f"label_{i}" for i in range(self.n_labels)])
        self.package = model

    def train(self):
        """Train the model."""
        model = self.package.CannonModel(2, useErrors=False)
        model.train(self.data)
        self.model = model

    def fit(self, start="its own"):
        """Labels of the test stars."""
        self.model.infer_labels(self.data, None if start == "its own" else np.zeros(self.n_labels))
        return self.data.test_label_vals


class Loop:
    """Training as a student writes it: np.linalg.solve for 40 values of s2 in each pixel."""

    name = "loop over 40 s2"
    train_settings = _BLAS
    fit_settings = ()
    s2_grid = np.concatenate([[0.0], np.geomspace(1e-7, 1e-2, 39)])

    def __init__(self, train, _):
        self.training = train
        x = (train.labels - train.labels.mean(axis=0)) / train.labels.std(axis=0)
        self.terms = polynomial.design(x, polynomial.terms(x.shape[1], 2))

    def train(self):
        """Train the model."""
        n_pixels, n_terms = self.training.flux.shape[1], self.terms.shape[1]
        theta, s2 = np.zeros((n_pixels, n_terms)), np.full(n_pixels, np.inf)
        for p in range(n_pixels):
            seen = self.training.ivar[:, p] > 0
            if seen.sum() > n_terms:
                flux, ivar = self.training.flux[seen, p], self.training.ivar[seen, p]
                theta[p], s2[p] = _best_on_grid(flux, ivar, self.terms[seen], self.s2_grid)
        self.model = theta, s2


def _best_on_grid(flux, ivar, terms, s2_grid):
    best = np.inf
    for s2 in s2_grid:
        weight = ivar / (1 + ivar * s2)
        weighted = terms.T * weight
        theta = np.linalg.solve(weighted @ terms, weighted @ flux)
        value = (weight * (flux - terms @ theta) ** 2).sum() - np.log(weight).sum()
        if value < best:
            best, result = value, (theta, s2)
    return result


class CurveFit:
    """Labels as a student fits them, with lab2's model: scipy's curve_fit for each star, from the mean labels."""

    train_settings = ()
    fit_settings = tuple({**blas, "jacobian": jacobian} for blas in _BLAS for jacobian in (True, False))

    def __init__(self, _, test, method="trf"):
        self.name = f"curve_fit {method}"
        self.method, self.testing = method, test

    def fit(self, jacobian=True):
        """Labels of the test stars."""
        theta, s2, pairs = self.model.theta.values, self.model.s2.values, self.model.pairs
        x = np.empty((len(self.testing.flux), len(self.model.labels)))
        for n, (flux, ivar) in enumerate(zip(self.testing.flux, self.testing.ivar, strict=True)):
            seen = (ivar > 0) & np.isfinite(s2)

            def model(_, *x, theta=theta[seen]):
                return theta @ polynomial.design(np.array(x), pairs)

            def slopes(_, *x, theta=theta[seen]):
                return theta @ polynomial.jacobian(np.array(x), pairs)

            x[n], _ = curve_fit(
                model, None, flux[seen], p0=np.zeros(x.shape[1]), sigma=np.sqrt(1 / ivar[seen] + s2[seen]),
                absolute_sigma=True, method=self.method, jac=slopes if jacobian else None,
            )  # fmt: skip
        return self.model.label_mean.values + self.model.label_scale.values * x
