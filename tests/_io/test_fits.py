"""From any bytes to a spectrum or a SpectrumError."""

import contextlib
import gzip
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from apstar_files import HEADER, arrays, set_card, write_older
from astropy.io import fits

from lab2 import apstar
from lab2._io.fits import read_images
from lab2._origin import says_simulated
from lab2.apstar import PixelBit, SpectrumError
from lab2.grid import N_PIXELS

# --- what the header says of the star ------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path):
    return apstar.write(tmp_path / "apStar-dr17-2M9.fits", *arrays(), HEADER)


@pytest.mark.parametrize(
    ("key", "value", "variable", "unknown"),
    [
        *(("SNR", value, "snr", np.nan) for value in ("NaN", "", "154,15", "****", "T", "1E400", "-9999.0", "'high'")),
        *(("NVISITS", value, "n_visits", 0) for value in ("2.5", "-1", "'two'", "9" * 60, "")),
        *(("STARFLAG", value, "starflag", 0) for value in ("'BAD'", "", "1E30", "0x10")),
        *(("FIELD", value, "field", "") for value in ("", "'M67", "'M\xe967'")),
        *(("OBJID", value, "star", "2M9") for value in ("", "'", "'\xff'", "'  '")),
    ],
)
def test_what_the_header_does_not_say_readably_is_unknown_and_named(whole, key, value, variable, unknown):
    good = apstar.read(whole)
    set_card(whole, 0, key, value)
    raw = apstar.read(whole)
    np.testing.assert_equal(raw[variable].item(), unknown)
    assert raw.unknown_cards.item() == key
    assert good.unknown_cards.item() == ""
    pixels = ["flux", "error", "bitmask", "chip_range"]
    xr.testing.assert_identical(raw[pixels].assign_coords(star=good.star), good[pixels])


def test_an_absent_starflag_is_not_one_without_problems(whole):
    set_card(whole, 0, "STARFLAG", 0)
    assert (apstar.read(whole).starflag.item(), apstar.read(whole).unknown_cards.item()) == (0, "")
    fits.delval(whole, "STARFLAG")
    assert (apstar.read(whole).starflag.item(), apstar.read(whole).unknown_cards.item()) == (0, "STARFLAG")


@pytest.mark.parametrize(
    ("key", "value"), [("GMIN", "2147483648"), ("GMIN", "NaN"), ("GMAX", "'x'"), ("GMAX", "3537"), ("GMAX", "-5")]
)
def test_a_chip_range_that_cannot_be_comes_from_the_data(whole, key, value):
    set_card(whole, 0, key, value)
    assert apstar.read(whole).chip_range.values[0].tolist() == [[201, 3320], [3538, 6127], [6295, 8380]]


def test_a_simulated_file_stays_one_when_its_card_cannot_be_read(tmp_path):
    path = apstar.write(tmp_path / "a.fits", *arrays(), {**HEADER, apstar.SIMULATED: True})
    for value, simulated in (("T", True), ("X", True), ("F", False)):
        set_card(path, 0, apstar.SIMULATED, value)
        assert apstar.read(path).simulated.item() is simulated
        assert says_simulated(path) is simulated


def test_of_a_card_that_is_there_twice_the_first_counts(whole):
    snr = apstar.read(whole).snr.item()
    with fits.open(whole, mode="update") as hdus:
        hdus[0].header.append(("SNR", 3.0), end=True)
    with fits.open(whole) as hdus:
        assert hdus[0].header.count("SNR") == 2
    assert apstar.read(whole).snr.item() == snr != 3.0


# --- what is no spectrum ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hdu", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("key", "value"),
    [("CRVAL1", "4.1789"), ("CRVAL1", "NaN"), ("CRVAL1", "'x'"), ("CDELT1", ""), ("CRPIX1", "2"), ("CRPIX1", "****")],
)
def test_wavelengths_that_are_wrong_or_unreadable_in_any_hdu(whole, hdu, key, value):
    set_card(whole, hdu, key, value)
    with pytest.raises(SpectrumError, match=rf"2M9.fits: {key} of HDU {hdu} is .*, the APOGEE grid has"):
        apstar.read(whole)


@pytest.mark.parametrize(
    ("hdu", "key", "value", "message"),
    [
        (1, "BITPIX", "", "card BITPIX of HDU 1 is missing or cannot be read"),
        (1, "BITPIX", "7", "card BITPIX of HDU 1 is 7"),
        (2, "NAXIS", "2147483648", "card NAXIS of HDU 2 is 2147483648"),
        (2, "NAXIS1", "2147483648", "card NAXIS1 of HDU 2 is 2147483648"),
        (3, "NAXIS1", "T", "card NAXIS1 of HDU 3 is True"),
        (1, "NAXIS2", "1000000", r"HDU 1 has 34300000000 bytes of data.* no apStar file has more than 1000 rows"),
        (1, "NAXIS2", "1", "HDU 2 should begin"),
        (0, "NAXIS", "1", "card NAXIS1 of HDU 0 is missing"),
        (1, "BITPIX", "32", "HDU 1 holds int64, where an apStar file has its flux"),
        (2, "XTENSION", "'BINTABLE'", "HDU 2 is of the kind BINTABLE"),
        (0, "SIMPLE", "", "not a complete FITS file|read_error"),
    ],
)
def test_a_damaged_card_that_is_needed_is_named(whole, hdu, key, value, message):
    if key == "SIMPLE":
        whole.write_bytes(b"SAMPLE" + whole.read_bytes()[6:])
    else:
        set_card(whole, hdu, key, value)
    with pytest.raises(SpectrumError, match=rf"2M9.fits: .*{message}"):
        apstar.read(whole)


@pytest.mark.parametrize(("key", "value"), [("BSCALE", "'x'"), ("BZERO", "NaN")])
def test_a_scale_that_cannot_be_read(whole, key, value):
    fits.setval(whole, key, value="x", ext=1)
    set_card(whole, 1, key, value)
    with pytest.raises(SpectrumError, match=f"card {key} of HDU 1 is"):
        apstar.read(whole)


@pytest.mark.parametrize("key", ["BITPIX", "NAXIS", "NAXIS1", "NAXIS2"])
@pytest.mark.parametrize("hdu", [1, 2, 3])
def test_a_removed_card_is_named(whole, hdu, key):
    content = whole.read_bytes()
    start = 0
    for _ in range(hdu):
        start = content.index(b"XTENSION", start + 80)
    whole.write_bytes(content[:start] + content[start:].replace(f"{key:8}".encode(), b"COMMENT ", 1))
    with pytest.raises(SpectrumError, match=f"card {key} of HDU {hdu} is missing"):
        apstar.read(whole)


def test_damage_that_leaves_the_pixels_whole_is_none(whole):
    good = apstar.read(whole)
    content = whole.read_bytes()
    end_of_bitmask = content.index(b"XTENSION", content.index(b"Pixel bitmask"))
    padding = -2 * 2 * N_PIXELS % 2880
    others = {
        "no padding": content[: end_of_bitmask - padding],
        "no further HDU": content[:end_of_bitmask],
        "bytes after the end": content + b"garbage" * 1000,
        "a cut after the bitmask's first row": content[: end_of_bitmask - 2880 * 6],
        "a foreign byte in an unused card": content.replace(b"LOG-LINEAR", b"LOG-LIN\xcfAR", 1),
        "packed": gzip.compress(content),
        "packed, and bytes after the end": gzip.compress(content) + b"\0" * 100,
        "packed, cut after the bitmask": gzip.compress(content, 0)[:-1000],
    }
    for what, other in others.items():
        whole.write_bytes(other)
        xr.testing.assert_identical(apstar.read(whole), good), what
    whole.write_bytes(content)
    set_card(whole, 1, "BUNIT", 0)
    whole.write_bytes(whole.read_bytes().replace(b"BUNIT   ", b"BLANK   ", 1))
    xr.testing.assert_identical(apstar.read(whole), good)


def test_blank_and_scaled_integers_of_the_bitmask(tmp_path):
    path = write_older(tmp_path / "old.fits")
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[3].data[7] = -99
        hdus[3].header.update({"BLANK": -99, "BZERO": 16})
    bitmask = apstar.read(path).bitmask.values[0]
    assert (bitmask[6], bitmask[7], bitmask[8]) == (21, -1, 21)
    assert (bitmask[7] & int(PixelBit.BADPIX)) != 0


def test_nothing_but_a_file_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.fits")
    (tmp_path / "loop.fits").symlink_to(tmp_path / "loop.fits")
    for path in (tmp_path / "pipe.fits", tmp_path, Path("/dev/zero"), tmp_path / "loop.fits"):
        with pytest.raises(FileNotFoundError, match="no such spectrum file: "):
            apstar.read(path)
    with pytest.raises(SpectrumError, match="File name too long"):
        apstar.read(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("beginning", "packer"), [(b"\x1f\x9d\x90", "compress"), (b"BZh9", "bzip2"), (b"PK\x03\x04", "zip")]
)
def test_other_packers_than_gzip_are_named(tmp_path, beginning, packer):
    (tmp_path / "a.fits").write_bytes(beginning + bytes(3000))
    with pytest.raises(SpectrumError, match=rf"a.fits: compressed with {packer}.*, and only gzip is supported"):
        apstar.read(tmp_path / "a.fits")


@pytest.mark.parametrize("damage", ["cut", "flipped", "of nothing"])
def test_damaged_gzip(whole, damage):
    packed = bytearray(gzip.compress(whole.read_bytes(), 6))
    if damage == "cut":
        del packed[len(packed) // 3 :]
    elif damage == "flipped":  # the checksum tells
        packed[len(packed) // 2] ^= 64
    else:
        packed = packed[:12]
    whole.write_bytes(packed)
    with pytest.raises(SpectrumError, match=r"not a complete FITS file .*fetch it again"):
        apstar.read(whole)


def huge(tmp_path, kind):
    """A file that is, or says that it is, far larger than any spectrum."""
    path = apstar.write(tmp_path / f"{kind}.fits", *arrays(), HEADER)
    if kind == "sparse":
        set_card(path, 1, "NAXIS2", 290_000)
        os.truncate(path, 10_000_000_000)
    elif kind == "sparse tail":
        os.truncate(path, 10_000_000_000)
    elif kind == "bomb":
        packer = gzip.GzipFile(path, "wb", compresslevel=1)
        with packer:
            packer.write(apstar.write(tmp_path / "b.fits", *arrays(), HEADER).read_bytes())
            for _ in range(300):
                packer.write(bytes(1 << 20))
    elif kind == "compressed":
        image = fits.CompImageHDU(np.zeros((300, 8575), "f4"))
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)
    elif kind == "no END":
        path.write_bytes(path.read_bytes()[:2880].replace(b"END ", b"COMM") + b"COMMENT".ljust(80) * 500_000)
    elif kind == "many members":
        path.write_bytes(gzip.compress(path.read_bytes()) + gzip.compress(b"") * 10_000)
    return path


@contextlib.contextmanager
def little():
    """The block takes less than 100 MB and 10 s."""
    tracemalloc.start()
    start = time.process_time()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("sparse", "no apStar file has more than 1000 rows"),
        ("bomb", "decompresses to more than 274 MB"),
        ("compressed", "a compressed image .unpack it with funpack"),
        ("no END", "no card END within 36000 cards"),
    ],
)
def test_a_huge_file_costs_little(tmp_path, kind, message):
    path = huge(tmp_path, kind)
    with little(), pytest.raises(SpectrumError, match=message):
        apstar.read(path)


@pytest.mark.parametrize("kind", ["sparse tail", "many members"])
def test_what_follows_the_spectrum_costs_little(tmp_path, kind):
    path = huge(tmp_path, kind)
    with little():
        flux = apstar.read(path).flux.values[0]
    np.testing.assert_array_equal(flux, arrays()[0][0])


def test_missing_file(tmp_path):
    for path in (tmp_path / "none.fits", tmp_path):
        with pytest.raises(FileNotFoundError, match="no such spectrum file: "):
            apstar.read(path)


@pytest.mark.parametrize("keep", [0, 1, 1000, 2880, 9000, 100_000, 160_000])
def test_truncated_file(whole, keep):
    content = whole.read_bytes()
    assert keep < content.index(b"Pixel bitmask") + 17150  # the last is cut in the bitmask's first row
    whole.write_bytes(content[:keep])
    with pytest.raises(SpectrumError, match=r"2M9.fits: not (a complete FITS|an apStar) file"):
        apstar.read(whole)


@pytest.mark.parametrize("content", [b"", b"SIMPLE\n", b"<html>404 not found</html>\n" * 300, bytes(range(256)) * 40])
def test_other_file_named_fits(tmp_path, content):
    (tmp_path / "text.fits").write_bytes(content)
    with pytest.raises(SpectrumError, match=r"text.fits: not a complete FITS file .*fetch it again"):
        apstar.read(tmp_path / "text.fits")


def test_fits_of_other_kinds(tmp_path):
    path = tmp_path / "other.fits"
    fits.PrimaryHDU(np.zeros((10, 10))).writeto(path)
    with pytest.raises(SpectrumError, match="not an apStar file: expected images of flux, error and bitmask"):
        apstar.read(path)
    table = fits.BinTableHDU.from_columns([fits.Column("TEFF", "E", array=np.zeros(3))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    with pytest.raises(SpectrumError, match="not an apStar file"):
        apstar.read(path)
    write_older(tmp_path / "two.fits", n_images=2)
    with pytest.raises(SpectrumError, match="the file ends where HDU 3 should begin"):
        apstar.read(tmp_path / "two.fits")


@pytest.mark.parametrize("shape", [(4096,), (3, 4096), (8574,), (2, 2, N_PIXELS)])
def test_wrong_shape(tmp_path, shape):
    path = tmp_path / "shape.fits"
    hdus = [fits.PrimaryHDU(), *[fits.ImageHDU(np.zeros(shape, kind)) for kind in ("f4", "f4", "i2")]]
    hdus[0].header.update({"CRVAL1": 4.179, "CDELT1": 6e-6})
    fits.HDUList(hdus).writeto(path)
    with pytest.raises(SpectrumError, match=r"flux has shape .* expected \(rows, 8575\)"):
        apstar.read(path)


@pytest.mark.parametrize(("key", "value"), [("CRVAL1", 4.1789), ("CDELT1", 6.001e-6)])
def test_wrong_grid(tmp_path, key, value):
    path = write_older(tmp_path / "grid.fits")
    fits.setval(path, key, value=value, ext=1)
    with pytest.raises(SpectrumError, match=rf"{key} of HDU 1 is {value}, the APOGEE grid has"):
        apstar.read(path)


def test_no_grid(tmp_path):
    path = write_older(tmp_path / "grid.fits")
    fits.delval(path, "CDELT1", ext=1)
    with pytest.raises(SpectrumError, match="no CDELT1 in the header of HDU 0 or 1"):
        apstar.read(path)


def test_the_reader_agrees_with_astropy(whole, real_spectra):
    for path in (whole, *real_spectra.values()):
        primary, images = read_images(path, 3)
        with fits.open(path) as hdus:
            for cards, hdu in zip((primary, *(image.cards for image in images)), hdus, strict=False):
                theirs = {key: hdu.header[key] for key in hdu.header if key not in ("COMMENT", "HISTORY", "")}
                assert {key: cards[key] for key in theirs} == theirs
            for image, hdu in zip(images, hdus[1:4], strict=True):
                assert image.shape == hdu.data.shape
                np.testing.assert_array_equal(image.row, np.atleast_2d(hdu.data)[0])
