import contextlib
import gzip
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

from lab2 import apstar
from lab2.apstar import BAD_BITS, PixelBit, SpectrumError, UnreadableSpectrumWarning
from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH

CHIP_KEYS = {"BMIN": 201, "BMAX": 3320, "GMIN": 3538, "GMAX": 6127, "RMIN": 6295, "RMAX": 8380}
HEADER = {
    "OBJID": "2M00000000+0000000",
    "FIELD": "M67",
    "SNR": 123.5,
    "NVISITS": 3,
    "STARFLAG": 1028,
    **CHIP_KEYS,
}


def arrays(n_rows=2, seed=61):
    """Flux, error and bitmask with data in the three chips and nothing between them."""
    rng = np.random.default_rng(seed)
    flux, error = rng.uniform(900, 1100, (n_rows, N_PIXELS)), rng.uniform(5, 15, (n_rows, N_PIXELS))
    bitmask = np.zeros((n_rows, N_PIXELS), dtype=int)
    pixel = np.arange(N_PIXELS)
    off = ~(
        ((pixel >= 201) & (pixel <= 3320)) | ((pixel >= 3538) & (pixel <= 6127)) | ((pixel >= 6295) & (pixel <= 8380))
    )
    flux[:, off] = 0.0
    return flux.astype("f4"), error.astype("f4"), bitmask


def write_older(path, *, shape=(N_PIXELS,), grid_in=1, mask_type="i2", flux_type=">f4", keys=CHIP_KEYS, n_images=3):
    """An apStar-like file made by hand, as older releases have it."""
    flux, error, bitmask = (a[0] for a in arrays(1))
    images = [np.broadcast_to(flux, shape).astype(flux_type), np.broadcast_to(error, shape).astype(flux_type)]
    images.append(np.broadcast_to(bitmask + 5, shape).astype(mask_type))
    hdus = [fits.PrimaryHDU(), *[fits.ImageHDU(image) for image in images[:n_images]]]
    hdus[0].header.update({"OBJID": "2M1", "SNR": 50.0, **keys})
    hdus[grid_in].header.update({"CRVAL1": 4.179, "CDELT1": 6e-6})
    fits.HDUList(hdus).writeto(path)
    return path


# --- the bits -----------------------------------------------------------------------------------------------


def test_bits_are_those_of_dr17():
    bits = {"BADPIX": 0, "NOSKY": 7, "PERSIST_HIGH": 9, "SIG_SKYLINE": 12, "SIG_TELLURIC": 13}
    assert {name: int(PixelBit[name]) for name in bits} == {name: 1 << bit for name, bit in bits.items()}
    assert sorted(BAD_BITS) == [1 << bit for bit in (*range(8), 12)]


# --- real files ---------------------------------------------------------------------------------------------


def check_spectrum(raw, star):
    """What every readable spectrum must be."""
    assert dict(raw.sizes) == {"star": 1, "wavelength": N_PIXELS, "chip_name": 3, "edge": 2}
    assert raw.star.values.tolist() == [star]
    np.testing.assert_array_equal(raw.wavelength, WAVELENGTH)
    assert raw.flux.dtype == raw.error.dtype == np.float32
    assert np.issubdtype(raw.bitmask.dtype, np.integer)
    for chip in CHIPS:
        first, last = raw.chip_range.sel(chip_name=chip).values[0]
        inside = (raw.chip.values == chip) & (raw.flux.values[0] != 0) & np.isfinite(raw.flux.values[0])
        assert 0 <= first < last < N_PIXELS
        assert abs(np.flatnonzero(inside)[0] - first) < 60
        assert abs(np.flatnonzero(inside)[-1] - last) < 60
    masked = apstar.mask_bad_pixels(raw)
    good = np.isfinite(masked.error.values)
    assert 0.6 < good.mean() < 0.95
    assert np.isfinite(masked.flux.values[good]).all()


@pytest.mark.parametrize(
    ("kind", "star", "n_visits"), [("giant", "2M17335483-2753043", 3), ("dwarf", "2M19485057+5005279", 1)]
)
def test_real_dr17_files(real_spectra, kind, star, n_visits):
    raw = apstar.read(real_spectra[kind])
    check_spectrum(raw, star)
    assert raw.n_visits.item() == n_visits
    with fits.open(real_spectra[kind]) as hdus:
        assert hdus[1].shape == ({3: 5, 1: 2}[n_visits], N_PIXELS)
        np.testing.assert_array_equal(raw.flux.values[0], hdus[1].data[0].astype("f4"))  # the coadd, not a visit
        np.testing.assert_array_equal(raw.error.values[0], hdus[2].data[0].astype("f4"))
        np.testing.assert_array_equal(raw.bitmask.values[0], hdus[3].data[0])
        assert raw.snr.item() == pytest.approx(hdus[0].header["SNR"])
        assert raw.field.item() == hdus[0].header["FIELD"]


def test_real_files_together(real_spectra):
    raw = apstar.read_many(real_spectra.values(), progress=False)
    assert raw.star.values.tolist() == ["2M17335483-2753043", "2M19485057+5005279"]
    assert raw.read_error.values.tolist() == ["", ""]
    for n, path in enumerate(real_spectra.values()):
        assert raw.isel(star=[n]).drop_vars("read_error").identical(apstar.read(path))


def test_real_visit_file_is_refused(real_spectra):
    visit = real_spectra["giant"].with_name("apVisit-r13-5095-55844-128.fits")
    with pytest.raises(SpectrumError, match=r"shape \(3, 4096\), expected \(rows, 8575\).*apVisit"):
        apstar.read(visit)


@pytest.mark.parametrize(
    ("name", "star", "n_visits"),
    [
        ("course/mystery_spec_wiped.fits", "2M16333217+3942519", 1),
        ("older_formats/apStar-r6-2M00005143+5615568.fits", "2M00005143+5615568", 3),
        ("older_formats/apStar-r6-2M17334253-1654573.fits", "2M17334253-1654573", 2),
    ],
)
def test_real_dr13_files(real_data, name, star, n_visits):
    raw = apstar.read(real_data / name)
    check_spectrum(raw, star)
    assert raw.n_visits.item() == n_visits


def test_real_aspcap_file_is_refused_by_name(real_data):
    with pytest.raises(SpectrumError, match=r"HDU 3 holds (>f4|float32).*aspcapStar files"):
        apstar.read(real_data / "older_formats/aspcapStar-r6-l30e.2-2M17334253-1654573.fits")


# --- every form ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_write_and_read_back(tmp_path, n_rows):
    flux, error, bitmask = arrays(n_rows)
    flux[0, 5], bitmask[0, 9] = np.nan, (1 << 14) + 3
    path = apstar.write(tmp_path / "M67" / "apStar.fits", flux, error, bitmask, HEADER)
    raw = apstar.read(path)
    np.testing.assert_array_equal(raw.flux.values[0], flux[0])
    np.testing.assert_array_equal(raw.error.values[0], error[0])
    np.testing.assert_array_equal(raw.bitmask.values[0], bitmask[0])
    assert raw.star.item() == "2M00000000+0000000"
    assert (raw.field.item(), raw.snr.item(), raw.n_visits.item(), raw.starflag.item()) == (
        "M67",
        123.5,
        3,
        1028,
    )
    assert raw.chip_range.values[0].tolist() == [[201, 3320], [3538, 6127], [6295, 8380]]
    assert raw.path.item() == str(path)
    assert [file.name for file in path.parent.iterdir()] == ["apStar.fits"]


def test_written_file_has_the_layout_of_dr17(tmp_path):
    path = apstar.write(tmp_path / "apStar.fits", *arrays(), HEADER)
    with fits.open(path) as hdus:
        assert len(hdus) == 10
        assert [hdu.header["CRVAL1"] for hdu in hdus[:4]] == [4.179] * 4
        assert [hdus[k].data.dtype.name for k in (1, 2, 3)] == ["float32", "float32", "int16"]


def test_write_replaces_and_refuses_other_shapes(tmp_path):
    path = tmp_path / "apStar.fits"
    for seed in (1, 2):
        apstar.write(path, *arrays(seed=seed), HEADER)
    np.testing.assert_array_equal(apstar.read(path).flux.values[0], arrays(seed=2)[0][0])
    flux, error, bitmask = arrays()
    for wrong in ((flux[0], error, bitmask), (flux, error[:1], bitmask), (flux, error, bitmask[:, 1:])):
        with pytest.raises(ValueError, match=r"has shape .* needs \(n_rows, 8575\)"):
            apstar.write(tmp_path / "wrong.fits", *wrong, HEADER)
    assert [file.name for file in tmp_path.iterdir()] == ["apStar.fits"]


@pytest.mark.parametrize("shape", [(N_PIXELS,), (1, N_PIXELS), (4, N_PIXELS)])
@pytest.mark.parametrize("grid_in", [0, 1])
@pytest.mark.parametrize(("mask_type", "flux_type"), [("i2", ">f4"), (">i4", ">f8"), ("i8", "<f8")])
def test_forms_of_older_releases(tmp_path, shape, grid_in, mask_type, flux_type):
    path = write_older(tmp_path / "old.fits", shape=shape, grid_in=grid_in, mask_type=mask_type, flux_type=flux_type)
    raw = apstar.read(path)
    assert raw.flux.dtype.isnative
    np.testing.assert_array_equal(raw.flux.values[0], arrays(1)[0][0])
    np.testing.assert_array_equal(raw.bitmask.values[0], 5)
    assert raw.chip_range.values[0].tolist() == [[201, 3320], [3538, 6127], [6295, 8380]]
    assert np.isinf(apstar.mask_bad_pixels(raw).error).all()  # 5 = BADPIX and SATPIX


def test_chip_ranges_come_from_the_data_where_the_header_has_none(tmp_path):
    keys = {"BMIN": 300, "BMAX": 3000, "GMIN": 3600}  # green is half there
    raw = apstar.read(write_older(tmp_path / "old.fits", keys=keys))
    assert raw.chip_range.values[0].tolist() == [[300, 3000], [3538, 6127], [6295, 8380]]


def test_star_without_name_takes_the_files(tmp_path):
    path = write_older(tmp_path / "asStar-dr17-2M01234567-0123456.fits", keys={"OBJID": ""})
    assert apstar.read(path).star.item() == "2M01234567-0123456"


# --- what the header says of the star ------------------------------------------------------------------------


def set_card(path, hdu, key, value):
    """Overwrite the value of a card, byte by byte, whether it is valid or not."""
    content = bytearray(path.read_bytes())
    start = 0
    for _ in range(hdu):
        start = content.index(b"XTENSION", start + 80)
    place = content.index(f"{key:8}=".encode(), start)
    content[place + 10 : place + 80] = f"{value:>20}".ljust(70).encode("latin-1")
    path.write_bytes(content)


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
        (0, "SIMPLE", "", "not a whole FITS file|read_error"),
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
    with pytest.raises(SpectrumError, match=rf"a.fits: packed by {packer}.*, and only gzip is read here: unpack it"):
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
    with pytest.raises(SpectrumError, match=r"not a whole FITS file .*fetch it again"):
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
        ("bomb", "unpacks to more than 274 MB"),
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
    with pytest.raises(SpectrumError, match=r"2M9.fits: not (a whole FITS|an apStar) file"):
        apstar.read(whole)


@pytest.mark.parametrize("content", [b"", b"SIMPLE\n", b"<html>404 not found</html>\n" * 300, bytes(range(256)) * 40])
def test_other_file_named_fits(tmp_path, content):
    (tmp_path / "text.fits").write_bytes(content)
    with pytest.raises(SpectrumError, match=r"text.fits: not a whole FITS file .*fetch it again"):
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


# --- many files ---------------------------------------------------------------------------------------------


def test_one_bad_file_among_good_ones(tmp_path):
    paths = []
    for n in range(4):
        header = {**HEADER, "OBJID": f"star {n}"}
        paths.append(apstar.write(tmp_path / f"apStar-dr17-2M{n}.fits", *arrays(seed=n), header))
    paths[1].write_text("no spectrum")
    paths[2].unlink()
    with pytest.warns(
        UnreadableSpectrumWarning, match=r"2 of 4 spectra could not be read .*2M1.fits: not a whole FITS"
    ):
        raw = apstar.read_many(paths, progress=False)
    assert raw.star.values.tolist() == ["star 0", "2M1", "2M2", "star 3"]
    assert [bool(error) for error in raw.read_error.values] == [False, True, True, False]
    assert "no such spectrum file" in str(raw.read_error[2].item())
    assert np.isnan(raw.flux[[1, 2]]).all()
    assert np.isinf(raw.error[[1, 2]]).all()
    np.testing.assert_array_equal(raw.flux[3], arrays(seed=3)[0][0])
    assert np.isinf(apstar.mask_bad_pixels(raw).error[[1, 2]]).all()


def test_no_good_file_and_no_file(tmp_path):
    with pytest.raises(SpectrumError, match=r"none of 2 files could be read; the first: no such spectrum file"):
        apstar.read_many([tmp_path / "a.fits", tmp_path / "b.fits"], progress=False)
    with pytest.raises(ValueError, match="no spectrum files were given"):
        apstar.read_many([])


# --- masking ------------------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path):
    """A star whose pixels 1000 to 1014 have bits 0 to 14 set, one each, and odd values after them."""
    flux, error, bitmask = arrays()
    bitmask[0, 1000:1015] = 1 << np.arange(15)
    flux[0, 1020], error[0, 1021], error[0, 1022], error[0, 1023], error[0, 1024] = (
        np.nan,
        np.nan,
        0.0,
        -1.0,
        np.inf,
    )
    return apstar.read(apstar.write(tmp_path / "apStar.fits", flux, error, bitmask, HEADER))


def bad_pixels(masked, first=900, last=1100):
    return (np.flatnonzero(np.isinf(masked.error.values[0, first:last])) + first).tolist()


def test_default_bits(raw):
    masked = apstar.mask_bad_pixels(raw)
    assert bad_pixels(masked) == [*range(1000, 1008), 1012, *range(1020, 1025)]
    assert not np.isnan(masked.error).any()
    good = np.isfinite(masked.error)
    np.testing.assert_array_equal(masked.error.values[good], raw.error.values[good])
    np.testing.assert_array_equal(masked.flux, raw.flux)
    assert bad_pixels(raw) == [1024]  # the argument is left as it was


def test_pixels_outside_the_chips_are_bad(raw):
    good = np.flatnonzero(np.isfinite(apstar.mask_bad_pixels(raw, bits=[]).error.values[0]))
    edges = good[np.flatnonzero(np.diff(good) > 100)], good[np.flatnonzero(np.diff(good) > 100) + 1]
    assert (good[0], good[-1]) == (201, 8380)
    assert [edge.tolist() for edge in edges] == [[3320, 6127], [3538, 6295]]


@pytest.mark.parametrize(
    "bits",
    [
        ["SIG_TELLURIC", "PERSIST_HIGH"],
        [13, 9],
        ["SIG_TELLURIC", np.int64(9)],
        PixelBit.SIG_TELLURIC | PixelBit.PERSIST_HIGH,
        [PixelBit.SIG_TELLURIC | PixelBit.PERSIST_HIGH, PixelBit.SIG_TELLURIC],
    ],
)
def test_bits_by_name_and_number(raw, bits):
    assert bad_pixels(apstar.mask_bad_pixels(raw, bits)) == [1009, 1013, *range(1020, 1025)]


@pytest.mark.parametrize("bit", ["SIGSKYLINE", 15, -1, 31, True, None])
def test_unknown_bit(raw, bit):
    with pytest.raises(ValueError, match=rf"unknown APOGEE_PIXMASK bit {bit!r}; known: .*SIG_SKYLINE"):
        apstar.mask_bad_pixels(raw, [bit])


def test_several_stars_with_other_chip_ranges(tmp_path):
    paths = []
    for n, first in enumerate((201, 400)):
        header = {**HEADER, "OBJID": f"{n}", "BMIN": first}
        paths.append(apstar.write(tmp_path / f"{n}.fits", *arrays(), header))
    masked = apstar.mask_bad_pixels(apstar.read_many(paths, progress=False))
    assert [np.flatnonzero(np.isfinite(error))[0] for error in masked.error.values] == [201, 400]


def test_every_pixel_masked(tmp_path):
    flux, error, bitmask = arrays()
    path = apstar.write(tmp_path / "apStar.fits", flux, error, bitmask + 1, HEADER)
    assert np.isinf(apstar.mask_bad_pixels(apstar.read(path)).error).all()
