"""Arrays as users have them: through from_arrays, train and fit_labels, on a small problem with known labels.

The flux has no noise and is exactly quadratic in the labels, so any input that is read as it was meant gives the true
labels back, whatever pixels and stars are left.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from astropy import units as u
from astropy.table import Column, MaskedColumn
from astropy.utils.masked import Masked

import lab2
from fuzzing.harness import Outcome

N_STARS, N_PIXELS, ERROR = 60, 50, 0.005
NAMES = ["teff", "fe_h"]
MEAN, SPREAD = np.array([4600.0, -0.2]), np.array([300.0, 0.3])


class Door:
    """from_arrays, train and fit_labels."""

    def prepare(self, folder):
        """The true spectra, and the compiled code."""
        rng = np.random.default_rng(5)
        x = rng.uniform(-1.7, 1.7, (N_STARS, 2))
        terms = np.column_stack([np.ones(N_STARS), x, x**2, x.prod(axis=1)])
        theta = rng.normal(0, 1, (6, N_PIXELS)) * np.array([0.1, 0.05, 0.05, 0.01, 0.01, 0.01])[:, None]
        self.truth = MEAN + SPREAD * x
        self.clean = {
            "flux": 0.9 + terms @ theta,
            "ivar": np.full((N_STARS, N_PIXELS), ERROR**-2),
            "wavelength": 15200.0 + 0.25 * np.arange(N_PIXELS),
            "labels": self.truth.copy(),
            "star": [f"2M{k:03d}" for k in range(N_STARS)],
            "label": NAMES,
        }
        outcome, detail = self._judge(dict(self.clean), [])
        assert outcome == Outcome.RIGHT, detail

    def attempt(self, rng, folder):
        """One to three changes of the arguments."""
        given = {name: value.copy() for name, value in self.clean.items()}
        done = []
        for change in rng.choice(len(CHANGES), size=rng.integers(1, 4), replace=False):
            try:
                done.append(CHANGES[change](rng, given))
            except (TypeError, ValueError, IndexError, AttributeError) as problem:
                done.append(f"({CHANGES[change].__name__} does not go with that: {problem})")
        if any(text.startswith("labels is") for text in done):
            given["label"] = NAMES  # without a name nobody can tell that a label is impossible
        return self._judge(given, done)

    def _judge(self, given, done):
        said = "; ".join(done)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                spectra = lab2.from_arrays(**given)
                labeled = np.isfinite(spectra.labels).all("label") if "labels" in spectra else []
                model = lab2.train(spectra.isel(star=np.flatnonzero(labeled)))
                fits = lab2.fit_labels(model, spectra)
            except ValueError as refusal:
                return Outcome.REFUSED, f"{said}: {refusal}"
        warned = any(one.category is UserWarning and Path(one.filename) == Path(__file__) for one in heard)
        return self._compare(fits, warned, said)

    def _compare(self, fits, warned, said):
        known = {name: k for k, name in enumerate(self.clean["star"])}
        anonymous = fits.star.values.tolist() == [str(k) for k in range(N_STARS)]
        rows = np.arange(N_STARS) if anonymous else np.array([known.get(name, -1) for name in fits.star.values])
        if (rows < 0).any() or len(rows) != N_STARS:
            return Outcome.SILENT, f"{said}: stars are called {fits.star.values[:3]}"
        names = fits.label.values.tolist()
        if names == ["label_0"]:
            return Outcome.RIGHT, f"{said}: only one label was given, and that is all that there is"
        columns = [0, 1] if names == ["label_0", "label_1"] else [NAMES.index(name) for name in names if name in NAMES]
        if len(columns) != 2:
            return Outcome.SILENT, f"{said}: labels are called {names}"
        labels, sigma = fits.labels.values, np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
        flagged = fits.flag.values != 0
        with np.errstate(invalid="ignore"):
            right = (np.abs(labels - self.truth[rows][:, columns]) <= 3 * sigma).all(axis=1)
        wrong = ~flagged & ~right
        if wrong.any() and not warned:
            return Outcome.SILENT, f"{said}: {wrong.sum()} stars, first {labels[wrong][0]} +- {sigma[wrong][0]}"
        return (Outcome.FLAGGED if warned or flagged.any() else Outcome.RIGHT), said


def _dtype(rng, given):
    name = _one_of(rng, "flux", "ivar", "wavelength", "labels")
    kinds = [">f4", ">f8", "f2", ">f2", "g", "f4", "i4", ">i8", "u2", "O", "U12", "S12", "c16", "?", "M8[s]"]
    kind = rng.choice(kinds)
    given[name] = np.asarray(_plain(given, name)).astype(kind)
    return f"{name} as {kind}"


def _mask(rng, given):
    """5 % masked, nonsense beneath; as numpy, astropy or lists have it."""
    name = _one_of(rng, "flux", "ivar", "labels", "wavelength")
    mask = rng.random(np.shape(_plain(given, name))) < 0.05
    beneath = rng.choice([-9999.0, 1e20, np.nan, 0.0, np.inf, -1.0])
    damaged = np.where(mask, beneath, given[name])
    how = rng.integers(4)
    given[name] = (
        np.ma.array(damaged, mask=mask),
        list(np.ma.array(damaged, mask=mask)),
        Masked(damaged, mask=mask),
        Masked(damaged * u.one, mask=mask),
    )[how]
    return f"{name} masked over {beneath}, way {how}"


def _unit(rng, given):
    name = _one_of(rng, "flux", "ivar", "wavelength", "labels")
    unit = u.Unit(str(rng.choice(["nm", "micron", "m", "Angstrom", "", "K", "GHz", "percent", "erg / (s cm2)", "mag"])))
    right = {"flux": u.one, "ivar": u.one, "wavelength": u.AA, "labels": u.one}[name]
    values = np.asarray(_plain(given, name), dtype=float)
    if unit.is_equivalent(right):
        values = values * right.to(unit)
    how = rng.integers(3)
    given[name] = (values * unit, list(values * unit), Column(values, unit=unit))[how]
    return f"{name} in {unit}, way {how}"


def _frame(rng, given):
    """pandas, with rows or columns in another order or a missing number."""
    columns, rows = list(NAMES), list(given["star"])
    frame = pd.DataFrame(np.asarray(_plain(given, "labels"), dtype=float), index=rows, columns=columns)
    how = rng.integers(6)
    if how == 1:
        frame = frame[columns[::-1]]
    elif how == 2:
        frame = frame.sample(frac=1.0, random_state=int(rng.integers(1000)))
        given["ivar"] = pd.DataFrame(_plain(given, "ivar"), index=rows)
    elif how == 3:
        frame = frame.astype("Float64")
        frame.iloc[3, 0] = pd.NA
    elif how == 4:
        frame = frame.reset_index(drop=True)
    elif how == 5:
        frame["fe_h"] = frame["fe_h"].astype(str)
    given["labels"] = frame
    if rng.random() < 0.7:
        given["label"] = None
    if rng.random() < 0.7:
        given["star"] = None
    return f"labels as a DataFrame, {how}"


def _xarray(rng, given):
    name = _one_of(rng, "flux", "ivar", "labels")
    dims = ("star", "label" if name == "labels" else "wavelength")
    array = xr.DataArray(np.asarray(_plain(given, name), dtype=float), dims=dims)
    if name == "labels" and rng.random() < 0.7:
        array = array.assign_coords(label=NAMES, star=given["star"])
        given["label"] = None
        if rng.random() < 0.5:
            array = array[:, ::-1]
    given[name] = array.T if rng.random() < 0.5 else array
    return f"{name} as a DataArray {given[name].dims}"


def _layout(rng, given):
    name = _one_of(rng, "flux", "ivar", "labels")
    values, how = np.asarray(_plain(given, name)), rng.integers(5)
    if how == 0:
        given[name] = np.asfortranarray(values)
    elif how == 1:
        given[name] = np.repeat(values, 2, axis=1)[:, ::2]
    elif how == 2:
        given[name] = values.tolist()
    elif how == 3:
        packed = np.zeros(values.shape, dtype=[("pad", "i1"), ("value", values.dtype)])
        packed["value"] = values
        given[name] = packed["value"]
    else:
        given[name] = values.copy()
        given[name].flags.writeable = False
    return f"{name} in memory as {how}"


def _shape(rng, given):
    name, how = _one_of(rng, "flux", "ivar", "wavelength", "labels"), rng.integers(6)
    values = np.asarray(_plain(given, name))
    given[name] = (values.T, values[:-1], values[..., :-1], values[None], values[:0], values.ravel())[how]
    return f"{name} of another shape, {how}"


def _wavelengths(rng, given):
    values, how = np.array(_plain(given, "wavelength"), dtype=float), rng.integers(7)
    if how == 0:
        values[rng.integers(N_PIXELS)] = rng.choice([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30])
    elif how == 1:
        values = values[::-1]
    elif how == 2:
        values[7] = values[6]
    elif how == 3:
        rng.shuffle(values)
    elif how == 4:
        values[:] = np.nan
    elif how == 5:
        values = np.ma.array(values, mask=np.arange(N_PIXELS) == 4)
    else:
        values = -values[::-1]
    given["wavelength"] = values
    return f"wavelengths, {how}"


def _names(rng, given):
    name, how = _one_of(rng, "star", "label"), rng.integers(9)
    names = list(given[name])
    if how == 0:
        names[1] = names[0]
    elif how == 1:
        names = [one.encode() for one in names]
    elif how == 2:
        names = np.array(names, dtype="S12")
    elif how == 3:
        names = "".join(names)
    elif how == 4:
        names = names[:-1]
    elif how == 5:
        names = MaskedColumn(names, mask=np.arange(len(names)) == 1)
    elif how == 6:
        names = pd.Index(names)
    elif how == 7:
        names = [None] * len(names)
    else:
        names[0] = ""
    given[name] = names
    return f"{name}: names, {how}"


def _errors(rng, given):
    """Errors or variances in the place of inverse variances."""
    values, how = np.asarray(_plain(given, "ivar"), dtype=float), rng.integers(3)
    with np.errstate(divide="ignore", invalid="ignore"):
        given["ivar"] = (values**-0.5, 1 / values, values**0.5)[how]
    return f"ivar as {('error', 'variance', '1 / error')[how]}"


def _scale(rng, given):
    """Flux in physical units, in counts, or not divided by a continuum."""
    factor = rng.choice([1e-17, 1e4, 0.1, -1.0, 3.0])
    share = rng.choice([1.0, 0.3, 0.02])
    which = (rng.random(N_STARS) < share)[:, None]
    given["flux"] = np.where(which, np.asarray(_plain(given, "flux"), dtype=float) * factor, given["flux"])
    if rng.random() < 0.5:
        given["ivar"] = np.where(which, np.asarray(_plain(given, "ivar"), dtype=float) / factor**2, given["ivar"])
    return f"flux of {which.sum()} stars times {factor}"


def _values(rng, given):
    """A few odd values."""
    name = _one_of(rng, "flux", "ivar", "labels")
    values = np.array(_plain(given, name), dtype=float)
    value = rng.choice([np.nan, np.inf, -np.inf, -9999.0, -9999.99, 1e30, -1e30, 1e300, 0.0, 1e-300, 1e-30, -1.0])
    where = tuple(rng.integers(0, size, 3) for size in values.shape)
    if name == "labels" and -2 <= value <= 2:  # nothing is wrong with such a metallicity
        where[1][:] = 0
    values[where] = value
    given[name] = values
    return f"{name} is {value} in {len(where[0])} places"


def _unweighted(rng, given):
    """Stars or pixels without information, or a star of hopeless noise."""
    ivar, how = np.array(_plain(given, "ivar"), dtype=float), rng.integers(4)
    if how == 0:
        ivar[rng.integers(N_STARS)] = 0.0
    elif how == 1:
        ivar[:, rng.random(N_PIXELS) < 0.3] = 0.0
    elif how == 2:
        ivar[rng.integers(N_STARS)] *= 10.0 ** rng.integers(-20, 20)
    else:
        ivar[rng.random(ivar.shape) < 0.3] = 0.0
    given["ivar"] = ivar
    return f"ivar without information, {how}"


def _left_out(rng, given):
    name = _one_of(rng, "labels", "star", "label")
    given[name] = None
    return f"no {name}"


def _nonsense(rng, given):
    name = _one_of(rng, *given)
    given[name] = (None, {}, "abc", 3.0, object(), [[1.0], [1.0, 2.0]], np.array(None))[rng.integers(7)]
    return f"{name} is {given[name]!r}"


def _plain(given, name):
    """An argument that no change before has given a mask, a unit or names, which numpy would drop."""
    if type(given[name]) not in (np.ndarray, list):
        raise TypeError(f"{name} is a {type(given[name]).__name__} already")
    return given[name]


def _one_of(rng, *names):
    return names[rng.integers(len(names))]


CHANGES = (
    _dtype, _mask, _unit, _frame, _xarray, _layout, _shape, _wavelengths, _names, _errors, _scale, _values,
    _unweighted, _left_out, _nonsense,
)  # fmt: skip
