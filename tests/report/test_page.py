import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import QTable
from pdfs import text_of

from lab2.files import sha256, write_dataset
from lab2.report import Page, notices, page


@pytest.fixture
def displays(monkeypatch):
    """What a page displays, as (thing, metadata)."""
    seen = []
    for module in (page, notices):
        monkeypatch.setattr(module, "display", lambda thing, raw=False, metadata=None: seen.append((thing, metadata)))
    return seen


def drawn():
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([1, 2])
    return figure


def test_a_figure_keeps_where_it_came_from(home, survey, displays):
    sheet = Page("04_spectral_model", "simulated", 11)
    sheet.input(survey / "allStar.fits")
    figure = drawn()
    sheet.show(figure, "theta", "The *coefficients*.")
    folder = home / "figures" / "simulated"
    assert sorted(path.name for path in folder.iterdir()) == ["04_theta.json", "04_theta.pdf", "04_theta.png"]
    assert not plt.fignum_exists(figure.number)
    record = json.loads((folder / "04_theta.json").read_text())
    assert record["interactive"] is False
    assert record["notebook"] == "04_spectral_model"
    assert record["seed"] == 11
    assert record["caption"] == "The *coefficients*."
    assert record["inputs"]["data/simulated/allStar.fits"] == sha256(survey / "allStar.fits")
    assert set(record["inputs"]) == {"data/simulated/allStar.fits", "data/simulated/manifest.json"}
    assert record["versions"]["numpy"] == np.__version__
    (bundle, about), (said, caption) = displays
    assert {"image/png", "application/pdf"} <= set(bundle)
    assert about["image/png"]["width"] == pytest.approx(4 * 140, rel=0.1)
    assert said.data == "**Figure 04\\_theta.** The *coefficients*."
    assert caption == {"lab2": {"role": "caption", "text": "The *coefficients*.", "label": "fig-04_theta"}}


@pytest.mark.parametrize(
    ("simulated", "real", "stamped"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_what_is_simulated_says_so(home, displays, simulated, real, stamped, make_survey):
    make_survey(simulated=simulated)
    Page("02_spectra", "simulated", 1).show(drawn(), "one", "A star.", real=real)
    (text,) = text_of((home / "figures" / "simulated" / "02_one.pdf").read_bytes())
    assert ("simulated survey" in text) is stamped


def test_equal_figures_are_equal_bytes(home, survey, displays):
    pdfs = set()
    for _ in range(2):
        Page("02_spectra", "simulated", 1).show(drawn(), "one", "A star.")
        pdfs.add((home / "figures" / "simulated" / "02_one.pdf").read_bytes())
    assert len(pdfs) == 1


def test_results_go_from_notebook_to_notebook(home, survey):
    first, second = Page("03_continuum", "simulated", 1), Page("04_spectral_model", "simulated", 1)
    spectra = xr.Dataset({"flux": (("star", "w"), np.eye(3)), "bad": ("star", [True, False, True])})
    path = first.save(spectra.assign_coords(star=["a", "b", "cc"]), "03_spectra.nc")
    assert path == home / "build" / "simulated" / "03_spectra.nc"
    read = second.open("03_spectra.nc").load()
    xr.testing.assert_identical(read, spectra.assign_coords(star=["a", "b", "cc"]))
    assert read.flux.encoding["zlib"]
    table = QTable({"star": ["a"], "teff": [4800.0] * u.K})
    first.save(table, "03_table.ecsv")
    assert second.table("03_table.ecsv")["teff"][0] == 4800 * u.K
    assert set(second._inputs) >= {"build/simulated/03_spectra.nc", "build/simulated/03_table.ecsv"}
    first.save(read, "03_spectra.nc")  # what was read from a file can be saved in its place
    assert sorted(p.name for p in path.parent.iterdir()) == ["03_spectra.nc", "03_table.ecsv"]


def test_a_model_saves_itself_and_half_a_file_is_never_seen(home, survey):
    class Model:
        def save(self, path):
            path.write_text("half")
            raise OSError("the disk is full")

    sheet = Page("04_spectral_model", "simulated", 1)
    with pytest.raises(OSError, match="full"):
        sheet.save(Model(), "04_model.nc")
    assert list((home / "build" / "simulated").iterdir()) == []


def spectra_and_fits():
    """The datasets that notebooks 03 and 05 save, of three stars."""
    grid, coords = ("star", "wavelength"), {"star": ["a", "b", "c"], "wavelength": [15200.0, 15300.0]}
    ivar = np.array([[1.0, 0.0], [4.0, 4.0], [0.0, 0.0]])
    spectra = xr.Dataset({"flux": (grid, np.ones((3, 2))), "ivar": (grid, ivar)}, coords=coords)
    covariance = np.array([np.eye(2), np.full((2, 2), np.nan), 2 * np.eye(2)])
    fits = xr.Dataset(
        {
            "labels": (("star", "label"), np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]])),
            "covariance": (("star", "label", "label_2"), covariance),
            "reduced_chi2": ("star", [1.0, np.nan, 2.0]),
            "flag": ("star", [0, 2, 0]),
        },
        coords={"star": ["a", "b", "c"], "label": ["teff", "logg"], "label_2": ["teff", "logg"]},
    )
    return spectra, fits


def test_spectra_and_fits_are_checked_when_saved_and_opened(home, survey):
    spectra, fits = spectra_and_fits()
    saving, reading = Page("05_cross_validation", "simulated", 1), Page("07_mystery_star", "simulated", 1)
    bad_spectra = {
        "ivar must be finite and 0 or more": spectra.assign(ivar=-spectra.ivar),
        "flux must be finite, and is not in 6 of 6 places": spectra.assign(flux=spectra.flux * np.nan),
        r"flux must have the dims \(star, wavelength\)": spectra.assign(flux=spectra.flux.T),
        "wavelength must be finite and ascending": spectra.isel(wavelength=[1, 0]),
        "it has no star": spectra.drop_vars("star"),
    }
    bad_fits = {
        "covariance must have no negative variance": fits.assign(covariance=-fits.covariance),
        "flag must be 0 or more": fits.assign(flag=-1 - fits.flag),
        "labels must be finite or NaN": fits.assign(labels=fits.labels / 0.0),
        "a star without labels or covariance has no flag": fits.assign(flag=0 * fits.flag),
        "it has no reduced_chi2": fits.drop_vars("reduced_chi2"),
        "label must be different names": fits.assign_coords(label=["teff", "teff"]),
    }
    for kind, good, bad in (("lab2 spectra", spectra, bad_spectra), ("lab2 fits", fits, bad_fits)):
        path = saving.save(good, "05_some.nc")
        xr.testing.assert_identical(reading.open("05_some.nc"), good)
        for words, damaged in bad.items():
            with pytest.raises(ValueError, match=f"not a valid {kind}: {words}"):
                saving.save(damaged, "05_some.nc")
            write_dataset(path, damaged, kind, 1)
            with pytest.raises(
                ValueError, match=f"^run .* run 05 .*: .*05_some.nc is damaged: this is not a valid {kind}: {words}"
            ):
                reading.open("05_some.nc")


def test_damaged_products_are_named_with_the_notebook_that_makes_them(home, survey):
    first, second = Page("03_continuum", "simulated", 1), Page("04_spectral_model", "simulated", 1)
    files = [first.save(spectra_and_fits()[0], "03_a.nc"), first.save(QTable({"star": ["a", "b"]}), "03_a.ecsv")]
    for path, read in zip(files, (second.open, second.table), strict=True):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
        with pytest.raises(ValueError, match=rf"^run .* run 03 --survey simulated .*: {path} is not a complete"):
            read(path.name)


def test_bad_arguments_of_a_page(home, survey, displays):
    with pytest.raises(ValueError, match="named like '04_spectral_model', not 'model'"):
        Page("model", "simulated", 1)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Page("04_model", "dr17", 1)
    sheet = Page("04_spectral_model", "simulated", 1)
    with pytest.raises(
        FileNotFoundError, match=r"^run .*python -m lab2 run 03 --survey simulated .*no 03_spectra.nc in"
    ):
        sheet.open("03_spectra.nc")
    with pytest.raises(FileNotFoundError, match="no notebook makes it"):
        sheet.table("giants.ecsv")
    with pytest.raises(FileNotFoundError, match="which notebook 04_spectral_model reads"):
        sheet.input(home / "nothing")
    with pytest.raises(ValueError, match=r"saves files named 04_"):
        sheet.save(xr.Dataset(), "05_model.nc")
    with pytest.raises(TypeError, match="a list cannot be saved"):
        sheet.save([1], "04_model.nc")
    with pytest.raises(ValueError, match="give a caption"):
        sheet.show(drawn(), "x", " ")
    with pytest.raises(ValueError, match="figure's name"):
        sheet.show(drawn(), "a/b", "C.")
    plt.close("all")
    with pytest.raises(ValueError, match="lacks: bias"):
        sheet.display_table(QTable({"a": [1]}), "C.", {"bias": ".2f"})
