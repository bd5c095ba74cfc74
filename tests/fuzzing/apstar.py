"""Damaged apStar files, from the file to the labels."""

import bz2
import gzip
import os
import warnings

import numpy as np
import xarray as xr

from fuzzing.harness import Outcome
from lab2 import apstar, catalog, continuum, fit_labels, train, validation
from lab2.apstar import UnreadableSpectrumWarning
from lab2.cannon import Cannon
from lab2.catalog import OtherStarWarning
from lab2.simulate import make_survey

BLOCK, CARD = 2880, 80
STARS = 4  # clean files to damage, of different S/N
USED = [
    *("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "CRVAL1", "CDELT1", "CRPIX1", "END", "EXTEND"),
    *("OBJID", "FIELD", "SNR", "NVISITS", "STARFLAG", "SIMULATE", "BMIN", "BMAX", "GMIN", "GMAX", "RMIN", "RMAX"),
    *("BSCALE", "BZERO", "BLANK", "PCOUNT", "GCOUNT"),
]
VALUES = [
    *("NaN", "", "154,15", "****", "'text'", "'unterminated", "T", "F", "0", "-1", "1", "2", "3", "4.179", "1E400"),
    *("2147483648", "9223372036854775808", "9" * 60, "1e30", "1D-30", "8575", "8574", "17150", "3000", "8000", "1_0"),
    *("'IMAGE   '", "'BINTABLE'", "-32", "-64", "8", "16", "32", "64", "0x10", "(1, 2)", "1 2", "\xe9\xff", "/", "="),
]
FLUXES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 3e38, 1e-20, 1e-42, -100.0, -9999.0, 1e10]
ERRORS = [*FLUXES, 1e-10, 1e-3, 1e5, 1e12, 1.0]


class Door:
    """Reads the file beside a whole one, and follows both to their labels."""

    def prepare(self, folder):
        home = folder / "clean"
        if not (home / "calibration.nc").exists():
            _make(home)
        self.model = Cannon.load(home / "model.nc")
        self.calibration = validation.Calibration.load(home / "calibration.nc")
        with xr.open_dataset(home / "stars.nc") as stars:
            self.rows = catalog.QTable.read(home / "rows.ecsv")
            self.files = [home / name for name in stars.path.values]
        warnings.simplefilter("error")  # whatever is not said in words of our own is a fault
        warnings.simplefilter("ignore", UnreadableSpectrumWarning)
        warnings.simplefilter("ignore", OtherStarWarning)
        self.clean = self._labels(self.files, self.rows)
        self.damaged = folder / f"damaged-{os.getpid()}"

    def attempt(self, rng, folder):
        which = int(rng.integers(STARS))
        companion = (which + 1) % STARS
        content, done = _damage(rng, self.files[which].read_bytes())
        self.damaged.write_bytes(content)
        if rng.random() < 0.01:
            self.damaged.unlink()
            make = [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)][rng.integers(3)]
            make(self.damaged)
            done = ["no file"]
        try:
            fits = self._labels([self.damaged, self.files[companion]], self.rows[[which, companion]])
        finally:
            self.damaged.rmdir() if self.damaged.is_dir() else self.damaged.unlink()
        outcome, why = self._judge(fits, self.clean.isel(star=[which, companion]))
        return outcome, f"{why}; {', '.join(done)}"

    def _labels(self, paths, rows):
        """Calibrated labels, as the notebooks and `lab2 label` measure them."""
        raw = apstar.mask_bad_pixels(apstar.read_many(paths, progress=False))
        spectra = catalog.attach(continuum.normalize(raw, self.model.trusted), rows)
        return self.calibration.apply(fit_labels(self.model, spectra)).assign(read_error=spectra.read_error)

    @staticmethod
    def _judge(fits, clean):
        """The damaged star is first, its whole companion second."""
        labels, flags, reasons = fits.labels.values, fits.flag.values, fits.read_error.values
        sigma = np.sqrt(np.diagonal(fits.covariance.values, axis1=1, axis2=2))
        far = np.abs(labels - clean.labels.values) / sigma
        if not (far[1] < 1e-3).all() or flags[1] or reasons[1]:
            return Outcome.SILENT, f"the companion changed: labels {labels[1]}, flag {flags[1]}, {reasons[1]}"
        if reasons[0]:
            if flags[0] and np.isnan(labels[0]).all():
                return Outcome.REFUSED, str(reasons[0])
            return Outcome.SILENT, f"labels {labels[0]} although {reasons[0]}"
        if flags[0]:
            return Outcome.FLAGGED, f"flag {flags[0]}"
        outcome = Outcome.RIGHT if (far[0] <= 3.0).all() else Outcome.SILENT  # NaN is neither
        return outcome, f"{far[0].max():.1f} sigma from the labels of the whole file"


def _make(home):
    """A small survey, a model and its calibration, and a few ordinary stars."""
    make_survey(home / "survey", seed=11, n_stars=150, progress=False)
    giants, _ = catalog.select_giants(catalog.QTable.read(home / "survey" / "allStar.fits", hdu=1))
    paths = [home / "survey" / "apStar" / row["FIELD"].strip() / row["FILE"].strip() for row in giants]
    raw = apstar.mask_bad_pixels(apstar.read_many(paths, progress=False))
    spectra = catalog.attach(continuum.normalize(raw), giants)
    fits = validation.cross_validate(spectra, folds=2)
    model = train(spectra)
    calibration = validation.calibrate(fits, spectra.labels)
    ordinary = np.flatnonzero(calibration.apply(fit_labels(model, spectra)).flag.values == 0)
    by_snr = ordinary[np.argsort(giants["SNR"][ordinary])]
    chosen = by_snr[np.linspace(0, len(by_snr) - 1, STARS).astype(int)]
    names = [str(paths[k].relative_to(home)) for k in chosen]
    xr.Dataset({"path": ("star", names)}).to_netcdf(home / "stars.nc", engine="h5netcdf")
    giants[chosen].write(home / "rows.ecsv")
    model.save(home / "model.nc")
    calibration.save(home / "calibration.nc")


def _damage(rng, content):
    """One to three kinds of damage, the last of them perhaps to the packed file."""
    done, changed = [], bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        try:
            changed, what = damage(rng, changed)
        except Beyond:
            continue
        done.append(f"{damage.__name__.strip('_')} {what}")
    if rng.random() < 0.15:
        changed, what = _packed(rng, bytes(changed))
        done.append(what)
    return bytes(changed), done


class Beyond(Exception):
    """An earlier damage left nothing here to damage."""


def _layout(content):
    """Where the headers and data of HDUs 0 to 3 begin, as a whole file has them."""
    places, start = [], 0
    for _ in range(4):
        end = content.find(b"END" + b" " * 77, start)
        if end < 0 or (end - start) % CARD:
            raise Beyond
        data = end + CARD + -(end + CARD) % BLOCK
        places.append((start, end, data))
        start = content.find(b"XTENSION", data)
        if start < 0 and len(places) < 4:
            raise Beyond
    return places


def _card(content, hdu, key):
    start, end, _ = _layout(content)[hdu]
    for place in range(start, end + CARD, CARD):
        if content[place : place + 8].rstrip() == key.encode():
            return place
    raise Beyond


def _a_card(rng, content):
    """The place of a card, one that is used as a rule."""
    if rng.random() < 0.2:
        start, end, _ = _layout(content)[rng.integers(4)]
        return int(start + CARD * rng.integers((end - start) // CARD + 1))
    return _card(content, int(rng.choice([0, 0, 1, 2, 3])), str(rng.choice(USED)))


def _value(rng, content):
    place, value = _a_card(rng, content), str(rng.choice(VALUES))
    content[place + 8 : place + CARD] = f"= {value:>20}".ljust(72)[:72].encode("latin-1")
    return content, f"{bytes(content[place : place + 8]).decode('latin-1').strip()}={value}"


def _no_card(rng, content):
    place = _a_card(rng, content)
    what = bytes(content[place : place + 8]).decode("latin-1").strip()
    content[place : place + CARD] = b" " * CARD
    return content, what


def _new_card(rng, content):
    start, end, data = _layout(content)[rng.integers(4)]
    if data - end - CARD < CARD:
        raise Beyond
    key, value = str(rng.choice(USED)), str(rng.choice(VALUES))
    place = int(rng.choice([start + 6 * CARD, end]))
    del content[end + CARD : end + 2 * CARD]
    content[place:place] = f"{key:8}= {value:>20}".ljust(CARD)[:CARD].encode("latin-1")
    return content, f"{key}={value}"


def _header_bytes(rng, content):
    start, end, _ = _layout(content)[rng.integers(4)]
    places = rng.integers(start, end + CARD, rng.choice([1, 3, 20]))
    for place in places:
        content[place] = rng.integers(256)
    return content, str(places[:4].tolist())


def _bits(rng, content):
    places = rng.integers(0, len(content), rng.choice([1, 10, 100, 1000]))
    for place in places:
        content[place] ^= 1 << rng.integers(8)
    return content, str(len(places))


def _blocks(rng, content):
    count, size = len(content) // BLOCK, BLOCK * int(rng.choice([1, 1, 3, 10]))
    one, other = (BLOCK * int(k) for k in rng.integers(count, size=2))
    kind = rng.choice(["removed", "doubled", "zeroed", "swapped", "ones"])
    block = content[one : one + size]
    if kind == "removed":
        del content[one : one + size]
    elif kind == "doubled":
        content[other:other] = block
    elif kind == "swapped":
        content[one : one + size], content[other : other + size] = content[other : other + size], block
    else:
        content[one : one + size] = (b"\0" if kind == "zeroed" else b"\xff") * len(block)
    return content, f"{kind} {one // BLOCK} {other // BLOCK} {size // BLOCK}"


def _cut(rng, content):
    size = int(rng.choice([rng.integers(len(content)), BLOCK * rng.integers(len(content) // BLOCK), len(content) - 1]))
    return content[:size], str(size)


def _longer(rng, content):
    return content + rng.bytes(rng.choice([1, 100, 2879, 10_000])), ""


def _pixels(rng, content):
    """Values of row 0 of the flux or the error replaced, multiplied or shuffled."""
    hdu = int(rng.integers(1, 3))
    _, _, data = _layout(content)[hdu]
    row = np.frombuffer(bytes(content[data : data + 4 * 8575]), ">f4").copy()
    if len(row) < 8575:
        raise Beyond
    pick = [rng.integers(8575, size=1), rng.integers(8575, size=40), slice(None), slice(250, 3300), slice(700, 1700)]
    where = pick[rng.integers(len(pick))]
    kind = rng.choice(["set", "set", "set", "factor", "sign", "swapped bytes"])
    what = kind
    with np.errstate(all="ignore"):
        if kind == "set":
            what = rng.choice(FLUXES if hdu == 1 else ERRORS)
            row[where] = what
        elif kind == "factor":
            what = float(rng.choice([1e-30, 1e-5, 0.01, 100.0, 1e5, 1e30]))
            row[where] *= what
        elif kind == "sign":
            row[where] *= -1
        else:
            row[where] = row[where].byteswap()
    content[data : data + 4 * 8575] = row.tobytes()
    return content, f"HDU {hdu} {np.size(row[where])} {what}"


def _mask(rng, content):
    """The bitmask set, cleared or random."""
    _, _, data = _layout(content)[3]
    row = [b"\0" * 17150, b"\xff" * 17150, b"\x7f\xff" * 8575, rng.bytes(17150)][rng.integers(4)]
    content[data : data + 17150] = row[: max(0, len(content) - data)]
    return content, row[:2].hex()


def _other_type(rng, content):
    """An image written again in another type."""
    hdu, kind = int(rng.integers(1, 4)), str(rng.choice([">f8", ">i4", ">i8", ">i2", "u1", ">f4"]))
    data = _layout(content)[hdu][2]
    place, rows = _card(content, hdu, "BITPIX"), bytes(content[_card(content, hdu, "NAXIS2") + 10 :][:20])
    if not rows.strip().isdigit():
        raise Beyond
    rows = int(rows)
    stored = np.dtype(">i2" if hdu == 3 else ">f4")
    size = stored.itemsize * rows * 8575
    values = np.frombuffer(bytes(content[data : data + size]), stored)
    if values.size < rows * 8575:
        raise Beyond
    with np.errstate(all="ignore"):
        new = np.nan_to_num(values).astype(kind).tobytes()
    content[data : data + size + -size % BLOCK] = new + b"\0" * (-len(new) % BLOCK)
    bits = np.dtype(kind).itemsize * (-8 if "f" in kind else 8)
    content[place : place + CARD] = f"BITPIX  = {bits:>20}".ljust(CARD).encode()
    return content, f"HDU {hdu} {kind}"


def _packed(rng, content):
    packed = gzip.compress(content, 1)
    kind = rng.choice(["gzip", "gzip cut", "gzip changed", "gzip longer", "gzip twice", "bzip2", ".Z", "zip"])
    if kind == "gzip cut":
        packed = packed[: rng.integers(len(packed))]
    elif kind == "gzip changed":
        packed = bytearray(packed)
        for place in rng.integers(len(packed), size=rng.choice([1, 5])):
            packed[place] = rng.integers(256)
    elif kind == "gzip longer":
        packed += rng.bytes(100)
    elif kind == "gzip twice":
        packed = gzip.compress(packed, 1)
    elif kind == "bzip2":
        packed = bz2.compress(content[:BLOCK])
    elif kind == "zip":
        packed = b"PK\x03\x04" + packed
    elif kind == ".Z":
        packed = b"\x1f\x9d\x90" + packed
    return bytes(packed), str(kind)


DAMAGES = [
    *(_value, _value, _value, _no_card, _new_card, _new_card, _header_bytes, _bits, _blocks, _cut, _longer),
    *(_pixels, _pixels, _pixels, _mask, _other_type),
]
