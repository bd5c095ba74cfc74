"""Key numbers: those of made products are known, and the comparison with the reference."""

import numpy as np
import pytest
import xarray as xr
from astropy.table import QTable

from lab2.files import write_table
from lab2.grading.numbers import KeyNumber, compared, key_numbers
from lab2.grading.products import Products, products_of
from lab2.grading.reading import left_behind
from lab2.labels import label_names
from lab2.report import products


@pytest.fixture
def made(tmp_path):
    """The products of a notebook, by its number; others' lie in a folder of their own."""

    def of(number):
        build, others = tmp_path / "lab2" / "build" / "ours", tmp_path / "others"
        build.mkdir(parents=True, exist_ok=True)
        others.mkdir(exist_ok=True)
        return Products(number, build, tmp_path / "lab2" / "figures" / "ours", others)

    return of


def values(numbers):
    return {number.name: number.value for number in numbers}


def spectra(n_stars=6, n_pixels=40):
    stars = [f"2M{k}" for k in range(n_stars)]
    return xr.Dataset(
        {
            "flux": (("star", "wavelength"), np.full((n_stars, n_pixels), 0.98)),
            "ivar": (("star", "wavelength"), np.ones((n_stars, n_pixels))),
            "labels": (("star", "label"), np.zeros((n_stars, 5))),
            "bad_continuum": (("star", "chip_name"), np.zeros((n_stars, 3), dtype=bool)),
        },
        coords={
            "star": stars,
            "wavelength": 15200.0 + np.arange(n_pixels),
            "label": label_names(),
            "trusted": ("wavelength", np.arange(n_pixels) % 4 == 0),
        },
    )


def test_the_continuum(made):
    ours, made_spectra = made("03"), spectra()
    made_spectra["flux"][:, ::4] = 1.003
    made_spectra["flux"][0, 0] = 99.0  # of no weight
    made_spectra["ivar"][0, :24] = 0.0
    made_spectra["bad_continuum"][2, 1] = True
    products.save(made_spectra, ours.build / "03_spectra.nc")
    assert values(key_numbers(ours)) == {
        "spectra": 6,
        "trusted pixels": 10,
        "stars without a continuum on some chip": 1,
        "good pixels": pytest.approx(90.0),
        "median flux of trusted pixels": pytest.approx(1.003),
        "figures": 0,
    }


def test_cross_validation(made):
    """Labels off by a known bias and a known scatter."""
    ours, n_stars = made("05"), 4000
    off = np.random.default_rng(95).normal(10.0, 30.0, (n_stars, 5))
    known = spectra(n_stars, 2)
    products.save(known, ours.others / "03_spectra.nc")
    fits = known[["labels"]].assign(
        labels=known.labels + off,
        covariance=(("star", "label", "label_2"), np.broadcast_to(np.eye(5), (n_stars, 5, 5))),
        reduced_chi2=("star", np.ones(n_stars)),
        flag=("star", np.zeros(n_stars, dtype=int)),
        factors=(("star", "factor"), np.zeros((n_stars, 7))),
        kind=("star", np.where(np.arange(n_stars) < 9, "binary", "")),
    )
    products.save(fits, ours.build / "05_fits.nc")
    numbers = {number.name: number for number in key_numbers(ours)}
    assert (numbers["hidden factors"].value, numbers["odd stars"].value, numbers["odd stars"].tolerance) == (7, 9, 3)
    assert numbers["teff: bias"].unit == "K"
    assert numbers["teff: bias"].value == pytest.approx(off[:, 0].mean())
    assert numbers["teff: bias"].tolerance == pytest.approx(30 / np.sqrt(n_stars), rel=0.2)
    assert numbers["si_fe: std"].value == pytest.approx(30, rel=0.05)


def test_the_kiel_diagram(made):
    ours = made("06")
    names = ("low", "high", "n", "median", "scatter", "slope", "slope_error")
    units = dict(zip(names[3:], ("K", "K", "K / dex", "K / dex"), strict=True))
    write_table(
        ours.build / "06_isochrones.ecsv",
        QTable(rows=[(1.0, 3.3, 25, -8.0, 40.0, -300.0, 27.0)], names=names, units=units),
    )
    numbers = {number.name: number for number in key_numbers(ours)}
    assert (numbers["slope with [Fe/H]"].value, numbers["slope with [Fe/H]"].tolerance) == (-300.0, 27.0)
    assert numbers["Teff - MIST: median"].tolerance == 8.0  # 40 K / sqrt(25)
    write_table(ours.build / "06_isochrones.ecsv", QTable(names=names, units=units))
    assert values(key_numbers(ours)) == {"figures": 0}


def test_a_link_to_the_reference_is_no_result_of_the_students(made):
    ours = made("03")
    products.save(spectra(), ours.others / "03_spectra.nc")
    (ours.build / "03_spectra.nc").symlink_to(ours.others / "03_spectra.nc")
    with pytest.raises(FileNotFoundError, match=r"did not save 03_spectra\.nc"):
        key_numbers(ours)


def test_what_a_notebook_left_behind_is_found_wherever_its_home_was(made, tmp_path):
    ours = made("03")
    ours.figures.mkdir(parents=True)
    (ours.figures / "03_normalization.png").write_bytes(b"x")
    assert products_of(tmp_path, "ours", "", ours.others) == products_of(tmp_path, "ours", "03", ours.others) == ours
    assert products_of(tmp_path, "ours", "04", ours.others) is None
    found = left_behind(tmp_path, "ours", "03", ours.others)
    assert (found["number"], found["numbers"], found["problem"]) == ("03", [], "it did not save 03_spectra.nc")
    (ours.build / "03_spectra.nc").write_bytes(b"\x89HDF and nothing more")
    assert "03_spectra.nc" in left_behind(tmp_path, "ours", "03", ours.others)["problem"]


def test_numbers_beside_the_reference():
    reference = [KeyNumber("stars", 100), KeyNumber("bias", 3.0, "K", 1.5), KeyNumber("figures", 4)]
    numbers = [KeyNumber("stars", 101), KeyNumber("bias", 4.4, "K", 99.0), KeyNumber("new", 1)]
    rows = {row["name"]: row for row in compared(numbers, reference)}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "stars": "differs", "bias": "same", "figures": "missing", "new": "no reference"
    }  # fmt: skip
    assert (rows["bias"]["reference"], rows["bias"]["tolerance"]) == (3.0, 1.5)
    assert np.isnan(rows["figures"]["value"])
    beyond = compared([KeyNumber("bias", float("nan"), "K")], reference)
    assert beyond[1]["verdict"] == "differs"
