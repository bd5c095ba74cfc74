"""The simulated survey: its files, its physics, its noise."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable, Table
from scipy import optimize
from scipy.spatial.distance import pdist

from lab2 import apstar, catalog, continuum, grid, labels, lines
from lab2.simulate import chemistry, emulator, make_survey, spectrum
from lab2.simulate.instrument import CHIP_EDGES, observe_star
from lab2.simulate.oddities import ODDITIES, disturb
from lab2.simulate.pipeline import apogee_id
from lab2.simulate.population import FIELDS, draw_giants
from lab2.simulate.sky import airglow
from lab2.simulate.stars import NAMED, draw_survey

GIANT = np.array([4550.0, 2.0, -0.3, 0.1, 0.1])
NAMES = [label.name for label in labels.LABELS]
SCALE = np.array([1000.0, 1, 1, 1, 1])
# The same whatever the labels: what is typical of a star follows them.
FIXED = {"c_fe": -0.1, "n_fe": 0.2, "o_fe": 0.1, "s_fe": 0.1, "ca_fe": 0.05, "ti_fe": 0.05, "al_fe": 0.05,
         "vmicro": 1.5, "vmacro": 4.0}  # fmt: skip
# Strength of a molecule's strong lines: the table's layer lies too deep for CO and OH.
STRONG = {"CO": 0.4, "CN": 0.7, "OH": -0.5}
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_survey(tmp_path_factory.mktemp("data") / "small", seed=7, n_stars=24, progress=False)


def changed(**values):
    vector = GIANT.copy()
    for name, value in values.items():
        vector[NAMES.index(name)] = value
    return vector


def nearest_pixel(wavelength):
    return np.abs(np.log(grid.WAVELENGTH[:, None] / np.atleast_1d(wavelength))).argmin(axis=0)


def pixels_of(element, least):
    return nearest_pixel(lines.strong_lines(element, least)["wavelength"].value)


def test_folder_is_whole_and_as_its_manifest_says(survey):
    about = json.loads((survey / "manifest.json").read_text())
    on_disk = {p.relative_to(survey).as_posix() for p in survey.rglob("*") if p.is_file()}
    assert set(about["files"]) == on_disk - {"manifest.json"}
    assert about["simulated"] is True
    assert about["survey"] == "small"
    assert (about["seed"], about["n_stars"], about["label_tree"]) == (7, 24, "simulated")
    assert not survey.with_name("small.partial").exists()


def test_cuts_leave_the_number_asked_for_and_each_removes_something(survey):
    table = QTable.read(survey / "allStar.fits", hdu=1)
    giants, cutflow = catalog.select_giants(table)
    assert len(giants) == 24
    assert (cutflow["removed"][1:] > 0).all()
    assert set(NAMED.values()) <= set(np.asarray(giants["APOGEE_ID"], str))
    assert set(np.asarray(giants["FIELD"], str)) == {field.name for field in FIELDS}


def test_catalog_has_types_and_null_of_dr17(survey):
    table = Table.read(survey / "allStar.fits", hdu=1)
    kinds = {"TEFF": "f4", "SNR": "f4", "NVISITS": "i4", "EXTRATARG": "i4", "ASPCAPFLAG": "i8", "RA": "f8"}
    assert {name: table[name].dtype.newbyteorder("=").str[1:] for name in kinds} == kinds
    assert (table["TEFF"] == labels.CATALOG_NULL).any()
    assert np.isfinite(table["SI_FE"]).all()
    lesser = table[(table["EXTRATARG"] & 1 << 4) > 0]
    assert len(lesser) == 2
    assert set(lesser["APOGEE_ID"]) <= set(table["APOGEE_ID"][table["EXTRATARG"] == 0])
    assert set(lesser["TELESCOPE"]) == {"apo25m", "apo1m"}
    assert len(set(table["APSTAR_ID"])) == len(table)


def test_every_selected_star_has_a_spectrum_and_a_truth(survey):
    giants, _ = catalog.select_giants(QTable.read(survey / "allStar.fits", hdu=1))
    truth = QTable.read(survey / "truth.ecsv")
    paths = {str(g["APOGEE_ID"]): survey / "apStar" / g["FIELD"] / g["FILE"] for g in giants}
    assert set(truth["apogee_id"]) == set(paths) | {"MYSTERY"}
    raw = apstar.read_many(paths.values(), progress=False)
    assert list(raw.star.values) == list(paths)
    np.testing.assert_allclose(raw.snr, giants["SNR"], rtol=1e-5)
    masked = np.isinf(apstar.mask_bad_pixels(raw).error).sum("wavelength")
    assert 790 < float(masked.mean()) < 1250
    # the level of a star of magnitude H
    flux = raw.flux.where((raw.bitmask & 0x0FFF) == 0).median("wavelength")
    np.testing.assert_allclose(flux, 1.12e7 * 10 ** (-0.4 * np.asarray(giants["H"])), rtol=0.25)


def test_mystery_star_is_in_no_catalog(survey):
    raw = apstar.read(survey / "mystery.fits")
    assert raw.star.item() == "MYSTERY"
    assert raw.snr.item() > 300
    assert "MYSTERY" not in set(Table.read(survey / "allStar.fits", hdu=1)["APOGEE_ID"])


def test_same_seed_same_bytes_another_seed_others(survey, tmp_path):
    again = make_survey(tmp_path / "again", seed=7, n_stars=24, progress=False)
    other = make_survey(tmp_path / "other", seed=8, n_stars=24, progress=False)
    files = [json.loads((folder / "manifest.json").read_text())["files"] for folder in (survey, again, other)]
    assert files[0] == files[1]
    assert files[0]["mystery.fits"] != files[2]["mystery.fits"]


def test_an_older_survey_stays_until_the_new_one_is_complete(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    (folder / "manifest.json").write_text('{"simulated": true}')

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lab2.simulate.writing.observe_star", stop)
        with pytest.raises(KeyboardInterrupt):
            make_survey(folder, n_stars=20, progress=False)
    assert (folder / "old.txt").read_text() == "old"
    make_survey(folder, n_stars=20, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]
    assert not (folder / "old.txt").exists()


@pytest.mark.parametrize("about", [None, '{"simulated": false, "files": {}}'])
def test_what_was_not_simulated_is_not_replaced(tmp_path, about):
    folder = tmp_path / "dr17"
    (folder / "apStar" / "M15").mkdir(parents=True)
    if about:
        (folder / "manifest.json").write_text(about)
    with pytest.raises(ValueError, match="files that are no simulated survey, and would be replaced"):
        make_survey(folder, n_stars=20, progress=False)
    assert (folder / "apStar" / "M15").is_dir()


@pytest.mark.parametrize(("options", "error"), [
    ({"n_stars": 19}, ValueError), ({"seed": -1}, ValueError), ({"seed": 1.5}, TypeError),
    ({"n_stars": True}, TypeError),
])  # fmt: skip
def test_bad_arguments_are_refused(options, error, tmp_path):
    with pytest.raises(error, match=next(iter(options))):
        make_survey(tmp_path / "none", progress=False, **options)
    assert not list(tmp_path.iterdir())


def test_full_catalog_has_the_labs_number_of_stars_and_every_oddity():
    selected, rows = draw_survey(128, 1886)
    assert len(selected) == len(set(selected["apogee_id"])) == 1886
    assert set(ODDITIES) < set(selected["oddity"])
    assert 0.025 < np.mean(selected["oddity"] != "") < 0.06
    assert 2500 < len(rows) < 3100
    metallicity = {f.name: np.median(selected["fe_h"][selected["field"] == f.name]) for f in FIELDS}
    members = np.isfinite(selected["radius"])
    assert abs(np.median(selected["fe_h"][members]) - 0.31) < 0.03
    assert metallicity["M15"] < metallicity["K2_C4_168-21"] < metallicity["060+00"]
    small, _ = draw_survey(128, 150)
    assert set(ODDITIES) < set(small["oddity"])


def test_giants_lie_on_a_branch_and_a_clump():
    stars = draw_giants(np.random.default_rng(3), FIELDS[3], 3000)
    counts, edges = np.histogram(stars["logg"], np.arange(0.5, 3.6, 0.2))
    assert 2.2 < edges[np.argmax(counts)] < 2.5
    clump = (stars["logg"] > 2.2) & (stars["logg"] < 2.6)
    beside = ((stars["logg"] > 1.8) & (stars["logg"] < 2.0)) | ((stars["logg"] > 2.8) & (stars["logg"] < 3.0))
    assert clump.sum() > 2 * beside.sum()
    branch = np.abs(stars["logg"] - 1.5) < 0.2
    assert np.corrcoef(stars["teff"][branch], stars["fe_h"][branch])[0, 1] < -0.6
    mg_si = np.corrcoef(stars["mg_fe"], stars["si_fe"])[0, 1]
    assert 0.75 < mg_si < 0.97
    # the first dredge-up
    c_n = np.asarray(stars["c_fe"] - stars["n_fe"])
    assert c_n[stars["logg"] > 3.58].mean() - c_n[stars["logg"] < 3.0].mean() > 0.2


def test_names_follow_from_coordinates():
    assert apogee_id([320.97146], [12.73674]) == ["2M21235315+1244122"]
    ra, dec = 15 * (1 + 2 / 60 + 3.04 / 3600), -(5 + 6 / 60 + 7.8 / 3600)
    assert apogee_id([ra], [dec]) == ["2M01020304-0506078"]


def test_one_star_and_many_agree():
    # as well as the network's single precision allows
    many = spectrum([GIANT, changed(teff=5000.0), GIANT], {"c_fe": [0.0, 0.1, -0.2]})
    np.testing.assert_allclose(many[2], spectrum(GIANT, {"c_fe": -0.2}), rtol=1e-6)


def test_spectrum_is_no_quadratic_of_the_labels():
    rng = np.random.default_rng(5)
    low, high = np.array([[3900, 0.8, -0.9, 0, 0], [5000, 3.3, 0.3, 0.3, 0.3]], float)
    x = rng.uniform(-1, 1, (300, 5))
    flux = spectrum((low + high) / 2 + x * (high - low) / 2)
    pairs = [x[:, i] * x[:, j] for i in range(5) for j in range(i, 5)]
    design = np.column_stack([np.ones(300), x, *pairs])
    residual = flux - design @ np.linalg.lstsq(design, flux)[0]
    assert np.sqrt(np.mean(residual**2)) > 1e-3


def an_observed_star(n_visits, seed=0, oddity="", snr=150.0):
    star = Table({"teff": [4550.0], "ak": [0.3], "h": [11.0], "snr": [snr], "oddity": [oddity]})[0]
    rng = np.random.default_rng(seed)
    velocities = np.linspace(-60, 40, n_visits)
    return observe_star(rng, spectrum(GIANT), star, velocities), velocities


@pytest.mark.parametrize("n_visits", [1, 3])
def test_noise_of_unflagged_pixels_is_what_the_error_says(n_visits):
    pulls, snr = [], []
    for seed in range(6):
        (flux, error, bitmask, truth, _), _ = an_observed_star(n_visits, seed)
        good = np.isfinite(flux[0]) & (bitmask[0] == 0)
        pulls.append((flux[0, good] - truth[good]) / error[0, good])
        snr.append(1 / np.median(error[0, good] / truth[good]))
    pulls = np.concatenate(pulls)
    assert np.std(pulls) == pytest.approx(1, abs=0.03)
    assert abs(np.mean(pulls)) < 0.05
    assert np.mean(snr) == pytest.approx(150, rel=0.1)


def test_rows_and_gaps_are_those_of_dr17():
    (flux, _, bitmask, _, edges), _ = an_observed_star(1)
    assert flux.shape == (2, 8575)
    assert not flux[1].any()
    assert np.isnan(flux[0, : edges["BMIN"]]).all()
    assert np.isfinite(flux[0, edges["GMIN"] : edges["GMAX"] + 1]).all()
    assert (bitmask[0, np.isnan(flux[0])] == 0).all()
    (flux, _, _, _, _), _ = an_observed_star(3)
    assert flux.shape == (5, 8575)
    assert np.isnan(flux[:2, 0]).all()
    assert (flux[2:, 0] == 0).all()


def test_sky_lines_and_chip_edges_move_with_the_velocity():
    step = 6e-6 * np.log(10) * 299792.458
    still, moving = airglow(0.0), airglow(20 * step)
    assert np.correlate(still[500:8000], moving[480:7980]).item() > 0.99 * np.sum(still[500:8000] ** 2)
    (*_, edges), velocities = an_observed_star(1)
    assert edges["BMIN"] == CHIP_EDGES[0][0] - round(velocities[0] / step)


def test_persistence_raises_the_blue_end_and_says_so():
    (flux, _, bitmask, truth, _), _ = an_observed_star(1, oddity="persistence")
    good = (bitmask[0] & 0xFF) == 0
    excess = np.where(good, flux[0] / truth - 1, np.nan)
    assert np.nanmedian(excess[300:800]) > 0.05
    assert abs(np.nanmedian(excess[4000:6000])) < 0.01
    assert (bitmask[0, 300:1200] & apstar.PixelBit.PERSIST_HIGH).all()


@pytest.mark.parametrize("kind", ["binary", "wrong_rv", "emission", "rotation"])
def test_oddities_change_a_spectrum(kind):
    flux = spectrum(GIANT)
    odd = disturb(np.random.default_rng(2), kind, flux, GIANT)
    assert np.std(odd - flux) > 0.005
    if kind == "rotation":
        # broader lines take away as much light
        assert np.sum(1 - odd) == pytest.approx(np.sum(1 - flux), rel=0.01)
    if kind == "emission":
        assert (odd - flux)[nearest_pixel(grid.BRACKETT[0])].item() > 0.05


def test_flux_is_one_between_lines_and_positive_everywhere():
    flux = spectrum(GIANT)
    assert flux.shape == (8575,)
    assert 0 < flux.min() < 0.7
    assert flux.max() < 1.01
    assert np.percentile(flux, 95) > 0.99


@pytest.mark.parametrize(("name", "element"), [("mg_fe", "Mg"), ("si_fe", "Si")])
def test_more_of_an_element_deepens_its_lines_and_others_little(name, element):
    more = spectrum(changed(**{name: 0.0}), FIXED) - spectrum(changed(**{name: 0.3}), FIXED)
    own = pixels_of(element, 1.5)
    assert more[own].min() > 0.005
    assert more[own].mean() > 10 * np.median(np.abs(more))


@pytest.mark.parametrize(("name", "element"), [("mg_fe", "Mg"), ("si_fe", "Si")])
def test_gradients_peak_at_lines_of_their_element(name, element):
    slope = spectrum(changed(**{name: 0.12}), FIXED) - spectrum(changed(**{name: 0.08}), FIXED)
    peaks = lines.name_peaks(grid.WAVELENGTH, slope, lines.strong_lines(element))
    assert peaks["matched"].sum() >= 18


def test_iron_deepens_iron_lines():
    more = spectrum(changed(fe_h=-0.4), FIXED) - spectrum(changed(fe_h=-0.2), FIXED)
    assert more[pixels_of("Fe", 1.5)].min() > 0


@pytest.mark.parametrize(("given", "molecule"), [("c_fe", "CO"), ("n_fe", "CN"), ("o_fe", "OH")])
def test_carbon_nitrogen_and_oxygen_drive_their_molecules(given, molecule):
    plain = spectrum(GIANT, FIXED)
    more = plain - spectrum(GIANT, FIXED | {given: FIXED[given] + 0.15})
    assert np.mean(more[pixels_of(molecule, STRONG[molecule])]) > 0.004


def test_carbon_monoxide_takes_carbon_from_cyanogen():
    # more oxygen locks more carbon up in CO, and the lines of CN weaken
    more = spectrum(GIANT, FIXED) - spectrum(GIANT, FIXED | {"o_fe": 0.3})
    assert np.mean(more[pixels_of("CN", STRONG["CN"])]) < 0


@pytest.mark.parametrize("molecule", ["CO", "OH"])
def test_molecules_fade_in_hotter_stars(molecule):
    strong = pixels_of(molecule, STRONG[molecule])
    depth = [1 - spectrum(changed(teff=t))[strong].mean() for t in (4000.0, 4500.0, 5000.0, 5500.0)]
    assert (np.diff(depth) < 0).all()


def test_brackett_lines_grow_with_temperature():
    line = nearest_pixel(grid.BRACKETT[:4])
    cool, hot = (1 - spectrum(changed(teff=t))[line].mean() for t in (4300.0, 5700.0))
    assert hot > cool + 0.02


def test_macroturbulence_broadens_and_keeps_the_light():
    narrow, broad = (spectrum(GIANT, {"vmacro": v}) for v in (1.0, 12.0))
    assert np.sum(1 - broad) == pytest.approx(np.sum(1 - narrow), rel=1e-6)
    assert broad.min() > narrow.min() + 0.02


@pytest.mark.parametrize(("bad", "message"), [
    (changed(teff=3000.0), "teff = 3000"), (changed(logg=5.0), "logg = 5"), (changed(fe_h=np.nan), "NaN"),
    (changed(fe_h=-2.0), "fe_h = -2"), (changed(mg_fe=0.9), "mg_fe = 0.9"), (GIANT[:4], "shape"),
])  # fmt: skip
def test_labels_outside_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        spectrum(bad)


@pytest.mark.parametrize(("bad", "message"), [
    ({"uranium_fe": 0.0}, "uranium"), ({"n_fe": 3.0}, "n_fe = 3"), ({"c_fe": 0.3, "o_fe": 0.0}, "c_fe - o_fe"),
    ({"vmacro": -1.0}, "vmacro = -1"),
])  # fmt: skip
def test_abundances_unknown_or_outside_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        spectrum(GIANT, bad)


def test_hidden_abundances_are_those_of_the_emulator():
    assert set(emulator.inputs()) - set(NAMES) == set(chemistry.HIDDEN) - {"vmacro"}


def test_emulator_gives_back_spectra_that_it_never_saw():
    # a few spectra of the grid that were held out of the training, as the synthesis made them
    with np.load(DATA / "synthesis.npz", allow_pickle=False) as held_out:
        labels_of_grid, flux = held_out["labels"], held_out["flux"].astype(float)
    error = emulator.spectra(labels_of_grid) - flux
    # 0.0020 over all 490 of them; these few span the grid, its cool end too
    assert np.sqrt(np.mean(error[:, 322:8306] ** 2)) < 0.0025


def test_hidden_chemistry_scatters_as_published():
    stars = draw_giants(np.random.default_rng(4), FIELDS[2], 3000)
    c, n, logg = (np.asarray(stars[name]) for name in ("c_fe", "n_fe", "logg"))
    branch = (logg > 2.5) & (logg < 3.2) & (np.abs(stars["fe_h"] + 0.2) < 0.1) & (stars["mg_fe"] < 0.12)
    # Hasselquist et al. 2019, ApJ 871, 181: 0.13 far from the plane to 0.18 near it
    assert 0.13 < np.std(c[branch] - n[branch]) < 0.18
    assert np.corrcoef(c[branch], n[branch])[0, 1] < -0.2
    assert (c - np.asarray(stars["o_fe"])).max() < chemistry.CARBON_EXCESS + 1e-6


def test_stars_differ_in_more_than_their_labels():
    stars = draw_giants(np.random.default_rng(1), FIELDS[0], 40)
    hidden = {name: np.asarray(stars[name]) for name in chemistry.HIDDEN}
    assert np.mean(pdist(spectrum(np.tile(GIANT, (40, 1)), hidden)) / np.sqrt(8575)) > 0.003


def test_emulator_fits_a_real_giant_that_never_calibrated_it(real_data):
    raw = apstar.mask_bad_pixels(apstar.read(real_data / "course" / "mystery_spec_wiped.fits"))
    star = continuum.normalize(raw)
    good = np.zeros(grid.N_PIXELS, dtype=bool)
    good[np.r_[continuum.ASPCAP_SLICES]] = True
    good &= star.ivar.values[0] > 0

    def model(x):
        flux = spectrum(
            x[:5] * SCALE, dict(zip(("c_fe", "n_fe", "o_fe", "vmicro"), x[5:9], strict=True)) | {"vmacro": 3.0}
        )
        relative = raw.error / raw.flux
        return continuum.normalize(raw.assign(flux=(raw.flux.dims, flux[None]), error=relative * flux)).flux.values[0]

    def residual(x):
        return (model(x) - star.flux.values[0])[good]

    low = np.array([3.9, 0.5, -1.2, -0.2, -0.2, -0.6, -0.25, -0.2, 0.9])
    high = np.array([5.2, 3.6, 0.3, 0.5, 0.5, 0.1, 0.9, 0.55, 2.2])
    start = np.array([4.5, 2.0, -0.7, 0.25, 0.2, 0.0, 0.2, 0.2, 1.6])
    best = optimize.least_squares(residual, start, bounds=(low, high), loss="soft_l1", f_scale=0.02, diff_step=1e-2).x
    flux = model(best)
    assert np.corrcoef(flux[good], star.flux.values[0][good])[0, 1] > 0.95
    assert np.std(residual(best)) < 0.0155
