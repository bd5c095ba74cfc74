"""A survey's allStar.fits, damaged: from the file to labels, paths and joined spectra.

A cell changed to another plausible value cannot be noticed, and neither can a scale in the header that leaves every
value plausible. What must hold: a label that no star has is never passed on, and a label whose own cell was not touched
is that of the clean table.
"""

import gzip
import json
import os
from unittest import mock

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table, vstack

from fuzzing.harness import Outcome
from lab2 import catalog, from_arrays, labels
from lab2.files import sha256
from lab2.simulate import make_survey
from lab2.survey import write_manifest

N_STARS = 60
# What giants can have, more generous than the selection.
LIMITS = {"TEFF": (1000, 6000), "LOGG": (-2, 4.01), "FE_H": (-1.01, 2), "MG_FE": (-4, 4), "SI_FE": (-4, 4)}
ODD = [np.nan, np.inf, -np.inf, -9999.0, -9999.99, -9999.9, 0.0, 1e6, 1e30, -1e30, -99.99, 25.0, 40.0, -1.0]


class Door:
    """load, select_giants, from_catalog, spectrum_paths, with_spectra and attach."""

    def prepare(self, folder):
        """The clean survey, and another of the same spectra with the damaged catalog."""
        os.environ["LAB2_HOME"] = str(folder)
        clean, damaged = (folder / "data" / name for name in ("clean", "damaged"))
        if not damaged.is_dir():
            with mock.patch("lab2.simulate.writing.SMALLEST", N_STARS):  # too few for the notebooks, not for the doors
                make_survey(clean, seed=11, n_stars=N_STARS)
            damaged.mkdir()
            (damaged / "apStar").symlink_to(clean / "apStar")
            write_manifest(damaged)
        self.path = damaged / "allStar.fits"
        self.bytes = (clean / "allStar.fits").read_bytes()
        self.table = Table.read(clean / "allStar.fits")
        self.table.convert_bytestring_to_unicode()
        rows = catalog.load("clean")
        self.labels = {}
        for name, values in zip(labels.texts(rows["APOGEE_ID"]), labels.from_catalog(rows).values, strict=True):
            self.labels.setdefault(str(name), []).append(values)
        self.giants = sorted(catalog.select_giants(rows)[0]["APOGEE_ID"])

    def attempt(self, rng, folder):
        """One kind of damage."""
        damage = DAMAGE[rng.integers(len(DAMAGE))]
        said, touched = damage(rng, self)
        self._list()
        try:
            outcome, detail = self._judge(touched)
        except (ValueError, FileNotFoundError) as refusal:
            named = (
                "allStar.fits" in str(refusal) or "no spectrum of these" in str(refusal) or "no rows" in str(refusal)
            )
            return (Outcome.REFUSED if named else Outcome.ESCAPED), f"{said}: {refusal!r}"
        return outcome, f"{said}: {detail}"

    def _list(self):
        """Have the manifest list the catalog as it is, as if its user had put it there: its checksum is right."""
        path = self.path.parent / "manifest.json"
        about = json.loads(path.read_text())
        about["files"]["allStar.fits"] = {"size": self.path.stat().st_size, "sha256": sha256(self.path)}
        path.write_text(json.dumps(about))

    def _judge(self, touched):
        """What came of it; `touched` names the columns whose values were changed, None if nobody can say which."""
        rows = catalog.load("damaged")
        giants, flow = catalog.select_giants(rows)
        found = labels.from_catalog(giants)
        folder = self.path.parent / "apStar"
        if not all(path.is_relative_to(folder) for path in catalog.spectrum_paths(giants, "damaged")):
            return Outcome.SILENT, "a path leads out of the survey"
        present, absent = catalog.with_spectra(giants, "damaged")
        names = labels.texts(present["APOGEE_ID"])
        ones = np.ones((len(names), 2))
        joined = catalog.attach(from_arrays(ones, 1e4 * ones, [15200.0, 15201.0], star=names), present)
        for values in (catalog.typical_errors(present), catalog.optional(present, "VSCATTER")):
            assert values.dtype == float
        lacking = catalog.lacking(present)
        for column, values in zip(LIMITS, found.values.T, strict=True):
            low, high = LIMITS[column]
            if not ((values >= low) & (values <= high)).all():
                return Outcome.SILENT, f"{column} from {values.min()} to {values.max()}"
        if touched is not None:
            for name, values in zip(found.star.values, found.values, strict=True):
                same = np.isclose(self.labels.get(str(name), [values]), values, rtol=1e-4, atol=1e-4)
                same |= np.isin(list(LIMITS), list(touched))
                if not same.all(axis=1).any():
                    return Outcome.SILENT, f"{name} has {values}, and had {self.labels[str(name)]}"
        if not np.isfinite(joined.labels).all():
            return Outcome.SILENT, "a giant without a label"
        if lacking or absent or sorted(giants["APOGEE_ID"]) != self.giants:
            return Outcome.FLAGGED, f"{flow['removed'].tolist()} removed, {len(absent)} without a file, {list(lacking)}"
        return Outcome.RIGHT, ""


def _cells(rng, door):
    """Odd values in some cells."""
    table, name = door.table.copy(), rng.choice(door.table.colnames)
    rows = np.flatnonzero(rng.random(len(table)) < rng.choice([0.01, 0.2, 1.0]))
    if table[name].dtype.kind == "U":
        value = rng.choice(["", " ", "../../x", "/etc/passwd", "nan", "a\tb", "x" * 80, "M15", "-9999"])
        table[name] = table[name].astype("U80")
    else:
        value = rng.choice(ODD)
    with np.errstate(invalid="ignore"):
        table[name][rows] = np.array(value).astype(table[name].dtype)
    _write(door, table)
    return f"{name} is {value!r} in {len(rows)} rows", {name}


def _columns(rng, door):
    """Columns removed, renamed, swapped."""
    table, how = door.table.copy(), rng.integers(4)
    wanted = [*catalog.REQUIRED, *catalog.OPTIONAL, "TELESCOPE"]
    names = [str(name) for name in rng.choice(wanted, rng.integers(1, 4), replace=False)]
    names = [name for name in names if name in table.colnames]
    if how == 0:
        table.remove_columns(names)
    elif how == 1:
        table.rename_columns(names, [name.lower() + "_x" for name in names])
    elif how == 2:
        table = table[
            [name for name in catalog.REQUIRED if name not in names] + ["TELESCOPE"] * ("TELESCOPE" not in names)
        ]
    else:
        one, other = (str(name) for name in rng.choice(list(LIMITS), 2, replace=False))
        table[one], table[other] = door.table[other].copy(), door.table[one].copy()
        names = [one, other]
    _write(door, table)
    return f"columns {names} {('removed', 'renamed', 'and the optional removed', 'swapped')[how]}", {
        *names
    } if how == 3 else set()


def _types(rng, door):
    """A column of another type, or with a unit."""
    table, name, how = door.table.copy(), str(rng.choice([*catalog.REQUIRED, *catalog.OPTIONAL])), rng.integers(8)
    values = table[name]
    if how == 0:
        table[name] = values.astype(str)
    elif how == 1 and values.dtype.kind != "U":
        text = values.astype("U12")
        text[rng.random(len(text)) < 0.1] = rng.choice(["-9999", "-9999.99", "nan", "null", "", "4500,5", "--"])
        table[name] = text
    elif how == 2 and values.dtype.kind != "U":
        table[name] = values.astype(rng.choice(["f8", "i4", "i2", "c8", "?"]))
    elif how == 3:
        table[name] = np.repeat(np.asarray(values)[:, None], 2, axis=1)
    elif how == 4 and values.dtype.kind == "f":
        factor, unit = [(1e-3, "kK"), (1e3, "mK"), (1.0, "K"), (1.0, "dex"), (1.0, "mag"), (1.0, "bogus"), (1.0, "m")][
            rng.integers(7)
        ]
        table[name] = values * factor
        table[name].unit = unit
        # a number that is no Teff any more, and whose unit is ignored, would be found by the limits
        _write(door, table)
        return f"{name} in {unit}", {name} if unit in ("mag", "dex") else set()
    elif how == 5:
        table[name] = MaskedColumn(values, mask=rng.random(len(values)) < 0.3)
        if values.dtype.kind == "f":
            table[name].fill_value = np.nan
    elif how == 6:
        table[name] = np.arange(len(values)) * (1.0 if rng.random() < 0.5 else 1)
        _write(door, table)
        return f"{name} counts", {name}
    else:
        table[name] = values.astype(str) if values.dtype.kind == "U" else values.astype("f8")
    _write(door, table)
    return f"{name} of another type, {how}", {name} if how == 2 else set()


def _rows(rng, door):
    """Rows repeated, shuffled, left out, or all of one star."""
    table, how = door.table.copy(), rng.integers(5)
    order = rng.permutation(len(table))
    if how == 0:
        table = table[order]
    elif how == 1:
        table = vstack([table, table[order[:40]]])
    elif how == 2:
        table = table[order[: rng.integers(len(table))]]
    elif how == 3:
        table["APOGEE_ID"] = table["APOGEE_ID"][0]
        _write(door, table)
        return "all rows of one star", None
    else:
        table = table[:0]
    _write(door, table)
    return f"rows {('shuffled', 'repeated', 'left out', '', 'none')[how]}", set()


def _card(rng, door):
    """A card of the table's header with another value."""
    with fits.open(door.path.parent.parent / "clean" / "allStar.fits") as hdus:
        keys, n = list(hdus[1].header), hdus[1].header["TFIELDS"]
    structure = ["NAXIS", "NAXIS1", "NAXIS2", "TFIELDS", "PCOUNT", "GCOUNT", "BITPIX", "XTENSION", "THEAP"]
    if rng.random() < 0.5:
        key = str(rng.choice(structure))
    else:
        key = f"{rng.choice(['TFORM', 'TTYPE', 'TSCAL', 'TZERO', 'TNULL', 'TUNIT', 'TDIM'])}{rng.integers(1, n + 1)}"
    values = [
        "0",
        "1",
        "2",
        "-1",
        "7",
        "2147483648",
        "4294967297",
        "NaN",
        "'abc'",
        "T",
        "",
        "1E400",
        "'E'",
        "'D'",
        "'K'",
    ]
    values += [
        "'20A'",
        "'PE(5)'",
        "'J'",
        "'1000000E'",
        "'(2,2)'",
        "'kK'",
        "'K'",
        "'TEFF'",
        "'APOGEE_ID'",
        "0.5",
        "-9999",
    ]
    value = str(rng.choice(values))
    content = bytearray(door.bytes)
    start = content.index(b"XTENSION")
    card = f"{key:<8}= {value:>20}".ljust(80).encode()[:80]
    if key in keys:
        place = next(p for p in range(start, len(content), 80) if content[p : p + 8] == f"{key:<8}".encode())
        content[place : place + 80] = card
    else:
        end = next(p for p in range(start, len(content), 80) if content[p : p + 8] == b"END     ")
        if (end + 80 - start) % 2880 == 0:
            return _card(rng, door)
        content[end : end + 160] = card + b"END".ljust(80)
    door.path.write_bytes(content)
    scaled = key[:5] in ("TSCAL", "TZERO", "TNULL", "TTYPE", "TUNIT")  # other values, other names: as they say
    return f"{key} = {value}", None if scaled else set()


def _bytes(rng, door):
    """Some bytes changed, in the headers or anywhere."""
    content = np.frombuffer(door.bytes, np.uint8).copy()
    data = door.bytes.index(b"END", door.bytes.index(b"XTENSION"))
    last = len(content) if rng.random() < 0.5 else data
    where = rng.integers(0, last, 2 ** rng.integers(0, 7))
    content[where] = rng.integers(0, 256, len(where)) if rng.random() < 0.5 else rng.integers(32, 127, len(where))
    door.path.write_bytes(content.tobytes())
    return f"{len(where)} bytes of the first {last} changed", None


def _ends(rng, door):
    """A file that is cut, goes on, or is something else."""
    how, n = rng.integers(7), len(door.bytes)
    cut = int(rng.integers(n - 4000))  # before the last row, which may be cut unseen where zeros follow
    content = (
        door.bytes[:cut],
        door.bytes + b"\0" * cut,
        gzip.compress(door.bytes),
        b"",
        door.bytes[:cut] + b"\0" * (n - cut),
        door.bytes[:2880] * 2,
        b"<html>404 not found</html>",
    )[how]
    door.path.write_bytes(content)
    return f"end of the file, {how} at {cut} of {n}", set()


def _write(door, table):
    table.meta.clear()
    table.write(door.path, overwrite=True)


DAMAGE = (_cells, _cells, _columns, _types, _types, _rows, _card, _card, _bytes, _ends)
