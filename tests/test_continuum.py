import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
import xarray as xr
from numpy.polynomial import chebyshev

from lab2 import apstar, continuum
from lab2.grid import CHIPS, N_PIXELS, WAVELENGTH, chip_of
from lab2.simulate.instrument import END_ERRORS

CHIP = chip_of(WAVELENGTH)
EDGES = {"blue": (201, 3320), "green": (3538, 6127), "red": (6295, 8380)}


def on_grid(indices):
    mask = np.zeros(N_PIXELS, dtype=bool)
    mask[indices] = True
    return xr.DataArray(mask, dims="wavelength", coords={"wavelength": WAVELENGTH})


def trusted_pixels(rng, per_chip=150):
    """Random pixels of every chip, as many as the course's list has."""
    return on_grid(np.concatenate([rng.choice(np.arange(*EDGES[chip]), per_chip, replace=False) for chip in CHIPS]))


def raw_spectra(flux, error):
    """What mask_bad_pixels would give: infinite errors outside the chips."""
    n = len(flux)
    inside = np.zeros(N_PIXELS, dtype=bool)
    for first, last in EDGES.values():
        inside[first : last + 1] = True
    error = np.where(inside, error, np.inf)
    grid = ("star", "wavelength")
    return xr.Dataset(
        {
            "flux": (grid, flux.astype("f4")),
            "error": (grid, error.astype("f4")),
            "snr": ("star", np.full(n, 100.0)),
        },
        coords={
            "star": [f"star {k}" for k in range(n)],
            "wavelength": WAVELENGTH,
            "chip": ("wavelength", CHIP),
            "chip_name": list(CHIPS),
        },
    )


def smooth_levels(rng, n, degree=2):
    """A known polynomial of each chip, positive everywhere."""
    level = np.empty((n, N_PIXELS))
    for chip in CHIPS:
        here = chip == CHIP
        u = np.linspace(-1, 1, here.sum())
        for k in range(n):
            level[k, here] = 2000 * (1 + chebyshev.chebval(u, rng.uniform(-0.3, 0.3, degree + 1)))
    return level


def lines(rng, trusted):
    """Absorption everywhere but in trusted pixels."""
    spectrum = 1 - rng.uniform(0.05, 0.6, N_PIXELS)
    spectrum[trusted.values] = 1.0
    return spectrum


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_recovers_an_injected_continuum(degree):
    rng = np.random.default_rng(71)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 3, degree)
    spectrum = lines(rng, trusted)
    error = np.broadcast_to(rng.uniform(5, 30, N_PIXELS), level.shape)
    spectra = continuum.normalize(raw_spectra(level * spectrum, error), trusted, degree)
    good = spectra.ivar.values > 0
    assert good.sum(axis=1).tolist() == [3120 + 2590 + 2086] * 3
    np.testing.assert_allclose(spectra.continuum.values[good], level[good], rtol=2e-6)
    np.testing.assert_allclose(spectra.flux.values, np.where(good, spectrum, 1.0), rtol=3e-6)
    np.testing.assert_allclose(spectra.ivar.values[good], ((level / error) ** 2)[good], rtol=1e-5)
    assert not spectra.bad_continuum.any()
    assert (spectra.n_clipped == 0).all()
    assert (spectra.n_trusted == 150).all()
    assert spectra.flux.dtype == spectra.ivar.dtype == np.float32
    assert spectra.snr.values.tolist() == [100.0] * 3  # what is known of the star is kept


def test_is_the_analytic_weighted_least_squares():
    # Residuals are multiplied by 1/sigma, not by 1/sigma^2 and not by 1: all three give other curves here.
    rng = np.random.default_rng(72)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 2)
    error = np.where(np.arange(N_PIXELS) % 2 == 0, 10.0, 40.0) * np.ones((2, 1))
    flux = (level + error * rng.uniform(-1.7, 1.7, level.shape)).astype("f4")
    spectra = continuum.normalize(raw_spectra(flux, error), trusted)
    assert (spectra.n_clipped == 0).all()
    for chip in CHIPS:
        here = chip == CHIP
        u, at = np.linspace(-1, 1, here.sum()), trusted.values[here]
        for k in range(2):
            curves = {}
            for power in (0, 1, 2):
                coefficients = chebyshev.chebfit(u[at], flux[k, here][at], 2, w=error[k, here][at] ** -power)
                curves[power] = chebyshev.chebval(u, coefficients)
            found = spectra.continuum.values[k, here]
            np.testing.assert_allclose(found, curves[1], rtol=1e-6)
            assert np.abs(found / curves[0] - 1).max() > 3e-5
            assert np.abs(found / curves[2] - 1).max() > 3e-5


def test_outliers_are_clipped_and_counted():
    rng = np.random.default_rng(73)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 2)
    error = np.full(level.shape, 10.0)
    flux = level + rng.uniform(-10, 10, level.shape)
    clean = continuum.normalize(raw_spectra(flux, error), trusted)
    spoiled = {"blue": 12, "green": 0, "red": 3}
    pixels = {chip: np.flatnonzero(trusted.values & (chip == CHIP))[5 : 5 + n] for chip, n in spoiled.items()}
    for n, pixel in enumerate(np.concatenate(list(pixels.values()))):
        flux[1, pixel] += 4000 if n % 2 else -900
    spectra = continuum.normalize(raw_spectra(flux, error), trusted)
    assert spectra.n_clipped.values.tolist() == [[0, 0, 0], [12, 0, 3]]
    assert spectra.n_trusted.values.tolist() == [[150] * 3, [138, 150, 147]]
    assert not spectra.bad_continuum.any()
    np.testing.assert_allclose(spectra.continuum, clean.continuum, rtol=2e-3)
    np.testing.assert_array_equal(spectra.continuum[0], clean.continuum[0])


def test_pixels_without_information_have_no_weight_and_flux_one():
    rng = np.random.default_rng(74)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 1)
    raw = raw_spectra(level, np.full(level.shape, 10.0))
    lost = np.flatnonzero(trusted.values)[::7]
    raw.error[0, lost], raw.flux[0, lost[::2]], raw.flux[0, lost[1::2]] = np.inf, np.nan, 1e30
    spectra = continuum.normalize(raw, trusted)
    assert (spectra.ivar[0, lost] == 0).all()
    assert (spectra.flux[0, lost] == 1).all()
    assert np.isfinite(spectra.flux).all()
    np.testing.assert_allclose(spectra.flux, 1.0, rtol=1e-5)
    assert spectra.n_trusted.sum() == 450 - len(lost)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_infinite_error_survives_any_brightness(scale):
    # a large number in its place would come back as a small error on a bright star
    rng = np.random.default_rng(75)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 1)
    raw = raw_spectra(level * scale, np.full(level.shape, 10.0 * scale))
    raw.error[0, 1000:1100] = np.inf
    spectra = continuum.normalize(raw, trusted)
    assert (spectra.ivar.values[0, 1000:1100] == 0.0).all()
    np.testing.assert_allclose(spectra.ivar.values[0, 1100:1200], (level[0, 1100:1200] / 10) ** 2, rtol=1e-4)


@pytest.mark.parametrize(("left", "bad"), [(15, False), (14, True), (2, True), (0, True)])
def test_chip_with_too_few_pixels_is_flagged(left, bad):
    rng = np.random.default_rng(76)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 3)
    raw = raw_spectra(level, np.full(level.shape, 10.0))
    raw.error[1, np.flatnonzero(trusted.values & (CHIP == "green"))[left:]] = np.inf
    spectra = continuum.normalize(raw, trusted)
    assert spectra.bad_continuum.values.tolist() == [[False] * 3, [False, bad, False], [False] * 3]
    assert spectra.n_trusted.values[1].tolist() == [150, left, 150]
    if bad:
        assert (spectra.ivar.values[1, CHIP == "green"] == 0).all()
        assert (spectra.flux.values[1, CHIP == "green"] == 1).all()
        assert (spectra.continuum.values[1, CHIP == "green"] == 1).all()
    assert (spectra.ivar.values[1, CHIP == "blue"] > 0).any()
    np.testing.assert_allclose(spectra.flux.values, 1.0, rtol=1e-4)


def test_continuum_that_is_not_positive_is_flagged():
    rng = np.random.default_rng(77)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 1)
    level[:, CHIP == "red"] = np.linspace(-500, 1000, (CHIP == "red").sum())
    spectra = continuum.normalize(raw_spectra(level, np.full(level.shape, 10.0)), trusted)
    assert spectra.bad_continuum.values.tolist() == [[False, False, True]]
    assert (spectra.ivar.values[0, CHIP == "red"] == 0).all()


def test_spectrum_with_every_pixel_masked():
    rng = np.random.default_rng(78)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 2)
    raw = raw_spectra(level, np.full(level.shape, 10.0))
    raw.error[0], raw.flux[0] = np.inf, np.nan
    for spectra in (continuum.normalize(raw, trusted), continuum.normalize(raw.isel(star=[0]), trusted)):
        assert spectra.bad_continuum[0].all()
        assert (spectra.ivar[0] == 0).all()
        assert (spectra.flux[0] == 1).all()
        assert (spectra.n_trusted[0] == 0).all()


def test_many_stars_are_normalized_one_by_one():
    # more than one block of 256
    rng = np.random.default_rng(79)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 4)
    raw = raw_spectra(level, np.full(level.shape, 10.0))
    many = continuum.normalize(raw.isel(star=np.arange(259) % 4), trusted)
    few = continuum.normalize(raw, trusted)
    np.testing.assert_allclose(many.continuum[255:259], few.continuum[[3, 0, 1, 2]], rtol=1e-6)


def test_list_without_pixels_in_a_chip():
    raw = raw_spectra(np.ones((1, N_PIXELS)), np.ones((1, N_PIXELS)))
    trusted = trusted_pixels(np.random.default_rng(80)) & (CHIP != "green")
    with pytest.raises(ValueError, match=r"the list has 0 continuum pixels in the green chip; .* degree 2 needs 15"):
        continuum.normalize(raw, trusted)


def test_list_on_another_grid():
    raw = raw_spectra(np.ones((1, N_PIXELS)), np.ones((1, N_PIXELS)))
    trusted = trusted_pixels(np.random.default_rng(80))
    with pytest.raises(ValueError, match=r"must be 8575 booleans; got bool of shape \(7214,\)"):
        continuum.normalize(raw, trusted[:7214])
    with pytest.raises(ValueError, match=r"got int64 of shape \(8575,\)"):
        continuum.normalize(raw, trusted.astype(int))


def test_values_that_nobody_masked_harm_no_more_than_their_pixel():
    # normalize on spectra that did not go through mask_bad_pixels: no NaN and no false weight may come out
    rng = np.random.default_rng(81)
    trusted, level = trusted_pixels(rng), smooth_levels(rng, 1)
    raw = raw_spectra(level, np.full(level.shape, 10.0))
    odd = [*np.flatnonzero(trusted.values)[[3, 40, 200, 300]], 1000, 1001, 1002]
    raw.flux[0, odd[0]], raw.error[0, odd[1]], raw.error[0, odd[2]], raw.error[0, odd[3]] = (
        np.nan,
        0.0,
        np.nan,
        -1.0,
    )
    raw.flux[0, odd[4]], raw.error[0, odd[5]], raw.error[0, odd[6]] = np.inf, np.nan, 0.0
    spectra = continuum.normalize(raw, trusted)
    assert (spectra.ivar.values[0, odd] == 0).all()
    assert np.isfinite(spectra.flux).all()
    assert np.isfinite(spectra.ivar).all()
    assert not spectra.bad_continuum.any()
    np.testing.assert_allclose(spectra.flux, 1.0, rtol=1e-4)


# --- real spectra -------------------------------------------------------------------------------------------


def check_levels(raw, pixels):
    spectra = continuum.normalize(apstar.mask_bad_pixels(raw), pixels)
    assert not spectra.bad_continuum.any()
    levels = continuum.trusted_levels(spectra, pixels)
    assert np.abs(levels.values - 1).max() < 0.01
    return spectra


def test_real_spectra_with_the_own_list(real_spectra):
    check_levels(apstar.read_many(real_spectra.values(), progress=False), continuum.load_pixels())


def test_real_spectra_with_the_courses_list(real_spectra, real_data):
    pixels = continuum.load_pixels(real_data / "course/cannon_continuum_apogee.npz")
    check_levels(apstar.read_many(real_spectra.values(), progress=False), pixels)


@pytest.mark.parametrize("which", ["own", "course"])
def test_mystery_spectrum(real_data, which):
    pixels = continuum.load_pixels(None if which == "own" else real_data / "course/cannon_continuum_apogee.npz")
    check_levels(apstar.read(real_data / "course/mystery_spec_wiped.fits"), pixels)


def test_trusted_levels():
    rng = np.random.default_rng(82)
    trusted = trusted_pixels(rng)
    flux, ivar = np.ones((2, N_PIXELS)), np.ones((2, N_PIXELS))
    flux[:, ~trusted.values], flux[0, CHIP == "red"] = 5.0, 1.2
    ivar[1, CHIP == "blue"] = 0.0
    grid = ("star", "wavelength")
    spectra = xr.Dataset({"flux": (grid, flux), "ivar": (grid, ivar)}, coords={"star": ["a", "b"]})
    np.testing.assert_array_equal(continuum.trusted_levels(spectra, trusted), [[1, 1, 1.2], [np.nan, 1, 1]])


# --- lists of pixels ----------------------------------------------------------------------------------------

SUB_GRID = np.r_[continuum.ASPCAP_SLICES]


def test_courses_list(real_data):
    pixels = continuum.load_pixels(real_data / "course/cannon_continuum_apogee.npz")
    assert pixels.dims == ("wavelength",)
    assert [int(pixels.values[chip == CHIP].sum()) for chip in CHIPS] == [241, 108, 180]
    archive = np.load(real_data / "course/cannon_continuum_apogee.npz")
    np.testing.assert_allclose(WAVELENGTH[pixels.values], archive["wavelengths"][archive["trusted"]], rtol=1e-9)


def test_three_forms_of_the_list_are_one(tmp_path):
    rng = np.random.default_rng(83)
    on_sub_grid = rng.random(7214) < 0.07
    expected = np.zeros(N_PIXELS, dtype=bool)
    expected[SUB_GRID[on_sub_grid]] = True
    np.savez(tmp_path / "a.npz", trusted=on_sub_grid, wavelengths=WAVELENGTH[SUB_GRID])
    np.savez(tmp_path / "b.npz", continuum=expected, wavelengths=WAVELENGTH)
    np.savez(tmp_path / "c.npz", trusted=on_sub_grid)
    np.savez(tmp_path / "d.npz", continuum=expected)
    np.savez(tmp_path / "e.npz", trusted=on_sub_grid, wavelength=WAVELENGTH[SUB_GRID] * (1 + 1e-9))
    for name in "abcde":
        pixels = continuum.load_pixels(tmp_path / f"{name}.npz")
        np.testing.assert_array_equal(pixels, expected)
        np.testing.assert_array_equal(pixels.wavelength, WAVELENGTH)


@pytest.mark.parametrize(
    ("wavelength", "message"),
    [
        (
            np.linspace(WAVELENGTH[0], WAVELENGTH[-1], 500),
            "not those of APOGEE pixels.*must not be interpolated",
        ),
        (WAVELENGTH[:500] * (1 + 1.38e-6), "not those of APOGEE pixels"),  # a tenth of a pixel off
        (WAVELENGTH[1000:1500] / 10, "not those of APOGEE pixels"),  # nanometer
        (WAVELENGTH[1000:1500] / 1e4, "not those of APOGEE pixels"),  # micrometer
        (WAVELENGTH[-1] + np.arange(500.0), "not those of APOGEE pixels"),  # beyond the grid
        (np.full(500, 1e308), "not those of APOGEE pixels"),
        (np.full(500, np.nan), "not those of APOGEE pixels"),
        (-WAVELENGTH[:500], "not those of APOGEE pixels"),
        (WAVELENGTH[:500].astype(str), "500 mask values but wavelengths of <U"),
        (WAVELENGTH[:500].astype(complex), "500 mask values but wavelengths of complex128"),
        (WAVELENGTH[:499], r"500 mask values but wavelengths of float64, \(499,\)"),
    ],
)
def test_lists_on_another_grid_are_refused(tmp_path, wavelength, message):
    np.savez(tmp_path / "list.npz", trusted=np.arange(500) % 2 == 0, wavelengths=wavelength)
    with pytest.raises(ValueError, match=message):
        continuum.load_pixels(tmp_path / "list.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"wavelengths": WAVELENGTH}, r"expected a boolean array named .*; got \['wavelengths'\]"),
        ({"trusted": np.ones(N_PIXELS)}, "expected a boolean array"),
        ({"trusted": np.ones((2, N_PIXELS), dtype=bool)}, "expected a boolean array"),
        (
            {"trusted": np.ones(100, dtype=bool)},
            r"mask of 100 pixels without wavelengths; expected \[8575, 7214\]",
        ),
    ],
)
def test_files_without_a_list_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "list.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        continuum.load_pixels(tmp_path / "list.npz")


def npy(array):
    """The bytes of an npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(**members):
    """The bytes of an npz file with these members, names of arrays and bytes of npy files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


MASK = npy(np.ones(N_PIXELS, dtype=bool))
WHOLE = zipped(trusted=npy(np.random.default_rng(1).random(N_PIXELS) < 0.5))
BAD_LISTS = {
    "text": b"1 2 3\n",
    "ecsv": b"# %ECSV 1.0\n# ---\n# datatype:\n# - {name: pixel, datatype: int64}\npixel\n12\n",
    "empty": b"",
    "npy": MASK,
    "truncated": WHOLE[:-500],
    "bytes changed": WHOLE[:600] + b"nonsense" + WHOLE[608:],
    "a header of nonsense": zipped(trusted=MASK.replace(b"descr", b"de[(r")),
    "a shape of 8 TB": zipped(trusted=MASK.replace(b"(8575,)", b"(8575000000000,)")),
    "pickled": zipped(trusted=pickle.dumps([1, 2]), continuum=npy(np.array([None, "a"], dtype=object))),
    "large when unpacked": zipped(trusted=npy(np.zeros(2_000_000, dtype=bool))),
    "large": zipped(trusted=MASK) + bytes(2_000_000),
}


@pytest.mark.parametrize("kind", BAD_LISTS)
def test_files_of_another_kind_are_refused(tmp_path, kind):
    path = tmp_path / "list.npz"
    path.write_bytes(BAD_LISTS[kind])
    with pytest.raises(ValueError, match=r"list.npz: not a complete npz file \(.+\); fetch it again"):
        continuum.load_pixels(path)


def test_a_list_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path):
    (tmp_path / "list.npz").write_bytes(zipped(trusted=bytes(100 << 20)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="larger than 1048576 bytes, too large for a list of pixels"):
        continuum.load_pixels(tmp_path / "list.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(N_PIXELS, dtype=bool), "has 0 continuum pixels in the blue chip; a polynomial of degree 2 needs 15"),
        ((np.arange(N_PIXELS) % 10 == 0) & (CHIP != "red"), "has 0 continuum pixels in the red chip"),
        (
            np.isin(np.arange(N_PIXELS), np.r_[500:800, 3700:3714, 6500:6800]),
            "has 14 continuum pixels in the green chip",
        ),
    ],
)
def test_a_list_of_too_few_pixels_is_refused(tmp_path, mask, message):
    np.savez(tmp_path / "list.npz", trusted=mask)
    with pytest.raises(ValueError, match=f"list.npz {message}"):
        continuum.load_pixels(tmp_path / "list.npz")


def test_missing_list(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for name in ("none.npz", "pipe.npz", "."):
        with pytest.raises(FileNotFoundError, match="no such list of continuum pixels"):
            continuum.load_pixels(tmp_path / name)


def test_own_list_has_pixels_across_every_chip():
    pixels = continuum.load_pixels()
    for chip, (first, last) in EDGES.items():
        found = np.flatnonzero(pixels.values & (chip == CHIP))
        assert 50 < len(found) < 0.15 * (last - first)
        assert found[0] < first + 0.2 * (last - first)
        assert found[-1] > last - 0.2 * (last - first)


# --- finding pixels -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted():
    """Spectra whose lines grow with the labels in all pixels but 5 % of each chip."""
    rng = np.random.default_rng(84)
    free = np.concatenate([rng.choice(np.arange(a, b), (b - a) // 20, replace=False) for a, b in EDGES.values()])
    n_stars = 60
    labels = rng.normal(size=(n_stars, 3)) * [500.0, 0.8, 0.3] + [4500.0, 2.0, -0.2]
    x = (labels - labels.mean(axis=0)) / labels.std(axis=0)
    depth, slope = rng.uniform(0.0, 0.3, N_PIXELS), rng.normal(0, 0.02, (3, N_PIXELS))
    slope += 0.01 * np.sign(slope)
    depth[free], slope[:, free] = 0.0, 0.0
    flux = 1 - depth + x @ slope + rng.normal(0, 0.003, (n_stars, N_PIXELS))
    ivar = np.full(flux.shape, 1 / 0.003**2)
    outside = np.ones(N_PIXELS, dtype=bool)
    for first, last in EDGES.values():
        outside[first : last + 1] = False
    flux[:, outside], ivar[:, outside] = 1.0, 0.0
    grid = ("star", "wavelength")
    spectra = xr.Dataset(
        {"flux": (grid, flux), "ivar": (grid, ivar), "labels": (("star", "label"), labels)},
        coords={"star": [str(k) for k in range(n_stars)], "wavelength": WAVELENGTH, "label": ["a", "b", "c"]},
    )
    return spectra, np.sort(free)


def test_find_pixels_finds_the_planted_ones(planted):
    spectra, free = planted
    found = continuum.find_pixels(spectra, fraction=0.05)
    assert found.dtype == bool
    np.testing.assert_array_equal(found.wavelength, WAVELENGTH)
    assert np.isin(free, np.flatnonzero(found)).mean() > 0.99
    assert np.isin(np.flatnonzero(found), free).mean() > 0.99
    assert (spectra.ivar.values[:, found.values] > 0).all()


def test_find_pixels_does_not_mind_units_of_labels(planted):
    spectra, _ = planted
    other = spectra.assign(labels=spectra.labels * [1e-3, 1e3, -1.0] + 5.0)
    np.testing.assert_array_equal(continuum.find_pixels(other), continuum.find_pixels(spectra))


def test_find_pixels_takes_no_pixel_that_few_stars_saw(planted):
    spectra, free = planted
    ivar = spectra.ivar.values.copy()
    hidden = free[::10]
    ivar[:20, hidden] = 0.0
    found = continuum.find_pixels(spectra.assign(ivar=spectra.ivar.copy(data=ivar)))
    assert not found.values[hidden].any()
    assert found.values[np.setdiff1d(free, hidden)].mean() > 0.99


def test_find_pixels_wants_every_label_to_vary(planted):
    spectra, _ = planted
    missing, constant = spectra.labels.values.copy(), spectra.labels.values.copy()
    missing[3, 1], constant[:, 2] = np.nan, 0.5
    for labels in (missing, constant):
        with pytest.raises(ValueError, match="every star needs every label, and every label must vary"):
            continuum.find_pixels(spectra.assign(labels=spectra.labels.copy(data=labels)))


def raw_star(error):
    """One raw spectrum of flux 100 with these errors."""
    return xr.Dataset(
        {
            "flux": (("star", "wavelength"), np.full((1, N_PIXELS), 100.0)),
            "error": (("star", "wavelength"), error[None]),
            "bitmask": (("star", "wavelength"), np.zeros((1, N_PIXELS), "i4")),
            "chip_range": (("star", "chip_name", "edge"), [[[200, 3300], [3540, 6120], [6300, 8380]]]),
        },
        coords={
            "star": ["S"],
            "wavelength": WAVELENGTH,
            "chip": ("wavelength", chip_of(WAVELENGTH)),
            "chip_name": list(CHIPS),
        },
    )


def test_absurd_errors_stop_at_the_door():
    error = np.ones(N_PIXELS)
    error[300:319] = END_ERRORS
    masked = apstar.mask_bad_pixels(raw_star(error))
    absurd = 300 + np.flatnonzero(END_ERRORS > 100)
    assert len(absurd) == 17
    assert np.isinf(masked.error.values[0, absurd]).all()
    assert np.isfinite(masked.error.values[0, 317:330]).all()
    spectra = continuum.normalize(raw_star(error))
    assert (spectra.ivar.values[0, absurd] == 0).all()
    assert (spectra.ivar.values[0, 317:330] > 0).all()


def test_an_error_that_is_absurdly_small_spoils_no_star():
    error = np.ones(N_PIXELS)
    error[1000] = 1e-20
    spectra = continuum.normalize(apstar.mask_bad_pixels(raw_star(error)))
    assert np.isfinite(spectra.ivar.values).all()
    assert spectra.ivar.values[0, 1000] == 0
    assert (spectra.ivar.values[0, 1001:1100] > 0).all()


@pytest.mark.parametrize("value", [1e-20, 1e-30, 1e-42, 0.02, 1e30, 3e38])
@pytest.mark.parametrize("pixels", [slice(1000, 1001), slice(900, 1100)])
def test_odd_errors_cost_their_pixels_alone(value, pixels):
    error = np.ones(N_PIXELS, "f4")
    clean = continuum.normalize(apstar.mask_bad_pixels(raw_star(error)))
    error[pixels] = value
    raw = raw_star(error)
    for masked in (apstar.mask_bad_pixels(raw), raw):  # with the mask and without
        spectra = continuum.normalize(masked)
        assert (spectra.ivar.values[0, pixels] == 0).all()
        assert (spectra.flux.values[0, pixels] == 1).all()
        rest = np.setdiff1d(np.arange(201, 3300), np.arange(N_PIXELS)[pixels])
        np.testing.assert_allclose(spectra.ivar.values[0, rest], clean.ivar.values[0, rest], rtol=1e-6)


@pytest.mark.parametrize("value", [1e38, 3e38, 1e10, 250.0, -30.0, -1e20, np.inf, np.nan])
def test_flux_that_no_star_can_have_costs_its_pixels_alone(value):
    raw = raw_star(np.ones(N_PIXELS, "f4"))
    clean = continuum.normalize(raw)
    flux = raw.flux.values.copy()
    flux[0, 1000:1040] = value
    spectra = continuum.normalize(raw.assign(flux=(raw.flux.dims, flux)))
    assert (spectra.ivar.values[0, 1000:1040] == 0).all()
    np.testing.assert_allclose(spectra.flux, clean.flux, rtol=1e-6)
    np.testing.assert_allclose(
        np.delete(spectra.ivar, np.s_[1000:1040], axis=1), np.delete(clean.ivar, np.s_[1000:1040], axis=1)
    )


def test_noise_is_no_flux_that_a_star_cannot_have():
    rng = np.random.default_rng(5)
    raw = raw_star(np.full(N_PIXELS, 40.0))  # S/N 2.5
    spectra = continuum.normalize(raw.assign(flux=raw.flux + 40.0 * rng.normal(size=(1, N_PIXELS))))
    inside = np.isfinite(apstar.mask_bad_pixels(raw).error.values)
    assert (spectra.ivar.values[inside] > 0).mean() > 0.9999


@pytest.mark.parametrize("value", [1e30, 3e38, -1.0, 1e-42, 0.0, np.nan, "noise", "steep"])
@pytest.mark.parametrize("error", [1.0, 1e-20, 1e-42, 1e30])
def test_a_chip_without_a_continuum_is_bad_in_that_star_alone(value, error):
    rng = np.random.default_rng(6)
    raw = raw_star(np.ones(N_PIXELS, "f4")).isel(star=[0, 0])
    flux, errors = raw.flux.values.astype("f4"), raw.error.values.copy()
    blue = chip_of(WAVELENGTH) == "blue"
    if isinstance(value, str):
        with np.errstate(over="ignore"):
            flux[1, blue] = {
                "noise": 10.0 ** rng.uniform(-40, 38, blue.sum()),
                "steep": np.geomspace(1e-30, 1e38, blue.sum()),
            }[value]
    else:
        flux[1, blue] = value
    errors[1, blue] = error
    spectra = continuum.normalize(raw.assign(flux=(raw.flux.dims, flux), error=(raw.error.dims, errors)))
    for name in ("flux", "ivar", "continuum"):
        assert np.isfinite(spectra[name].values).all()
    assert (spectra.ivar.values >= 0).all()
    assert spectra.ivar.values.max() <= 1e8
    assert not spectra.bad_continuum[0].any()
    alone = continuum.normalize(raw.isel(star=[0]))
    np.testing.assert_allclose(spectra.flux[0], alone.flux[0], rtol=1e-6)
    if value not in (1e30, 3e38):  # these are as good as another brightness, only their noise is not
        assert spectra.bad_continuum.sel(chip_name="blue").values[1] or (spectra.ivar.values[1, blue] == 0).any()


def test_a_chip_whose_pixels_are_nearly_all_clipped_stops_nobody():
    trusted = continuum.load_pixels().values
    raw = raw_star(np.full(N_PIXELS, 1e-3))
    flux = raw.flux.values.copy()
    rng = np.random.default_rng(7)
    flux[0, trusted] += 10.0 ** rng.uniform(-3, 30, trusted.sum())
    spectra = continuum.normalize(raw.assign(flux=(raw.flux.dims, flux)))
    assert spectra.bad_continuum.any()
    assert np.isfinite(spectra.flux.values).all()


def test_a_continuum_needs_informative_pixels():
    pixels = continuum.load_pixels()
    blue = np.flatnonzero(pixels.values & (chip_of(WAVELENGTH) == "blue"))
    error = np.ones(N_PIXELS)
    error[blue[10:]] = 90.0  # not absurd, but no information beside that of ten pixels
    spectra = continuum.normalize(raw_star(error), pixels)
    assert spectra.bad_continuum.sel(chip_name="blue").item()
    assert spectra.n_trusted.sel(chip_name="blue").item() == pytest.approx(10 + (len(blue) - 10) / 81, abs=1)
    assert not spectra.bad_continuum.sel(chip_name=["green", "red"]).values.any()
