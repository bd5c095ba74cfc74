"""Damaged lists of continuum pixels."""

import io
import os
import pickle
import warnings
import zipfile

import numpy as np

from fuzzing.harness import Outcome
from lab2 import continuum
from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH, chip_of

LEAST = 15  # pixels of a chip, without which no polynomial of degree 2 is fitted
SHAPES = ["(8575,)", "(1,)", "()", "(-1,)", "(857500000000,)", "(8575, 1)", "(0,)", "'x'", "(8575.0,)", "("]
TYPES = [
    "'|b1'",
    "'|O'",
    "'<f8'",
    "'<U9'",
    "'|V1'",
    "'<M8[s]'",
    "'|S0'",
    "[('a', '<f8')]",
    "'?" + "1" * 40 + "'",
    "None",
]


class Door:
    """Reads the list; a list that is read is judged against the clean one."""

    def prepare(self, folder):
        rng = np.random.default_rng(3)
        self.pixels = rng.random(N_PIXELS) < 0.07
        warnings.simplefilter("error")
        self.path = folder / f"list-{os.getpid()}.npz"

    def attempt(self, rng, folder):
        content, done = self._damaged(rng)
        if rng.random() < 0.01:
            make = rng.choice([os.mkfifo, os.mkdir])
            make(self.path)
            done = make.__name__
        else:
            self.path.write_bytes(content)
        try:
            return self._judge(continuum.load_pixels(self.path), done)
        except (ValueError, FileNotFoundError) as refusal:
            named = str(self.path) in str(refusal)
            return (Outcome.REFUSED if named else Outcome.SILENT), f"{done}: {refusal}"
        finally:
            self.path.rmdir() if self.path.is_dir() else self.path.unlink()

    def _judge(self, pixels, done):
        """Right where the list is the clean one; another list must still be one that a continuum can be fitted with."""
        if np.array_equal(pixels, self.pixels):
            return Outcome.RIGHT, done
        chips = chip_of(WAVELENGTH)
        enough = all(pixels.values[chips == chip].sum() >= LEAST for chip in CHIPS)
        # zip files have checksums, so that a list of other pixels was made as such
        return (Outcome.FLAGGED if enough and "made" in done else Outcome.SILENT), f"{done}: another list"

    def _damaged(self, rng):
        """An npz file with other arrays, with another npy header, or with other bytes; or another kind of file."""
        kind = rng.choice(["arrays", "header", "member", "bytes", "bytes", "cut", "other file"])
        arrays = {"trusted": self.pixels, "wavelengths": WAVELENGTH}
        if kind == "arrays":
            name, array = _other_array(rng, self.pixels)
            return _zipped({key: _npy(value) for key, value in (arrays | {name: array}).items()}), f"made with {name}"
        members = {key: _npy(value) for key, value in arrays.items()}
        name = str(rng.choice(list(members)))
        if kind == "header":
            old, new = (
                (b"(8575,)", rng.choice(SHAPES)) if rng.random() < 0.5 else (members[name][20:25], rng.choice(TYPES))
            )
            members[name] = members[name].replace(old, str(new).encode(), 1)
            return _zipped(members), f"{name} {new}"
        if kind == "member":
            data = [bytes(20 << 20), b"", pickle.dumps({"a": 1}), rng.bytes(500), members[name][: rng.integers(9000)]]
            members[name] = data[rng.integers(len(data))]
            return _zipped(members), f"{name} of {len(members[name])} bytes"
        if kind == "other file":
            text = b"pixel\n" + b"\n".join(b"%d" % k for k in np.flatnonzero(self.pixels))
            files = [b"", text, b"# %ECSV 1.0\n# ---\n" + text, members["trusted"], pickle.dumps([1]), rng.bytes(3000)]
            return files[rng.integers(len(files))], str(kind)
        content = bytearray(_zipped(members))
        if kind == "cut":
            return bytes(content[: rng.integers(len(content))]), str(kind)
        for place in rng.integers(len(content), size=rng.choice([1, 1, 5, 50])):
            # what tells of the members is at the end
            content[-1 - place % 300 if rng.random() < 0.5 else place] = rng.integers(256)
        return bytes(content), str(kind)


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def _other_array(rng, mask):
    """An array in the place of the mask or of the wavelengths."""
    nothing, one_chip = np.zeros(N_PIXELS, dtype=bool), mask & (chip_of(WAVELENGTH) == "green")
    masks = [nothing, one_chip, ~mask, mask.astype(float), mask[:, None], mask[:-1], np.array(True), mask[:0]]
    grids = [WAVELENGTH / 10, WAVELENGTH[::-1], WAVELENGTH.astype("f4"), WAVELENGTH.astype(str), WAVELENGTH * 1j]
    grids += [WAVELENGTH * np.nan, WAVELENGTH[:-1], np.full(N_PIXELS, np.inf), np.full(N_PIXELS, 1e308), -WAVELENGTH]
    grids += [WAVELENGTH.astype("M8[s]"), WAVELENGTH.astype(">f8"), WAVELENGTH.astype("f2"), WAVELENGTH[:0]]
    name, choices = ("trusted", masks) if rng.random() < 0.4 else ("wavelengths", grids)
    return name, choices[rng.integers(len(choices))]
