import numpy as np
import pytest
from apstar_files import HEADER, arrays, write_older
from astropy.io import fits

from lab2 import apstar
from lab2.apstar import BAD_BITS, PixelBit, SpectrumError, UnreadableSpectrumWarning
from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH

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


# --- many files ---------------------------------------------------------------------------------------------


def test_a_file_without_permission_is_said_to_be_one(tmp_path, monkeypatch):
    path = tmp_path / "apStar-1.fits"
    path.touch()

    def refuse(*_, **given):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(apstar.SpectrumError, match=r"apStar-1\.fits: no permission to read it"):
        apstar.read(path)


def test_one_bad_file_among_good_ones(tmp_path):
    paths = []
    for n in range(4):
        header = {**HEADER, "OBJID": f"star {n}"}
        paths.append(apstar.write(tmp_path / f"apStar-dr17-2M{n}.fits", *arrays(seed=n), header))
    paths[1].write_text("no spectrum")
    paths[2].unlink()
    with pytest.warns(
        UnreadableSpectrumWarning, match=r"2 of 4 spectra could not be read .*2M1.fits: not a complete FITS"
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
