"""Files of models, calibrations, spectra, draws and tables: damaged bytes, and contents rewritten with h5py."""

import h5py
import numpy as np
import xarray as xr
from astropy.table import QTable
from drawn_posterior import drawn_posterior
from twins import drawn_survey

from fuzzing.harness import Outcome
from lab2 import cannon, posterior, validation
from lab2._io.seal import check_seal, seal
from lab2.files import read_table, write_table
from lab2.report import products

_SEAL = len(seal(b""))
# How each kind is saved and loaded.
_DOORS = {
    "cannon": (cannon.Cannon.save, cannon.Cannon.load),
    "calibration": (validation.Calibration.save, validation.Calibration.load),
    "spectra": (products.save, products.load),
    "fits": (products.save, products.load),
    "posterior": (posterior.save, posterior.load),
    "table": (lambda table, path: write_table(path, table), read_table),
}
_SEALS = ("no seal", "old seal", "new seal")
# What a rewritten file, sealed again, must not hold, by variable: values that no good file has.
_FORBIDDEN = {
    "cannon": {
        "theta": (np.nan, np.inf), "s2": (np.nan, -1e-4), "loadings": (np.nan, -np.inf), "label_mean": (np.nan, np.inf),
        "label_scale": (np.nan, 0.0, -1.0), "training_labels": (np.nan, np.inf), "wavelength": (np.nan, 0.0, 1e9),
    },
    "calibration": {
        "offset": (np.nan, np.inf), "scale": (np.nan, 0.0, 0.5, -3.0), "floor": (np.nan, -1e9, 1e9),
        "slope": (np.nan, np.inf), "largest": (np.nan, -1.0), "label_scale": (np.nan, 0.0, -1.0),
        "log_error": (np.nan,), "outliers": (np.nan, -1.0, 2.0), "outlier_width": (np.nan, 0.0),
        "largest_chi2": (np.nan, 0.0, -1.0),
    },
    "spectra": {"flux": (np.nan, np.inf), "ivar": (np.nan, -1.0, np.inf), "wavelength": (np.nan, 0.0)},
    "fits": {"labels": (np.nan, np.inf), "covariance": (np.nan, -1e9, np.inf), "reduced_chi2": (-np.inf,)},
    "posterior": {
        "posterior/labels": (np.nan, np.inf), "constant_data/prior_sd": (np.nan, -1.0),
        "constant_data/prior_lower": (np.nan, 1e9),
    },
}  # fmt: skip


class Door:
    """A small clean file of each kind."""

    def prepare(self, folder):
        spectra = drawn_survey(np.random.default_rng(22), n_stars=80, n_labels=2, n_pixels=30)[0]
        trusted = xr.DataArray(np.arange(30) % 2 == 0, dims="wavelength")
        spectra = spectra.assign_coords(trusted=trusted)
        self.model = cannon.train(spectra, factors=1)
        self.spectra = spectra.isel(star=slice(6))
        self.fits = cannon.fit_labels(self.model, self.spectra)
        calibration = validation.calibrate(validation.cross_validate(spectra, 2, 1), spectra.labels)
        table = QTable({"star": spectra.star.values, "teff": spectra.labels.values[:, 0]})
        clean = {
            "cannon": self.model,
            "calibration": calibration,
            "spectra": self.spectra,
            "fits": self.fits,
            "posterior": drawn_posterior(),
            "table": table,
        }
        self.bytes, self.expected = {}, {}
        for kind, one in clean.items():
            path = folder / f"clean_{kind}"
            save, load = _DOORS[kind]
            save(one, path)
            self.bytes[kind] = path.read_bytes()
            self.expected[kind] = self.use(kind, load(path))

    def use(self, kind, found):
        """The labels that come of a file, and their errors."""
        if kind == "cannon":
            fits = cannon.fit_labels(found, self.spectra)
        elif kind == "calibration":
            fits = found.apply(self.fits)
        elif kind == "spectra":
            fits = cannon.fit_labels(self.model, found)
        elif kind == "fits":
            fits = found
        elif kind == "posterior":
            summary = posterior.summary(found)
            return np.array(summary["mean"]), np.array(summary["sd"])
        else:
            return np.array(found["teff"]), np.full(len(found), 1e-6)
        return fits.labels.values, np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))

    def attempt(self, rng, folder):
        kind = rng.choice(list(self.bytes))
        path = folder / "damaged"
        damages = (damaged_bytes, damaged_bytes, other_file, rewritten, strange)
        damage = rng.choice(damages[:3] if kind == "table" else damages)
        path.write_bytes(self.bytes[kind])
        detail = f"{kind}, {damage(rng, kind, path, self.bytes)}"
        try:
            labels, errors = self.use(kind, _DOORS[kind][1](path))
        except ValueError as problem:
            if path.name not in str(problem):
                raise
            return Outcome.REFUSED, f"{detail}: {problem}"
        # single precision moves a label by far less than its error
        little = 0.01 * np.min(self.expected[kind][1])
        same = [
            found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-5, atol=little)
            for found, wanted in zip((labels, errors), self.expected[kind], strict=True)
        ]
        return (Outcome.RIGHT if all(same) else Outcome.SILENT), detail


def damaged_bytes(rng, kind, path, whole):
    """Bytes flipped, zeroed, cut off, repeated, moved or added."""
    content = bytearray(path.read_bytes())
    place, length = int(rng.integers(len(content))), int(rng.choice([1, 8, 32, 100, 512, 4096]))
    how = rng.choice(["flips", "zeros", "noise", "cut", "repeated", "left out", "moved", "added"])
    if how == "flips":
        for where in rng.integers(len(content), size=length):
            content[where] ^= 1 << int(rng.integers(8))
    elif how == "zeros":
        content[place : place + length] = bytes(len(content[place : place + length]))
    elif how == "noise":
        content[place : place + length] = rng.bytes(len(content[place : place + length]))
    elif how == "cut":
        del content[place:]
    elif how == "repeated":
        content[place:place] = content[place : place + length]
    elif how == "left out":
        del content[place : place + length]
    elif how == "moved":
        block = content[place : place + length]
        del content[place : place + length]
        content += block
    else:
        content += rng.bytes(length) if rng.random() < 0.5 else content[:length]
    path.write_bytes(content)
    return f"{how} at {place}, {length}"


def other_file(rng, kind, path, whole):
    """A file of another kind, with or without the seal of this one, or of no kind, or this one itself."""
    # a notebook's datasets are told apart by their names alone
    twins = {"spectra": "fits", "fits": "spectra"}
    other = rng.choice([*(name for name in whole if name != twins.get(kind)), "empty", "text", "noise"])
    content = {"empty": b"", "text": b"theta: 1 2 3\n" * 50, "noise": rng.bytes(5000), **whole}[other]
    how = rng.choice(["as it is", "sealed", "with the other's seal"])
    if how == "sealed":
        content += seal(content)
    elif how == "with the other's seal":
        content = content[:-_SEAL] + whole[kind][-_SEAL:]
    path.write_bytes(content)
    return f"{other} {how}"


def rewritten(rng, kind, path, whole):
    """Values, types, dims, names and attributes changed, in a file whose seal is gone, stale or made anew."""
    path.write_bytes(whole[kind][:-_SEAL])
    with h5py.File(path, "r+") as file:
        detail = rng.choice([change_value, change_type, change_dims, drop_variable, drop_attribute, permute_labels])(
            rng, kind, file
        )
    # netCDF fills up a variable that is shorter than its dims, so nothing but the seal tells
    seals = _SEALS[:2] if detail.endswith("shorter") else _SEALS
    return f"{detail}, {reseal(rng, path, whole[kind], seals)}"


def strange(rng, kind, path, whole):
    """A variable that is huge, or whose values are elsewhere, or text of variable length."""
    path.write_bytes(whole[kind][:-_SEAL])
    with h5py.File(path, "r+") as file:
        name = rng.choice(list(_FORBIDDEN[kind]))
        shape = file[name].shape or (1,)
        del file[name]
        how = rng.choice(["chunked", "packed", "filled", "external", "virtual", "link", "strings", "compound"])
        huge = (10**9, *shape[1:])
        if how == "chunked":
            file.create_dataset(name, shape=huge, dtype="f8", chunks=(1000, *shape[1:]))
        elif how == "packed":
            file.create_dataset(name, shape=huge, dtype="f8", chunks=(1000, *shape[1:]), compression="gzip")
        elif how == "filled":
            file.create_dataset(name, shape=huge, dtype="f8", fillvalue=1.0)
        elif how == "external":
            size = 8 * int(np.prod(shape))
            file.create_dataset(
                name, shape=shape, dtype="f8", external=[(str(path.with_name("clean_cannon")), 0, size)]
            )
        elif how == "virtual":
            layout = h5py.VirtualLayout(shape=shape, dtype="f8")
            layout[...] = h5py.VirtualSource(str(path.with_name("clean_cannon")), "theta", shape=shape)
            file.create_virtual_dataset(name, layout)
        elif how == "link":
            file[name] = h5py.ExternalLink(str(path.with_name("clean_cannon")), "/theta")
        elif how == "strings":
            file.create_dataset(name, shape=shape, dtype=h5py.string_dtype())
        else:
            file.create_dataset(name, shape=shape, dtype=[("a", "f8"), ("b", "i4")])
    return f"{how} {name}, {reseal(rng, path, whole[kind])}"


def reseal(rng, path, whole, seals=_SEALS):
    """No seal, that of the clean file, or one that fits."""
    how = rng.choice(seals)
    if how != "no seal":
        content = path.read_bytes()
        path.write_bytes(content + (whole[-_SEAL:] if how == "old seal" else seal(content)))
    if how == "new seal":
        check_seal(path)  # so that the schema is what has to tell
    return how


def change_value(rng, kind, file):
    name = rng.choice(list(_FORBIDDEN[kind]))
    value = rng.choice(_FORBIDDEN[kind][name])
    values = file[name][...]
    # no diagonal element: a floor may be larger
    place = rng.integers(1, values.size) if values.size > 1 else 0
    place = 1 if name == "floor" and np.isfinite(value) else place
    np.atleast_1d(values).reshape(-1)[place] = value
    file[name][...] = values if values.ndim else value
    return f"{name}[{place}] = {value}"


def change_type(rng, kind, file):
    name, kept = rng.choice(list(_FORBIDDEN[kind])), rng.choice(["f4", "f2", "i4", "u1", "S8"])
    with np.errstate(all="ignore"):
        values = file[name][...].astype(kept)
    replace(file, name, values)
    return f"{name} as {kept}"


def change_dims(rng, kind, file):
    name = rng.choice(list(_FORBIDDEN[kind]))
    values = file[name][...]
    how = rng.choice(["transposed", "shorter", "longer", "one more", "flat", "none"])
    if how == "transposed":
        values = values.T
    elif how == "shorter":
        values = values[:-1] if values.ndim else values
    elif how == "longer":
        values = np.concatenate([values, values]) if values.ndim else np.array([values])
    elif how == "one more":
        values = values[None]
    elif how == "flat":
        values = values.ravel()
    else:
        values = values.flat[0]
    replace(file, name, values)
    return f"{name} {how}"


def replace(file, name, values):
    """Another dataset in the place of one, with its attributes as far as HDF5 lets them be copied."""
    attributes = {key: value for key, value in file[name].attrs.items() if key != "REFERENCE_LIST"}
    del file[name]
    made = file.create_dataset(name, data=values)
    for key, value in attributes.items():
        made.attrs.create(key, value, dtype=h5py.vlen_dtype(h5py.ref_dtype) if key == "DIMENSION_LIST" else None)


def drop_variable(rng, kind, file):
    name = rng.choice(list(_FORBIDDEN[kind]))
    del file[name]
    return f"no {name}"


def drop_attribute(rng, kind, file):
    needed = {"cannon": ("degree", "format"), "calibration": ("n_stars", "format"), "spectra": ("format",)}
    name = rng.choice(needed.get(kind, ("format", "format_version")))
    del file.attrs[name]
    return f"no attribute {name}"


def permute_labels(rng, kind, file):
    name = "posterior/label" if kind == "posterior" else "label"
    file[name][...] = file[name][...][::-1]
    return "labels permuted"
